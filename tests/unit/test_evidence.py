"""The tables that say "shown by tests" hold what tests have shown, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = """
import pytest

@pytest.mark.proves("capabilities", "state")
def test_state():
    assert {holds}

def test_target(record_property):
    record_property("proves", ["works with", "target-jsonl", "rows"])
"""
SHOWN = {
    "tests/test_it.py::test_state": [["capabilities", "state"]],
    "tests/test_it.py::test_target": [["works with", "target-jsonl", "rows"]],
}


def evidence(folder: Path, what: str, *arguments: str, holds: bool = True, before: object = None) -> tuple[int, object]:
    """The exit status of a run of the two tests, and what the file says then."""
    tests = folder / "tests"
    tests.mkdir(exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    (tests / "test_it.py").write_text(MODULE.format(holds=holds), "utf-8")
    (tests / "evidence.json").write_text(json.dumps(before or {}), "utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.evidence",
        "-p",
        "no:cacheprovider",
        "-c",
        "pytest.ini",
    ]
    done = subprocess.run(
        [*command, f"--rootdir={folder}", "--import-mode=importlib", f"--evidence={what}", *arguments, "tests"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        check=False,
    )
    return done.returncode, json.loads((tests / "evidence.json").read_text("utf-8"))


@pytest.fixture(params=[(), ("-n", "2")], ids=["one after the other", "side by side"])
def how(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """How the two tests are run."""
    found: tuple[str, ...] = request.param
    return found


def test_what_passes_is_written(tmp_path: Path, how: tuple[str, ...]) -> None:
    """A table would stay empty however much is tried."""
    assert (0, SHOWN) == evidence(tmp_path, "write", *how)


def test_what_fails_is_taken_out(tmp_path: Path, how: tuple[str, ...]) -> None:
    """A table would go on to promise what no longer works."""
    (kept,) = [test for test in SHOWN if "target" in test]
    assert (1, {kept: SHOWN[kept]}) == evidence(tmp_path, "write", *how, holds=False, before=SHOWN)


@pytest.mark.parametrize(
    "before, status", [(SHOWN, 0), ({}, 1), ({**SHOWN, "tests/test_it.py::test_gone": [["capabilities", "batch"]]}, 1)]
)
def test_a_stale_file_fails_the_check(tmp_path: Path, how: tuple[str, ...], before: object, status: int) -> None:
    """The README would say other things than the tests."""
    assert (status, before) == evidence(tmp_path, "check", *how, before=before)


def test_tests_that_do_not_run_keep_what_they_showed(tmp_path: Path, how: tuple[str, ...]) -> None:
    """Who runs one test alone would be told to take out what all others have shown."""
    assert (0, SHOWN) == evidence(tmp_path, "check", *how, "-k", "target", before=SHOWN)
    elsewhere = {**SHOWN, "tests/other/test_it.py::test_that": [["capabilities", "test"]]}
    assert (0, elsewhere) == evidence(tmp_path, "write", *how, before=elsewhere)
