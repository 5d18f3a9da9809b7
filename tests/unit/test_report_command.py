"""`tap-fullstory-report`: its command line, what it prints and writes, and how it ends."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tap_fullstory import __version__
from tap_fullstory.reports.cli import _parser
from tests import reports
from tests.reports import Report, bundle, later, run

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 60.0  # seconds
LINE = re.compile(r"FULLSTORY (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+( \| [^|\n]+)?\n")


def today() -> str:
    """Where this day begins."""
    return f"{datetime.now(timezone.utc):%Y-%m-%d}T00:00:00Z"


def recent(days: int = 2, **more: object) -> Report:
    """A run that has written the bundle of so many days ago; that of two days ago is the last one there can be."""
    began = later(f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}", hours=-1)
    start = later(today(), hours=-24 * days)
    return run(began, **{"bundles": [bundle(start)], "since": start, **more})


def call(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "tap_fullstory.reports", *map(str, arguments)],
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize(
    "days, more, arguments, status",
    [
        (2, {}, (), 0),
        (3, {}, ("--max-lag", "2d"), 0),
        (2, {"status": 75}, (), 1),
        (2, {"status": 77}, (), 2),
        (4, {}, (), 2),
        (3, {}, ("--max-lag", "0h"), 2),
    ],
)
def test_check_ends_as_monitors_expect(
    tmp_path: Path, days: int, more: Report, arguments: tuple[str, ...], status: int
) -> None:
    """The number is all that a monitor looks at; the line is what its people read."""
    done = call(reports.write(tmp_path, [recent(days, **more)]), "--check", *arguments)

    found = LINE.fullmatch(done.stdout)
    assert (status, "") == (done.returncode, done.stderr)
    assert found is not None
    assert ["OK", "WARNING", "CRITICAL"][status] == found[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("empty", "--check"),
        ("missing", "--check"),
        ("missing|odd\n", "--check"),
        ("--check",),
        ("empty", "--check", "--max-lag", "6"),
        ("empty", "--check", "--max-lag", "-1h"),
        ("empty", "--check", "--no|such\noption"),
        ("empty", "more", "--check"),
        ("full", "--check", "--openmetrics", "missing/x.prom"),
        ("full", "--check", "--openmetrics", "empty"),
    ],
)
def test_check_says_that_it_does_not_know(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A typo in the monitor's own settings would be an alarm about Fullstory, or a line that it cannot read."""
    (tmp_path / "empty").mkdir()
    reports.write(tmp_path / "full", [recent()])

    done = call(*arguments, cwd=tmp_path)

    found = LINE.fullmatch(done.stdout)
    assert 3 == done.returncode
    assert found is not None
    assert "UNKNOWN" == found[1]


@pytest.mark.parametrize("arguments", [(), ("empty", "--max-lag", "soon"), ("empty", "--chec"), ("empty", "--no")])
def test_wrong_command_lines(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """An option that would be passed over in silence is refused."""
    done = call(*arguments, cwd=tmp_path)

    assert (2, "") == (done.returncode, done.stdout)
    assert "usage: tap-fullstory-report" in done.stderr


def test_people_get_some_lines(tmp_path: Path) -> None:
    """Whoever asks for nothing wants to know whether all is well."""
    done = call(reports.write(tmp_path, [recent()]))

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("OK: all is well\n")


def test_no_report_yet(tmp_path: Path) -> None:
    """Before the first run there is nothing wrong with the command."""
    done = call(tmp_path)

    assert 0 == done.returncode
    assert done.stdout.startswith("UNKNOWN: ") and "report_dir" in done.stdout


@pytest.mark.parametrize("more", [(), ("--json",), ("--openmetrics", "x.prom")])
def test_no_folder(tmp_path: Path, more: tuple[str, ...]) -> None:
    """A line that says what to look at, no traceback, and the status that the tap has for folders."""
    done = call("missing", *more, cwd=tmp_path)

    assert (74, "") == (done.returncode, done.stdout)
    assert 1 == done.stderr.count("\n") and "report_dir" in done.stderr


def test_metrics_say_that_the_folder_is_gone(tmp_path: Path) -> None:
    """Prometheus would go on to see the health of the day on which it went."""
    file = tmp_path / "fullstory.prom"
    call(reports.write(tmp_path / "reports", [recent()]), "--openmetrics", file)
    assert 'tap_fullstory_check_status{report_dir="' in file.read_text("utf-8")

    call(tmp_path / "missing", "--openmetrics", file)

    assert re.search(r"^tap_fullstory_check_status\S+ 3$", file.read_text("utf-8"), re.MULTILINE)
    assert "last_run" not in file.read_text("utf-8")


def test_metrics_can_be_read_by_another_user(tmp_path: Path) -> None:
    """The node exporter is one, and would silently show nothing; it reads no drafts and no other names."""
    folder = reports.write(tmp_path / "reports", [recent()])
    file = tmp_path / "metrics" / "fullstory.prom"
    file.parent.mkdir()
    file.touch(mode=0o600)

    done = call(folder, "--openmetrics", file)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    assert 0o644 == stat.S_IMODE(file.stat().st_mode)
    assert file.read_text("utf-8").endswith("# EOF\n")
    assert [file] == [*file.parent.iterdir()]


def test_names_that_the_node_exporter_passes_over(tmp_path: Path) -> None:
    """It would be looked for in Prometheus for an hour."""
    done = call(reports.write(tmp_path / "reports", [recent()]), "--openmetrics", tmp_path / "metrics.txt")

    assert 0 == done.returncode
    assert ".prom" in done.stderr
    assert (tmp_path / "metrics.txt").exists()


def test_all_that_is_asked_for_is_done(tmp_path: Path) -> None:
    """A cron line for each would be needed; and a monitor reads the first line."""
    folder = reports.write(tmp_path / "reports", [recent(status=75)])

    done = call(folder, "--json", "--check", "--openmetrics", tmp_path / "x.prom")

    line, _, document = done.stdout.partition("\n")
    assert 1 == done.returncode
    assert LINE.fullmatch(f"{line}\n")
    assert "WARNING" == json.loads(document)["status"]
    assert (tmp_path / "x.prom").exists()


def test_the_page_is_written_in_one_step(tmp_path: Path) -> None:
    """A web server would show half a page; and one that somebody has made readable stays so."""
    folder = reports.write(tmp_path / "reports", [recent()])
    file = tmp_path / "pages" / "report.html"
    file.parent.mkdir()

    done = call(folder, "-o", file)
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)

    file.chmod(0o644)
    call(folder, "-o", file)
    assert 0o644 == stat.S_IMODE(file.stat().st_mode)
    assert file.read_text("utf-8").startswith("<!doctype html>")
    assert [file] == [*file.parent.iterdir()]


def test_the_page_on_stdout(tmp_path: Path) -> None:
    """A file of the name - would be written, and the pipe stay empty."""
    folder = reports.write(tmp_path / "reports", [recent()])

    done = call(folder, "-o", "-", "--check", cwd=tmp_path)

    line, _, page = done.stdout.partition("\n")
    assert LINE.fullmatch(f"{line}\n")
    assert page.startswith("<!doctype html>")
    assert [folder] == [*tmp_path.iterdir()]


@pytest.mark.parametrize("place", ["missing/report.html", "reports"])
def test_a_page_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    """A line that says which file it is, no traceback."""
    reports.write(tmp_path / "reports", [recent()])

    done = call("reports", "-o", place, cwd=tmp_path)

    assert (74, "") == (done.returncode, done.stdout)
    assert 1 == done.stderr.count("\n") and place in done.stderr


def test_nobody_reads_any_more(tmp_path: Path) -> None:
    """`tap-fullstory-report … | head -1` ends without a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "tap_fullstory.reports", reports.write(tmp_path, [recent()]), "--json"],
        check=False,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=TIMEOUT,
        cwd=ROOT,
    )
    os.close(writer)

    assert 141 == done.returncode
    assert 1 == done.stderr.count(b"\n")


def test_version_and_help_load_nothing() -> None:
    """They are asked for in scripts and images, and answer at once."""
    code = (
        "import sys; from tap_fullstory.reports.cli import _parser; _parser().format_help(); "
        "print({'msgspec', 'requests', 'singer', 'pendulum'} & {*sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8", cwd=ROOT)

    assert "set()\n" == loaded.stdout
    assert f"tap-fullstory-report {__version__}\n" == call("--version").stdout


def test_readme_explains_the_command() -> None:
    """An option, a status or a member of the JSON that stands nowhere has to be looked up in the code."""
    section = (ROOT / "README.md").read_text("utf-8").partition("\n## Looking at runs\n")[2].partition("\n## ")[0]
    options = {name for action in _parser()._actions for name in action.option_strings if name.startswith("--")}

    assert options - {"--help", "--version"} <= {*re.findall(r"--[a-z-]+", section)}


def test_readme_explains_the_json(tmp_path: Path) -> None:
    """Whoever writes a script would have to guess what a member means."""
    section = (ROOT / "README.md").read_text("utf-8").partition("\n## Looking at runs\n")[2].partition("\n## ")[0]
    told = json.loads(call(reports.write(tmp_path, [recent()]), "--json").stdout)

    assert [*told] == re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert {f"`{name}`" for name in told["last_run"]} <= {*re.findall(r"`\w+`", section)}
