"""A stand-in for the Fullstory server API over real HTTP on loopback, for tests and demonstrations of clients.

with Emulator() as emulator:
    emulator.bundles = [Bundle(start=1700006400, stop=1700092800, events=[{"EventType": "click"}])]
    emulator.faults = [Fault("/api/v1/export/get", cut_at=10)]
    ...  # point the client at emulator.url with emulator.api_key
"""

from fullstory_emulator.bundles import Bundle, Prepared, bundle_id
from fullstory_emulator.exports import Course, Export
from fullstory_emulator.faults import Fault
from fullstory_emulator.sample import sample_bundles, sample_events, sample_text
from fullstory_emulator.segments import Segment
from fullstory_emulator.server import Emulator, Request
from fullstory_emulator.settling import settling

__all__ = [
    "Bundle",
    "Course",
    "Emulator",
    "Export",
    "Fault",
    "Prepared",
    "Request",
    "Segment",
    "bundle_id",
    "sample_bundles",
    "sample_events",
    "sample_text",
    "settling",
]
