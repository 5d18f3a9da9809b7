"""`singer-check-tap` of singer-tools, the oldest check of all, which orchestrators still ask authors to run."""

import json
import subprocess
from pathlib import Path

import pytest

from fullstory_emulator import Emulator, sample_bundles
from tests.end_to_end.pipeline import ROOT, TAP, TIMEOUT

pytestmark = pytest.mark.pipelines

CHECK = ROOT / ".envs" / "singer-tools" / "bin" / "singer-check-tap"


def checked(folder: Path, stdin: bytes) -> "subprocess.CompletedProcess[bytes]":
    """What the check says of messages.

    It can run a tap itself, but then it does not wait until it has read everything, and fails with one that is quick.
    """
    assert CHECK.exists(), "singer-tools has an environment of its own: run these tests with `make test-pipelines`."
    return subprocess.run([str(CHECK)], input=stdin, capture_output=True, timeout=TIMEOUT, cwd=folder, check=False)


@pytest.fixture
def messages(tmp_path: Path, shop: Emulator) -> list[bytes]:
    """What the tap prints of real visitors, and then with the last state of that, as the check would run it."""
    shop.bundles = sample_bundles()
    settings = {"api_key": shop.api_key, "api_url": shop.url, "export_url": shop.url, "spool_dir": str(tmp_path)}
    config, state = tmp_path / "config.json", tmp_path / "state.json"
    config.write_text(json.dumps({**settings, "start_date": "2020-08-01T00:00:00Z"}), "utf-8")
    command = [str(TAP), "--config", str(config)]
    first = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=True).stdout
    state.write_text(json.dumps(json.loads(first.splitlines()[-1])["value"]), "utf-8")
    command += ["--state", str(state)]
    return [first, subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=True).stdout]


def test_what_the_tap_prints_is_valid(tmp_path: Path, messages: list[bytes]) -> None:
    """A target could refuse a message, of a first run or of the next."""
    for printed, records in zip(messages, (144, 0), strict=True):
        done = checked(tmp_path, printed)
        assert 0 == done.returncode, done.stderr
        assert b"The output is valid." in done.stdout
        assert f"{records} record messages".encode() in done.stdout


def test_the_check_would_notice(tmp_path: Path, messages: list[bytes]) -> None:
    """A check that accepts anything shows nothing."""
    broken = [json.loads(line) for line in messages[0].splitlines()]
    for message in broken:
        if message["type"] == "RECORD":
            message["record"]["UserId"] = "text"

    done = checked(tmp_path, "\n".join(map(json.dumps, broken)).encode())

    assert 0 != done.returncode
    assert b"is not of type" in done.stderr
