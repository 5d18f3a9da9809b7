"""The warehouse itself can tell whether anything is missing or twice, and what is wrong can be repaired."""

import json
import re
import subprocess
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator
from tests.end_to_end.expected import assert_same_rows, expected_rows
from tests.end_to_end.pipeline import ROOT, TAP, TIMEOUT, Pipeline

DAY = 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z
DAYS = 6
EVENTS = 50  # in a bundle


@pytest.fixture
def logged(pipeline: Pipeline, shop: Emulator) -> Pipeline:
    """Six days of events, and the stream `bundles` selected beside them."""
    account = Emulator.generated(now=FIRST + (DAYS + 1) * DAY, days=DAYS, events_per_bundle=EVENTS)
    found = [one for one in account.bundles if one.start >= FIRST][:DAYS]
    shop.bundles = [Bundle(one.start, one.stop, list(one.read_events())) for one in found]
    select_bundles(pipeline)
    pipeline.settings["gap_check_hours"] = 1_000_000
    return pipeline


def select_bundles(pipeline: Pipeline) -> None:
    """Use the catalog that `--discover` prints, with events and bundles selected."""
    command = [str(TAP), "--config", str(pipeline.write("discover.json", pipeline.tap_settings())), "--discover"]
    catalog = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT).stdout)
    for entry in catalog["streams"]:
        entry["metadata"][0]["metadata"]["selected"] = entry["stream"] in ("events", "bundles")
    pipeline.catalog = catalog


def findings(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    """What `reconcile.sql` says: finding, number of the day, expected, found."""
    query = (
        (ROOT / "examples" / "sql" / "reconcile.sql").read_text("utf-8").replace("fullstory.", f'"{pipeline.schema}".')
    )
    found = pipeline.connection.execute(query).fetchall()  # type: ignore[arg-type]
    return [(one[0], None if one[1] is None else (one[1] // 100 - FIRST) // DAY, one[4], one[5]) for one in found]


def execute(pipeline: Pipeline, statement: str) -> int:
    """Run a statement of the README in the schema of this test; returns how many rows it touched."""
    return pipeline.connection.execute(statement.replace("fullstory.", f'"{pipeline.schema}".')).rowcount  # type: ignore[arg-type]


def recipe(title: str) -> list[str]:
    """The SQL statements of a recipe in the README, by its bold title."""
    text = (ROOT / "README.md").read_text("utf-8").partition(f"**{title}**")[2].partition("\n\n**")[0]
    statements = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    assert statements, title
    return [one for block in statements for one in block.split(";") if one.strip()]


def test_a_sound_warehouse_has_no_finding(logged: Pipeline, shop: Emulator) -> None:
    """The query would cry wolf, and nobody would look the next time."""
    bundles = shop.bundles
    shop.bundles = [*bundles[:2], *bundles[3:5]]
    first = logged.run()
    shop.bundles = bundles
    logged.run(first.states[-1])

    assert EVENTS * DAYS == logged.count()
    assert [] == findings(logged)


def test_a_hole_and_a_repeat_are_found_and_repaired(logged: Pipeline, shop: Emulator, columns: dict[str, Any]) -> None:
    """A loss in the warehouse would stay unnoticed, or could not be mended without loading everything again."""
    state = logged.run().states[-1]
    table = f'"{logged.schema}".events'
    third, fifth = shop.bundles[2], shop.bundles[4]
    holes = f'DELETE FROM {table} WHERE "_bundle_id" = {third.id} AND "EventType" = \'click\''
    deleted = execute(logged, holes)
    execute(logged, f'INSERT INTO {table} SELECT * FROM {table} WHERE "_bundle_id" = {fifth.id}')
    assert deleted > 0
    assert [("too few", 2, EVENTS, EVENTS - deleted), ("too many", 4, EVENTS, 2 * EVENTS)] == findings(logged)

    for day, bundle in ((2, third), (4, fifth)):
        for statement in recipe("One bundle"):
            execute(logged, statement.replace("170916480048", str(bundle.id)))
        reload(logged, day, day + 1)

    assert [] == findings(logged)
    assert_same_rows(expected_rows(shop.bundles, columns), logged.rows())
    assert [state] == logged.run(state).states


def test_three_days_can_be_reloaded(logged: Pipeline, shop: Emulator, columns: dict[str, Any]) -> None:
    """Whoever has to reload some days would have to load all of them, or get some twice."""
    logged.run()
    execute(logged, f'UPDATE "{logged.schema}".events SET "EventType" = \'spoilt\'')
    execute(logged, f'DELETE FROM "{logged.schema}".events WHERE "_bundle_id" < {shop.bundles[1].id}')

    touched = 0
    for statement in recipe("Several days"):
        ours = statement.replace("2024-02-27", day(1)).replace("2024-03-01", day(4))
        touched += execute(logged, ours)
    assert 3 * EVENTS == touched
    reload(logged, 1, 4)

    spoilt = {row["_bundle_id"] for row in logged.rows() if row["EventType"] == "spoilt"}
    assert {shop.bundles[4].id, shop.bundles[5].id} == spoilt
    assert [("too few", 0, EVENTS, 0)] == findings(logged)
    whole = [row for row in logged.rows() if row["EventType"] != "spoilt"]
    assert_same_rows(expected_rows(shop.bundles[1:4], columns), whole)


def test_everything_can_be_started_over(logged: Pipeline, shop: Emulator, columns: dict[str, Any]) -> None:
    """An append-only table would hold everything twice."""
    logged.run()
    for statement in recipe("Everything"):
        execute(logged, statement)
    assert 0 == logged.count()

    logged.run()

    assert [] == findings(logged)
    assert_same_rows(expected_rows(shop.bundles, columns), logged.rows())


def test_time_without_a_bundle_is_found(logged: Pipeline, shop: Emulator) -> None:
    """A gap that was given up would be forgotten."""
    shop.bundles = [*shop.bundles[:2], *shop.bundles[3:]]

    logged.run()

    assert [("no bundle", None, None, None)] == findings(logged)


def test_bundles_that_are_not_logged_are_named(logged: Pipeline) -> None:
    """Events that nobody vouches for would pass as checked."""
    logged.settings["end_date"] = "2023-11-17T12:00:00Z"

    logged.run()

    ((finding, day, expected, _),) = findings(logged)
    assert ("not logged", 2, None) == (finding, day, expected)


def test_rows_that_fullstory_deleted_are_found(pipeline: Pipeline, shop: Emulator) -> None:
    """A deletion request would be honoured at Fullstory and not in the warehouse."""
    pipeline.settings |= {"event_key": True, "reread_hours": 1_000_000}
    start = FIRST
    events = [{"EventStart": f"2023-11-15T08:00:{number:02}Z", "UserId": number % 3} for number in range(30)]
    shop.bundles = [Bundle(start, start + DAY, events)]
    first = pipeline.run()
    shop.bundles = [Bundle(start, start + DAY, [one for one in events if one["UserId"] != 1])]

    second = pipeline.run(first.states[-1])

    assert 30 == pipeline.count()
    (query,) = re.findall("SELECT \\* FROM events WHERE .*", second.log)
    pipeline.connection.execute(f'SET search_path TO "{pipeline.schema}"')  # type: ignore[arg-type]
    found = pipeline.connection.execute(query.replace("SELECT *", 'SELECT DISTINCT "UserId", count(*) OVER ()'))
    assert [(1, 10)] == found.fetchall()


def reload(pipeline: Pipeline, start: int, stop: int) -> None:
    """Run without a state between two days, as the README says."""
    dates = {"start_date": day(start), "end_date": day(stop)}
    before = dict(pipeline.settings)
    pipeline.settings |= dates
    pipeline.run()
    pipeline.settings = before


def day(number: int) -> str:
    """The day of that number as the settings take it."""
    return f"2023-11-{15 + number:02}"
