"""The page of runs, as far as it can be judged without a browser; tests/browser/test_report_page.py looks at it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tap_fullstory.moments import SECOND, parse_moment
from tap_fullstory.reports.coverage import Interval, Kind
from tap_fullstory.reports.grid import Grid, shape
from tap_fullstory.reports.history import read_history
from tap_fullstory.reports.page import to_html
from tap_fullstory.reports.words import HOUR, STATUSES, iso, length, text
from tests import reports
from tests.reports import FIRST, NOW, bundle, day, hundred_days, later, run

ROOT = Path(__file__).resolve().parents[2]


class Elements(HTMLParser):
    """The elements of a page, and whether each that has to be closed is."""

    VOID = ("meta", "link", "br", "img")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop(), self.getpos()


def page_of(folder: Path, runs: Iterable[dict[str, Any]], now: str = NOW) -> str:
    """Return the page that is made of some reports."""
    return to_html(read_history(reports.write(folder, runs)), parse_moment(now))


def test_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    """On a machine without a network, or in the mail, the page would be a ruin; and somebody could see who opens it."""
    page = page_of(tmp_path, hundred_days())
    elements = Elements(page)

    assert [] == elements.open
    for _, attributes in elements.found:
        assert not attributes.keys() & {"src", "srcset", "style", "action", "onload", "onerror", "onclick"}
        assert (attributes.get("href") or "#")[0] == "#" or attributes["href"] == "data:,"
    assert not re.search(r"url\(|@import|http-equiv=.refresh|fetch\(|XMLHttpRequest", page)


def test_policy_admits_the_page_s_own_script_and_style_alone(tmp_path: Path) -> None:
    """A text that found its way around the escaping could run."""
    page = page_of(tmp_path, hundred_days())
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)
    assert policy

    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    for name in ("style", "script"):
        content = re.search(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)
        assert content
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy[1]


def test_page_judges_as_the_check_does(tmp_path: Path) -> None:
    """The page would say that all is well while the monitor calls somebody at night, or the other way round."""
    history = read_history(reports.write(tmp_path, [run(later(day(2), hours=1), bundles=[bundle(day(0))])]))
    now = parse_moment(later(day(3), hours=30))  # 30 hours after the next one was due

    assert "Needs attention." in to_html(history, now)
    assert "Healthy." in to_html(history, now, max_lag=36 * HOUR)


def test_what_is_not_known_is_not_said_to_be_well(tmp_path: Path) -> None:
    """A pipeline of users alone, or a first run that has only begun, would be "not at all" behind."""
    head = page_of(tmp_path, [run(later(NOW, hours=-1), since=None)]).partition("</dl>")[0]

    assert 3 == head.count("<dd>not known")
    assert "not at all" not in head


def test_windows_that_are_left_are_no_closed_row(tmp_path: Path) -> None:
    """Whoever reads a history in windows would take it for whole while one of them has not been read."""
    first, last = (
        run(later(NOW, hours=-at), bundles=[bundle(day(at))], since=day(at), settings={"end_date": day(at + 1)})
        for at in (1, 3)
    )

    page = page_of(tmp_path, [first, last])

    assert "each follows the one before" not in page
    assert "1 bundle due by now, but not written: " in re.sub("<[^>]*>", "", page)
    assert "Some bundles between others are not written." in page
    assert "all that is due is written" not in page


def test_each_exit_status_has_its_advice() -> None:
    """A status that the README explains would be a bare number on the page."""
    readme = (ROOT / "README.md").read_text("utf-8")
    table = readme.partition("\n## Exit statuses\n")[2].partition("\n## ")[0]
    documented = {int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}

    assert len(documented) > 10
    assert documented == STATUSES.keys()
    assert all(advice for status, (_, advice) in STATUSES.items() if status)


@pytest.mark.parametrize(
    "value, said",
    [
        ("<b>&\"'", "&lt;b&gt;&amp;&quot;&#x27;"),
        ("a\x00b\x1b[31m\u202ec\ud800", "a\ufffdb\ufffd[31m\ufffdc\ufffd"),
        ("ä\n日本\t", "ä\n日本\t"),
        ("x" * 12_000, "x" * 1000 + "… (12,000 characters, the file has them all)"),
    ],
)
def test_texts_of_others_are_harmless(value: str, said: str) -> None:
    """An error text could steer the page, or fill it."""
    assert said == text(value)


@pytest.mark.parametrize(
    "seconds, said",
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3600, "1 h"), (5400, "1 h 30 min"), (90_061, "1 d 1 h"), (-5, "-5 s")],
)
def test_durations_are_said_in_two_units(seconds: float, said: str) -> None:
    """Nobody knows how long 90061 seconds are."""
    assert said == length(int(seconds * SECOND))


def test_moments_have_no_more_digits_than_they_need() -> None:
    """Nanoseconds would make each line unreadable."""
    assert "2026-08-01T00:00Z" == iso(parse_moment(FIRST))
    assert "2026-08-01T00:00:07Z" == iso(parse_moment("2026-08-01T00:00:07.123456789Z"))


def test_half_hours_and_months_have_their_place() -> None:
    """Bundles that no grid was made for would be drawn over others."""
    half = 1800 * SECOND
    start = parse_moment(FIRST)
    short = Grid([Interval(start + n * half, start + (n + 1) * half, Kind.ARRIVED) for n in range(96)])
    (x, y, width, _), (following, same, _, _) = (
        next(short.rects(start + n * half, start + (n + 1) * half)) for n in (0, 1)
    )

    assert 2 == short.rows
    assert (x + width, y) == (following, same)
    days = Grid([Interval(parse_moment(day(n)), parse_moment(day(n + 7)), Kind.ARRIVED) for n in range(0, 60, 7)])
    assert ["2026-08", "2026-09", "2026-10"] == [name for _, name in days.labels()]
    # from 29 August to 5 September: the rest of one row, and the beginning of the next
    assert [3, 4] == [round(rect[2] / 24) for rect in days.rects(parse_moment(day(28)), parse_moment(day(35)))]


def test_each_kind_has_a_mark_of_its_own() -> None:
    """Who sees no colours could not tell one box from another."""
    marks: dict[str, list[Kind]] = {}
    for kind in Kind:
        found = re.search(r'class="m" d="(.*?)"', shape(kind, [(0, 0, 24, 20)]))
        marks.setdefault(found[1] if found else "", []).append(kind)

    shared = [kinds for kinds in marks.values() if len(kinds) > 1]
    assert [[Kind.ARRIVED, Kind.FUTURE], [Kind.MISSING, Kind.GIVEN_UP]] == shared  # filled, dotted; empty, filled


def test_hundreds_of_gaps_leave_room_for_the_calendar(tmp_path: Path) -> None:
    """Who looks for the calendar would have to pass each gap of a bad year."""
    lost = [[later(day(n), hours=1), later(day(n), hours=2)] for n in range(90)]
    page = page_of(tmp_path, [run(later(NOW, hours=-1), until=day(100), gaps=lost)])

    assert 30 == page.partition('<ul class="gaps">')[2].partition("</ul>")[0].count("<li>")
    assert "60 gaps before" in page


ODD = {
    "no state": [reports.broke_off_at_once(NOW)],
    "running": [run(later(NOW, hours=-0.1), status=None, hours_long=0.05)],
    "ended before it began": [{**run(NOW, bundles=[bundle(day(99))]), "ended_at": day(99)}],
    "state in the future": [run(later(NOW, hours=-1), until="2030-01-01T00:00:00Z")],
    "first and last days": [
        run(later(NOW, hours=-1), bundles=[bundle("0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", id=1)])
    ],
    "no length": [run(later(NOW, hours=-1), bundles=[bundle(day(99), day(99)), bundle(day(98))])],
    "backwards": [run(later(NOW, hours=-1), bundles=[bundle(day(99), day(98), id=7)], gaps=[[day(9), day(8)]])],
    "nested": [run(later(NOW, hours=-1), bundles=[bundle(day(9), day(19)), bundle(day(10)), bundle(day(10), day(12))])],
    "many of one time": [run(later(NOW, hours=-1), bundles=[bundle(day(9), id=2**70 + n) for n in range(50)])],
    "bounded": [run(later(NOW, hours=-1), bundles=[bundle(day(1))], settings={"end_date": day(2)})],
    "wrong settings": [
        run(NOW, bundles=[bundle(day(1))], settings={"custom_columns": [1, None, {"column": 3}, {"name": [2]}, [2]]})
    ],
}


@pytest.mark.parametrize("runs", ODD.values(), ids=ODD)
def test_odd_histories_have_a_page_too(tmp_path: Path, runs: list[dict[str, Any]]) -> None:
    """Just when something is wrong there would be no page."""
    runs[-1]["custom_variables"]["new"] = ["a_str"]

    elements = Elements(page_of(tmp_path, runs))

    assert [] == elements.open
    assert {"header", "main", "footer"} <= {name for name, _ in elements.found}
    drawn = " ".join(value or "" for _, one in elements.found for name, value in one.items() if name in ("d", "x"))
    assert "nan" not in drawn and "inf" not in drawn


def test_names_that_can_be_no_column_are_not_in_the_line(tmp_path: Path) -> None:
    """The line would be pasted, and the next run would refuse the settings."""
    new = {"values": {}, "new": ["plan_str", "Plan_str", "EventType", "bro\x00ken", "a.b_int"], "left_out": 0}
    page = page_of(tmp_path, [run(NOW, bundles=[bundle(day(1))], custom_variables=new)])

    line = re.search(r"\"custom_columns\": (.*?)</code>", page)
    assert line
    assert [
        {"name": "EventType", "column": "EventType_2"},
        "Plan_str",
        "a.b_int",
        {"name": "plan_str", "column": "plan_str_2"},
    ] == json.loads(line[1].replace("&quot;", '"'))


def test_line_has_the_columns_of_the_last_run_that_knew_its_settings(tmp_path: Path) -> None:
    """After a run that broke off at once, the line would drop the columns that are there."""
    new = {"values": {}, "new": ["plan_str"], "left_out": 0}
    own = run(NOW, bundles=[bundle(day(1))], custom_variables=new, settings={"custom_columns": ["visits_int"]})
    page = page_of(tmp_path, [own, reports.broke_off_at_once(later(NOW, hours=1))], later(NOW, hours=2))

    assert "&quot;visits_int&quot;, &quot;plan_str&quot;" in page


def test_what_to_do_follows_from_the_status(tmp_path: Path) -> None:
    """The page would send the reader to a table elsewhere."""
    page = page_of(tmp_path, [run(later(NOW, hours=-1), status=77, since=None)])

    assert "<b>Check the key, its role (Architect or Admin)" in page.partition("What to do")[2].partition("<nav")[0]


def test_thousands_of_runs_are_not_all_listed(tmp_path: Path) -> None:
    """A page that is open in a minute is none; but what went wrong long ago must not be left out."""
    runs = [run(later(FIRST, hours=24 + n), hours_long=0.1, bundles=[hour(n)]) for n in range(900)]
    runs[3] = run(later(FIRST, hours=27), status=70, error="A bug, long ago.", since=None)
    page = page_of(tmp_path, runs, later(FIRST, hours=924))

    assert "A bug, long ago." in page
    assert "699 other runs of before are counted above and not listed." in page
    assert 202 > page.count('<p class="run">') > 199


def hour(number: int) -> dict[str, Any]:
    """Return a bundle of an hour."""
    return bundle(later(FIRST, hours=number), later(FIRST, hours=number + 1))
