"""The streams beside events arrive in PostgreSQL, and may come again."""

from typing import Any

from psycopg.rows import dict_row

from fullstory_emulator import Course, Emulator
from tests.end_to_end.pipeline import Pipeline
from tests.integration.account import OTHERS
from tests.integration.objects import catalog

ID = 6606828898126520001  # too large for a double


def tables(pipeline: Pipeline) -> dict[str, list[dict[str, Any]]]:
    """All rows of the tables of these streams."""
    with pipeline.connection.cursor(row_factory=dict_row) as cursor:
        return {
            name: cursor.execute(f'SELECT * FROM "{pipeline.schema}"."{name}" ORDER BY 1, 2, 3').fetchall()
            for name in OTHERS
        }


def test_everything_arrives_and_may_come_again(pipeline: Pipeline, shop: Emulator) -> None:
    """A second run would double people, or a target refuse a column; and a broken text end the load."""
    invented = Emulator.generated(days=2, events_per_bundle=100)
    shop.bundles, shop.now = list(invented.bundles), invented.now
    shop.course = Course(polls=0)
    shop.users = [
        {"id": str(ID + number), "uid": f"u{number}", "properties": {"a": ["\0", 2**70]}} for number in range(12)
    ]
    shop.users[0]["sessions"] = [[ID, 7, "2023-11-15T12:00:00Z"]]
    pipeline.catalog = catalog("events", *OTHERS)
    pipeline.settings = {"sessions_for": ["uid:u0"]}

    first = pipeline.run()
    before, events = tables(pipeline), pipeline.count()
    pipeline.run(first.states[-1])
    after = tables(pipeline)

    assert events == pipeline.count() > 0
    counts = {name: len(rows) for name, rows in before.items()}
    assert all(counts.values())
    one_more = counts["operations"] + 1  # the export that brought the individuals
    assert {**counts, "operations": one_more} == {name: len(rows) for name, rows in after.items()}
    assert [str(ID + number) for number in range(12)] == sorted(row["id"] for row in before["users"])
    assert {'{"a":["\ufffd",1.1805916207174113e21]}'} == {row["properties"] for row in before["users"]}
    (session,) = before["user_sessions"]
    assert (str(ID), "7", "2023-11-15") == (session["userId"], session["sessionId"], str(session["createdTime"])[:10])
    assert sum(map(len, shop.settings.values())) == counts["settings_history"]
