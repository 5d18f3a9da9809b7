"""`make soak`: the tap, the target or both killed at random moments, 200 times; then every event is counted."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from demo.postgres import Postgres
from soak.events import Content, make_content
from soak.world import SoakError, Stopped, Tally, World

KILLS = 200
BUNDLES, EVENTS = 5, 2500
MODES = {"append": "append-only", "key": "event_key"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print what came of it, and return the exit status: 0 if no event is lost, changed, or there too often."""
    args = parser().parse_args(arguments)
    seed = Random().randrange(2**32) if args.seed is None else args.seed
    modes = list(MODES) if args.mode == "both" else [args.mode]
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is ended, files go
    began = time.monotonic()
    tell(f"Seed {seed}: {args.kills} kills in each of {len(modes)} mode{'s' if len(modes) > 1 else ''} ...")
    content = make_content(seed, BUNDLES, args.events)
    with ThreadPoolExecutor(len(modes)) as pool:
        futures = {
            mode: pool.submit(soak, mode, content, args.kills, seed, stopping, remake=args.remake) for mode in modes
        }
        try:
            while not all(future.done() for future in futures.values()):
                if any(future.done() and future.exception() for future in futures.values()):
                    stopping.set()
                time.sleep(0.2)
            tallies = {MODES[mode]: future.result() for mode, future in futures.items()}
        except KeyboardInterrupt:
            stopping.set()
            print("\nStopped.", file=sys.stderr)
            return 130
        except (SoakError, Stopped, OSError, RuntimeError) as error:
            errors = (future.exception() for future in futures.values())
            first = next((one for one in errors if one and not isinstance(one, Stopped)), error)
            print(f"\nThe soak failed (seed {seed}): {first}", file=sys.stderr)
            return 1
    command = " ".join(["make soak", *([f"SOAK_ARGS='{' '.join(sys.argv[1:])}'"] if sys.argv[1:] else [])])
    print(f"\n{summary(tallies, command, seed, time.monotonic() - began)}")
    return 0 if all(tally.is_good for tally in tallies.values()) else 1


def soak(mode: str, content: Content, kills: int, seed: int, stop: threading.Event, *, remake: bool = False) -> Tally:
    """Load worlds, one after the other, until so many kills are counted."""
    rng, tally = Random(f"{seed} {mode}"), Tally()
    with Postgres() as postgres, tempfile.TemporaryDirectory(prefix="tap-fullstory-soak-") as folder:
        while tally.kills.total() < kills:
            name = f"{mode}_{tally.worlds + 1}"
            world = World(Path(folder) / name, postgres, content, event_key=mode == "key", stop=stop)
            world.load(rng, tally, kills, remake=remake)
            tell(
                f"{MODES[mode]}: {tally.kills.total()} of {kills} kills; {tally.events:,} events loaded, "
                f"{tally.lost:,} lost, {tally.repeated:,} repeated"
            )
    return tally


def summary(tallies: Mapping[str, Tally], command: str, seed: int, seconds: float) -> str:
    """Return what people want to know, as a table."""
    rows = {
        "kills that hit a running process": [tally.kills.total() for tally in tallies.values()],
        "  the tap alone": [tally.kills["tap"] for tally in tallies.values()],
        "  the target alone": [tally.kills["target"] for tally in tallies.values()],
        "  both": [tally.kills["tap and target"] for tally in tallies.values()],
        "runs that went on within a bundle": [tally.halves for tally in tallies.values()],
        "restarts with an empty spool folder": [tally.spools_lost for tally in tallies.values()],
        "restarts with another download": [tally.remade for tally in tallies.values()],
        "tables loaded to the end": [tally.worlds for tally in tallies.values()],
        "events in them": [tally.events for tally in tallies.values()],
        "lost": [tally.lost for tally in tallies.values()],
        "changed": [tally.changed for tally in tallies.values()],
        "repeated": [tally.repeated for tally in tallies.values()],
        "  at most, as targets did not say so": [tally.allowed for tally in tallies.values()],
    }
    names = "".join(f"{name:>14}" for name in tallies)
    lines = [f"{command}   (seed {seed}, {seconds / 60:.1f} minutes)", "", f"{'':36}{names}"]
    for name, numbers in rows.items():
        if any(numbers) or name != "restarts with another download":
            lines.append(f"{name:36}" + "".join(f"{number:>14,}" for number in numbers))
    good = all(tally.is_good for tally in tallies.values())
    lines += ["", "As it should be." if good else "NOT as it should be: please report this, with the seed."]
    return "\n".join(lines)


def tell(text: str) -> None:
    """Say what goes on."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = argparse.ArgumentParser(
        prog="make soak",
        description="Kills the tap, the target or both at random moments, goes on from the last state that the target "
        "printed, and compares the table with the events. Arguments stand in SOAK_ARGS='...'.",
    )
    add = result.add_argument
    add("--kills", type=int, default=KILLS, metavar="N", help=f"in each mode (default: {KILLS})")
    add("--seed", type=int, metavar="N", help="the same moments again, as far as a machine can; default: a new one")
    add("--mode", choices=[*MODES, "both"], default="both", help="without a key, with event_key, or both at once")
    add("--events", type=int, default=EVENTS, metavar="N", help=f"in each of {BUNDLES} bundles (default: {EVENTS})")
    add("--remake", action="store_true", help="sometimes downloads have other bytes after a kill: more may repeat")
    return result


if __name__ == "__main__":
    sys.exit(main())
