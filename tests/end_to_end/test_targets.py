"""Real targets: every value, what is new, what is read twice, kills, and what goes wrong without settings."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.opponents import ENVS
from demo.processes import dying_with_us, stop
from fullstory_emulator import Bundle, Emulator, Fault, sample_bundles
from tests.end_to_end.expected import (
    Columns,
    Row,
    assert_counts,
    assert_same,
    counted,
    expected_rows,
    keyed_once,
    nanoseconds,
)
from tests.end_to_end.pipeline import TapAndTarget
from tests.end_to_end.targets import (
    KILLED,
    LONG_TEXT,
    NEW,
    PROGRAMS,
    TABLE,
    TARGETS,
    VALUES,
    WAYS,
    WITH,
    WITHOUT,
    Destination,
    DuckdbFile,
    Target,
    expected_types,
    kind_of,
)

pytestmark = pytest.mark.pipelines

DAY = 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z
BIGGEST = 2**63 - 1
TEXTS = (
    "NUL\0in the\0 middle\0",
    "lone \ud83d surrogate",
    "\U0001f353 \u2028 \u202e \\ \" ' \r\n\t \x01 \x7f \ufeff",
    *("\r", "\n", "\r\n", "a\rb\nc\r\nd", "", " ", "  padded\t", "ends in a backslash\\", "\\", "\\\\n", "\\N"),
    *('"', '""', 'say "so"', "'", "''", ",", '","', ";\t|", "a,b\n1,2", "\\u0000", "%s {} $1 :x $$", "\ufffd"),
    *("NULL", "null", "None", "NaN", "true", "1", "007", "-0", "1e5", "2023-11-15", "2023-11-15T08:00:00Z"),
    *('{"a": 1}', "[]", "=1+1", "'; DROP TABLE events; --", "</script>", "é e\u0301", "x" * 2**20),
)
TIMES = (
    "2023-11-15T09:30:00.123456789+05:30",
    "2023-11-15T09:30:00.000000001Z",
    "2023-11-15T09:30:00.999999999Z",
    "2023-11-15T23:59:59.5-11:00",
    "2023-11-15T09:30:00",
    "1969-12-31T23:59:59.25Z",
    "2262-04-11T23:47:16.854775Z",
)
INTEGERS = (BIGGEST, -BIGGEST - 1, BIGGEST - 1, 2**53 + 1, -(2**53) - 1, 2**31, 0, None)
NUMBERS = (0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, -0.5, 1e22, 123456789.123456789, 0.0, 7)
OTHERS: tuple[dict[str, Any], ...] = (
    {"PageUserAgent": "the newer name"},
    {"EventTargetText": None, "PageUrl": None},
    {
        "evt_order.total_real": 0.1 + 0.2,
        "evt_small_real": 5e-324,
        "evt_tags_strs": ["a", None, "NUL\0", "two\nlines"],
        "evt_nested": {"deep": [{"er": True}], "NUL\0": "\udc00"},
        "evt_null_str": None,
        "user_int": -(2**63),
        'A "field" of tomorrow,': "x\r\ny\\",
        "pagevar; drop table": False,
    },
)


@pytest.fixture(scope="session")
def snowflake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of what stands in for Snowflake."""
    log = tmp_path_factory.mktemp("snowflake") / "log"
    command = [str(ENVS / "target-snowflake" / "bin" / "python"), str(PROGRAMS / "snowflake_server.py")]
    with open(log, "wb") as stderr:
        server = subprocess.Popen(
            [*dying_with_us(signal.SIGTERM), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        port = server.stdout.readline()
        assert port, log.read_text("utf-8", "replace")
        yield int(port)
    finally:
        server.stdin.close()
        server.stdout.close()
        stop(server, signal.SIGTERM)


@dataclass
class Case:
    """A target with or without a key, the tap before it, and what it loads into."""

    target: Target
    mode: str
    pipe: TapAndTarget
    destination: Destination
    columns: Columns

    def rows(self) -> list[Row]:
        """The rows that are there, without the target's own columns and event_id."""
        own = {*self.target.adds, "event_id", "EVENT_ID"}
        found = self.destination.rows()
        if self.mode == WITH and found:
            (key,) = {"event_id", "EVENT_ID"} & set(found[0])
            assert all(len(row[key]) == 32 for row in found)
        return [{name: value for name, value in row.items() if name not in own} for row in found]

    def expected(self, bundles: Sequence[Bundle]) -> list[Row]:
        """The rows as they ought to be, with all that the target is known to change."""
        rows = expected_rows(bundles, self.columns, nanoseconds)
        for change in self.target.changes:
            rows = [change.rule(row, self.columns) for row in rows]
        return rows

    def replaces(self) -> bool:
        """Whether what is read twice has to be there once."""
        return self.mode == WITH and self.target.replaces


def prepared(target: Target, mode: str, shop: Emulator, folder: Path, request: pytest.FixtureRequest) -> Case:
    """A case of which nothing has run yet."""
    columns = request.getfixturevalue("columns")
    destination = target.destination(folder, request.getfixturevalue, columns)
    needed = {} if target.unless_key and mode == WITH else target.needs
    settings: dict[str, Any] = {"event_key": mode == WITH}
    if target.batches:
        encoding, storage = {"format": "jsonl", "compression": "gzip"}, {"root": f"file://{folder}/batches"}
        settings["batch_config"] = {"encoding": encoding, "storage": storage, "batch_size": 150}
    pipe = TapAndTarget(
        folder=folder,
        emulator=shop,
        settings=settings,
        target=target.command(request.getfixturevalue),
        target_settings={**destination.settings(), **needed, **target.settings},
    )
    return Case(target, mode, pipe, destination, columns)


@pytest.fixture
def ready(tmp_path: Path, shop: Emulator, request: pytest.FixtureRequest) -> Callable[[Target, str], Case]:
    """Makes a case of a target, with or without a key."""
    return lambda target, mode: prepared(target, mode, shop, tmp_path, request)


@dataclass
class Loaded:
    """A case that has run four times.

    The third run finds nothing new. The fourth knows no state, and reads everything again; some values have settled.
    """

    case: Case
    first: list[Bundle]  # of the first run
    second: list[Bundle]  # new to the second run
    again: list[Bundle]  # of the fourth
    after: list[list[Row]] = field(default_factory=list)  # the rows that were there after each run


ALL = [(target, mode) for target in WAYS for mode in (WITHOUT, WITH)]
IDS = [" ".join(filter(None, (target.package, target.by.replace("`", ""), mode))) for target, mode in ALL]


@pytest.fixture(scope="module")
def days() -> list[Bundle]:
    """What visitors of an invented account did, on five days."""
    account = Emulator.generated(now=FIRST + 6 * DAY, days=5, events_per_bundle=300)
    bundles = [one for one in account.bundles if one.start >= FIRST][:5]
    return [Bundle(one.start, one.stop, list(one.read_events())) for one in bundles]


@pytest.fixture(scope="module", params=ALL, ids=IDS)
def loaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, days: list[Bundle]
) -> Iterator[Loaded]:
    """Each target, with and without a key, when it has run four times."""
    target, mode = request.param
    with Emulator() as shop:
        case = prepared(target, mode, shop, tmp_path_factory.mktemp("target"), request)
        real, odd = sample_bundles(), awkward(2, case.columns, long_texts=not target.refuses)
        first, second = [*real, days[0], empty(1), odd], [empty(3), days[4]]
        loaded = Loaded(case, first, second, again=[*real, settled(days[0]), empty(1), odd, *second])
        state = None
        for bundles in (first, [*first, *second], [*first, *second]):
            shop.bundles = bundles
            state = case.pipe.run(state).states[-1]
            loaded.after.append(case.rows())
        shop.bundles = loaded.again
        case.pipe.run()
        loaded.after.append(case.rows())
        yield loaded


def empty(day: int) -> Bundle:
    """A day on which nothing happened."""
    return Bundle(FIRST + day * DAY, FIRST + (day + 1) * DAY, [])


def settled(bundle: Bundle) -> Bundle:
    """The same events a day later."""
    return Bundle(bundle.start, bundle.stop, [{**event, "PageDuration": 123456} for event in bundle.read_events()])


def awkward(day: int, columns: Columns, *, long_texts: bool) -> Bundle:
    """Everything that is known to go wrong somewhere, each in an event of its own."""
    samples = {"integer": 1, "number": 0.25, "string": "text", "timestamp": "2023-11-17T01:02:03.456Z"}
    full = {
        name: samples[kind_of(schema)] for name, schema in columns.items() if name not in ("CustomVars", "_bundle_id")
    }
    number = next(name for name, schema in columns.items() if kind_of(schema) == "number")
    texts = [*TEXTS, "y" * LONG_TEXT] if long_texts else TEXTS
    events: list[dict[str, Any]] = [
        {**full, "evt_x_str": "so that CustomVars is there, too"},
        *({"EventTargetText": text} for text in texts),
        *({"EventStart": time} for time in TIMES),
        *(dict.fromkeys(("UserId", "SessionId", "PageDuration"), integer) for integer in INTEGERS),
        *({number: value} for value in NUMBERS),
        *OTHERS,
    ]
    usual = {"EventStart": "2023-11-17T08:00:00.123Z", "EventType": "click"}
    return Bundle(
        FIRST + day * DAY,
        FIRST + (day + 1) * DAY,
        [{"PageId": 2**53 + page, **usual, **event} for page, event in enumerate(events)],
    )


def test_every_value_arrives(loaded: Loaded, record_property: Any, columns: Columns) -> None:
    """A value that is lost or changed on its way gives wrong answers, unless the README says so."""
    case, first = loaded.case, loaded.first
    assert keyed_once(first) == sum(len(list(bundle.read_events())) for bundle in first)

    assert_same(case.expected(first), loaded.after[0])

    record_property("proves", [TABLE, case.target.name, case.mode, VALUES])
    rows = expected_rows(first, columns, nanoseconds)
    for change in case.target.changes:
        changed = [change.rule(row, columns) for row in rows]
        assert rows != changed, change.says  # else it would not have been seen
        rows = changed
        record_property("proves", [TABLE, case.target.name, "changes", change.says])
    if case.target.batches:
        left = list((case.pipe.folder / "batches").iterdir())
        says = "leaves the files" if left else "removes the files"
        record_property("proves", [TABLE, case.target.name, "changes", says])


def test_columns_have_their_types(loaded: Loaded, record_property: Any, columns: Columns) -> None:
    """Numbers that arrive as text cannot be summed; 64-bit ids in a double are other ids."""
    case = loaded.case
    found = case.destination.types()

    own = {name: found.pop(name) for name in case.target.adds}
    key = found.pop("event_id", None) or found.pop("EVENT_ID", None)
    assert (case.target.types["string"] if case.mode == WITH else None) == key
    assert expected_types(case.target, columns) == found
    for kind in dict.fromkeys(map(kind_of, columns.values())):
        record_property("proves", [TABLE, case.target.name, "types", kind, case.target.types[kind]])
    if own:
        empty = all(row[name] is None for row in case.destination.rows() for name in own)
        says = f"adds {len(own)} columns, such as `{min(own)}`{', all of them null' if empty else ''}"
        record_property("proves", [TABLE, case.target.name, "changes", says])


def test_second_run_adds_only_what_is_new(loaded: Loaded, record_property: Any) -> None:
    """Rows would be there twice, or the first ones would be gone."""
    case = loaded.case

    assert_same(case.expected([*loaded.first, *loaded.second]), loaded.after[1])
    assert_same(loaded.after[1], loaded.after[2])
    record_property("proves", [TABLE, case.target.name, case.mode, NEW])


def test_what_is_read_twice(loaded: Loaded, record_property: Any) -> None:
    """Who chooses a target and `event_key` has to know whether a lost state costs time or correctness."""
    case = loaded.case

    again = case.expected(loaded.again)
    assert_same(again if case.replaces() else [*loaded.after[2], *again], loaded.after[3])
    record_property("proves", [TABLE, case.target.name, case.mode, "replaces rows" if case.replaces() else "adds rows"])


@pytest.mark.parametrize("target, mode", ALL, ids=IDS)
def test_killed_and_resumed(
    target: Target, mode: str, ready: Callable[[Target, str], Case], days: list[Bundle], record_property: Any
) -> None:
    """A tap that is killed costs no event; what repeats without a key is what the target stored and did not confirm."""
    case = ready(target, mode)
    case.pipe.settings |= {"checkpoint_records": 100}
    case.pipe.target_settings |= target.in_parts
    shop = case.pipe.emulator
    shop.bundles = days[:4]
    everything = case.expected(days[:4])

    # While it waits for a bundle: for the target that is an end like any other.
    shop.faults = [Fault("/api/v1/export/get", match={"id": str(days[1].id)}, delay=600, times=None)]
    first = case.pipe.load(killed(case.pipe, None, lambda line, _: b'"STATE"' in line and covers(line, days[:1])))
    assert_same(everything[:300], case.rows())
    shop.faults = []

    # In the middle of a bundle, and of a line: the target may end as it likes; what it has confirmed counts.
    # BATCH messages are few: without a bundle to wait for, the tap would be done before it is killed.
    shop.faults = [Fault("/api/v1/export/get", match={"id": str(days[3].id)}, delay=600, times=None)]
    messages = killed(case.pipe, first.states[-1], lambda _, lines: lines == (8 if target.batches else 350))
    shop.faults = []
    second = case.pipe.try_to_load(messages[: messages.rindex(b"\n", 0, -1) + 20])
    state = [*first.states, *second.states][-1]
    stored, confirmed = counted(case.rows()), counted(everything[: covered(state, days)])
    assert 300 <= confirmed.total() < 1200
    assert not confirmed - stored
    assert stored - confirmed  # else this would not show what becomes of such rows
    case.pipe.run(state)

    repeated = counted([]) if case.replaces() else stored - confirmed
    assert_counts(counted(everything) + repeated, counted(case.rows()))
    record_property("proves", [TABLE, case.target.name, case.mode, KILLED])


def killed(pipe: TapAndTarget, state: dict[str, Any] | None, enough: Callable[[bytes, int], bool]) -> bytes:
    """What a tap writes that goes on from *state*, and is killed when a line, or the number of them, is enough."""
    tap = pipe.start_tap(state, subprocess.DEVNULL)
    assert tap.stdout is not None
    messages = b""
    try:
        for number, line in enumerate(tap.stdout, 1):
            messages += line
            if enough(line, number):
                break
        stop(tap, signal.SIGKILL)
        assert -signal.SIGKILL == tap.returncode  # it was still at work
        return messages + tap.stdout.read()
    finally:
        stop(tap, signal.SIGKILL)
        tap.stdout.close()


def covers(line: bytes, bundles: Sequence[Bundle]) -> bool:
    """Whether a STATE message says that all of these are finished."""
    done: list[int] = json.loads(line)["value"]["bookmarks"]["events"]["done"]
    return bundles[-1].id in done


def covered(state: dict[str, Any], bundles: Sequence[Bundle]) -> int:
    """How many events of *bundles* come before *state*."""
    bookmark = state["bookmarks"]["events"]
    finished = [one for one in bundles if one.stop * 10**9 <= nanoseconds(bookmark["until"])]
    inside: int = bookmark["partial"][1] if bookmark["partial"] else 0
    return sum(len(list(one.read_events())) for one in finished) + inside


@pytest.mark.parametrize("target", [pytest.param(one, id=one.package) for one in TARGETS if one.refuses])
def test_what_a_target_refuses(target: Target, ready: Callable[[Target, str], Case], record_property: Any) -> None:
    """The README would still warn of it, or has not warned yet that an event can stop all runs."""
    case = ready(target, WITHOUT)
    case.pipe.emulator.bundles = [Bundle(FIRST, FIRST + DAY, [{"EventTargetText": "y" * LONG_TEXT}])]

    run = case.pipe.try_to_run()

    assert 0 != run.target_status
    assert "aximum line size" in run.log
    assert ([], []) == (run.states, case.rows())
    record_property("proves", [TABLE, target.name, "changes", f"refuses {target.refuses}"])


@pytest.mark.parametrize("target", [pytest.param(one, id=one.package) for one in TARGETS if one.needs])
def test_settings_that_are_needed(
    target: Target, ready: Callable[[Target, str], Case], days: list[Bundle], record_property: Any
) -> None:
    """The README would tell people to set what makes no difference."""
    case = ready(replace(target, needs={}), WITHOUT)
    case.pipe.emulator.bundles = days[:1]

    run = case.pipe.try_to_run()
    if target.otherwise.startswith("it refuses"):
        assert 0 != run.target_status
        assert "rimary key" in run.log
        assert ([], []) == (run.states, case.rows())
    else:
        assert_same(case.expected(days[:1]), case.rows())
        case.pipe.emulator.bundles = days[:2]
        case.pipe.run(run.states[-1])
        assert_same(case.expected(days[1:2]), case.rows())

    settings = ", ".join(f"`{json.dumps(name)}: {json.dumps(value)}`" for name, value in target.needs.items())
    where = ", unless there is `event_key`" if target.unless_key else ""
    record_property("proves", [TABLE, target.name, "needs", f"{settings}{where}: else {target.otherwise}"])


def test_newer_duckdb_loses_rows(
    ready: Callable[[Target, str], Case], days: list[Bundle], record_property: Any
) -> None:
    """The README would hold people back from a version that works by now."""
    (usual,) = [one for one in TARGETS if one.package == "target-duckdb"]
    env = "target-duckdb-newer"
    case = ready(replace(usual, env=env, destination=partial(DuckdbFile, env=env)), WITHOUT)
    case.pipe.emulator.bundles = days[:1]
    case.pipe.target_settings |= {"batch_size_rows": 100}

    case.pipe.run()

    events = case.expected(days[:1])
    lost = counted(events) - counted(case.rows())
    assert lost
    assert not lost - counted(events[::100])
    needed = "`duckdb<1.3`: newer ones lose the first row of some batches"
    record_property("proves", [TABLE, usual.name, "needs", needed])
