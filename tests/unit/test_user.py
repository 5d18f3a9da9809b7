"""What `fullstory-user` reads and prints, without a network."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tap_fullstory.errors import STATUS_BUG, ConfigError, ResponseError, Stopped, TapError, TargetClosed
from tap_fullstory.user.asked import Asked, read_asked
from tap_fullstory.user.cli import _parser, run
from tap_fullstory.user.deletion import (
    ACCEPTED,
    DELETED,
    FAILED,
    PENDING,
    UNKNOWN,
    WOULD,
    Receipt,
    _parse_deletion,
    _parse_state,
    exit_status,
)
from tap_fullstory.user.events import one_line
from tap_fullstory.user.people import Session, User, _parse_sessions, _parse_users, is_path_segment, parse_user, seen
from tap_fullstory.user.tables import event_rows, receipts_table, sessions_table, to_json, user_card, users_table

README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
HOSTILE = "\x1b[2J\x9b31m\u202e\r\n\x00\ud800"  # clears a screen, colours it, turns text around


def steers(text: str) -> bool:
    """Whether a terminal would do anything with it but show it."""
    return any(not one.isprintable() for one in text if one != "\n")


@pytest.mark.parametrize("name", ["id", "uid", "email", "display_name", "app_url", "properties"])
def test_nothing_from_fullstory_steers_a_terminal(name: str) -> None:
    """Whoever can choose their name could write into the terminal of those who look them up."""
    value: Any = {HOSTILE: HOSTILE} if name == "properties" else HOSTILE
    if name in ("id", "uid"):
        value = HOSTILE[:-1]  # ids with half a character are none
    user = parse_user({"id": "1", name: value})
    receipt = Receipt(Asked("uid", HOSTILE), user, "failed", HOSTILE, HOSTILE)

    printed = [
        user_card(user, {"first_seen": HOSTILE}),
        users_table([user]),
        receipts_table([receipt]),
        to_json(user.members),
        to_json(receipt.members()),
        sessions_table([Session("1", "2", 0, HOSTILE)]),
        *event_rows([{"EventStart": HOSTILE, "EventType": HOSTILE, "PageUrl": [HOSTILE]}]),
    ]

    assert [] == [text for text in printed if steers(text)]
    assert user.members == json.loads(to_json(user.members))
    assert 2 == users_table([user]).count("\n") + 1


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            b'{"a":1.50,"b":123456789012345678901234567890,"c":1e400}',
            '{"a":1.50,"b":123456789012345678901234567890,"c":1e400}',
        ),
        (b'{\n  "a" : "b c",\r\n\t"d": "\\n\\"  \\\\" }', '{"a":"b c","d":"\\n\\"  \\\\"}'),
        ('{"ü":"😀\u2028\x9b\x7f"}'.encode(), '{"\\u00fc":"\\ud83d\\ude00\\u2028\\u009b\\u007f"}'),
        (b'{"a":"line\nend\x00"}', '{"a":"line\\nend\\u0000"}'),
        (b'{"a":"\xff"}', '{"a":"\\ufffd"}'),
    ],
)
def test_an_event_is_one_line_with_its_values_as_written(event: bytes, line: str) -> None:
    """An access request is answered with what Fullstory holds, not with what Python makes of its numbers."""
    assert line == one_line(event)
    json.loads(line)


def test_numbers_that_json_does_not_know_are_text() -> None:
    """`Infinity` in the output would stop every script that reads it."""
    members = json.loads('{"a": [1e999, {"b": -1e999}], "c": NaN, "d": 1.5, "e": 12345678901234567890}')
    assert '{"a":["inf",{"b":"-inf"}],"c":"nan","d":1.5,"e":12345678901234567890}' == to_json(members)


def test_a_file_names_whom_to_delete(tmp_path: Path) -> None:
    """Colons in a uid are part of it; comments, empty lines and repetitions name nobody."""
    path = tmp_path / "people"
    path.write_bytes("\ufeff# asked for in May\nuid:a:b ü\n\n email:a@example.com \nid:7\r\nuid:a:b ü\n".encode())
    assert [Asked("uid", "a:b ü"), Asked("email", "a@example.com"), Asked("id", "7")] == read_asked(str(path))


@pytest.mark.parametrize("line", ["bo", "a@example.com", "UID:bo", "uid:", "uid: ", "name:bo", ":bo", "\x00"])
def test_a_wrong_line_stops_it_all(tmp_path: Path, line: str) -> None:
    """A line that is passed over is a person who asked to be deleted and is not."""
    path = tmp_path / "people"
    path.write_text(f"uid:ok\n{line}\n", "utf-8")
    with pytest.raises(ConfigError, match=r"Line 2 of .* Nobody was looked up or deleted"):
        read_asked(str(path))


@pytest.mark.parametrize("content", [None, b"uid:\xff"])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    """It is said in a line which file, and why."""
    path = tmp_path / "people"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_asked(str(path))


@pytest.mark.parametrize("asked", [Asked("uid", "Bo"), Asked("email", "a@example.com"), Asked("id", "1")])
def test_nobody_else_is_meant(asked: Asked) -> None:
    """If the list did not filter as we think, the wrong people would be deleted."""
    assert User("1", "Bo", "A@Example.com").is_meant(asked)
    assert not User("Bo", "bo", "1").is_meant(asked)
    assert not User("", "", "").is_meant(asked)


def test_letters_that_look_alike_are_others() -> None:
    """`weiß@` and `weiss@` are two mailboxes: who has the one must not be deleted for the other."""
    assert not User("1", email="weiß@example.com").is_meant(Asked("email", "weiss@example.com"))
    assert User("1", email="WEIß@example.com").is_meant(Asked("email", "weiß@example.com"))


@pytest.mark.parametrize("text", ["", ".", ".."])
def test_dots_are_no_part_of_a_path(text: str) -> None:
    """A user whose id is two dots would make a request for something else, a deletion among them."""
    assert not is_path_segment(text)
    assert is_path_segment(f"{text}x")


@pytest.mark.parametrize("answer", [None, [], {}, {"results": None}, {"results": [5]}, {"results": [{"uid": "x"}]}])
def test_users_that_are_not_as_documented(answer: Any) -> None:
    """Somebody who cannot be named is not guessed at."""
    with pytest.raises(ResponseError):
        _parse_users(answer)


def test_odd_members_of_users_are_harmless() -> None:
    """Numbers for texts are read, everything else counts as not there."""
    user = parse_user({"id": 5, "uid": 2**70, "email": ["x"], "display_name": None, "is_being_deleted": "yes"})
    assert ("5", str(2**70), "", "", False) == (user.id, user.uid, user.email, user.name, user.is_being_deleted)
    assert {"first_seen": "2020"} == seen({"firstSeen": "2020", "lastSeen": None, "numSessions": True})
    assert not parse_user({"id": "5", "uid": "\ud800"}).uid  # no request could name it
    assert "id  5" in user_card(parse_user({"id": 5, "properties": []}), {})


@pytest.mark.parametrize(
    "session",
    [
        5,
        {"userId": "1", "sessionId": "2", "createdTime": "x"},
        {"userId": "1", "sessionId": "2", "createdTime": "9" * 4000},
        {"userId": "1", "sessionId": "2", "createdTime": "253402300800"},
        {"userId": "1", "createdTime": "1"},
    ],
)
def test_sessions_that_are_not_as_documented(session: Any) -> None:
    """A time that nobody can show ends with a line, not with a traceback."""
    with pytest.raises(ResponseError):
        _parse_sessions({"sessions": [session]})


@pytest.mark.parametrize("answer", [None, {}, {"id": 5}, {"id": ".."}, {"id": ""}, {"id": "x" * 501}])
def test_a_deletion_without_an_operation_cannot_be_waited_for(answer: Any) -> None:
    """It is accepted all the same: an error would say that nothing has happened."""
    assert not _parse_deletion(answer)
    assert "op" == _parse_deletion({"id": "op"})


@pytest.mark.parametrize("answer", [None, {}, {"state": 5}, {"state": ""}])
def test_operations_that_are_not_as_documented(answer: Any) -> None:
    """A state that is not there is not taken for a good end."""
    with pytest.raises(ResponseError):
        _parse_state(answer)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["deleted", "accepted"], 0),
        (["deleted", "unknown"], 67),
        (["unknown", "pending", "deleted"], 75),
        (["pending", "failed", "unknown"], 65),
        ([], 0),
    ],
)
def test_the_exit_status_is_that_of_the_worst(statuses: list[str], expected: int) -> None:
    """A script that looks at the status alone must not believe that all are gone."""
    assert expected == exit_status([Receipt(Asked("id", "1"), None, status) for status in statuses])


BO = ("--uid", "bo")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("get",),
        ("look", *BO),
        ("get", "--uid", ""),
        ("get", "--uid", "\udcff"),  # a byte of the command line that is no UTF-8
        ("get", *BO, "--email", "a@example.com"),
        ("get", *BO, "--yes"),
        ("get", "--file", "x"),
        ("sessions", *BO, "--wait", "5"),
        ("sessions", *BO, "--since", "yesterday"),
        ("sessions", *BO, "--count", "0"),
        ("delete", *BO, "--yes", "--wait", "-1"),
        ("delete", *BO, "--yes", "--count", "1"),
        ("get", *BO),  # without settings
    ],
)
def test_wrong_command_lines(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """An option that would be passed over in silence is refused before anybody is asked for."""
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    assert 2 == ended.value.code
    assert not capsys.readouterr().out


def test_readme_explains_the_command() -> None:
    """An option, a status or a word of a receipt that stands nowhere has to be looked up in the code."""
    section = README.partition("\n## A person: look up, export, delete\n")[2].partition("\n## ")[0]
    options = {name for action in _parser()._actions for name in action.option_strings if name.startswith("--")}
    assert options - {"--help", "--version"} <= {*re.findall(r"--[a-z-]+", section)}
    receipts = section.partition("| status | means |")[2].partition("\n\n")[0]
    assert {UNKNOWN, WOULD, DELETED, ACCEPTED, PENDING, FAILED} == {
        *re.findall(r"^\| `(\w+)` ", receipts, re.MULTILINE)
    }

    table = section.partition("<!-- begin user statuses -->")[2].partition("<!-- end user statuses -->")[0]
    told = {int(one) for cells in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for one in cells.split(", ")}
    kinds = [TapError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    codes = {kind.status for kind in kinds} | {STATUS_BUG, TargetClosed.status, Stopped(2).status, Stopped(15).status}
    assert {0, 2, *codes} == told
