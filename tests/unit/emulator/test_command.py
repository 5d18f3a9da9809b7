"""`python -m fullstory_emulator`, as a person starts it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and what it has printed once it listens."""
    command = [sys.executable, "-m", "fullstory_emulator", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "Ctrl-C" in line:
                    break
            yield process, "".join(lines)
        finally:
            process.kill()


def config_in(text: str) -> dict[str, str]:
    found = re.search("{.*}", text)
    assert found is not None
    config: dict[str, str] = json.loads(found[0])
    return config


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(number: signal.Signals) -> None:
    """What it prints is enough to use it, and a signal ends it without noise."""
    with running("--sample", "--rate-limit", "2/60", "--encoding", "plain") as (process, text):
        config = config_in(text)
        assert f"Fullstory emulator: {config['api_url']}\n" in text
        assert "2020-08-27T00:00:00Z" == config["start_date"]
        headers = {"Authorization": f"Basic {config['api_key']}"}
        exports = requests.get(f"{config['export_url']}/api/v1/export/list?start=0", headers=headers, timeout=10).json()
        assert [159848640048, 159857280048, 159865920048, 159874560048] == [b["Id"] for b in exports["exports"]]
        url = f"{config['export_url']}/api/v1/export/get?id=159848640048"
        answers = [requests.get(url, headers=headers, timeout=10) for _ in range(3)]
        assert [200, 200, 429] == [answer.status_code for answer in answers]
        assert 50 == len(answers[0].json())

        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)

    assert 0 == process.returncode
    assert "" == rest + errors


def test_the_curl_line_is_right() -> None:
    """The line that people copy brings the list of an invented account."""
    options = ("--days", "2", "--bundle-hours", "12", "--now", "2024-03-10T06:00:00Z", "--api-key", "another")
    with running(*options) as (_, text):
        found = re.search("curl -H '(.*): (.*)' '(.*)'", text)
        assert found is not None
        response = requests.get(found[3], headers={found[1]: found[2]}, timeout=10)
        assert 4 == len(response.json()["exports"])
        assert "4 bundles from 2024-03-07T00:00:00Z to 2024-03-09T00:00:00Z" in text


def test_a_configuration_for_each_source_is_printed() -> None:
    """People try both ways to the same events."""
    with running("--days", "1") as (_, text):
        first, second = (json.loads(found) for found in re.findall("{.*}", text))
        assert {**first, "events_source": "segment_export"} == second
        headers = {"Authorization": f"Basic {second['api_key']}"}
        segments = requests.get(f"{second['api_url']}/segments/v1", headers=headers, timeout=10).json()["segments"]
        assert "everyone" == segments[0]["id"]


def test_a_taken_port_is_said_in_one_line() -> None:
    """No traceback for an everyday mistake."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "fullstory_emulator", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert 1 == done.returncode
    assert 1 == len(done.stderr.splitlines())
    assert port in done.stderr


@pytest.mark.parametrize(
    "wrong", [("--now", "soon"), ("--rate-limit", "2"), ("--bundle-hours", "0.3"), ("--encoding", "x")]
)
def test_a_wrong_command_line_is_refused(wrong: tuple[str, str]) -> None:
    """Status 2, and the option is named."""
    command = [sys.executable, "-m", "fullstory_emulator", *wrong]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert 2 == done.returncode
    assert wrong[0].strip("-").replace("-", "_") in done.stderr.replace("-", "_")
    assert "Traceback" not in done.stderr
