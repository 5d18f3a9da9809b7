"""The invented account: the same for everyone, of any size, in little memory."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import requests

from fullstory_emulator import Emulator
from fullstory_emulator.account import Account

NOW = 1_700_050_000  # 2023-11-15 12:06 UTC


def generated(**options: Any) -> Emulator:
    return Emulator.generated(**{"now": NOW, **options})


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    return list(generated(days=5, events_per_bundle=3000).events())


def moment(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["EventStart"][:-1] + "+00:00").timestamp()


def test_bundles_end_with_the_newest_available_one() -> None:
    """They align to multiples of their length, one after the other, whatever the time of day."""
    for hours, count in ((24, 3), (6, 12), (0.5, 144)):
        bundles = generated(days=3, bundle_hours=hours).listed()
        length = int(hours * 3600)
        assert count == len(bundles)
        assert (NOW - 86400) // length * length == bundles[-1].stop
        assert [bundle.stop for bundle in bundles[:-1]] == [bundle.start for bundle in bundles[1:]]


def test_an_account_without_a_given_time_is_of_today() -> None:
    """The demonstration shows yesterday's data."""
    newest = Emulator.generated().listed()[-1]
    assert 86400 <= time.time() - newest.stop < 2 * 86400


def test_new_bundles_appear_as_time_goes_on() -> None:
    """Incremental runs have something to find, and what was there stays as it was."""
    emulator = generated(days=2, events_per_bundle=50)
    before = list(emulator.events())
    emulator.advance(86400)
    after = list(emulator.events())
    assert 3 == len(emulator.listed())
    assert before == after[: len(before)]
    assert 150 == len(after)


def test_content_depends_on_seed_and_start_alone() -> None:
    """Two emulators of the same seed agree about a day, however they came to it."""
    one = generated(seed=5, days=3, events_per_bundle=200)
    other = generated(seed=5, days=1, events_per_bundle=200, now=NOW + 10)
    third = generated(seed=6, days=1, events_per_bundle=200)
    texts = [b"".join(emulator.listed()[-1].read_text()) for emulator in (one, other, third)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    assert texts[0] != b"".join(one.listed()[0].read_text())


def test_content_is_the_same_everywhere() -> None:
    """Whatever the Python version, the machine and the run; a new digest means that all invented accounts change."""
    text = b"".join(Account(seed=1).encoded_events(1_699_920_000, 1000))
    assert "9df4b9b2570cb695b0efc8ad3924e8181870ccbcd9341a97a9f98bf933a64623" == hashlib.sha256(text).hexdigest()


def test_a_download_brings_what_events_says() -> None:
    """The truth to compare with is what goes over the wire."""
    with generated(days=1, events_per_bundle=500, encoding="plain") as emulator:
        headers = {"Authorization": f"Basic {emulator.api_key}"}
        response = requests.get(
            f"{emulator.url}/api/v1/export/get?id={emulator.listed()[0].id}", headers=headers, timeout=10
        )
        assert list(emulator.events()) == response.json()


@pytest.mark.parametrize("count", [0, 1, 7, 999, 5000])
def test_a_bundle_has_as_many_events_as_told(count: int) -> None:
    """Exactly, also where a session has to be cut short."""
    assert count == len(list(generated(days=1, events_per_bundle=count).events()))


@pytest.mark.parametrize("hours", [24, 0.5])
def test_sessions_lie_within_their_bundle_and_events_are_in_order(hours: float) -> None:
    """Nothing is before its bundle, after it, in two of them, or out of order."""
    emulator = generated(days=hours / 8, bundle_hours=hours, events_per_bundle=5000)
    sessions: list[set[int]] = []
    for bundle in emulator.listed():
        events = list(bundle.read_events())
        moments = [moment(event) for event in events]
        assert sorted(moments) == moments
        assert bundle.start <= moments[0]
        assert moments[-1] < bundle.stop
        sessions.append({event["SessionId"] for event in events})
    assert 3 == len(sessions)
    assert sum(map(len, sessions)) == len(set().union(*sessions))


def test_every_event_can_be_told_from_the_others(events: list[dict[str, Any]]) -> None:
    """What a client builds keys from differs, so rows in equal rows out."""
    settled = ("PageDuration", "PageActiveDuration")
    whole = Counter(json.dumps({k: v for k, v in event.items() if k not in settled}) for event in events)
    assert 1 == max(whole.values())


def test_ids_exceed_what_a_double_can_hold(events: list[dict[str, Any]]) -> None:
    """A client that reads ids as floats is found out, up to the largest one."""
    for name in ("IndvId", "UserId", "SessionId", "PageId"):
        assert all(2**53 < event[name] < 2**63 for event in events)
        assert any(int(float(event[name])) != event[name] for event in events)
    assert 2**63 - 1 == max(event["IndvId"] for event in events)


def test_custom_variables_can_be_put_on_every_event() -> None:
    """So many on each, with the given names in turn and values of the type that the suffix says."""
    names = ["evt_a_str", "evt_b_int", "evt_c.d_real", "user_e_bool", "page_f_strs"]
    for event in generated(days=1, custom_vars_per_event=3, custom_var_names=names).events():
        custom = {name: event[name] for name in names if name in event}
        assert 3 == len(custom)
        types = {"str": str, "int": int, "real": float, "bool": bool, "strs": list}
        assert all(type(value) is types[name.rpartition("_")[2]] for name, value in custom.items())
    event = next(generated(days=1, custom_vars_per_event=20).events())
    assert 20 == sum(name.startswith("evt_") for name in event)
    for event in generated(days=1, custom_vars_per_event=0).events():
        assert not [name for name in event if name.startswith(("evt_", "user_", "page_"))]


def test_a_prepared_account_repeats_one_block() -> None:
    """For measuring: the right number of events, all within the bundle, from one block."""
    emulator = generated(days=1, events_per_bundle=20_000, prepared=True)
    (bundle,) = emulator.listed()
    events = list(bundle.read_events())
    assert 20_000 == len(events)
    assert events[:5000] == events[5000:10_000]
    assert bundle.start <= min(map(moment, events))
    assert max(map(moment, events)) < bundle.stop


def test_making_a_bundle_needs_little_memory() -> None:
    """A bundle of any size is made while it is sent: memory is set by what waits to be sorted, not by the number."""
    account = Account()
    assert account.scripts
    assert account.visitors
    tracemalloc.start()
    size = sum(len(piece) for piece in account.encoded_events(NOW // 86400 * 86400, 30_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 25_000_000
    assert peak < 8_000_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"bundle_hours": 0},
        {"bundle_hours": 0.7},
        {"visitors": 0},
        {"events_per_bundle": -1},
        {"sites": ()},
        {"sites": ("shop", "kiosk")},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """At once, not when the first bundle is made."""
    with pytest.raises(ValueError, match=r"bundle|sites"):
        Account(**wrong)


def test_the_time_is_utc() -> None:
    """EventStart lies in the day that the bundle's start says, in UTC."""
    bundle = generated(days=1).listed()[0]
    day = datetime.fromtimestamp(bundle.start, timezone.utc).strftime("%Y-%m-%d")
    assert {day} == {event["EventStart"][:10] for event in bundle.read_events()}


@pytest.mark.parametrize("encoding", ["plain", "file"])
def test_serving_a_large_bundle_needs_little_memory(encoding: str) -> None:
    """The whole process stays small, though it sends 150 MB of JSON; half of that leaves room for the allocator."""
    command = [sys.executable, "-m", "fullstory_emulator", "--port", "0", "--days", "1", "--encoding", encoding]
    command += ["--events-per-bundle", "150000", "--now", "2023-11-15T12:00:00Z"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().decode().split()[-1]
            headers = {"Authorization": "Basic demo-key-not-secret"}

            def drain(least: int) -> int:
                """Read at least so many events of the bundle; returns how many these were."""
                unpack = zlib.decompressobj(47).decompress if encoding == "file" else bytes
                lines = 0
                address = f"{url}/api/v1/export/get?id=169983360048"
                with requests.get(address, headers=headers, stream=True, timeout=60) as answer:
                    for piece in answer.iter_content(1 << 18):
                        lines += unpack(piece).count(b"\n")
                        if lines >= least:
                            break
                return lines

            drain(1)  # the scripts are written
            before = peak_memory(process.pid)
            assert 150_000 == drain(150_000)
            assert peak_memory(process.pid) - before < 75_000_000
        finally:
            process.kill()


def peak_memory(pid: int) -> int:
    """Bytes; the most a process ever had in memory."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
