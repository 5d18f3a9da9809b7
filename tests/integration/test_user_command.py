"""`fullstory-user`: one person, looked up, listed, exported, deleted."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fullstory_emulator import Bundle, Course, Emulator, Fault
from tests.integration.tap import DAY, FIRST, HOUR, TIMEOUT, Json, Tap, rfc

pytestmark = pytest.mark.only_source("data_export")

EVENTS, USERS, INDIVIDUALS, SESSIONS = "/api/v1/export/userEvents", "/v2/users", "/users/v1/individual/", "/sessions/v2"
DANA, BO, SHARED = "dana/1 ü?#", "bo", "family@example.com"
HOSTILE = "\x1b[2J\x9b31m\u202e\x00"


class Command(Tap):
    """The command, with the settings of a sync."""

    def call(self, *arguments: str, settings: "Mapping[str, Any] | None" = None) -> list[str]:
        """Its command line."""
        config = self.file("config.json", self.settings(settings))
        return [sys.executable, "-m", "tap_fullstory.user", "--config", config, *arguments]

    def run(
        self, *arguments: str, settings: "Mapping[str, Any] | None" = None, env: "Mapping[str, str] | None" = None
    ) -> "tuple[int, str, str]":
        """Exit status, what was printed, and what was logged; without a terminal."""
        done = subprocess.run(
            self.call(*arguments, settings=settings),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            env=self.environment(env),
            cwd=self.folder,
        )
        printed, log = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in log, log
        assert self.emulator.api_key not in printed + log
        return done.returncode, printed, log

    def json(self, *arguments: str, **options: Any) -> list[Json]:
        """What a call that succeeds prints with `--json`."""
        status, printed, log = self.run(*arguments, "--json", **options)
        assert 0 == status, log
        return [json.loads(line) for line in printed.splitlines()]

    def answer(self, answer: bytes, *arguments: str) -> "tuple[int, str, str]":
        """The same as `run` on a terminal, on which somebody types *answer* when asked."""
        process, terminal = self.on_terminal(*arguments)
        try:
            asked = read_until(terminal, b"[y/N]")
            os.write(terminal, answer)
            printed, _ = process.communicate(timeout=TIMEOUT)
        finally:
            os.close(terminal)
        return process.returncode, printed.decode(), asked.decode()

    def on_terminal(self, *arguments: str) -> "tuple[subprocess.Popen[bytes], int]":
        """The command with stdin and stderr on a terminal, and our end of it."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            self.call(*arguments),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=self.environment(),
            cwd=self.folder,
        )
        os.close(theirs)
        return process, ours


def read_until(terminal: int, text: bytes) -> bytes:
    """What a terminal shows, up to this text."""
    shown = b""
    while text not in shown:
        piece = os.read(terminal, 65536)
        assert piece, shown
        shown += piece
    return shown


def event(hour: float, uid: str, number: int, email: str = "", **members: Any) -> Json:
    moment = rfc(FIRST + hour * HOUR)
    ids = {"IndvId": number, "UserId": number, "SessionId": int(hour * 10), "SessionStart": moment}
    identity = {"UserAppKey": uid, "UserEmail": email, "UserDisplayName": uid.title()}
    return {**ids, **identity, "EventStart": moment, "EventType": "click", **members}


@pytest.fixture
def user(tmp_path: Path, emulator: Emulator, source: str) -> Command:
    """The command, and an account with Dana, Bo and two that share an e-mail."""
    emulator.bundles = [
        Bundle(
            FIRST,
            FIRST + DAY,
            [
                event(1, DANA, 2**62 + 1, "dana@example.com", PageUrl=f"https://example.com/{HOSTILE}"),
                event(2, DANA, 2**62 + 1, "dana@example.com", user_total_real=14.50),
                event(3, BO, 3, SHARED),
                event(4, "child", 4, SHARED.upper()),
                event(5, "", 5, SHARED),
            ],
        )
    ]
    emulator.deletion = Course(polls=0)
    return Command(tmp_path, emulator, source)


def deletions(emulator: Emulator) -> list[str]:
    """The paths of all requests that delete."""
    return [one.path for one in emulator.requests if one.method == "DELETE"]


# Looking up -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [("--uid", DANA), ("--email", "DANA@example.com"), ("--id", str(2**62 + 1))])
@pytest.mark.proves("connectors", "look up a person")
def test_who_and_when(user: Command, who: tuple[str, str]) -> None:
    """Support has an e-mail, a ticket has an id, and both want to see the same person."""
    (found,) = user.json("get", *who)
    assert {"id": str(2**62 + 1), "uid": DANA, "email": "dana@example.com"}.items() <= found.items()
    assert {"total": 14.5} == found["properties"]
    assert [rfc(FIRST + HOUR, ".000"), rfc(FIRST + 2 * HOUR, ".000")] == [found["first_seen"], found["last_seen"]]

    status, printed, _ = user.run("get", *who)
    assert 0 == status
    for text in (DANA, rfc(FIRST + HOUR, ".000"), "14.5", found["app_url"]):
        assert text in printed


def test_everybody_who_shares_an_email_is_shown(user: Command) -> None:
    """One of several, picked silently, would be the wrong one half of the time."""
    assert [BO, "child", None] == [one.get("uid") for one in user.json("get", "--email", SHARED)]


def test_matches_on_several_pages(user: Command, emulator: Emulator) -> None:
    """Fullstory shows ten at a time."""
    emulator.users = [{"id": str(i), "email": SHARED} for i in range(25)]
    assert [str(i) for i in range(25)] == [one["id"] for one in user.json("get", "--email", SHARED)]


@pytest.mark.parametrize(
    ("action", "who"),
    [
        ("get", ("--uid", "nobody")),
        ("get", ("--id", "99")),
        ("get", ("--id", "..")),
        ("sessions", ("--email", "no@example.com")),
        ("events", ("--uid", "nobody")),
        ("delete", ("--dry-run", "--email", "no@example.com")),
    ],
)
def test_nobody_is_a_clear_answer(user: Command, action: str, who: tuple[str, ...]) -> None:
    """A script tells "no such user" from "try again later" by the status."""
    status, printed, log = user.run(action, *who)
    assert (67, "") == (status, printed)
    assert who[-1] in log
    assert 1 == log.count("\n")


def test_what_users_hold_does_not_steer_the_terminal(user: Command, emulator: Emulator) -> None:
    """Anybody can call themselves something that clears the screen of who looks them up."""
    properties = {"deep": {"a": [10**30, HOSTILE]}, HOSTILE: HOSTILE, "big": 10**400}
    emulator.users = [{"id": "1", "uid": BO, "display_name": HOSTILE, "properties": properties}]
    for arguments in (("get",), ("get", "--json"), ("delete", "--dry-run")):
        status, printed, _ = user.run(*arguments, "--uid", BO)
        assert 0 == status
        assert printed.replace("\n", "").isprintable()
    assert properties == user.json("get", "--uid", BO)[0]["properties"]


def test_ids_that_cannot_be_sent(user: Command, emulator: Emulator) -> None:
    """A uid of half a character is what broken clients write; such a user can still be seen and deleted, by id."""
    emulator.users = [{"id": "1", "uid": "\ud800", "email": SHARED}, {"id": "2", "uid": "..", "email": SHARED}]
    assert ["1", "2"] == [one["id"] for one in user.json("get", "--email", SHARED)]
    assert ["accepted"] * 2 == [one["status"] for one in user.json("delete", "--email", SHARED, "--yes")]
    assert [f"{USERS}/1", f"{USERS}/2"] == deletions(emulator)


def test_a_list_that_does_not_filter_names_nobody_else(user: Command, emulator: Emulator) -> None:
    """If a filter were ignored, everybody in the account would be taken for who was asked for, and deleted."""
    emulator.users = [{"id": str(i), "uid": f"u{i}"} for i in range(3)]
    everybody = json.dumps({"results": emulator.known.documents(), "total_records": "3"})
    emulator.faults = [Fault(USERS, times=None, body=everybody, status=200)]

    status, printed, log = user.run("delete", "--uid", "u1", "--yes", "--json")
    assert 0 == status
    assert ["1"] == [json.loads(line)["id"] for line in printed.splitlines()]
    assert [f"{INDIVIDUALS}u1"] == deletions(emulator)
    assert "2 others" in log
    assert 67 == user.run("delete", "--email", SHARED, "--yes")[0]


def test_a_list_without_end(user: Command, emulator: Emulator) -> None:
    """A token that never stops must not keep the command busy for ever."""
    page = {"results": emulator.known.documents()[1:2], "next_page_token": "again"}
    emulator.faults = [Fault(USERS, times=None, body=json.dumps(page), status=200)]
    assert [BO] == [one["uid"] for one in user.json("get", "--uid", BO)]
    assert 2 == emulator.count(USERS)


def test_more_users_than_share_an_email(user: Command, emulator: Emulator) -> None:
    """A list that goes on and on is not taken for people who are meant, least of all to be deleted."""
    emulator.users = [{"id": str(i), "email": SHARED} for i in range(1001)]
    status, printed, log = user.run("delete", "--email", SHARED, "--yes")
    assert (65, "") == (status, printed)
    assert "without end" in log
    assert [] == deletions(emulator)


# Sessions -------------------------------------------------------------------------------------------------------------


def test_sessions_newest_first(user: Command, emulator: Emulator) -> None:
    """The link to what happened last is the one that is looked for."""
    assert ["20", "10"] == [one["sessionId"] for one in user.json("sessions", "--uid", DANA)]
    (newest,) = user.json("sessions", "--id", str(2**62 + 1), "--count", "1")
    assert {
        "userId": str(2**62 + 1),
        "sessionId": "20",
        "createdTime": rfc(FIRST + 2 * HOUR),
    }.items() <= newest.items()
    since = rfc(FIRST + 2 * HOUR)
    assert ["20"] == [one["sessionId"] for one in user.json("sessions", "--uid", DANA, "--since", since)]
    assert ["50", "40", "30"] == [one["sessionId"] for one in user.json("sessions", "--email", SHARED)]
    status, printed, _ = user.run("sessions", "--uid", DANA)
    assert (0, 3) == (status, printed.count("\n"))
    assert newest["fsUrl"] in printed


def test_all_sessions_since_a_time(user: Command, emulator: Emulator) -> None:
    """Fullstory shows twenty unless asked for more, and has no pages."""
    sessions = [[1, i, rfc(FIRST + i)] for i in range(200)]
    emulator.users = [{"id": "1", "uid": BO, "sessions": sessions}]
    since = rfc(FIRST + 50)

    assert 150 == len(user.json("sessions", "--uid", BO, "--since", since))
    assert ["20", "80", "320"] == [one.query["limit"] for one in emulator.requests]
    assert 20 == len(user.json("sessions", "--uid", BO))
    assert 30 == len(user.json("sessions", "--uid", BO, "--count", "30", "--since", since))
    status, printed, _ = user.run("sessions", "--uid", BO, "--since", "2030-01-01", "--json")
    assert (0, "") == (status, printed)


def test_a_standard_key_may_list_sessions(user: Command, emulator: Emulator) -> None:
    """Who may not look users up sees sessions all the same."""
    emulator.role = "USER"
    assert 2 == len(user.json("sessions", "--uid", DANA))
    status, _, log = user.run("sessions", "--uid", "nobody")
    assert 0 == status
    assert "the key may list sessions, but not users" in log


# Events ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [("--uid", DANA), ("--email", "dana@example.com"), ("--id", str(2**62 + 1))])
@pytest.mark.proves("connectors", "export a person's events")
def test_events_as_the_api_gives_them(user: Command, emulator: Emulator, who: tuple[str, str]) -> None:
    """An access request is answered with all that is held, unchanged."""
    assert emulator.bundles[0].events[:2] == user.json("events", *who)  # type: ignore[index]
    assert [] == user.waiting()

    status, printed, _ = user.run("events", *who)
    assert (0, 3) == (status, printed.count("\n"))
    assert rfc(FIRST + HOUR) in printed
    assert printed.replace("\n", "").isprintable()


@pytest.mark.long
def test_more_events_than_an_answer_holds_in_memory(user: Command, emulator: Emulator) -> None:
    """The largest of all users asks for their data, too; other answers are refused above 16 MiB."""
    long = [event(1, BO, 3, EventTargetText="x" * 20_000, EventDuration=i) for i in range(1000)]
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, long)]
    assert list(range(1000)) == [one["EventDuration"] for one in user.json("events", "--uid", BO)]


@pytest.mark.parametrize("who", [("--id", "5"), ("--email", "anonymous@example.com")])
def test_events_need_a_uid(user: Command, emulator: Emulator, who: tuple[str, str]) -> None:
    """Who was never identified has no uid: that is said, and not that there are no events."""
    emulator.users = [{"id": "5", "email": "anonymous@example.com"}]
    status, printed, log = user.run("events", *who)
    assert (67, "") == (status, printed)
    assert "has no uid" in log


def test_events_of_one_of_several(user: Command) -> None:
    """The events of two people in one answer would be a leak."""
    status, printed, log = user.run("events", "--email", SHARED)
    assert (67, "") == (status, printed)
    assert "'bo', 'child'" in log


@pytest.mark.long
def test_damaged_events_are_brought_once_more(user: Command, emulator: Emulator) -> None:
    """A cut answer must not look like all that there is."""
    emulator.faults = [Fault(EVENTS, truncate_at=-5), Fault(EVENTS, status=503)]
    assert 2 == len(user.json("events", "--uid", DANA, settings={"retry_timeout": 30}))
    emulator.faults = [Fault(EVENTS, times=None, html=True)]
    status, printed, log = user.run("events", "--uid", DANA)
    assert (65, "") == (status, printed)
    assert "damaged" in log
    assert [] == user.waiting()


# Deleting -------------------------------------------------------------------------------------------------------------


@pytest.mark.proves("connectors", "delete a person")
def test_by_uid_it_waits_for_the_end(user: Command, emulator: Emulator) -> None:
    """Who must confirm a deletion needs to know that it has happened."""
    emulator.deletion = Course(polls=1)
    (receipt,) = user.json("delete", "--uid", DANA, "--yes")

    assert ("deleted", DANA, str(2**62 + 1)) == (receipt["status"], receipt["uid"], receipt["id"])
    assert [INDIVIDUALS + quote(DANA, safe="")] == deletions(emulator)
    assert emulator.known.deletions[0].operation_id == receipt["operation_id"]
    assert 67 == user.run("get", "--uid", DANA)[0]
    status, printed, _ = user.run("delete", "--uid", DANA, "--yes")
    assert (67, "") == (status, printed)


def test_by_id_it_is_accepted(user: Command, emulator: Emulator) -> None:
    """There is no operation to wait for, and the answer must not claim that it is done."""
    (receipt,) = user.json("delete", "--id", "5", "--yes")
    assert ("accepted", None) == (receipt["status"], receipt["uid"])
    assert [f"{USERS}/5"] == deletions(emulator)


@pytest.mark.long
def test_everybody_who_shares_an_email_is_deleted(user: Command, emulator: Emulator) -> None:
    """A person who comes back after a new registration is two users; one without a uid is deleted by id."""
    status, shown, _ = user.run("delete", "--email", SHARED, "--dry-run")
    assert (0, 3) == (status, shown.count("would_delete"))
    assert [None] * 3 == [one["at"] for one in user.json("delete", "--email", SHARED, "--dry-run")]
    assert [] == deletions(emulator)

    receipts = user.json("delete", "--email", SHARED, "--yes")
    assert {"3": "deleted", "4": "deleted", "5": "accepted"} == {one["id"]: one["status"] for one in receipts}
    assert [f"{INDIVIDUALS}bo", f"{INDIVIDUALS}child", f"{USERS}/5"] == deletions(emulator)


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_nobody_is_deleted_unasked(user: Command, emulator: Emulator, arguments: tuple[str, ...]) -> None:
    """A line in a script without `--yes` must not delete, and not hang either."""
    status, printed, log = user.run("delete", "--uid", DANA, *arguments)
    assert (2, "") == (status, printed)
    assert "--yes" in log
    assert [] == emulator.requests


@pytest.mark.parametrize("answer", [b"\n", b"\x04"])
def test_any_answer_but_yes_deletes_nobody(user: Command, emulator: Emulator, answer: bytes) -> None:
    """Enter, struck too early, must be harmless."""
    status, printed, asked = user.answer(answer, "delete", "--email", SHARED)
    assert (1, "") == (status, printed)
    assert [] == deletions(emulator)
    for name in ("bo", "child", SHARED, "these 3 users"):
        assert name in asked


def test_an_answer_that_is_not_utf_8(user: Command, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip on a keyboard with umlauts, in a terminal of another encoding, is no bug to report."""
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")  # as with LANG=de_DE.UTF-8
    assert 1 == user.answer(b"\xff\n", "delete", "--uid", BO)[0]
    assert [] == deletions(emulator)


def test_who_is_named_twice_is_shown_once(user: Command, emulator: Emulator) -> None:
    """The question must say how many users it is about, and not how many lines a file has."""
    path = user.file("people", f"uid:{BO}\nemail:{SHARED}\nid:3\n".encode())
    asked = user.answer(b"\n", "delete", "--file", path)[2]
    assert "these 3 users" in asked


def test_nobody_is_deleted_without_a_place_for_the_receipt(user: Command, emulator: Emulator) -> None:
    """Somebody would be gone for good, and nothing would say so."""
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" >&-', "bash", *user.call("delete", "--uid", DANA, "--yes")],
        check=False,
        stderr=subprocess.PIPE,
        timeout=TIMEOUT,
        env=user.environment(),
        cwd=user.folder,
    )

    assert 74 == done.returncode
    assert [] == deletions(emulator)


def test_yes_deletes(user: Command, emulator: Emulator) -> None:
    """The table shows who is meant, and the answer is about them."""
    status, printed, asked = user.answer(b"y\n", "delete", "--uid", BO)
    assert 0 == status
    assert "this user" in asked
    assert "deleted" in printed
    assert [f"{INDIVIDUALS}bo"] == deletions(emulator)


def test_ctrl_c_at_the_question(user: Command, emulator: Emulator) -> None:
    """The most natural way to say no."""
    process, terminal = user.on_terminal("delete", "--uid", BO)
    try:
        read_until(terminal, b"[y/N]")
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=TIMEOUT)
    finally:
        os.close(terminal)
    assert (130, b"") == (process.returncode, printed)
    assert [] == deletions(emulator)


def test_a_file_of_many(user: Command, emulator: Emulator) -> None:
    """Requests of a month are done in one go, with a receipt for each, also for who is not there."""
    path = user.file("people", f"# May\nuid:{DANA}\nemail:no@example.com\nid:5\nid:..\n".encode())
    status, printed, _ = user.run("delete", "--file", path, "--yes")
    receipts = {one["asked"]: one for one in map(json.loads, printed.splitlines())}

    assert 67 == status
    assert {f"uid:{DANA}": "deleted", "email:no@example.com": "unknown", "id:5": "accepted", "id:..": "unknown"} == {
        asked: one["status"] for asked, one in receipts.items()
    }
    assert all(one["at"] for one in receipts.values())
    assert 2 == len(deletions(emulator))


def test_a_wrong_line_in_a_file_deletes_nobody(user: Command, emulator: Emulator) -> None:
    """Half of a list done, and nobody knows which half."""
    status, printed, log = user.run("delete", "--file", user.file("people", b"uid:bo\nchild\n"), "--yes")
    assert (78, "") == (status, printed)
    assert "Line 2" in log
    assert [] == emulator.requests


def test_a_deletion_that_fails(user: Command, emulator: Emulator) -> None:
    """What Fullstory says of it is in the receipt, and the status says that not all is well."""
    emulator.deletion = Course(polls=0, state="FAILED", error="under legal hold")
    status, printed, _ = user.run("delete", "--uid", BO, "--yes", "--json")
    assert 65 == status
    assert {"status": "failed", "error": "under legal hold"}.items() <= json.loads(printed).items()


@pytest.mark.long
@pytest.mark.parametrize(("wait", "expected", "status"), [("1", "pending", 75), ("0", "accepted", 0)])
def test_a_deletion_that_takes_long(user: Command, emulator: Emulator, wait: str, expected: str, status: int) -> None:
    """It goes on; the receipt names the operation that can be looked at later."""
    emulator.deletion = Course(polls=None)
    found, printed, _ = user.run("delete", "--uid", BO, "--yes", "--json", "--wait", wait)
    (deletion,) = emulator.known.deletions
    assert status == found
    assert {"status": expected, "operation_id": deletion.operation_id}.items() <= json.loads(printed).items()


@pytest.mark.long
def test_an_answer_that_is_lost(user: Command, emulator: Emulator) -> None:
    """It is asked for once more, which deletes nobody else; it is no error that the user is gone by then."""
    emulator.faults = [Fault(f"{INDIVIDUALS}bo", method="DELETE", cut_at=1, reset=True)]
    (receipt,) = user.json("delete", "--uid", BO, "--yes")
    assert "deleted" == receipt["status"]
    assert 2 == len(deletions(emulator))

    emulator.faults = [Fault(f"{INDIVIDUALS}child", method="DELETE", status=404), Fault(f"{USERS}/4", status=404)]
    (receipt,) = user.json("delete", "--uid", "child", "--yes")
    assert "deleted" == receipt["status"]


@pytest.mark.long
def test_receipts_survive_an_outage(user: Command, emulator: Emulator) -> None:
    """Who was begun before the network went away is in the receipts, and how many were not is said."""
    emulator.faults = [Fault(f"{INDIVIDUALS}child", method="DELETE", times=None, status=503)]
    path = user.file("people", b"uid:bo\nuid:child\nid:5\n")
    status, printed, log = user.run("delete", "--file", path, "--yes")
    assert 69 == status
    assert {"uid:bo": "pending", "uid:child": "pending"} == {
        one["asked"]: one["status"] for one in map(json.loads, printed.splitlines())
    }
    assert "1 of 3 deletions were not begun" in log


@pytest.mark.long
def test_a_signal_while_waiting(user: Command, emulator: Emulator) -> None:
    """Ctrl-C does not stop the deletion: the receipt says that it is pending."""
    emulator.deletion = Course(polls=None)
    process = subprocess.Popen(
        user.call("delete", "--uid", BO, "--yes", "--json"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=user.environment(),
    )
    deadline = time.monotonic() + TIMEOUT
    while not any(one.path.startswith("/operations") for one in emulator.requests):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=TIMEOUT)
    assert 143 == process.returncode
    assert "pending" == json.loads(printed)["status"]


def test_a_key_that_may_not_delete(user: Command, emulator: Emulator) -> None:
    """Nothing is in the receipts that did not happen."""
    emulator.faults = [Fault(f"{INDIVIDUALS}bo", method="DELETE", status=403)]
    status, printed, log = user.run("delete", "--uid", BO, "--yes", "--json")
    assert (77, "") == (status, printed)
    assert "1 of 1 deletions were not begun" in log


# Whatever goes wrong --------------------------------------------------------------------------------------------------


DEAD = {"api_url": "http://127.0.0.1:9", "export_url": "http://127.0.0.1:9", "retry_timeout": 0}


@pytest.mark.parametrize(
    ("action", "settings", "expected"),
    [
        ("get", {"api_key": "na1.wrong"}, 77),
        ("sessions", {"api_key": "na1.wrong"}, 77),
        ("events", {"api_key": "na1.wrong"}, 77),
        ("delete", {"api_key": "na1.wrong"}, 77),
        ("get", {"api_url": "http://example.com"}, 78),
        ("events", {"api_key": None}, 78),
        ("events", DEAD, 69),
        ("delete", DEAD, 69),
    ],
)
def test_exit_statuses_are_those_of_a_sync(user: Command, action: str, settings: Json, expected: int) -> None:
    """One table of statuses is enough to learn."""
    more = ("--yes",) if action == "delete" else ()
    status, printed, log = user.run(action, "--uid", BO, *more, settings=settings)
    assert (expected, "") == (status, printed)
    assert "na1.wrong" not in log
    assert "last state" not in log


def test_settings_from_the_environment(user: Command, emulator: Emulator) -> None:
    """The same settings as a sync has, wherever they are."""
    names = ("api_key", "api_url", "export_url", "spool_dir")
    env = {f"TAP_FULLSTORY_{name.upper()}": user.settings()[name] for name in names}
    done = subprocess.run(
        [sys.executable, "-m", "tap_fullstory.user", "--config", "ENV", "get", "--uid", BO, "--json"],
        check=False,
        capture_output=True,
        timeout=TIMEOUT,
        env=user.environment(env),
    )
    assert (0, "3") == (done.returncode, json.loads(done.stdout)["id"])
    assert not subprocess.run([sys.executable, "-m", "tap_fullstory.user", "--version"], check=False).returncode


def test_receipts_that_cannot_be_written(user: Command, emulator: Emulator) -> None:
    """A full disk stops it, and the log must say that not everybody was deleted: no receipt can."""
    path = user.file("people", f"uid:{BO}\nid:5\nuid:child\n".encode())
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            user.call("delete", "--file", path, "--yes"),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT,
            env=user.environment(),
        )
    assert 74 == done.returncode
    assert b"1 of 3 deletions were not begun" in done.stderr
    assert 2 == len(deletions(emulator))


def test_nobody_reads_any_more(user: Command, emulator: Emulator) -> None:
    """`fullstory-user events … | head -1` ends quietly."""
    long = [event(1, BO, 3, EventTargetText="x" * 1000) for _ in range(2000)]
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, long)]
    process = subprocess.Popen(
        user.call("events", "--uid", BO, "--json"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=user.environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    log = process.stderr.read()
    process.stderr.close()
    assert 141 == process.wait(TIMEOUT)
    assert 1 == log.count(b"\n")
    assert [] == user.waiting()


@pytest.mark.parametrize("body", ['{"results": [{"uid": "bo"}]}', "not JSON"])
def test_answers_that_are_not_as_documented(user: Command, emulator: Emulator, body: str) -> None:
    """A line, no traceback, and nobody is deleted."""
    emulator.faults = [Fault(USERS, times=None, status=200, body=body)]
    status, printed, _ = user.run("delete", "--uid", BO, "--yes", settings={"retry_timeout": 0})
    assert (65, "") == (status, printed)
    assert [] == deletions(emulator)
