"""`make profile`: where the time of a run goes, as a table of the five steps and as a picture, `bench/profile.svg`.

py-spy looks at the tap from outside a few hundred times a second, so the tap runs as it always does, C libraries
included. Its own picture is not used: it names no step, and its frames end where Python calls into C, which is where
most of the time goes. Here the innermost frame is the line of the source that makes the call, so that decoding and
encoding can be told apart.

Only samples in which a thread works count. A run also waits, for Fullstory and for its target; that is not shown.
"""

from __future__ import annotations

import html
import linecache
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path

from bench.measure import ENVIRONMENT, BenchError
from bench.opponents import TAP
from bench.report import table
from bench.serve import PROFILES, ROOT, serve
from bench.speed import prepare

PICTURE = Path(__file__).with_name("profile.svg")
PROFILE, EVENTS = "usual", 1_000_000
RATE = 200  # looks a second; the tap stands still during each
PACKAGE = "tap_fullstory/"

FETCH, READ, RECORDS, SYNC, WRITE, START = "fetch", "read_chunks", "from_events", "sync", "write", "start"
STEPS = {
    FETCH: "download the bundle, into a file",
    READ: "check it, unpack it, cut it into chunks of whole events",
    RECORDS: "make records of events",
    SYNC: "the loop, states, counters",
    WRITE: "make messages, write them to the pipe",
    START: "import modules, read settings",
}
# By the module; what is not named here counts for its caller.
STEP_OF = {
    "sources": FETCH, "client": FETCH, "spool": FETCH, "prefetch": FETCH,
    "bundles": READ,
    "records": RECORDS, "layout": RECORDS, "identity": RECORDS,
    "sync": SYNC, "streams": SYNC, "state": SYNC, "report": SYNC, "metrics": SYNC, "signals": SYNC,
    "messages": WRITE,
    "cli": START, "config": START, "catalog": START, "dictionary": START, "logs": START, "errors": START,
}  # fmt: skip

# The picture
WIDTH, ROW, LEAST = 1200, 18, 1.5  # px; frames narrower than the last are left out
LETTER = 6.3  # px; how wide one is, about
COLOURS = {
    FETCH: "#8fc1e3", READ: "#f2b880", RECORDS: "#9ad0b4", SYNC: "#d9d9d9", WRITE: "#e3a6c4", START: "#c9bfe6",
}  # fmt: skip

FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^()]*?)(?::(?P<line>\d+))?\)")


@dataclass(frozen=True)
class Frame:
    """One call on the stack; the file relative to a folder of modules, "" if it is none."""

    function: str
    file: str
    line: int

    @property
    def module(self) -> str | None:
        """The module of the tap, or the package in it: `streams` of `tap_fullstory/streams/events.py`."""
        if not self.file.startswith(PACKAGE):
            return None
        return self.file.removeprefix(PACKAGE).partition("/")[0].removesuffix(".py")


@dataclass
class Node:
    """A call and what it calls, with the number of samples."""

    name: str
    step: str
    samples: int = 0
    calls: dict[str, Node] = field(default_factory=dict)


def main() -> int:
    """Profile a run, print the table, draw the picture; return the exit status."""
    try:
        stacks = record()
    except BenchError as error:
        print(f"The profile failed: {error}", file=sys.stderr)
        return 1
    total = sum(stacks.values())
    print(f"{EVENTS:,} events, {total:,} samples. {PROFILES[PROFILE].title}.\n")
    print(steps_table(shares(stacks)))
    PICTURE.write_text(draw(tree(stacks), total), "utf-8")
    print(f"The same as a picture: {PICTURE.relative_to(ROOT)}")
    return 0


def record() -> dict[tuple[Frame, ...], int]:
    """Run the tap under py-spy; return how often each stack was seen."""
    spy = Path(sys.executable).with_name("py-spy")
    with tempfile.TemporaryDirectory(prefix="tap-fullstory-bench-") as name, serve(PROFILE, EVENTS) as served:
        folder = Path(name)
        (command,) = prepare([TAP], PROFILE, served, folder).values()
        raw = folder / "stacks"
        # The parent may look into its child on any Linux that lets anybody look at all.
        looking = [str(spy), "record", "--format", "raw", "--output", str(raw), "--rate", str(RATE), "--"]
        with subprocess.Popen(
            [shutil.which("cat") or "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as drain:
            done = subprocess.run(
                [*looking, *command],
                cwd=ROOT,
                env=ENVIRONMENT,
                stdout=drain.stdin,
                stderr=subprocess.PIPE,
                check=False,
            )
            assert drain.stdin
            drain.stdin.close()
        if done.returncode != 0 or not raw.exists():
            said = done.stderr.decode("utf-8", "replace").splitlines()[-5:]
            raise BenchError("\n".join([f"py-spy ended with status {done.returncode}.", *said]))
        return parse_stacks(raw.read_text("utf-8", "replace").splitlines())


def parse_stacks(lines: Iterable[str]) -> dict[tuple[Frame, ...], int]:
    """Read what py-spy writes: `outer (file:line);inner (file:line) samples`."""
    found: Counter[tuple[Frame, ...]] = Counter()
    for line in lines:
        stack, _, samples = line.rpartition(" ")
        frames = (parse_frame(text) for text in stack.split(";"))
        found[tuple(frame for frame in frames if frame is not None)] += int(samples)
    return found


def parse_frame(text: str) -> Frame | None:
    """Read one frame; None if it is not a call in a file."""
    match = FRAME.fullmatch(text)
    if match is None:
        return None
    return Frame(match["function"], relative(match["file"]), int(match["line"] or 0))


def relative(file: str) -> str:
    """Return *file* without the folder that it is installed in: a picture shall not tell how a machine is laid out."""
    if PACKAGE in file:
        return PACKAGE + file.rpartition(PACKAGE)[2]
    for folder in ("site-packages/", "bin/"):
        if folder in file:
            return file.rpartition(folder)[2]
    return file if not file.startswith("/") else re.sub(r".*/python3[^/]*/", "", file).rpartition("/")[2]


def step_of(stack: Sequence[Frame]) -> str:
    """Return the step that a sample belongs to: that of the innermost module of the tap.

    What `from_events` calls is its own, also where it is the cutting of chunks into events.
    """
    modules = [frame.module for frame in stack]
    if any(frame.function == "<module>" and frame.module for frame in stack):
        return START  # a module is being imported
    if "records" in modules:
        return RECORDS
    for module in reversed(modules):
        if module in STEP_OF:
            return STEP_OF[module]
    return START


def shares(stacks: Mapping[tuple[Frame, ...], int]) -> dict[str, float]:
    """Return the share of each step, from 0 to 1."""
    samples: Counter[str] = Counter()
    for stack, count in stacks.items():
        samples[step_of(stack)] += count
    total = sum(samples.values())
    return {step: samples[step] / total if total else 0.0 for step in STEPS}


def steps_table(found: Mapping[str, float]) -> str:
    """Return the shares as a table."""
    return table(["step", "does", "share"], [[step, STEPS[step], f"{share:.1%}"] for step, share in found.items()])


def tree(stacks: Mapping[tuple[Frame, ...], int]) -> Node:
    """Put the stacks together, from the outermost call of the tap on."""
    root = Node("all", "")
    for stack, samples in stacks.items():
        node = root
        node.samples += samples
        step = step_of(stack)
        for name in (step, *names(stack, step)):
            node = node.calls.setdefault(name, Node(name, step))
            node.samples += samples
    return root


def names(stack: Sequence[Frame], step: str) -> Iterator[str]:
    """Yield what the frames of a stack are called: those of the step and inside it, then the line that is being run."""
    ours = [frame for frame in stack if frame.module is not None]
    for frame in dropwhile(lambda one: STEP_OF.get(one.module or "") != step, ours):
        yield f"{frame.function}  {frame.file.removeprefix(PACKAGE)}"
    if ours:
        line = linecache.getline(str(ROOT / ours[-1].file), ours[-1].line).strip()
        yield line or f"line {ours[-1].line}"


def draw(root: Node, total: int) -> str:
    """Return the picture: a box for each call, as wide as its share, below the one that called it."""
    boxes = list(_boxes(root, 0.0, 0, WIDTH / max(total, 1)))
    height = (max(row for _, _, row, _ in boxes) + 1) * ROW + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" '
        'font-size="10.5">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="6" y="18" font-size="13">Where a run of {EVENTS:,} events spends its processor time: step, calls, '
        "and the line that is being run</text>",
    ]
    for left, width, row, node in boxes:
        share = node.samples / total
        label = f"{node.name} {share:.0%}" if row == 0 else node.name
        room = int((width - 6) / LETTER)
        shown = label if len(label) <= room else f"{label[: room - 1]}…" if room > 2 else ""
        y = row * ROW + 30
        parts.append(
            f'<g><title>{html.escape(node.name)}: {share:.1%}</title><rect x="{left:.1f}" y="{y}" width="{width:.1f}" '
            f'height="{ROW - 1}" fill="{COLOURS[node.step]}" stroke="white"/>'
            + (f'<text x="{left + 3:.1f}" y="{y + 12}">{html.escape(shown)}</text>' if shown else "")
            + "</g>"
        )
    return "\n".join([*parts, "</svg>\n"])


def _boxes(node: Node, left: float, row: int, scale: float) -> Iterator[tuple[float, float, int, Node]]:
    order = list(STEPS) if row == 0 else []
    for child in sorted(
        node.calls.values(), key=lambda one: (order.index(one.name) if one.name in order else 0, -one.samples)
    ):
        width = child.samples * scale
        if width >= LEAST:
            yield left, width, row, child
            yield from _boxes(child, left, row + 1, scale)
        left += width


if __name__ == "__main__":
    sys.exit(main())
