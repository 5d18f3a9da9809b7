"""examples/timeline/timeline.py: one session as a page, whatever the table has and whatever a visitor typed."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "timeline" / "timeline.py"
BEGIN = datetime(2024, 2, 29, 8, 0, tzinfo=timezone.utc)
ROOT = "https://app.fullstory.com/ui/o-DEMO-na1/session/"
HOSTILE = [
    "</script><script>alert(1)</script>",
    "</title></style><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' style='background:url(//evil.example)'",
    "<!--", "]]>", "&lt;b&gt; &#60;script&#62;", "%(title)s %s", "{0}", "javascript:alert(1)", "http://[bad",
    "NUL\0 BEL\a ESC\x1b[31m \u202e\u2028\u2029 \ud83d", "", " ", "line\r\nline", "x" * 100_000, "-1", "1e999", "nan",
]  # fmt: skip


def load() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("timeline_example", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their types
    spec.loader.exec_module(module)
    return module


timeline = load()


class Rows:
    """A table of these rows; its columns are those of the first one."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self._rows = rows
        self.columns = list(rows[0])

    def rows(self, columns: Sequence[str], where: Mapping[str, str], *, newest: bool, most: int) -> list[Any]:
        """See `timeline.Table`."""
        (start,) = [name for name in self.columns if name.lower() == "eventstart"]
        fitting = [row for row in self._rows if all(str(row.get(name)) == value for name, value in where.items())]
        fitting.sort(key=lambda row: str(row.get(start)), reverse=newest)
        return [{name: row.get(name) for name in columns} for row in fitting[:most]]


class Elements(HTMLParser):
    """What a page consists of: tags with their attributes, and the text in between."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def skeleton(self) -> list[tuple[str, list[str]]]:
        """The page without what data may change."""
        return [(tag, list(attributes)) for tag, attributes in self.tags]


def event(second: float = 0, **more: Any) -> dict[str, Any]:
    """A row: a click in session 2 of user 1."""
    at = (BEGIN + timedelta(seconds=second)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    row = {"EventStart": at, "UserId": "1", "SessionId": "2", "EventType": "click", "PageUrl": "https://a.example/#/b"}
    return {**row, **more}


def page_of(*rows: dict[str, Any], root: str | None = None) -> str:
    """The page of session 2 out of a table of rows, all with the same columns."""
    names = dict.fromkeys(name for row in rows for name in row)
    table = Rows(*({name: row.get(name) for name in names} for row in rows))
    page: str = timeline.page(timeline.find_session(table, session="2", user=None), root)
    return page


def rows_shown(page: str) -> list[str]:
    """The rows of events, as plain text."""
    return [" ".join(re.sub("<[^>]*>", " ", row).split()) for row in re.findall(r'<tr id="e\d+".*', page)]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("2024-02-29T08:00:00Z", "2024-02-29T08:00:00.000Z"),
        ("2024-02-29T08:00:00.123456789Z", "2024-02-29T08:00:00.123Z"),
        ("2024-02-29 08:00:00.5+00", "2024-02-29T08:00:00.500Z"),
        ("2024-02-29 08:00:00.5", "2024-02-29T08:00:00.500Z"),
        ("2024-02-29T08:00:00+05:30", "2024-02-29T02:30:00.000Z"),
        ("2024-02-29 08:00:00-1130", "2024-02-29T19:30:00.000Z"),
        ("2024-02-29 08:00:00 UTC", "2024-02-29T08:00:00.000Z"),
        ("2024-02-30T08:00:00Z", ""),
        ("9999-12-31T23:59:59-01:00", ""),
        ("infinity", ""),
        ("", ""),
        (None, ""),
        (datetime(2024, 2, 29, 8), "2024-02-29T08:00:00.000Z"),
        (datetime(2024, 2, 29, 8, tzinfo=timezone(timedelta(hours=1))), "2024-02-29T07:00:00.000Z"),
    ],
)
def test_times_are_read_however_a_place_writes_them(text: Any, expected: str) -> None:
    """A time that is read wrongly puts what happened in the wrong order, hours away."""
    assert expected == timeline.exact(timeline.moment(text))


@pytest.mark.parametrize(
    "members, words",
    [
        ({}, ""),
        ({"EventModFrustrated": "0", "EventModDead": "0", "EventModError": "0"}, ""),
        ({"EventModFrustrated": "3"}, "rage click 3"),
        ({"EventModFrustrated": 3, "EventModError": 1, "EventModDead": 1}, "rage click 3, error, dead click"),
        ({"EventModDead": "1.0"}, "dead click"),
        ({"EventModError": "2"}, "console error"),
        ({"EventModError": "3"}, "uncaught exception"),
        ({"EventModError": "9"}, "uncaught exception"),
        ({"EventType": "exception"}, "uncaught exception"),
        ({"EventType": "console_message", "EventSubType": "error"}, "console error"),
        ({"EventType": "crashed"}, "crash"),
        ({"EventType": "thrash"}, "mouse thrash"),
        ({"EventType": "abandon"}, "form abandoned"),
        ({"EventType": "request", "ReqStatus": "503"}, "HTTP 503"),
        ({"EventType": "request", "ReqStatus": "204"}, ""),
        ({"EventType": "navigate", "ReqStatus": "503"}, ""),
    ],
)
def test_trouble_is_told_in_words(members: dict[str, Any], words: str) -> None:
    """Who cannot tell red from blue, or hears the page, would not learn of rage clicks and errors."""
    page = page_of(event(EventTargetText="Buy", **members))

    assert [words] == re.findall(r'<td class="bad">(?:<svg.*</svg>)?([^<]*)</td>', page)
    assert bool(words) == ("Nothing that the columns tell of" not in page)


def test_what_was_clicked_typed_and_told() -> None:
    """The page would say that something happened, and not what."""
    values = '{"evt_order.total_real": 7.25, "evt_tags_strs": ["a", "b"], "page_x_str": "not of the event"}'
    page = page_of(
        event(0, EventType="click", EventTargetText="Add\n to  cart"),
        event(1, EventType="change", EventTargetText="Ann"),
        event(2, EventType="custom", EventCustomName="Bought", CustomVars=values, evt_items_int="3"),
        event(3, EventType="request", ReqMethod="GET", ReqUrl="/api", ReqStatus="200"),
        event(4, EventTargetSelectorTok="html body .my%2Dbutton =href=%23"),
        event(5, EventType="navigate", EventSubType="reload"),
    )

    assert [
        "08:00:00.000 0:00.0 click “Add to cart”",
        "08:00:01.000 0:01.0 change “Ann”",
        "08:00:02.000 0:02.0 custom Bought: items 3, order.total 7.25, tags a b",
        "08:00:03.000 0:03.0 request GET /api 200",
        "08:00:04.000 0:04.0 click html body .my-button",
        "08:00:05.000 0:05.0 navigate reload",
    ] == rows_shown(page)


def test_rage_is_one_line_with_all_that_it_caused() -> None:
    """Seven clicks with seven errors in a list of fourteen lines hide what else went wrong."""
    rage = [event(n / 10, EventModFrustrated=str(n), EventModError="1", EventTargetText="Buy") for n in (1, 2, 3)]
    failing = [event(n / 10 + 0.05, EventType="exception", EventTargetText="no stock") for n in (1, 2, 3)]
    again = [event(60 + n / 10, EventModFrustrated=str(n), EventTargetText="Buy") for n in (1, 2)]

    found = timeline.findings_of(timeline.find_session(Rows(*rage, *failing, *again), session="2", user=None).events)

    assert ["3 rage clicks, 3 errors", "3 errors", "2 rage clicks"] == [
        timeline.all_counted(one.counts) for one in found if one.event.row["eventtargettext"]
    ]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_that_a_visitor_typed_becomes_part_of_the_page(text: str) -> None:
    """Whoever looks at a session would run what its visitor planted in a form, a name, or an address."""
    columns = [name for name in timeline.SHOWN if name not in ("EventStart", "SessionId")] + ["evt_a_str"]
    numbers = {"EventModFrustrated", "EventModDead", "EventModError", "ReqStatus"}
    harmless = {name: "x" for name in columns if name not in numbers}

    page = page_of(event(), event(1, **{**harmless, **dict.fromkeys(numbers, ""), "UserId": "1"}))
    attacked = page_of(event(), event(1, **{**dict.fromkeys(columns, text), "UserId": "1"}))

    elements = Elements(attacked)
    if text.strip():  # nothing has no place in the page
        assert Elements(page).skeleton == elements.skeleton
    allowed = {"href", "class", "id", "d", "datetime", "x", "y", "r", "transform", "viewbox", "width", "height", "rx"}
    for tag, attributes in elements.tags:
        assert tag not in {"script", "img", "link", "iframe", "object", "base", "form", "image", "animate", "set"}
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "style")}
        assert (attributes.get("href") or "#").startswith("#")
        assert all(name in allowed or text not in (value or "") or len(text) < 2 for name, value in attributes.items())
    assert not re.search(r"[^\n\x20-\x7e\xa0-\U0010ffff]|[\u2028-\u202e\u2066-\u2069\ud800-\udfff]", attacked)
    assert attacked.encode()
    assert "default-src 'none'" in attacked


def test_long_text_is_cut_and_says_so() -> None:
    """A text that was cut in silence is quoted as if that were all; a page of megabytes does not open."""
    page = page_of(event(EventTargetText="x" * 5000, PageUrl="y" * 5000, UserDisplayName="z" * 5000))

    assert [f"08:00:00.000 0:00.0 click “{'x' * 300}… (5,000 characters)”"] == rows_shown(page)
    assert {"5,000"} == set(re.findall(r"\(([\d,]+) characters\)", page))
    assert len(page) < 30_000


def test_replay_is_a_link_that_waits_for_a_click() -> None:
    """The way from the page to the replay would be to copy two numbers, or would tell Fullstory where it came from."""
    page = page_of(event(), root=ROOT)

    (link,) = [attributes for tag, attributes in Elements(page).tags if (attributes.get("href") or "#")[0] != "#"]
    assert {"class": "replay", "href": f"{ROOT}1:2", "rel": "noreferrer noopener"} == link
    assert "--replay-root" in page_of(event())
    assert "it needs UserId and SessionId" in page_of(event(UserId="5e884898da28047151d0e56f8dc62927"), root=ROOT)
    assert "it needs UserId and SessionId" in page_of({**event(), "UserId": None}, root=ROOT)


@pytest.mark.parametrize("left", [("EventStart", "SessionId"), ("EventStart", "SessionId", "PageUrl", "EventType")])
def test_columns_may_be_missing_or_spelled_otherwise(left: tuple[str, ...]) -> None:
    """A table of few columns, or one that a target made in lower or upper case, could not be looked at."""
    full = event(0, EventTargetText="Buy")
    for spell in (str, str.lower, str.upper):
        table = Rows({spell(name): value for name, value in full.items() if name in left})

        session = timeline.find_session(table, session=None, user=None)

        assert "2" == session.id
        (shown,) = rows_shown(timeline.page(session, ROOT))
        assert f"08:00:00.000 0:00.0 {'click' if 'EventType' in left else 'event'}" == shown


def test_table_without_sessions_says_so() -> None:
    """A traceback about a missing key says nothing to somebody who named the wrong table."""
    with pytest.raises(timeline.TimelineError, match="no column SessionId"):
        timeline.find_session(Rows({"EventStart": "x"}), session=None, user=None)
    with pytest.raises(timeline.TimelineError, match="no event of session 3"):
        timeline.find_session(Rows(event()), session="3", user=None)
    with pytest.raises(timeline.TimelineError, match="no event of session 7:2"):
        timeline.find_session(Rows(event()), session="7:2", user=None)
    with pytest.raises(timeline.TimelineError, match="no session of ann"):
        timeline.find_session(Rows(event(UserAppKey="bo")), session=None, user="ann")


def test_session_of_several_users_is_asked_about() -> None:
    """SessionId is unique only with UserId: two visitors would be shown as one."""
    table = Rows(event(0), event(1, UserId="7"))

    with pytest.raises(timeline.TimelineError, match="--session: 1:2, 7:2"):
        timeline.find_session(table, session="2", user=None)
    assert "7" == timeline.find_session(table, session="7:2", user=None).user


def test_session_with_most_trouble_is_chosen() -> None:
    """Without a name one would see a session in which nothing happens."""
    calm = [event(100 + n, SessionId="3") for n in range(9)]
    bad = [event(n, SessionId="4", EventModDead="1") for n in range(3)]
    worse = [event(n, SessionId="5", EventModDead="1", EventModError="1") for n in range(2)]
    rows = [{"EventModDead": None, "EventModError": None, **row} for row in (*calm, *bad, *worse)]

    session = timeline.find_session(Rows(*rows), session=None, user=None)

    assert "5" == session.id
    assert "of the 3 sessions in the newest 14 events the one with the most kinds of trouble" in session.chosen
    assert session.chosen in Elements(timeline.page(session, None)).text


@pytest.mark.parametrize(
    "user, session",
    [("ann", "3"), ("uid:ann", "3"), ("bo@example.com", "4"), ("email:bo@example.com", "4"), ("uid:b@o", "5")],
)
def test_newest_session_of_a_user(user: str, session: str) -> None:
    """Support asks what *this* customer just did."""
    rows = [
        event(0, SessionId="2", UserAppKey="ann", UserEmail="", EventModError="1"),
        event(9, SessionId="3", UserAppKey="ann", UserEmail="", EventModError=None),
        event(8, SessionId="4", UserAppKey="", UserEmail="bo@example.com", EventModError=None),
        event(7, SessionId="5", UserAppKey="b@o", UserEmail="", EventModError=None),
    ]

    assert session == timeline.find_session(Rows(*rows), session=None, user=user).id


def test_event_that_was_loaded_twice_is_there_once() -> None:
    """What a run read again would look like two clicks."""
    page = page_of(event(0, event_id="a", EventTargetText="early"), event(0, event_id="a", EventTargetText="late"))

    assert ["08:00:00.000 0:00.0 click “late”"] == rows_shown(page)
    assert "1 rows repeat an event_id" in page


def test_event_without_a_time_is_not_lost() -> None:
    """The tap keeps events whose time cannot be read; the page must not drop them, nor draw them anywhere."""
    page = page_of(event(), {**event(EventTargetText="when?"), "EventStart": None})

    assert ["08:00:00.000 0:00.0 click", "unknown click “when?”"] == rows_shown(page)
    assert "1 events have no time" in page
    assert "nothing to draw" in page_of({**event(), "EventStart": None})


def test_long_session_says_what_is_left_out() -> None:
    """A drawing that leaves out events in silence would be believed."""
    rows = [event(n, PageUrl=f"https://a.example/{n % 40}", EventModError="1") for n in range(timeline.MOST_EVENTS + 5)]

    page = page_of(*rows)

    assert timeline.MOST_EVENTS == len(rows_shown(page))
    assert f"only its first {timeline.MOST_EVENTS:,} events are here" in page
    assert "Of 40 pages the 12 with the most events have a line of their own." in page
    assert re.search(r"10,000 events are drawn as [\d,]+ marks", page)
    assert page.count('class="mark') < 2000
    assert timeline.MOST_FINDINGS == page.count('<li><a href="#e')
    assert "And 9,976 more, marked in the table" in page


def test_words_in_the_drawing_do_not_cover_each_other() -> None:
    """Words that lie upon each other cannot be read."""
    kinds: list[dict[str, Any]] = [{"EventModError": "1"}, {"EventModDead": "1"}, {"EventModFrustrated": "1"}, {}]
    for gap in (0.01, 0.3, 1, 5, 30):
        events = [timeline.event_of(event(gap * n, **kinds[n % 4])) for n in range(100)]
        scale = timeline.Scale(events[0].at, events[-1].at)

        flags = timeline.flags_of(list(enumerate(events, 1)), scale)

        assert sum(bool(one.troubles) for one in events) == sum(sum(flag.counts.values()) for flag in flags)
        assert timeline.LEFT <= flags[0].left and flags[-1].left + flags[-1].width <= timeline.RIGHT + 0.01
        assert all(one.left + one.width <= other.left for one, other in pairwise(flags))


@pytest.mark.parametrize("seconds", [0, 0.3, 1, 59, 3600, 86_400, 40 * 86_400, 9000 * 86_400])
def test_axis_has_a_few_round_times(seconds: float) -> None:
    """A time axis without times, or with hundreds of them, tells nothing."""
    drawn = list(timeline.axis(timeline.Scale(BEGIN, BEGIN + timedelta(seconds=seconds)), 100))

    assert 2 <= len(drawn) <= 2 * (timeline.MOST_TICKS + 1)


@pytest.mark.parametrize(
    "address, place",
    [
        ("https://a.example/b?utm=1#top", "a.example/b"),
        ("https://a.example/#/cart?x=1", "a.example/#/cart"),
        ("https://a.example", "a.example"),
        ("http://[bad", "http://[bad"),
        ("", "page 9"),
    ],
)
def test_pages_are_told_apart_by_their_address_without_query(address: str, place: str) -> None:
    """Every address of a campaign would be a page of its own."""
    assert place == timeline.event_of(event(PageUrl=address, PageId="9")).place


def test_every_page_has_a_line_in_the_drawing() -> None:
    """Events would be missing in the drawing without a word: two addresses of one page, and events without a page."""
    urls = ["https://a.example", "https://a.example/", "https://a.example/b?c", "", "https://a.example/b"]
    events = [timeline.event_of(event(n, PageUrl=url)) for n, url in enumerate(urls)]
    notes: list[str] = []

    lanes = timeline.lanes_of(timeline.visits_of(events), notes)
    elsewhere = timeline.event_of(event(9, PageUrl="https://c.example/b"))

    assert {"/": {"a.example", "a.example/"}, "/b": {"a.example/b"}, "no page": {"no page"}} == lanes
    assert [] == notes
    assert {"a.example/b", "c.example/b"} < set(timeline.lanes_of(timeline.visits_of([*events, elsewhere]), notes))


def run(*arguments: object) -> int:
    """Call the command; returns its exit status."""
    status: int = timeline.main([str(argument) for argument in arguments])
    return status


def test_command_reads_parquet_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files of `--to` could not be looked at: runs have other columns, and drafts lie among them."""
    events = tmp_path / "events"
    events.mkdir()
    rows = [
        {"EventStart": BEGIN, "UserId": 2**63 - 1, "SessionId": 6606828898126520000, "EventType": "click"},
        {"EventStart": BEGIN + timedelta(seconds=1), "UserId": 2**63 - 1, "SessionId": 6606828898126520000}
        | {"EventType": "click", "EventModDead": 1, "EventTargetText": "Buy"},
    ]
    for number, row in enumerate(rows):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), events / f"{number}.parquet")
    (events / ".tap-fullstory-1.draft.parquet").write_bytes(b"not yet")
    output = tmp_path / "page.html"

    assert 0 == run("--from", tmp_path, "-o", output)

    page = output.read_text("utf-8")
    assert ["08:00:00.000 0:00.0 click", "08:00:01.000 0:01.0 click “Buy” dead click"] == rows_shown(page)
    assert "Session 9223372036854775807:6606828898126520000 (the only one in the newest 2 events): 2 events" in (
        capsys.readouterr().err
    )
    assert [output, events] == sorted(tmp_path.iterdir(), reverse=True)
    assert 0o600 == output.stat().st_mode & 0o777


def test_parquet_reads_no_more_than_it_needs(tmp_path: Path) -> None:
    """Years of events would not fit into memory."""
    for number in range(9):
        rows = [{"EventStart": BEGIN + timedelta(seconds=10 * number + n), "SessionId": n} for n in range(10)]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / f"{number}.parquet")
    table = timeline.ParquetFiles(tmp_path, "events")

    newest = table.rows(["SessionId"], {}, newest=True, most=3)
    oldest = table.rows(["EventStart"], {"SessionId": "4"}, newest=False, most=2)

    assert ["9", "8", "7"] == [row["SessionId"] for row in newest]
    assert ["2024-02-29T08:00:04+00:00", "2024-02-29T08:00:14+00:00"] == [row["EventStart"] for row in oldest]


def test_command_says_what_is_wrong_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback does not say what to do."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "files" / "_manifests").mkdir(parents=True)
    (tmp_path / "files" / "users").mkdir()
    pyarrow.parquet.write_table(pyarrow.table({"SessionId": ["1"]}), tmp_path / "files" / "users" / "1.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    pyarrow.parquet.write_table(pyarrow.table({"EventStart": ["x"], "SessionId": ["1"]}), tmp_path / "good.parquet")
    for place, more, words in [
        ("nowhere", [], "There is nothing at"),
        ("empty", [], "There are no Parquet files in"),
        ("files", [], "There is no table 'events' in"),
        ("broken.parquet", [], "cannot be read"),
        ("good.parquet", ["--session", "3"], "The table has no event of session 3."),
        ("good.parquet", ["-o", tmp_path / "no" / "folder.html"], "cannot be written: No such file or directory"),
    ]:
        assert 1 == run("--from", tmp_path / place, "-o", tmp_path / "page.html", *more)

        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("timeline: ") and words in line
        assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("place, package", [("x.duckdb", "duckdb"), ("x.parquet", "pyarrow")])
def test_missing_driver_is_named(place: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has another database would have to install all three drivers, or guess which one is missing."""
    (tmp_path / place).touch()
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(timeline.TimelineError, match=f"pip install '{package}'"):
        timeline.open_table(str(tmp_path / place), "events")


def test_missing_driver_of_postgres_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """See above; it is no file."""
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(timeline.TimelineError, match=r"pip install 'psycopg\[binary\]'"):
        timeline.open_table("postgresql://localhost/x", "events")


@pytest.mark.parametrize("option", ["--session", "--user"])
def test_nobody_is_nobody_else(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A variable that is not set would show the session of somebody who was not asked for."""
    with pytest.raises(SystemExit):
        run("--from", "x", option, "")

    assert "--session and --user cannot be empty" in capsys.readouterr().err


def test_page_goes_into_a_pipe(tmp_path: Path) -> None:
    """Root would make a file of /dev/null for the whole machine, and /dev/stdout would not work."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    timeline.write(pipe, "page")

    assert b"page" == os.read(reader, 100)
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("root", ["javascript:alert(1)//", "http://app.fullstory.com/ui/o/session/", "https:///", "x"])
def test_replay_root_is_an_address(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A link that does something else than it says."""
    with pytest.raises(SystemExit):
        run("--from", "x", "--replay-root", root)

    assert "--replay-root is not an https:// address" in capsys.readouterr().err


def test_names_are_quoted() -> None:
    """The name of a table or of a column would be run as SQL."""
    statements = []

    def execute(statement: str, parameters: list[str]) -> tuple[list[str], list[Any]]:
        statements.append((statement, parameters))
        return ["EventStart", 'Session"Id; DROP TABLE x; --'], []

    table = timeline.SqlTable(execute, 'a"b.events', equals="{} = %s")
    table.rows([table.columns[1]], {table.columns[1]: "'; DROP TABLE y; --"}, newest=True, most=5)

    column = '"Session""Id; DROP TABLE x; --"'
    assert [
        ('SELECT * FROM "a""b"."events" LIMIT 0', []),
        (
            f'SELECT CAST(t.{column} AS VARCHAR) FROM "a""b"."events" AS t WHERE t.{column} = %s '
            'ORDER BY t."EventStart" DESC NULLS LAST LIMIT 5',
            ["'; DROP TABLE y; --"],
        ),
    ] == statements
    for name in ("", "a..b", "a.", "a\0"):
        with pytest.raises(timeline.TimelineError, match="Not the name of a table"):
            timeline.SqlTable(execute, name, equals="{} = ?")
