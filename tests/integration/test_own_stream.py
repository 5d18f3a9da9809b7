"""The stream that the README adds, line by line."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fullstory_emulator import Emulator, Fault
from tests.integration.objects import by
from tests.integration.tap import TIMEOUT, Tap, finished, parse

ROOT = Path(__file__).resolve().parents[2]
QUOTAS = b"""{"session_quota": {"usage": "15234", "limit": "100000", "period_start": "2024-01-01T00:00:00Z", "x": [1]},
"server_event_quota": {"usage": "7", "limit": "9007199254740993"}}"""


@pytest.mark.only_source("data_export")
def test_a_stream_in_under_thirty_lines(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever misses a stream would follow the README and get none."""
    text = (ROOT / "README.md").read_text("utf-8").partition("### A stream of your own")[2]
    schema, code = re.findall(r"```(?:json|python)\n(.*?)```", text, re.DOTALL)[:2]
    package = run_tap.folder / "copy" / "tap_fullstory"
    shutil.copytree(ROOT / "tap_fullstory", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "schemas" / "quotas.json").write_text(schema)
    (package / "streams" / "quotas.py").write_text(code)
    for name, before, after in (
        ("state.py", '"settings_history",', '"settings_history", "quotas",'),
        ("cli.py", "from tap_fullstory.streams import (", "from tap_fullstory.streams import (quotas,"),
        ("cli.py", "settings, settings_history)", "settings, settings_history, quotas)"),
    ):
        old = (package / name).read_text("utf-8")
        assert before in old
        (package / name).write_text(old.replace(before, after), "utf-8")
    emulator.faults = [Fault("/v2/organization/quotas", status=200, raw=QUOTAS, times=None)]

    def run(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-c", "from tap_fullstory.cli import main; import sys; sys.exit(main())", *arguments]
        return subprocess.run(command, cwd=package.parent, capture_output=True, timeout=TIMEOUT, check=False)

    assert len((schema + code).splitlines()) < 30
    catalog = parse(run("--discover").stdout)
    for entry in catalog["streams"]:
        entry["metadata"][0]["metadata"]["selected"] = entry["stream"] == "quotas"
        assert [] == entry["metadata"][0]["breadcrumb"]
    done = run(*run_tap.command(catalog=catalog)[3:])
    records = by(finished(done.returncode, done.stdout, done.stderr).records("quotas"), "kind")

    assert 0 == done.returncode
    session = {"kind": "session_quota", "usage": 15234, "limit": 100000, "period_start": "2024-01-01T00:00:00Z"}
    assert {**session, "CustomVars": '{"x":[1]}'} == records["session_quota"]
    assert 9007199254740993 == records["server_event_quota"]["limit"]
