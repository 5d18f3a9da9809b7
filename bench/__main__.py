"""`make bench`: the tap beside other ways to do its work. `--help` lists what can be chosen."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import bulk, growth, picture, report
from bench.backfill import backfill
from bench.measure import BenchError
from bench.pipelines import pipelines
from bench.results import Results, about
from bench.serve import PROFILES
from bench.speed import Comparison, check_counts, compare
from bench.startup import start_ups

HERE = Path(__file__).parent
RESULTS, FIGURES, PICTURE = HERE / "RESULTS.md", HERE / "results.json", HERE / "picture.svg"
ROUNDS = 5
START_ROUNDS = 7
PIPED_EVENTS = 50_000
# The first is the headline. The others are as small as the slow programs make necessary.
PLAN = (
    ("usual", 100_000),
    ("usual", 10_000),
    ("dirty", 30_000),
    ("custom5", 30_000),
    ("custom40", 10_000),
    ("narrow", 30_000),
    ("usual", 1_000_000),  # two thirds of the time, so it comes last
)
PARTS = ("speed", "startup", "pipelines", "bulk", "growth")
ASKED_FOR = ("backfill",)  # not in the whole: minutes of waiting


def main() -> int:
    """Measure what is asked for, print it, and after a full run write the results; return the exit status."""
    arguments = parser().parse_args()
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is ended, files go
    try:
        if arguments.render:
            write(Results.load(FIGURES))
            return 0
        partial = any((arguments.profile, arguments.events, arguments.only))  # tables tell how many rounds there were
        command = " ".join(["make bench", *([f"BENCH_ARGS='{' '.join(sys.argv[1:])}'"] if sys.argv[1:] else [])])
        results = measure(arguments, command, whole=not partial)
    except BenchError as error:
        print(f"\nThe benchmark failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; RESULTS.md was not written.", file=sys.stderr)
        return 130
    print(f"\nDone in {(time.monotonic() - began) / 60:.1f} minutes.")
    if partial:
        print("Nothing was written: only a full run replaces the results.")
    else:
        results.save(FIGURES)
        write(results)
        print(f"Written: {', '.join(str(path.relative_to(HERE.parent)) for path in (RESULTS, FIGURES, PICTURE))}")
    return 0


def measure(arguments: argparse.Namespace, command: str, *, whole: bool) -> Results:
    """Do what the arguments ask for, and print each table as soon as it is complete; save them if it is the *whole*."""
    results = Results(about=about(command))
    parts = arguments.only or PARTS
    rounds = arguments.rounds or ROUNDS
    if "startup" in parts:
        tell("start-up ...")
        results.start_ups = start_ups(arguments.rounds or START_ROUNDS)
        print(f"\n{report.start_ups(results.start_ups)}", flush=True)
    if "pipelines" in parts:
        tell("pipelines ...")
        results.pipelines = pipelines(min(arguments.events or [PIPED_EVENTS]), rounds)
        print(f"\n{report.pipelines(results.pipelines)}", flush=True)
    if "bulk" in parts:
        for profile, events in chosen(arguments.profile, arguments.events, bulk.PLAN):
            tell(f"into Parquet: {profile}, {events:,} events, {rounds} rounds ...")
            results.parquet.append(bulk.to_parquet(Comparison(profile, events, rounds)))
            print(f"\n{report.parquet(results.parquet[-1])}", flush=True)
        for profile, events in chosen(arguments.profile, arguments.events, bulk.LOADED):
            tell(f"into PostgreSQL: {profile}, {events:,} events, {rounds} rounds ...")
            results.postgres.append(bulk.to_postgres(Comparison(profile, events, rounds)))
            print(f"\n{report.postgres(results.postgres[-1])}", flush=True)
    if "growth" in parts:
        results.growth = growth.grow(arguments.events or growth.SIZES, rounds, tell)
        print(f"\n{report.growth(results.growth)}", flush=True)
    if "backfill" in parts:
        tell("backfill ...")
        print(f"\n{backfill()}", flush=True)
    if "speed" in parts:
        plan = chosen(arguments.profile, arguments.events)
        for profile in dict.fromkeys(profile for profile, _ in plan):
            tell(f"{profile}: does every program write every event?")
            results.counts[profile] = check_counts(profile)
        for profile, events in plan:
            tell(f"{profile}, {events:,} events, {rounds} rounds ...")
            results.speed.append(compare(Comparison(profile, events, rounds)))
            print(f"\n{report.speed(results.speed[-1])}", flush=True)
            if whole:
                results.save(FIGURES)  # an hour may be too long for somebody: what there is can be rendered
    return results


def write(results: Results) -> None:
    """Write the results for people."""
    RESULTS.write_text(report.whole(results), "utf-8")
    picture.draw(results.speed, PICTURE)


def chosen(
    profiles: Sequence[str] | None, sizes: Sequence[int] | None, plan: Sequence[tuple[str, int]] = PLAN
) -> list[tuple[str, int]]:
    """Return what is compared: the plan, or the part of it that is asked for, in other sizes if some are named."""
    if sizes:
        return [(profile, events) for profile in profiles or [plan[0][0]] for events in sizes]
    return [(profile, events) for profile, events in plan if not profiles or profile in profiles]


def tell(text: str) -> None:
    """Say what goes on."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = argparse.ArgumentParser(
        prog="make bench",
        description="Compares the tap with others. Without arguments, but for --rounds, it measures everything, for "
        "an hour or so, and writes bench/RESULTS.md; else it only prints. Arguments stand in BENCH_ARGS='...'.",
    )
    add = result.add_argument
    add("--profile", action="append", choices=PROFILES, help="kind of events; may be repeated")
    add("--events", action="append", type=int, metavar="N", help="size of the bundle; may be repeated")
    add("--rounds", type=int, metavar="N", help=f"of each comparison (default: {ROUNDS}; start-up: {START_ROUNDS})")
    add("--only", action="append", choices=(*PARTS, *ASKED_FOR), help="measure this only; may be repeated")
    add("--render", action="store_true", help="write text and picture anew from bench/results.json, measure nothing")
    return result


if __name__ == "__main__":
    sys.exit(main())
