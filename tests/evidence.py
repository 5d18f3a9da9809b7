"""What tests have shown: the facts behind the README's tables "works with" and "capabilities".

A test says what it shows with the marker `proves`, or, where that is known only while it runs, with
`record_property("proves", [...])`. `--evidence check` fails a run whose tests showed other things than
`tests/evidence.json` says; `--evidence write` brings the file up to date, and `make docs` makes the tables of it.
Only tests that passed count, and of those that did not run the file keeps what it says.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).with_name("evidence.json")
Facts = dict[str, list[list[str]]]  # the id of a test to what it showed: a table and what its row is made of


def known(file: Path = FILE) -> Facts:
    """What the file says."""
    facts: Facts = json.loads(file.read_text("utf-8"))
    return facts


def rows(table: str) -> list[tuple[str, list[str]]]:
    """The rows of one of the tables, each with the test that showed it."""
    return [(test, fact[1:]) for test, facts in known().items() for fact in facts if fact[0] == table]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--evidence", choices=["check", "write"], help="compare with tests/evidence.json, or write it")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "proves(table, *row): what the test shows when it passes, see tests/evidence.py")
    if config.getoption("--evidence"):
        file = config.rootpath / "tests" / FILE.name
        config.pluginmanager.register(Evidence(file, write=config.getoption("--evidence") == "write"))


class Evidence:
    """What is shown in this run."""

    def __init__(self, file: Path, *, write: bool) -> None:
        self._file = file
        self._write = write
        self._facts = known(file)
        self._shown: Facts = {}
        self._there: set[str] = set()

    @pytest.hookimpl(tryfirst=True)  # before `-m` and `-k` take some out
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._there = {item.nodeid for item in items}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Any:
        report: pytest.TestReport = yield
        if report.when == "call":
            report.user_properties += [("proves", list(marker.args)) for marker in item.iter_markers("proves")]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            found = [list(value) for name, value in report.user_properties if name == "proves"]
            self._shown[report.nodeid] = sorted(found) if report.passed else []

    # With pytest-xdist, workers see the tests, and the process that started them adds up.

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._there |= set(node.workeroutput.get("there", ()))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["there"] = sorted(self._there)
            return
        modules = {test.partition("::")[0] for test in self._there}
        gone = {test for test in self._facts if test.partition("::")[0] in modules and test not in self._there}
        facts = {test: found for test, found in {**self._facts, **self._shown}.items() if found and test not in gone}
        if facts == self._facts:
            return
        if self._write:
            self._file.write_text(json.dumps(dict(sorted(facts.items())), ensure_ascii=False, indent=1) + "\n", "utf-8")
        elif not session.exitstatus:
            changed = sorted(test for test in {*facts, *self._facts} if facts.get(test) != self._facts.get(test))
            print(
                "\n\ntests/evidence.json says other things than these tests; see tests/evidence.py:",
                *changed,
                sep="\n  ",
            )
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
