"""What `--plan` prints: windows of a history that can be read apart from each other, each as settings for a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tap_fullstory import spans
from tap_fullstory.client import duration
from tap_fullstory.config import PLAN, Config
from tap_fullstory.moments import SECOND, to_text
from tap_fullstory.sources import Extent, Source
from tap_fullstory.sources.data_export import DOWNLOADS, least_time
from tap_fullstory.spans import Span
from tap_fullstory.state import EventsBookmark

LOGGER = logging.getLogger(__name__)

USUAL_WINDOW = 7 * 86400  # seconds


@dataclass(frozen=True)
class Window:
    """A part of a history that one run reads.

    Attributes:
        bundles: how many cover it, if all are as long as the newest.
    """

    span: Span
    bundles: int


@dataclass(frozen=True)
class Choice:
    """How a history is cut.

    Attributes:
        seconds: into windows of this length.
        workers: if not None, rather into so many.
    """

    seconds: int = USUAL_WINDOW
    workers: int | None = None
    newest_first: bool = False


def plan(source: Source, config: Config, at: EventsBookmark, choice: Choice) -> list[dict[str, Any]]:
    """Return the settings of each window; says how many there are, and how long they take at least.

    Args:
        at: what is written already.
    """
    start, end = at.until, config.end_date
    extent = source.extent(start, end) if end is None or start < end else None
    found = list(_windows(at, end, extent, choice)) if extent else []
    if not extent or not found:
        until = "" if end is None else f" and before {to_text(end)}"
        LOGGER.warning("Nothing to plan: there is no bundle from %s on%s.", to_text(start), until)
        return []
    if at.partial:
        LOGGER.warning(
            "The state is in the middle of bundle %s, which its window reads from the beginning: up to %s records may "
            "repeat. Better let a run with this state end, and plan then.",
            *(at.partial[0], at.partial[1].events),
        )
    count = sum(one.bundles for one in found)
    LOGGER.info(
        "%s of up to %s, %s of %s, %s to %s; %s",
        _some(len(found), "window"),
        _some(max(one.bundles for one in found), "bundle"),
        *(_some(count, "bundle"), duration(extent.length)),
        *(to_text(found[0].span[0]), to_text(found[-1].span[1])),
        f"at Fullstory's {DOWNLOADS} downloads a minute this takes at least {duration(least_time(count))}, however "
        "many workers there are."
        if config.events_source == "data_export"
        else "Fullstory makes an export of each bundle, as fast as it can.",
    )
    lines = [
        {
            "start_date": to_text(one.span[0]),
            "end_date": to_text(one.span[1]),
            PLAN: {"window": number, "of": len(found), "bundles": one.bundles},
        }
        for number, one in enumerate(found, 1)
    ]
    return lines[::-1] if choice.newest_first else lines


def _windows(at: EventsBookmark, end: int | None, extent: Extent, choice: Choice) -> Iterator[Window]:
    """Yield the windows by time: inner bounds are bounds of bundles, and what is written beyond `until` is in none."""
    length, offset = extent.length * SECOND, extent.offset * SECOND
    stop = extent.stop * SECOND if end is None else end
    holes = spans.subtract([(at.until, stop)] if at.until < stop else [], *at.beyond)
    grids = [_grid(hole, extent) for hole in holes]
    total, before = sum(map(len, grids)), 0
    for hole, grid in zip(holes, grids, strict=True):
        each = -(-choice.seconds // extent.length)
        cuts = [*range(each, len(grid), each)]
        if choice.workers is not None:
            shares = {total * number // choice.workers - before for number in range(1, choice.workers)}
            cuts = sorted(number for number in shares if 0 < number < len(grid))
        before += len(grid)
        begin, first = hole[0], 0
        for number in cuts:
            moment = offset + grid[number] * length
            yield Window((begin, moment), number - first)
            begin, first = moment, number
        if grid:
            yield Window((begin, hole[1]), len(grid) - first)


def _grid(hole: Span, extent: Extent) -> range:
    """Return the numbers of the bundles that cover something of a span, counted from the offset on."""
    first = max(hole[0], extent.start * SECOND) - extent.offset * SECOND
    last = min(hole[1], extent.stop * SECOND) - extent.offset * SECOND
    length = extent.length * SECOND
    return range(first // length, -(-last // length)) if first < last else range(0)


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
