"""The command: `python -m fullstory_emulator` serves an invented account, or the real sample, until it is stopped."""

from __future__ import annotations

import argparse
import ipaddress
import json
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import get_args

from fullstory_emulator.files import Encoding
from fullstory_emulator.sample import sample_bundles
from fullstory_emulator.server import DELAY, DEMO_KEY, Emulator, MemberStyle

EPILOG = """\
While it runs it can be looked at and changed over HTTP, without a key; for example
  curl http://127.0.0.1:8500/_emulator
  curl -X POST -d '{"path": "/api/v1/export/get", "status": 503}' http://127.0.0.1:8500/_emulator/faults
  curl -X POST -d '{"advance": 86400}' http://127.0.0.1:8500/_emulator/clock
All of it: fullstory_emulator/README.md in the repository of tap-fullstory.
"""


def moment(text: str) -> float:
    """Unix seconds of an RFC 3339 time; without a zone it is UTC."""
    parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).timestamp()


def limit(text: str) -> tuple[int, float]:
    """`2/60`: two downloads in 60 seconds."""
    most, _, seconds = text.partition("/")
    if int(most) < 1 or float(seconds) <= 0:
        raise ValueError
    return int(most), float(seconds)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="python -m fullstory_emulator",
        description="A stand-in for the Fullstory server API on this machine: exports, users, settings.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serving = result.add_argument_group("where and for whom")
    serving.add_argument("--port", type=int, default=8500, help="0: any free one (default: %(default)s)")
    serving.add_argument(
        "--host", default="127.0.0.1", help="an address other machines reach has to be named (default: %(default)s)"
    )
    serving.add_argument("--api-key", default=DEMO_KEY, metavar="KEY", help="default: %(default)s")
    serving.add_argument(
        "--role", default="ARCHITECT", help="of the key; USER is too low for exports (default: %(default)s)"
    )

    content = result.add_argument_group("what is served")
    content.add_argument(
        "--sample", action="store_true", help="144 real events of August 2020, not an invented account"
    )
    content.add_argument(
        "--days", type=float, default=3, help="days up to the newest available bundle (default: %(default)s)"
    )
    content.add_argument("--bundle-hours", type=float, default=24, metavar="H", help="default: %(default)s")
    content.add_argument("--events-per-bundle", type=int, default=1000, metavar="N", help="default: %(default)s")
    content.add_argument("--seed", type=int, default=1, help="another seed, another account (default: %(default)s)")
    content.add_argument("--visitors", type=int, default=200, metavar="N", help="default: %(default)s")
    content.add_argument(
        "--custom-vars",
        type=int,
        metavar="N",
        help="so many custom variables on each event (default: those that belong to it)",
    )
    content.add_argument(
        "--prepared", action="store_true", help="repeat one block of events within a bundle: for measuring speed"
    )

    manner = result.add_argument_group("how it behaves")
    manner.add_argument(
        "--now", type=moment, metavar="RFC3339", help="the time it believes it is (default: the real one)"
    )
    manner.add_argument(
        "--delay-hours",
        type=float,
        default=DELAY / 3600,
        metavar="H",
        help="until a bundle is listed (default: %(default)s)",
    )
    manner.add_argument("--rate-limit", type=limit, metavar="2/60", help="downloads/seconds (default: none)")
    manner.add_argument(
        "--encoding", choices=get_args(Encoding), default="file", help="of bundles (default: %(default)s)"
    )
    manner.add_argument(
        "--member-style", choices=get_args(MemberStyle), default="numbers", help="of the list (default: %(default)s)"
    )
    manner.add_argument("--chunked", action="store_true", help="no Content-Length")
    return result


def create(arguments: argparse.Namespace) -> Emulator:
    """The emulator that a command line asks for.

    Raises:
        ValueError: numbers that make no sense together.
    """
    manner = {
        "api_key": arguments.api_key,
        "role": arguments.role,
        "host": arguments.host,
        "port": arguments.port,
        "now": arguments.now,
        "delay": arguments.delay_hours * 3600,
        "rate_limit": arguments.rate_limit,
        "encoding": arguments.encoding,
        "member_style": arguments.member_style,
        "chunked": arguments.chunked,
    }
    if arguments.sample:
        return Emulator(bundles=sample_bundles(), **manner)
    return Emulator.generated(
        seed=arguments.seed,
        days=arguments.days,
        bundle_hours=arguments.bundle_hours,
        events_per_bundle=arguments.events_per_bundle,
        visitors=arguments.visitors,
        custom_vars_per_event=arguments.custom_vars,
        prepared=arguments.prepared,
        **manner,
    )


def greeting(emulator: Emulator, content: str) -> str:
    """What the command prints once it listens."""
    bundles = emulator.listed()
    span = "no bundle is available yet"
    config = {"api_key": emulator.api_key, "api_url": emulator.url, "export_url": emulator.url}
    if bundles:
        begin, end = _shown(bundles[0].start), _shown(bundles[-1].stop)
        span = f"{len(bundles)} bundles from {begin} to {end}"
        config["start_date"] = begin
    return f"""\
Fullstory emulator: {emulator.url}
  API key   {emulator.api_key}
  serves    {content}: {span}
  try       curl -H 'Authorization: Basic {emulator.api_key}' '{emulator.url}/api/v1/export/list?start=0'
  tap       {json.dumps(config)}
  … or      {json.dumps({**config, "events_source": "segment_export"})}
  control   {emulator.url}/_emulator
Ctrl-C stops it."""


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM.

    Returns:
        the exit status: 0 after a signal, 1 if the port cannot be used, 2 if the command line is wrong.
    """
    command = parser()
    arguments = command.parse_args(argv)
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()

    # before anything else, so that no signal is too early
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    try:
        emulator = create(arguments)
    except ValueError as problem:
        command.error(str(problem))
    try:
        emulator.start()
    except OSError as problem:
        print(f"Cannot listen on {arguments.host} port {arguments.port}: {problem}. Try --port 0.", file=sys.stderr)
        return 1
    content = (
        "the sample of Fullstory's demo shop" if arguments.sample else f"an invented account (seed {arguments.seed})"
    )
    try:
        print(greeting(emulator, content), flush=True)
        if not _is_loopback(arguments.host):
            print("Other machines can reach this; it protects nothing.", file=sys.stderr, flush=True)
        stopped.wait()
    finally:
        emulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
