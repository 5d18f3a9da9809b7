"""Bars over time, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tap_fullstory.moments import EPOCH, SECOND
from tap_fullstory.reports.words import DAY, HOUR, MINUTE, count

LEFT, WIDTH, TOP, HEIGHT, BELOW = 76, 744, 10, 110, 22  # px
MOST_BARS = 372
BINS = (HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 30 * DAY, 365 * DAY)
TIMES = ((1.0 * DAY, "d"), (1.0 * HOUR, "h"), (1.0 * MINUTE, "min"), (1.0 * SECOND, "s"))
MOST_DATES = 8


@dataclass(frozen=True)
class Bar:
    """What stands at one place of the axis of time.

    Attributes:
        start, stop: Unix nanoseconds.
        value: how high.
        title: says it in words, escaped.
        part: how much of the value is of another kind.
        bad: something went wrong there.
    """

    start: int
    stop: int
    value: float
    title: str
    part: float = 0.0
    bad: bool = False


def bin_size(start: int, stop: int) -> int:
    """Return how long a bar covers, so that there are not too many of them."""
    return next((size for size in BINS if (stop - start) <= MOST_BARS * size), BINS[-1])


def bars(data: Sequence[Bar], start: int, stop: int, *, times: bool = False, least: float = 1.0) -> str:
    """Return a chart from *start* to *stop* (Unix nanoseconds).

    Args:
        times: values are durations in nanoseconds, not numbers.
        least: the highest value of the axis is at least this.
    """
    most = max([least, *(bar.value for bar in data)])
    unit, name = next((one for one in TIMES if most >= one[0]), TIMES[-1]) if times else (1.0, "")
    step = _step(most / unit)
    steps = math.ceil(most / unit / step)
    scale = HEIGHT / (steps * step * unit)
    bottom = TOP + HEIGHT
    parts = [
        f'<path class="line" d="M{LEFT} {y:.4g}h{WIDTH}"/><text class="y" x="{LEFT - 8}" y="{y + 4:.4g}">{said}</text>'
        for y, said in (
            (bottom - index * step * unit * scale, f"{_number(index * step)} {name}".strip())
            for index in range(steps + 1)
        )
    ]
    for moment, said in _dates(start, stop):
        x = _x(moment, start, stop)
        parts.append(f'<path class="tick" d="M{x:.5g} {bottom}v4"/><text x="{x:.5g}" y="{bottom + 17}">{said}</text>')
    for bar in data:
        left, right = (_x(min(max(one, start), stop), start, stop) for one in (bar.start, bar.stop))
        width = max(right - left - (1 if right - left > 3 else 0), 1)
        whole, part = bar.value * scale, bar.part * scale
        drawn = f'<path class="v" d="M{left:.5g} {bottom}v{-whole:.4g}h{width:.4g}v{whole:.4g}z"/>' if whole else ""
        if part:
            drawn += f'<path class="p" d="M{left:.5g} {bottom}v{-part:.4g}h{width:.4g}v{part:.4g}z"/>'
        if bar.bad:
            middle = left + width / 2
            drawn += f'<path class="x" d="M{middle - 3:.5g} {bottom - 7}l6 6m-6 0l6 -6"/>'
        area = f'<rect x="{left:.5g}" y="{TOP}" width="{width:.4g}" height="{HEIGHT}"/>'
        parts.append(f"<g><title>{bar.title}</title>{drawn}{area}</g>")
    size = f'width="{LEFT + WIDTH + 4}" height="{bottom + BELOW}"'
    return f'<svg class="bars" {size} aria-hidden="true">{"".join(parts)}</svg>'


def _x(moment: int, start: int, stop: int) -> float:
    return LEFT + WIDTH * (moment - start) / max(stop - start, 1)


def _step(most: float) -> float:
    """Return a round number of which two to five make *most*."""
    rough = most / 3
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)


def _number(value: float) -> str:
    return count(round(value)) if value == round(value) else f"{value:g}"


def _dates(start: int, stop: int) -> Iterator[tuple[int, str]]:
    """Yield round dates between, not too many, and how they are written."""
    days = (stop - start) / DAY
    if days < 3:
        hours = next(one for one in (1, 3, 6, 12) if days * 24 / one <= MOST_DATES)
        moment = -(-start // (hours * HOUR)) * hours * HOUR
        while moment <= stop:
            yield moment, f"{_date(moment):%m-%dT%H:%MZ}"
            moment += hours * HOUR
        return
    if days / MOST_DATES < 28:
        size = next(one for one in (1, 2, 7, 14, 28) if days / one <= MOST_DATES) * DAY
        moment = -(-start // size) * size
        while moment <= stop:
            yield moment, f"{_date(moment):%Y-%m-%d}"
            moment += size
        return
    size = next((one for one in (1, 2, 3, 6, 12, 60, 120, 1200) if days / 30.4 / one <= MOST_DATES), 24_000)
    month = _date(start).year * 12 + _date(start).month
    while True:
        if month % size == 0:
            at = datetime(month // 12, month % 12 + 1, 1, tzinfo=EPOCH.tzinfo)
            moment = (at - EPOCH) // timedelta(seconds=1) * SECOND
            if moment > stop:
                return
            if moment >= start:
                yield moment, f"{at:%Y-%m}"
        month += 1


def _date(moment: int) -> datetime:
    return EPOCH + timedelta(seconds=moment // SECOND)
