"""Results as Markdown: `bench/RESULTS.md`, and what is printed while the benchmark runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench import bulk
from bench.growth import IN_EACH, MESSAGES, ONCE, Grown
from bench.measure import Run, Spread, paired, spread
from bench.opponents import PROGRAMS, TAP
from bench.pipelines import WITH_CAT, WITH_TAP, Piped
from bench.results import Results
from bench.serve import PROFILES
from bench.speed import COUNTED, Measured
from bench.startup import MODES, PYTHON

MEBI = 1024  # KiB

INTRODUCTION = """\
# How fast the tap is

Written by `make bench`; do not edit. `make profile` shows where the time goes.

![Events a second by program, and memory by size of the bundle](picture.svg)
"""
HOW = """\
## How it was measured
- Every program is a whole process, from its start to its end, that reads one bundle from `fullstory_emulator` over the
  loopback interface, without TLS and without the rate limit, and writes into a pipe that `cat` empties into nothing.
- The programs run in turn, once each in a round, and another one begins in each round. **Times as long** compares a
  program with this tap within each round: the median over the rounds, and from the lowest to the highest. The machine
  may be twice as slow in one minute as in the next, so this range is the noise; differences within it mean nothing.
- Events a second and MB a second (10⁶ bytes of uncompressed JSON) are medians; ± is half of the range. CPU is user and
  system time of the process, in microseconds an event. Memory is the largest resident set of the process in any round.
- The events are invented, about 1 KB each, with statistics close to the 144 real ones that Fullstory published. Within
  a bundle one block of 5,000 events repeats, so that the emulator, which shares the processor, costs little.
- Before anything is timed, every program writes a bundle of each kind of {counted:,} events, and it is checked that it
  wrote them all.
- Fullstory gives two bundles a minute: on a real account every one of these programs waits most of its time.
"""
WHO = "## What is compared\n"
START_UP = """\
## Before the first event
Medians of {rounds} runs in turn: milliseconds of processor time, and in brackets from start to end. The empty run has
the state of a run before it, asks for the list of bundles and finds nothing new. A dash: there is no such mode.
"""
PIPELINES = """\
## Into a target
{events:,} events by the tap into a target, in turn with `cat` of a file that holds the same messages into the same
target. A ratio of 1 means that the target is never kept waiting by the tap, although both share the processor with the
emulator. CPU is of both ends of the pipe, without the emulator and the database.
"""
FILES = """\
## Into Parquet and PostgreSQL
One bundle from the emulator into a Parquet file: by the tap with `--to`, and by DuckDB in one line, `COPY (FROM
read_json('bundle.json.gz')) TO 'events.parquet'`, behind a download that is part of its time. DuckDB makes a column of
each member that it meets, of a type that it guesses; it checks no bundle, and keeps no state.

And one bundle into rows of PostgreSQL: by the tap with `--to --format csv` and a `COPY` through `psql` into a table
that is there, and by the fastest target that was found, fed by the tap.

The rows are counted after every run. CPU is of all programs of a road, without the emulator and the database; memory is
that of the largest of them.
"""
GROWTH = """\
## What grows
A bundle of growing size, as messages into a pipe and as Parquet files of `--to`. **Each added** is what an event costs
that the row above does not have, so that the start of the program, which every row has, is in none: medians of {rounds}
rounds, and one from {once:,} events on.
"""
BUNDLES = """\
The same with growing numbers of bundles of {each} events each, one run a row: what a bundle costs, and the size of the
last STATE.
"""
MACHINE = "## Where and when\n"


def whole(results: Results) -> str:
    """Return the text of `RESULTS.md`."""
    parts = [INTRODUCTION, "## Events a second\n"]
    parts += [speed(measured) for measured in results.speed]
    parts += [
        HOW.format(counted=COUNTED),
        WHO,
        table(["program", "what it does"], [[p.name, p.does] for p in PROGRAMS]),
    ]
    if results.start_ups:
        parts.append(start_ups(results.start_ups))
    if results.pipelines:
        parts.append(pipelines(results.pipelines))
    if results.parquet or results.postgres:
        parts += [FILES, *map(parquet, results.parquet), *map(postgres, results.postgres)]
    if results.growth:
        parts.append(growth(results.growth))
    parts += [MACHINE, table(["what", "which"], [[name, value] for name, value in results.about.items()])]
    return "\n".join(parts)


def speed(measured: Measured) -> str:
    """Return the table of a comparison, under its heading."""
    return _compared(PROFILES[measured.profile].title, measured, TAP.name)


def parquet(measured: Measured) -> str:
    """Return the table of what writes Parquet."""
    return _compared(f"Parquet. {PROFILES[measured.profile].title}", measured, bulk.FILES)


def postgres(measured: Measured) -> str:
    """Return the table of what loads into PostgreSQL."""
    return _compared(f"PostgreSQL. {PROFILES[measured.profile].title}", measured, bulk.COPY)


def _compared(title: str, measured: Measured, ours: str) -> str:
    rows = []
    for name, runs in measured.runs.items():
        events = rate(measured, name)
        rows.append(
            [
                name,
                f"{events.median:,.0f}",
                noise(events) if len(runs) > 1 else "-",
                f"{events.median * measured.bytes / measured.events / 1e6:,.1f}",
                f"{spread([one.cpu for one in runs]).median / measured.events * 1e6:,.1f}",
                f"{peak(runs):,.0f}",
                "1" if name == ours else times(paired(measured.runs[ours], runs)),
                str(len(runs)),
            ]
        )
    names = ["program", "events/s", "±", "MB/s", "CPU µs/event", "peak MiB", "times as long", "rounds"]
    return f"### {title}: {measured.events:,} events\n\n{table(names, rows, numbers=True)}"


def growth(grown: Grown) -> str:
    """Return the tables of what grows, with the size of a bundle and with their number."""
    sizes = [(one.events, one.runs) for one in grown.sizes]
    rounds = max((len(runs) for _, by_way in sizes for runs in by_way.values()), default=0)
    ways = [MESSAGES, bulk.FILES]
    by_size = [[f"{events:,}", *cells] for (events, _), cells in zip(sizes, _grown(sizes, ways, 1e6), strict=True)]
    bundles = [(one.bundles, one.runs) for one in grown.bundles]
    by_number = [
        [f"{one.bundles:,}", f"{one.state:,}", *cells]
        for one, cells in zip(grown.bundles, _grown(bundles, ways, 1e3), strict=True)
    ]
    columns = [[f"{way}: CPU {{}}", "each added", "peak MiB"] for way in ways]
    names = [name for of_way in columns for name in of_way]
    return "\n".join(
        [
            GROWTH.format(rounds=rounds, once=ONCE),
            table(["events", *(name.format("µs/event") for name in names)], by_size, numbers=True),
            BUNDLES.format(each=IN_EACH),
            table(
                ["bundles", "bytes of STATE", *(name.format("ms/bundle") for name in names)], by_number, numbers=True
            ),
        ]
    )


def _grown(
    found: Sequence[tuple[int, Mapping[str, Sequence[Run]]]], ways: Sequence[str], unit: float
) -> list[list[str]]:
    """Return for each of a growing number of things, and each way: what one costs, what an added one does, memory."""
    rows: list[list[str]] = []
    before: tuple[int, dict[str, float]] | None = None
    for number, runs in found:
        cpu = {way: spread([one.cpu for one in runs[way]]).median for way in ways}
        row = []
        for way in ways:
            added = (cpu[way] - before[1][way]) / (number - before[0]) if before else None
            row += [
                f"{cpu[way] / number * unit:,.1f}",
                "-" if added is None else f"{added * unit:,.1f}",
                f"{peak(runs[way]):,.0f}",
            ]
        rows.append(row)
        before = number, cpu
    return rows


def start_ups(found: Mapping[str, Mapping[str, Sequence[Run]]]) -> str:
    """Return the table of what a start costs."""
    programs = [PYTHON, *(one.name for one in PROGRAMS if one.modes)]
    rows = [[name, *(_cost(found.get(mode, {}).get(name, ())) for mode in MODES)] for name in programs]
    rounds = max(len(runs) for by_program in found.values() for runs in by_program.values())
    return f"{START_UP.format(rounds=rounds)}\n{table(['program', *MODES], rows, numbers=True)}"


def _cost(runs: Sequence[Run]) -> str:
    if not runs:
        return "-"
    cpu, seconds = spread([one.cpu for one in runs]), spread([one.seconds for one in runs])
    return f"{cpu.median * 1000:,.0f} ({seconds.median * 1000:,.0f})"


def pipelines(piped: Piped) -> str:
    """Return the table of the pipelines."""
    rows = []
    for target, runs in piped.runs.items():
        tap, cat = runs[WITH_TAP], runs[WITH_CAT]
        rows.append(
            [
                target,
                *(f"{spread([one.seconds for one in each]).median:.1f} s" for each in (tap, cat)),
                *(f"{spread([one.cpu for one in each]).median:.1f} s" for each in (tap, cat)),
                times(paired(cat, tap)),
                str(len(tap)),
            ]
        )
    names = ["target", "fed by the tap", "fed by `cat`", "CPU, tap", "CPU, `cat`", "times as long", "rounds"]
    return f"{PIPELINES.format(events=piped.events)}\n{table(names, rows, numbers=True)}"


def times(ratio: Spread) -> str:
    """`9.1 (8.0 to 10.2)`; a single figure has no range."""
    if ratio.low == ratio.high:
        return _figure(ratio.median)
    return f"{_figure(ratio.median)} ({_figure(ratio.low)} to {_figure(ratio.high)})"


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def rate(measured: Measured, program: str) -> Spread:
    """Return how many events a second a program wrote; the median is that of the run of median length."""
    seconds = spread([one.seconds for one in measured.runs[program]])
    return Spread(measured.events / seconds.median, measured.events / seconds.high, measured.events / seconds.low)


def noise(figures: Spread) -> str:
    """Return how far figures lie apart, as half of their range in percent of the median."""
    return f"{(figures.high - figures.low) / 2 / figures.median:.0%}"


def peak(runs: Sequence[Run]) -> float:
    """Return the most memory of any run, MiB."""
    return max(one.peak for one in runs) / MEBI


def table(names: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = False) -> str:
    """Return a Markdown table; with *numbers* all columns but the first stand to the right."""
    below = ["---", *(["---:" if numbers else "---"] * (len(names) - 1))]
    return "".join(f"| {' | '.join(row)} |\n" for row in [names, below, *rows])
