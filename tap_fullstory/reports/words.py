"""What the page says in words, and how it writes numbers, moments and texts of others."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from tap_fullstory.moments import SECOND, parse_moment, to_text
from tap_fullstory.reports.health import is_silent
from tap_fullstory.reports.history import RunReport

MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND
LONGEST = 1000  # characters of a text of others: an error, a name
# Control characters, those that turn the direction of writing, and lone surrogates, which no file can hold.
_UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

AGAIN = "Run again with the last state."
# By exit status: what happened, and what to do. As in the README, section "Exit statuses".
STATUSES = {
    0: ("complete", ""),
    2: ("the command line is wrong", "See tap-fullstory --help."),
    65: (
        "what Fullstory delivered cannot be read",
        "Run again later. If a bundle stays broken, put its id, which the message names, into skip_bundles. "
        "Report answers that are not as documented.",
    ),
    69: ("Fullstory could not be reached, or had errors of its own", AGAIN),
    70: ("a bug of the tap", "Report it with the lines that the run printed."),
    74: ("a folder or a file could not be written", f"Free it, or set another one. {AGAIN}"),
    75: ("Fullstory asked to come back later", "Run again later with the last state."),
    77: (
        "the key was refused, or may not do this",
        "Check the key, its role (Architect or Admin) and the add-on for exports.",
    ),
    78: (
        "settings, catalog or state are wrong",
        "Correct what the message names; if Fullstory answered 404, check export_url and the add-on.",
    ),
    130: ("stopped by Ctrl-C", AGAIN),
    137: ("killed from outside", f"Look for who did it: journalctl -k, kubectl describe pod. {AGAIN}"),
    141: ("the target closed the pipe", f"See what the target said. {AGAIN}"),
    143: ("stopped by SIGTERM", AGAIN),
}
RUNNING = ("running", "")
EARLY = ("ended early, as max_runtime says", "The next run goes on from the last state.")
KILLED = (
    "killed, or the machine went down",
    "It left no exit status and has said nothing since. The next run goes on from the last state. If it comes back, "
    "look for who did it: journalctl -k, kubectl describe pod.",
)


def outcome(run: RunReport, now: int) -> tuple[str, str]:
    """Return how a run ended, and what to do about it."""
    if run.status is None:
        return KILLED if is_silent(run, now) else RUNNING
    if run.status == 0 and run.ended_early:
        return EARLY
    other = (f"ended with status {run.status}", f"See what the target and the scheduler said. {AGAIN}")
    return STATUSES.get(run.status, other)


def went_wrong(run: RunReport, now: int) -> bool:
    """Return whether somebody should look at a run."""
    return run.status != 0 and outcome(run, now) != RUNNING


def text(value: str, most: int = LONGEST) -> str:
    """Return a text of others as HTML: harmless, printable, and not endless."""
    cut = value if len(value) <= most else f"{value[:most]}… ({count(len(value))} characters, the file has them all)"
    return html.escape(_UNPRINTABLE.sub("\ufffd", cut))


def iso(moment: int) -> str:
    """Return a moment as ISO 8601, in whole seconds, or minutes where that is all there is."""
    whole = to_text(moment // SECOND * SECOND)
    return f"{whole[:-4]}Z" if whole.endswith(":00Z") else whole


def time(moment: int | str) -> str:
    """Return a moment as HTML."""
    said = iso(parse_moment(moment) if isinstance(moment, str) else moment)
    return f"<time>{said}</time>"


def length(nanoseconds: int) -> str:
    """Return how long something took, in its two largest units."""
    if nanoseconds < MINUTE:
        return f"{nanoseconds / SECOND:.0f} s"
    units = (("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", SECOND))
    first = next(index for index, (_, size) in enumerate(units) if nanoseconds >= size)
    parts = []
    for name, size in units[first : first + 2]:
        number, nanoseconds = divmod(nanoseconds, size)
        if number:
            parts.append(f"{number} {name}")
    return " ".join(parts)


def count(number: int) -> str:
    """Return a number with its thousands apart."""
    return f"{number:,}"


def some(number: int, what: str) -> str:
    """Return a number of things."""
    return f"{count(number)} {what}" if number == 1 else f"{count(number)} {what}s"


def listed(parts: Sequence[str], most: int = 5) -> str:
    """Return the first of *parts* in a row, and how many more there are."""
    return ", ".join(parts[:most]) + (f" and {count(len(parts) - most)} more" if len(parts) > most else "")


def took(run: RunReport) -> int:
    """Return how long a run took, or has taken so far, in nanoseconds."""
    return max(0, parse_moment(run.ended_at or run.updated_at) - parse_moment(run.began_at))


def items(lines: Iterable[str], name: str = "") -> str:
    """Return *lines* (HTML) as a list."""
    kind = f' class="{name}"' if name else ""
    return f"<ul{kind}>{''.join(f'<li>{line}</li>' for line in lines)}</ul>"
