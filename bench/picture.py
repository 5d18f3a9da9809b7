"""The picture of the results: events a second by program, and memory by size of the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.opponents import PROGRAMS, TAP
from bench.report import peak, rate
from bench.speed import Measured

PROFILE = "usual"
HEADLINE = 100_000  # events; the size at which the bars compare, or else the one nearest to it
STYLE = {
    "figure.facecolor": "white",  # opaque: legible on a dark page, too
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "path",  # looks the same wherever it is shown
    "svg.hashsalt": "tap-fullstory",  # the same figures give the same file
}
# By Okabe and Ito, who chose them so that people who see fewer colours can tell them apart.
COLOURS = ("#0072B2", "#E69F00", "#D55E00", "#009E73", "#56B4E9", "#CC79A7", "#777777")
MARKERS = "oXsD^vP"
FLOOR = PROGRAMS[-1].name
INK = dict(zip((one.name for one in PROGRAMS), COLOURS, strict=True))


def draw(speed: Sequence[Measured], path: Path) -> None:
    """Draw into *path*, as SVG."""
    from matplotlib import rc_context  # needed for nothing else
    from matplotlib.figure import Figure

    sizes = sorted((one for one in speed if one.profile == PROFILE), key=lambda one: one.events)
    headline = min(sizes, key=lambda one: abs(one.events - HEADLINE))
    with rc_context(STYLE):
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _bars(left, headline)
        _memory(right, sizes)
        # no date and no name of a program in the file, so that it changes only with the figures
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def _bars(axes: Any, measured: Measured) -> None:
    names = [name for name in reversed(measured.runs) if name != FLOOR]  # else all others would look alike
    rates = [rate(measured, name) for name in names]
    ends = [[one.median - one.low for one in rates], [one.high - one.median for one in rates]]
    axes.barh(
        names,
        [one.median for one in rates],
        color=[INK[name] for name in names],
        xerr=ends,
        error_kw={"ecolor": "#333333", "capsize": 3},
    )
    most = max(one.high for one in rates)
    for place, (name, one) in enumerate(zip(names, rates, strict=True)):
        axes.text(one.high + most * 0.015, place, f"{one.median:,.0f}", va="center")
        if name == TAP.name:
            axes.get_yticklabels()[place].set_fontweight("bold")
    axes.set_xlim(0, most * 1.16)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:,.0f}k")
    axes.set_xlabel(f"(bytes only, no JSON read: {rate(measured, FLOOR).median:,.0f})", fontsize=8, loc="left")
    axes.set_title(f"Events a second ({measured.events:,} events; line: lowest to highest)", fontsize=10, loc="left")


def _memory(axes: Any, sizes: Sequence[Measured]) -> None:
    for (name, ink), marker in zip(INK.items(), MARKERS, strict=True):
        points = [(one.events, peak(one.runs[name])) for one in sizes if one.runs.get(name)]
        if points:
            events, peaks = zip(*points, strict=True)
            axes.plot(events, peaks, color=ink, marker=marker, label=name)
    axes.set_xscale("log")
    axes.set_xticks([one.events for one in sizes], [f"{one.events:,}" for one in sizes])
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, 1.35 * max(peak(runs) for one in sizes for runs in one.runs.values()))  # room for the legend
    axes.set_title("Memory (MiB) by events in the bundle", fontsize=10, loc="left")
    axes.legend(fontsize=7, frameon=False, ncols=2, loc="upper left", handlelength=1.2, columnspacing=1)
