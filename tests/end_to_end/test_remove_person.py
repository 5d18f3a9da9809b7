"""What a deletion at Fullstory does not reach: the rows in the warehouse, found and removed by SQL."""

import subprocess
from typing import Any

import pytest

from demo.postgres import psql
from fullstory_emulator import Bundle, Emulator
from tests.end_to_end.pipeline import ROOT, TIMEOUT, Pipeline

SCRIPT = ROOT / "examples" / "sql" / "remove_person.sql"
DAY = 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z
DANA, BO = "o'dana", "bo"
PHONE, LAPTOP, SHARED = 2**62 + 1, 2**62 + 3, 2**62 + 5  # UserIds: devices
DANA_IS, BO_IS, NOBODY = PHONE, 2**62 + 7, 2**62 + 9  # IndvIds


@pytest.fixture
def loaded(pipeline: Pipeline, shop: Emulator) -> Pipeline:
    """Dana on three devices, one of which Bo uses, too; somebody unknown; and the other tables that name people."""
    rows = [
        ("", "", DANA_IS, PHONE),  # before she was known
        (DANA, "Dana@example.com", DANA_IS, PHONE),
        (DANA, "dana@example.com", DANA_IS, LAPTOP),
        (DANA, "", DANA_IS, SHARED),
        (BO, "bo@example.com", BO_IS, SHARED),
        ("", "", SHARED, SHARED),  # before Fullstory knew that it was her
        ("", "", NOBODY, NOBODY),
    ]
    names = ("UserAppKey", "UserEmail", "IndvId", "UserId")
    events = [
        {
            "EventStart": f"2023-11-15T08:00:{second:02}Z",
            "EventType": "click",
            "SessionId": second,
            **dict(zip(names, row, strict=True)),
        }
        for second, row in enumerate(rows)
    ]
    shop.bundles = [Bundle(FIRST, FIRST + DAY, events)]
    pipeline.run()
    for statement in (
        "CREATE TABLE users (id text, uid text, email text)",
        f"INSERT INTO users VALUES ('1', 'o''dana', 'x'), ('2', 'bo', ''), ('{PHONE}', '', ''), ('9', 'eve', '')",
        'CREATE TABLE individuals ("IndvId" bigint, "Uid" text, "Email" text)',
        f"INSERT INTO individuals VALUES ({DANA_IS}, '', ''), ({BO_IS}, 'bo', ''), (9, 'eve', 'eve@example.com')",
        'CREATE TABLE user_sessions ("userId" text, "sessionId" text, person text)',
        f"INSERT INTO user_sessions VALUES ('{LAPTOP}', '2', 'email:x@example.com'), ('{SHARED}', '4', 'uid:bo')",
    ):
        schema = f'"{pipeline.schema}".'
        changed = statement.replace("TABLE ", f"TABLE {schema}").replace("INTO ", f"INTO {schema}")
        pipeline.connection.execute(changed)
    return pipeline


def remove(pipeline: Pipeline, **variables: Any) -> str:
    """What the script prints, in the schema of this test."""
    script = pipeline.folder / "remove_person.sql"
    script.write_text(SCRIPT.read_text("utf-8").replace("fullstory.", f"{pipeline.schema}."), "utf-8")
    postgres = pipeline.postgres
    environment = {
        **pipeline.environment(),
        "PGHOST": postgres.host,
        "PGPORT": str(postgres.port),
        "PGUSER": postgres.user,
        "PGPASSWORD": postgres.password,
        "PGDATABASE": postgres.database,
    }
    named = [f"--set={name}={value}" for name, value in variables.items()]
    command = [str(psql()), "-X", "-A", "-t", *named, "-f", str(script)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT, env=environment)
    assert 0 == done.returncode, done.stderr
    assert not done.stderr
    return done.stdout


def left(pipeline: Pipeline) -> list[tuple[str, int]]:
    """Whose events are still there, by uid and device."""
    return sorted((row["UserAppKey"] or "", row["UserId"]) for row in pipeline.rows())


def rows(pipeline: Pipeline, table: str) -> int:
    """How many there are of another table."""
    found = pipeline.connection.execute(f'SELECT count(*) FROM "{pipeline.schema}".{table}').fetchone()
    assert found
    return int(found[0])


@pytest.mark.parametrize("who", [{"uid": DANA}, {"email": "DANA@example.com"}, {"id": str(DANA_IS)}])
def test_a_person_is_removed_by_all_ids(loaded: Pipeline, who: dict[str, str]) -> None:
    """A row of theirs that stays is a deletion request that was not honoured; one of Bo's that goes is a loss."""
    printed = remove(loaded, **who, remove="yes")

    assert [("", NOBODY), (BO, SHARED)] == left(loaded)
    for line in (f"o'dana|dana@example.com|{DANA_IS}|{LAPTOP}|1", "bo|1", "Removed from events: 5"):
        assert line in printed
    for table, removed, stay in (("users", 2, 2), ("individuals", 1, 2), ("user_sessions", 1, 1)):
        assert f"Removed from {table}: {removed}" in printed
        assert stay == rows(loaded, table), table


@pytest.mark.parametrize("who", [{"uid": "eve"}, {"email": "EVE@example.com", "uid": "eve"}, {"id": "9"}])
def test_who_is_in_no_event(loaded: Pipeline, who: dict[str, str]) -> None:
    """Events may begin later than users and individuals do: whoever is only there has asked to be removed, too."""
    remove(loaded, **who, remove="yes")

    assert [7, 3, 2, 2] == [loaded.count(), *(rows(loaded, one) for one in ("users", "individuals", "user_sessions"))]


@pytest.mark.parametrize("variables", [{"uid": DANA}, {"uid": DANA, "remove": "no"}, {"remove": "yes"}])
def test_nothing_is_removed_before_it_was_seen(loaded: Pipeline, variables: dict[str, str]) -> None:
    """Counts come first; without a name nobody is meant, not everybody without one."""
    printed = remove(loaded, **variables)

    assert 7 == loaded.count()
    assert ("Nothing was removed" in printed) == (variables.get("remove") != "yes")
    assert ("o'dana" in printed) == ("uid" in variables)


def test_who_is_not_there(loaded: Pipeline) -> None:
    """A person without rows, and other tables that were never made, are no error."""
    for table in ("users", "individuals", "user_sessions"):
        loaded.connection.execute(f'DROP TABLE "{loaded.schema}".{table}')
    assert "Removed from events: 0" in remove(loaded, uid="nobody", email="no@example.com", id="1", remove="yes")
    assert 7 == loaded.count()


def test_the_script_says_how_to_run_it() -> None:
    """The lines to copy name the file that is there."""
    text = SCRIPT.read_text("utf-8")
    assert f"-f {SCRIPT.name}" in text
