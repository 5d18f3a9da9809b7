"""The command line of `fullstory-user`."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NoReturn

from tap_fullstory import __version__, logs
from tap_fullstory.command import CONFIG_HELP, print_result, read_config, status_of, stdout
from tap_fullstory.errors import TapError

if TYPE_CHECKING:
    from tap_fullstory.client import Client
    from tap_fullstory.config import Config
    from tap_fullstory.user.asked import Asked
    from tap_fullstory.user.deletion import Receipt
    from tap_fullstory.user.people import People

# Only what `--version` and `--help` need is imported above: they answer at once.

LOGGER = logging.getLogger(__name__)

DESCRIPTION = "One person at Fullstory: look them up, list their sessions, export their events, delete them."
EPILOG = (
    "exit status: 0 done, 1 not confirmed, 2 command line, 65 a deletion failed or an answer is not as documented, "
    "67 no such user, 69 and 75 run again later, 74 folder, 77 key, 78 settings"
)
ACTIONS = {"get": "who and when", "sessions": "links", "events": "all of them", "delete": "for good"}
OF_ACTION = {  # which options are for which action alone
    "sessions": ("since", "count"),
    "delete": ("file", "yes", "dry_run", "wait"),
}
WAIT = 600.0  # seconds
NOT_CONFIRMED = 1  # exit status
AT_ONCE = 500  # lines that are printed together
AGAIN = re.compile(r" with the last state(?:; nothing written so far is lost)?")  # of a sync, which this is not


class _Undecided(TapError):
    """Somebody was asked whether to delete, and did not say yes."""

    status = NOT_CONFIRMED


def main() -> NoReturn:
    """Run the command and end the process with its exit status."""
    os._exit(run(sys.argv[1:]))  # as the tap does; all output is unbuffered


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    parser = _parser()
    args = parser.parse_args(arguments)
    logs.configure(os.environ)
    _check(args, parser)
    outcome = 0

    def work() -> None:
        nonlocal outcome
        outcome = _run(args, parser)

    return (
        status_of(
            work,
            closed="Nobody reads what this prints any more. Run the command again.",
            stopped="Stopped by a signal.",
        )
        or outcome
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fullstory-user", description=DESCRIPTION, epilog=EPILOG)
    add = parser.add_argument
    add("-c", "--config", action="append", metavar="FILE", help=CONFIG_HELP)
    add("action", choices=ACTIONS, help="; ".join(f"{name}: {what}" for name, what in ACTIONS.items()))
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--uid", metavar="U", help="your application's id of the user")
    who.add_argument("--email", metavar="E", help="an e-mail, which several users may share")
    who.add_argument("--id", metavar="I", help="Fullstory's id of the user, as `get` shows it")
    who.add_argument("--file", metavar="FILE", help="delete: many, one uid:…, email:… or id:… a line")
    add("--json", action="store_true", help="for scripts: JSON, one object a line")
    add("--since", type=_moment, metavar="TIME", help="sessions: that began then or later, RFC 3339")
    add("--count", type=_count, metavar="N", help="sessions: the newest N (20, or all with --since)")
    add("--yes", action="store_true", help="delete: without asking")
    add("--dry-run", action="store_true", help="delete: show whom, and delete nobody")
    add("--wait", type=_seconds, metavar="SECONDS", help="delete: how long to wait for the end of it (600)")
    add("--version", action="version", version=f"fullstory-user {__version__}")
    return parser


def _moment(text: str) -> int:
    """Return the Unix seconds of a time; of a fraction of a second the next one."""
    from tap_fullstory.moments import SECOND, parse_moment

    try:
        return -(-parse_moment(text) // SECOND)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected an RFC 3339 date or date-time") from error


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not int(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number, 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number of seconds")
    return float(text)


def _check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End the process with status 2 if arguments do not go together, before anybody is asked anything."""
    for action, names in OF_ACTION.items():
        for name in names:
            if getattr(args, name) not in (None, False) and args.action != action:
                parser.error(f"--{name.replace('_', '-')} is for {action}")
    if not any((args.uid, args.email, args.id, args.file)):
        parser.error("--uid, --email, --id or --file names nobody")
    if any(re.search("[\ud800-\udfff]", value) for value in (args.uid, args.email, args.id) if value):
        parser.error("--uid, --email or --id is not UTF-8")
    if args.action == "delete" and not (args.yes or args.dry_run or _can_ask()):
        parser.error(
            "delete asks before it deletes, and there is no terminal to ask on: add --yes, or --dry-run to look"
        )


def _can_ask() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from tap_fullstory.client import Client
    from tap_fullstory.metrics import Metrics
    from tap_fullstory.report import Report
    from tap_fullstory.signals import stop_at_once
    from tap_fullstory.user.asked import EMAIL, ID, UID, Asked, read_asked

    config = read_config(args, parser)
    named = ((UID, args.uid), (EMAIL, args.email), (ID, args.id))
    asked = [Asked(kind, value) for kind, value in named if value] or read_asked(args.file)
    stop_at_once()
    actions: dict[str, Callable[[argparse.Namespace, Client, Config, list[Asked]], int]]
    actions = {"get": _get, "sessions": _sessions, "events": _events, "delete": _delete}
    try:
        return actions[args.action](args, Client(config, Report(), Metrics()), config, asked)
    except TapError as error:
        error.args = (AGAIN.sub("", str(error)),)
        raise


def _get(args: argparse.Namespace, client: Client, config: Config, asked: list[Asked]) -> int:
    from tap_fullstory.user.people import People, seen
    from tap_fullstory.user.tables import to_json, user_card

    people = People(client, config)
    told = [(user, seen(people.individual(user.uid))) for one in asked for user in people.find(one)]
    if args.json:
        print_result("\n".join(to_json({**user.members, **when}) for user, when in told))
    else:
        print_result("\n\n".join(user_card(user, when) for user, when in told))
    return 0


def _sessions(args: argparse.Namespace, client: Client, config: Config, asked: list[Asked]) -> int:
    from tap_fullstory.user.people import People
    from tap_fullstory.user.tables import session_members, sessions_table, to_json

    found = People(client, config).sessions(asked[0], args.since, args.count)
    if not found:
        LOGGER.info("There is no such session.")
    elif args.json:
        print_result("\n".join(to_json(session_members(one)) for one in found))
    else:
        print_result(sessions_table(found))
    return 0


def _events(args: argparse.Namespace, client: Client, config: Config, asked: list[Asked]) -> int:
    from tap_fullstory.user import events
    from tap_fullstory.user.people import People
    from tap_fullstory.user.tables import event_rows

    uid = People(client, config).uid(asked[0], "Fullstory exports the events of a user")
    with events.fetch(client, config, uid) as found:
        lines = found.lines() if args.json else event_rows(found.members())
        while some := list(islice(lines, AT_ONCE)):
            print_result("\n".join(some))
    return 0


def _delete(args: argparse.Namespace, client: Client, config: Config, asked: list[Asked]) -> int:
    from tap_fullstory.user.deletion import UNKNOWN, WOULD, Deletions, exit_status
    from tap_fullstory.user.people import People
    from tap_fullstory.user.tables import users_table

    people = People(client, config)
    receipts: list[Receipt] = []
    as_json = args.json or bool(args.file)
    for one in asked:  # all are looked up before the first is deleted: one that cannot be asked for stops it all
        receipts += _found(people, one, alone=not as_json)
    users = list({one.user.id: one.user for one in receipts if one.user}.values())  # some may be named twice
    stdout()  # without a place for receipts, nobody is deleted
    show = _Receipts(as_json=as_json)
    if args.dry_run:
        for receipt in receipts:
            receipt.status = WOULD if receipt.user else UNKNOWN
            show.add(receipt)
        show.finish()
        return exit_status(receipts)
    if users and not args.yes:
        _ask(users_table(users), len(users))
    try:
        for receipt in Deletions(client, config, WAIT if args.wait is None else args.wait).run(receipts):
            show.add(receipt)
    finally:
        begun = [one for one in receipts if one.status]
        if len(begun) < len(receipts):  # said first: receipts may not be writable
            LOGGER.warning("%d of %d deletions were not begun.", len(receipts) - len(begun), len(receipts))
        for receipt in begun:
            show.add(receipt)
        show.finish()
    return exit_status(receipts)


def _found(people: People, asked: Asked, *, alone: bool) -> list[Receipt]:
    """Return a receipt, to be filled in, for everybody who is meant; one of nobody if there is none, unless *alone*."""
    from tap_fullstory.user.asked import UnknownUserError
    from tap_fullstory.user.deletion import Receipt

    try:
        return [Receipt(asked, user) for user in people.find(asked)]
    except UnknownUserError:
        if alone:
            raise
        return [Receipt(asked, None)]


class _Receipts:
    """Prints receipts: as JSON each at once, for people all together."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._shown: dict[int, Receipt] = {}  # by identity

    def add(self, receipt: Receipt) -> None:
        """Show a receipt, unless it has been."""
        from tap_fullstory.user.tables import to_json

        if id(receipt) in self._shown:
            return
        self._shown[id(receipt)] = receipt
        if self._as_json:
            print_result(to_json(receipt.members()))

    def finish(self) -> None:
        """Show what is left to be shown."""
        from tap_fullstory.user.tables import receipts_table

        if self._shown and not self._as_json:
            print_result(receipts_table(self._shown.values()))


def _ask(shown: str, count: int) -> None:
    """Show on the terminal whom it is about, and ask.

    Raises:
        _Undecided: the answer is not yes.
    """
    whom = "this user" if count == 1 else f"these {count} users"
    sys.stderr.write(f"{shown}\nDelete {whom} and all their sessions at Fullstory, for good? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.buffer.readline().strip().lower() not in (b"y", b"yes"):  # bytes: it may be in any encoding
        raise _Undecided("Nobody was deleted.")
