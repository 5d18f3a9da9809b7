"""The package in dbt/, as an analyst adds it to a project: the same tables in PostgreSQL and DuckDB, and true ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from demo.postgres import Postgres
from fullstory_emulator import Bundle, Emulator
from tests.end_to_end.conftest import git
from tests.end_to_end.expected import instant
from tests.end_to_end.pipeline import ROOT, TAP, TARGET, TIMEOUT

pytestmark = pytest.mark.dbt

BIN = ROOT / ".envs" / "dbt" / "bin"
DUCKDB = Path(__file__).parent / "programs" / "duckdb_load.py"
PACKAGE = ROOT / "dbt"
DAYS = 10  # more than the last week
MODELS = ("stg_fullstory__events", "sessions", "pages", "identities", "session_timeline")
VARIABLES: list[Any] = [
    "user_plan_str", "user_signedUp_date", "user_ordersLastYear_int", "user_newsletter_bool", "evt_order.total_real",
    {"name": "evt_coupons_strs", "column": "coupons"}, "evt_number_int", "evt_real", "evt_bool", "evt_date",
]  # fmt: skip

README = (PACKAGE / "README.md").read_text("utf-8")
DEPS, BUILD, FRESHNESS = (command.split() for command in re.findall(r"^\$ dbt (.*)$", README, re.MULTILINE))

Json = dict[str, Any]
Row = dict[str, Any]


def awkward_events(start: int) -> list[Json]:
    """Events of which an analyst would get something wrong."""
    at = [f"{datetime.fromtimestamp(start + second, timezone.utc):%Y-%m-%dT%H:%M:%S}.250Z" for second in range(20)]
    one, other = {"UserId": 7, "SessionId": 5, "PageId": 3}, {"UserId": 2**63 - 1, "SessionId": 5, "PageId": 3}
    new = {"PageStart": at[0], "SessionStart": at[0]}
    return [
        # the same numbers of session and page, but two visitors
        {"EventStart": at[2], "EventType": "navigate", "PageUrl": "https://a.example/b/c?d=1#/e?f=2", **one, **new},
        {"EventStart": at[3], "EventType": "load", "UserEmail": "", "PageUrl": "https://a.example", **one},
        {"EventStart": at[4], "EventType": "click", "UserEmail": "who@example.org", "PageUrl": "", **other},
        {"EventStart": at[4], "EventType": "request", "ReqUrl": "/x", "UserAppKey": "", **other},
        {"EventStart": at[5], "EventType": "click", "EventModFrustrated": 1, "PageName": "Basket", **other},
        # from a server: no session, no page
        {"EventStart": at[6], "EventType": "custom", "EventCustomName": "Paid", "UserAppKey": "somebody"},
        # values of other types than their names say
        *(
            {"EventStart": at[7], "EventType": "custom", "EventTargetText": name, name: value, **one}
            for name, value in [
                ("evt_number_int", 5), ("evt_number_int", "2.0"), ("evt_number_int", 2.5), ("evt_number_int", "many"),
                ("evt_number_int", "9223372036854775808"),
                ("evt_real", -0.5), ("evt_real", "1e400"), ("evt_real", "NaN"),
                ("evt_bool", True), ("evt_bool", "yes"), ("evt_date", "2023-02-31T00:00:00Z"), ("evt_date", "today"),
                ("evt_date", "2023-02-28"), ("evt_date", "2023-02-28T01:00:00.5+02:00"),
                ("evt_date", "2023-02-28T01:00:00"),
            ]
        ),
    ]  # fmt: skip


@dataclass
class Warehouses:
    """One account in a PostgreSQL and in a DuckDB, and a project of dbt that uses the package."""

    folder: Path
    postgres: Postgres
    events: list[Json]

    def dbt(self, *command: str, where: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run dbt in the project, with more *variables* than it has."""
        if variables:
            command = (*command, "--vars", json.dumps(variables))
        return subprocess.run(
            [str(BIN / "dbt"), "--no-use-colors", *command, "--target", where],
            cwd=self.folder / "project",
            env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_TARGET_PATH": f"target-{where}"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def freshness(self, where: str, schema: str) -> str:
        """What dbt says about the age of the newest event."""
        self.dbt(*FRESHNESS, where=where, fullstory_events_schema=schema)
        (found,) = json.loads((self.folder / "project" / f"target-{where}" / "sources.json").read_bytes())["results"]
        return str(found["status"])

    def execute(self, *statements: str) -> None:
        """Change the PostgreSQL."""
        with self.postgres.connect() as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def columns(self) -> list[str]:
        """The columns of the table that the target has made."""
        found = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'fullstory'"
        return [row["column_name"] for row in self.query(found, "postgres")]

    def query(self, statement: str, where: str) -> list[Row]:
        """What a query finds, times as texts."""
        if where == "duckdb":
            return duckdb(self.folder / "warehouse.duckdb", statement)
        with self.postgres.connect() as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            names = [column.name for column in cursor.description or []]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        found: list[Row] = json.loads(json.dumps(rows, default=str))
        return found

    def rows(self, model: str, where: str) -> list[Row]:
        """All rows of a model."""
        rows = self.query(f"SELECT * FROM {'aside' if where == 'aside' else 'analysts'}.{model}", where)
        for row in rows:
            if isinstance(row.get("custom_vars"), str):  # DuckDB's JSON is text for Python
                row["custom_vars"] = json.loads(row["custom_vars"])
        return rows


def duckdb(path: Path, query: str, before: str = "") -> list[Row]:
    """What a query finds in a file of DuckDB, after some statements."""
    command = [str(BIN / "python"), str(DUCKDB), str(path), query]
    done = subprocess.run(command, input=before, check=True, capture_output=True, text=True, timeout=TIMEOUT)
    rows: list[Row] = json.loads(done.stdout)["query"]
    return rows


@pytest.fixture(scope="module")
def warehouses(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, tree: Path) -> Warehouses:
    """The demo's shop of the last days, loaded by the tap and built by dbt."""
    assert (BIN / "dbt").exists(), f"{BIN / 'dbt'} is missing: `make` runs these tests in environments that it makes."
    folder = tmp_path_factory.mktemp("dbt")
    invented = Emulator.generated(days=DAYS, events_per_bundle=200)
    bundles = [
        Bundle(one.start, one.stop, list(one.read_events())) for one in invented.bundles[:DAYS]
    ]  # the next is not there yet
    bundles[-1] = Bundle(
        bundles[-1].start, bundles[-1].stop, [*bundles[-1].read_events(), *awkward_events(bundles[-1].start)]
    )
    with Emulator(bundles=bundles) as shop:
        load(folder, shop, postgres)
    made = Warehouses(folder, postgres, [event for one in bundles for event in one.read_events()])
    write_project(folder, postgres, tree)
    for command, where in ((DEPS, "duckdb"), (BUILD, "duckdb"), (BUILD, "postgres")):
        done = made.dbt(*command, where=where)
        assert 0 == done.returncode, done.stdout
    return made


def load(folder: Path, shop: Emulator, postgres: Postgres) -> None:
    """Into PostgreSQL with a target; as files, which DuckDB reads."""
    tap = {"api_key": shop.api_key, "api_url": shop.url, "export_url": shop.url, "event_key": True}
    (folder / "config.json").write_text(json.dumps({**tap, "start_date": "2020-01-01T00:00:00Z"}))
    (folder / "target.json").write_text(json.dumps(postgres.target_settings()))
    script = (
        'set -o pipefail; "$0" --config config.json | "$1" --config target.json && "$0" --config config.json --to files'
    )
    done = subprocess.run(
        ["bash", "-c", script, str(TAP), str(TARGET)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    (statements,) = re.findall(r"```sql\n(CREATE SCHEMA.*?)```", README, re.DOTALL)
    duckdb(folder / "warehouse.duckdb", "SELECT 1", statements.replace("/path/to", str(folder)))


def write_project(folder: Path, postgres: Postgres, tree: Path) -> None:
    """A project with the package as the README adds it, from a repository on this machine."""
    (wanted,) = re.findall(r"```yaml\n(packages:.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    packages = wanted.replace("https://GIT-HOST/OWNER/tap-fullstory.git", str(tree))
    packages = packages.replace("revision: main", f"revision: {git(tree, 'rev-parse', 'HEAD').strip()}")
    server = {"host": postgres.host, "port": postgres.port, "user": postgres.user, "password": postgres.password}
    common = {"schema": "analysts", "threads": 2}
    outputs = {
        "postgres": {"type": "postgres", "dbname": postgres.database, **server, **common},
        # another schema, for what must not disturb the tables that all tests read
        "aside": {"type": "postgres", "dbname": postgres.database, **server, **common, "schema": "aside"},
        "duckdb": {"type": "duckdb", "path": str(folder / "warehouse.duckdb"), **common},
    }
    project = {
        "name": "shop",
        "profile": "shop",
        "vars": {
            "fullstory_singer": {
                "fullstory_custom_vars": VARIABLES,
                "fullstory_replay_root": "https://app.fullstory.com/ui/ORG/session/",
            }
        },
        "models": {"fullstory_singer": {"sessions": {"+materialized": "table"}}},
    }
    (folder / "project").mkdir()
    (folder / "project" / "packages.yml").write_text(packages)
    (folder / "project" / "profiles.yml").write_text(json.dumps({"shop": {"target": "duckdb", "outputs": outputs}}))
    (folder / "project" / "dbt_project.yml").write_text(json.dumps(project))


@pytest.fixture(params=["postgres", "duckdb"])
def where(request: pytest.FixtureRequest) -> str:
    """Each of the databases."""
    name: str = request.param
    return name


def by(rows: Sequence[Row], name: str) -> dict[Any, Row]:
    """Rows by a column that is a key."""
    found = {row[name]: row for row in rows}
    assert len(found) == len(rows)
    return found


def grouped(events: Sequence[Json], *names: str) -> dict[str, list[Json]]:
    """Events by what their members are, with colons between; those that lack one are left out."""
    groups = defaultdict(list)
    for event in events:
        if all(name in event for name in names):
            groups[":".join(str(event[name]) for name in names)].append(event)
    return groups


def moment(text: str) -> str:
    """A time as databases print it."""
    return str(instant(text).replace(tzinfo=None))


def last(events: Sequence[Json], name: str) -> Any:
    """The last value that is known; the largest of a moment."""
    known = [(instant(event["EventStart"]), event[name]) for event in events if event.get(name)]
    return max(known)[1] if known else None


def first(events: Sequence[Json], name: str) -> Any:
    """The first value that is known; the smallest of a moment."""
    known = [(instant(event["EventStart"]), event[name]) for event in events if event.get(name)]
    return min(known)[1] if known else None


def started(events: Sequence[Json], own: str) -> str:
    """When it began, by what it says itself and by its events."""
    return min(event[name] for event in events for name in (own, "EventStart") if name in event)


def totals(events: Sequence[Json]) -> Row:
    """What sessions and pages count."""
    types = Counter(event["EventType"] for event in events)
    return {
        "total_events": len(events),
        **{f"total_{name}_events": types[name] for name in ("click", "change", "custom", "navigate", "exception")},
        "total_rage_clicks": sum(event.get("EventModFrustrated", 0) > 0 for event in events),
        "total_dead_clicks": sum(event.get("EventModDead", 0) > 0 for event in events),
        "total_error_clicks": sum(event.get("EventModError", 0) > 0 for event in events),
        "total_unique_urls": len({event["PageUrl"] for event in events if event.get("PageUrl")}),
        "first_url": first(events, "PageUrl"),
        "last_url": last(events, "PageUrl"),
        "individual_id": last(events, "IndvId"),
        "user_id": last(events, "UserAppKey"),
        "last_email": last(events, "UserEmail"),
        "last_device_type": last(events, "PageDevice"),
        "last_app_name": last(events, "AppName"),
        "user_plan_str": last(events, "user_plan_str"),
    }


@pytest.mark.parametrize("model", MODELS)
def test_both_databases_have_the_same_rows(warehouses: Warehouses, model: str) -> None:
    """Whoever tries a query in DuckDB gets the warehouse's answer."""
    postgres, duck = (warehouses.rows(model, where) for where in ("postgres", "duckdb"))
    left, right = (Counter(json.dumps(row, sort_keys=True) for row in rows) for rows in (postgres, duck))
    assert postgres
    assert not left - right
    assert not right - left


def test_no_event_is_lost_and_none_is_there_twice(warehouses: Warehouses, where: str) -> None:
    """Counts of the view are counts of Fullstory, and the timeline has each event of a session."""
    events = warehouses.rows("stg_fullstory__events", where)
    timeline = warehouses.rows("session_timeline", where)
    sessions = grouped(warehouses.events, "UserId", "SessionId")

    assert len(warehouses.events) == len(events) == len(by(events, "event_id"))
    assert sum(map(len, sessions.values())) == len(timeline) == len(by(timeline, "event_id"))


def test_sessions_are_what_their_events_say(warehouses: Warehouses, where: str) -> None:
    """Two visitors with the same number of a session are two sessions; start, end and all counts are right."""
    expected = {
        key: {
            **totals(events),
            "start_time": moment(started(events, "SessionStart")),
            "end_time": moment(max(event["EventStart"] for event in events)),
            "duration": (
                instant(max(event["EventStart"] for event in events)) - instant(started(events, "SessionStart"))
            ).total_seconds(),
            "total_page_views": len({event["PageId"] for event in events}),
            "initial_referrer_url": first(events, "PageRefererUrl"),
            "replay_url": f"https://app.fullstory.com/ui/ORG/session/{key}",
        }
        for key, events in grouped(warehouses.events, "UserId", "SessionId").items()
    }
    found = by(warehouses.rows("sessions", where), "full_session_id")
    assert expected == {key: {name: row[name] for name in expected[key]} for key, row in found.items()}
    assert {"7:5", f"{2**63 - 1}:5"} < set(found)


def test_pages_are_what_their_events_say(warehouses: Warehouses, where: str) -> None:
    """A page load is one row, with its durations in seconds."""
    expected = {
        key: {
            **totals(events),
            "start_time": moment(started(events, "PageStart")),
            "end_time": moment(max(event["EventStart"] for event in events)),
            "duration": max(event.get("PageDuration", 0) for event in events) / 1000,
            "active_duration": max(event.get("PageActiveDuration", 0) for event in events) / 1000,
            "load_event_time": max(
                (event["LoadEventTime"] for event in events if "LoadEventTime" in event), default=None
            ),
        }
        for key, events in grouped(warehouses.events, "UserId", "SessionId", "PageId").items()
    }
    found = by(warehouses.rows("pages", where), "full_view_id")
    assert expected == {key: {name: row[name] for name in expected[key]} for key, row in found.items()}


def test_identities_say_what_was_seen_together(warehouses: Warehouses, where: str) -> None:
    """All devices of a person are found by the person's id, and when they were seen."""
    groups = defaultdict(list)
    for event in warehouses.events:
        groups[tuple(event.get(name) or None for name in ("IndvId", "UserId", "UserAppKey", "UserEmail"))].append(event)
    expected = {
        key: (
            moment(min(times)),
            moment(max(times)),
            len(times),
            len({event["SessionId"] for event in events if "SessionId" in event}),
        )
        for key, events in groups.items()
        if (times := [event["EventStart"] for event in events])
    }
    rows = warehouses.rows("identities", where)
    found = {
        (row["individual_id"], row["device_id"], row["user_id"], row["user_email"]): (
            row["first_event_time"], row["last_event_time"], row["total_events"], row["total_sessions"],
        )
        for row in rows
    }  # fmt: skip
    assert len(rows) == len(found)
    assert expected == found
    assert any(count > 1 for count in Counter(row["individual_id"] for row in rows).values())


def test_the_timeline_counts_seconds_from_the_start(warehouses: Warehouses, where: str) -> None:
    """What happened in a session reads from top to bottom."""
    rows = warehouses.rows("session_timeline", where)
    starts = {key: row["start_time"] for key, row in by(warehouses.rows("sessions", where), "full_session_id").items()}
    for key, start in starts.items():
        session = sorted((row for row in rows if row["full_session_id"] == key), key=lambda row: row["event_number"])
        assert [*range(1, len(session) + 1)] == [row["event_number"] for row in session]
        seconds = [
            (datetime.fromisoformat(row["event_time"]) - datetime.fromisoformat(start)).total_seconds()
            for row in session
        ]
        assert seconds == sorted(seconds) == [row["seconds_since_start"] for row in session]
    assert sum(event.get("EventModFrustrated", 0) > 0 for event in warehouses.events) == sum(
        row["is_rage_click"] for row in rows
    )


def test_zeros_are_zeros_and_what_is_unknown_is_null(warehouses: Warehouses) -> None:
    """Averages are over all events, and not over those that were never measured; '' counts as nobody."""
    rows = [row for row in warehouses.rows("stg_fullstory__events", "postgres") if row["device_id"] in (7, 2**63 - 1)]
    (navigate,) = [row for row in rows if row["event_type"] == "navigate" and row["device_id"] == 7]
    (load,) = [row for row in rows if row["event_type"] == "load" and row["device_id"] == 7]
    (request,) = [row for row in rows if row["request_url"] == "/x"]

    assert (0, 0, 0, 0) == tuple(
        navigate[f"event_mod_{name}"] for name in ("frustrated", "dead", "error", "suspicious")
    )
    assert (0, 0, 0) == tuple(navigate[f"{name}"] for name in ("event_page_offset", "page_duration", "page_num_errors"))
    assert (0, None) == (navigate["page_max_scroll_depth_percent"], load["page_max_scroll_depth_percent"])
    assert (0, None) == (request["request_status"], load["request_status"])
    assert (None, None) == (load["load_event_time"], load["event_page_offset"])
    assert (None, None) == (load["user_email"], request["user_id"])


def test_urls_come_in_parts(warehouses: Warehouses, where: str) -> None:
    """Pages can be grouped without what differs from visitor to visitor."""
    rows = [row for row in warehouses.rows("stg_fullstory__events", where) if row["url_host"] == "a.example"]
    parts = {tuple(row[f"url_{name}"] for name in ("path", "query", "hash_path", "hash_query")) for row in rows}
    assert {("/b/c", "d=1", "/e", "f=2"), (None, None, None, None)} == parts
    assert {"https://a.example/b/c#/e", "https://a.example"} == {row["page"] for row in rows}


def test_custom_variables_have_the_type_of_their_name(warehouses: Warehouses, where: str) -> None:
    """One value of another type is null in its column, kept in custom_vars, and breaks nothing."""
    found = defaultdict(list)
    for row in warehouses.rows("stg_fullstory__events", where):
        name = row["target_text"]
        if name in ("evt_number_int", "evt_real", "evt_bool", "evt_date"):
            found[name].append((row["custom_vars"][name], row[name]))
    assert {
        "evt_number_int": {(5, 5), ("2.0", 2), (2.5, None), ("9223372036854775808", None), ("many", None)},
        "evt_real": {(-0.5, -0.5), ("1e400", None), ("NaN", None)},
        "evt_bool": {(True, True), ("yes", None)},
        "evt_date": {
            ("2023-02-31T00:00:00Z", None),
            ("today", None),
            ("2023-02-28", "2023-02-28 00:00:00"),
            ("2023-02-28T01:00:00.5+02:00", "2023-02-27 23:00:00.500000"),
            ("2023-02-28T01:00:00", "2023-02-28 01:00:00"),
        },
    } == {name: set(pairs) for name, pairs in found.items()}


def test_rage_clicks_per_page_and_plan_are_one_short_query(warehouses: Warehouses, where: str) -> None:
    """The query of the READMEs and of analyses/ counts what happened in the last week, and nothing before."""
    query = (PACKAGE / "analyses" / "rage_clicks_per_page_and_plan.sql").read_text("utf-8").partition("\n")[2].strip()
    query = query.replace("{{ ref('stg_fullstory__events') }}", "analysts.stg_fullstory__events")
    for readme in ((ROOT / "README.md").read_text("utf-8"), README):
        assert f"```sql\n{query};\n```" in readme

    rows = warehouses.query(f"SELECT *, CAST(current_date AS text) AS today FROM ({query}) AS found", where)

    since = (date.fromisoformat(rows[0]["today"]) - timedelta(days=7)).isoformat()
    expected: Counter[tuple[Any, Any]] = Counter()
    for event in warehouses.events:
        if event.get("EventModFrustrated") and event["EventStart"] >= since:
            url = re.sub("[?][^#]*", "", event.get("PageUrl", ""))
            expected[event.get("PageName") or url or event.get("AppViewName"), event.get("user_plan_str")] += 1
    assert expected == {(row["page"], row["plan"]): row["rage_clicks"] for row in rows}
    assert len({plan for _, plan in expected}) > 1
    assert expected.total() < sum(1 for event in warehouses.events if event.get("EventModFrustrated"))


def test_what_is_asked_often_can_be_stored(warehouses: Warehouses, where: str) -> None:
    """A project stores the sessions of a large account, and nothing else takes room."""
    found = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'analysts'"
    types = {row["table_name"]: row["table_type"] for row in warehouses.query(found, where)}
    assert {**dict.fromkeys(MODELS, "VIEW"), "sessions": "BASE TABLE"} == types


def test_every_column_is_described(warehouses: Warehouses) -> None:
    """The catalog of dbt docs explains each column, and none that is not there."""
    manifest = json.loads((warehouses.folder / "project" / "target-duckdb" / "manifest.json").read_bytes())
    described = {
        node["name"]: list(node["columns"]) for node in manifest["nodes"].values() if node["resource_type"] == "model"
    }
    custom = {"coupons", *(re.sub("[^a-z]", "_", name.lower()) for name in VARIABLES if isinstance(name, str))}
    for model in MODELS:
        there = set(warehouses.rows(model, "duckdb")[0]) - custom - {"replay_url"}
        assert sorted(there) == sorted(described.pop(model))
    assert not described


def test_tables_of_other_targets_will_do(warehouses: Warehouses) -> None:
    """Names in lower case, times with a zone, no event_id, a column that is deselected: the sessions are the same."""
    listed = ", ".join(
        f'"{name}" AS {name.lower()}'
        for name in warehouses.columns()
        if name not in ("EventStart", "PageActiveDuration", "event_id")
    )
    warehouses.execute(
        "CREATE SCHEMA lower_case",
        f"""CREATE TABLE lower_case.events AS
            SELECT "EventStart" AT TIME ZONE 'UTC' AS eventstart, {listed} FROM fullstory.events""",
    )

    done = warehouses.dbt("build", where="aside", fullstory_events_schema="lower_case")

    assert 0 == done.returncode, done.stdout
    assert by(warehouses.rows("sessions", "postgres"), "full_session_id") == by(
        warehouses.rows("sessions", "aside"), "full_session_id"
    )
    assert {None} == {row["event_id"] for row in warehouses.rows("stg_fullstory__events", "aside")}


def test_a_variable_with_a_column_of_its_own_is_found_in_both_places(warehouses: Warehouses) -> None:
    """After custom_columns was set, old rows have the plan in CustomVars and new ones in a column: none is missed."""
    warehouses.execute(
        "CREATE SCHEMA columns",
        """CREATE TABLE columns.events AS
           SELECT *, 5.5::numeric AS "evt_order_total_real",
                  CASE WHEN "UserId" % 2 = 0 THEN 'new' END AS "user_plan_str"
             FROM fullstory.events""",
    )

    done = warehouses.dbt("run", "--select", "stg_fullstory__events", where="aside", fullstory_events_schema="columns")

    assert 0 == done.returncode, done.stdout
    before = by(warehouses.rows("stg_fullstory__events", "postgres"), "event_id")
    rows = warehouses.rows("stg_fullstory__events", "aside")
    assert {5.5} == {row["evt_order_total_real"] for row in rows}
    assert [
        before[row["event_id"]]["user_plan_str"] if row["device_id"] is None or row["device_id"] % 2 else "new"
        for row in rows
    ] == [row["user_plan_str"] for row in rows]


def test_an_event_that_is_there_twice_is_found(warehouses: Warehouses) -> None:
    """Somebody loads a bundle by hand once more: dbt says so before anybody reports too many rage clicks."""
    warehouses.execute(
        "CREATE SCHEMA twice",
        "CREATE TABLE twice.events AS SELECT * FROM fullstory.events",
        "INSERT INTO twice.events SELECT * FROM fullstory.events LIMIT 1",
    )

    done = warehouses.dbt("build", "--select", "stg_fullstory__events", where="aside", fullstory_events_schema="twice")

    assert 1 == done.returncode, done.stdout
    assert "Failure in test unique_stg_fullstory__events_event_id" in done.stdout


def test_events_that_stop_coming_are_noticed(warehouses: Warehouses, where: str) -> None:
    """Freshness passes for what has just been loaded, warns after days, and fails after more."""
    assert "pass" == warehouses.freshness(where, "fullstory")
    for days, status in ((4, "warn"), (8, "error")):
        statements = (
            f"CREATE SCHEMA days_{days}",
            f"""CREATE TABLE days_{days}.events AS
                SELECT "EventStart" - INTERVAL '{days} days' AS "EventStart" FROM fullstory.events""",
        )
        if where == "duckdb":
            duckdb(warehouses.folder / "warehouse.duckdb", "SELECT 1", "; ".join(statements))
        else:
            warehouses.execute(*statements)
        assert status == warehouses.freshness(where, f"days_{days}")
