from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import pytest

from bench import bulk, picture, profile, report
from bench.__main__ import FIGURES, PLAN, chosen
from bench.backfill import Backfill
from bench.growth import LAST_LINE, MESSAGES, Bundled, Grown
from bench.measure import Run, Spread, in_turn, paired, rotated, spread
from bench.opponents import PROGRAMS, TAP
from bench.pipelines import JSONL, Piped
from bench.profile import Frame, parse_stacks, shares
from bench.programs import reading
from bench.results import Results
from bench.serve import PROFILES, custom_names
from bench.speed import Measured, selecting
from tap_fullstory.records import is_custom


def a_run(seconds: float, *, cpu: float = 1.0, peak: int = 2048) -> Run:
    return Run(seconds, cpu, peak)


def test_middle_and_range() -> None:
    """A table would call a lucky run the usual one."""
    assert Spread(2, 1, 9) == spread([9, 1, 2])


def test_ratios_compare_within_a_round() -> None:
    """Two programs that are equally fast would differ, if the machine was slower in one of the rounds."""
    ours = [a_run(1.0), a_run(4.0), a_run(2.0)]
    theirs = [a_run(3.0), a_run(12.0)]  # it takes part in the first two rounds only

    assert Spread(3, 3, 3) == paired(ours, theirs)


@pytest.mark.parametrize(
    "number, expected",
    [(0, ["a", "b", "c"]), (1, ["b", "c", "a"]), (3, ["a", "b", "c"])],
)
def test_another_one_begins_in_each_round(number: int, expected: list[str]) -> None:
    """Who always runs first would always find the machine in the same state."""
    assert expected == rotated(["a", "b", "c"], number)


def test_runs_in_turn() -> None:
    """What runs one program five times and then the next measures the weather."""
    order: list[str] = []

    def running(name: str) -> Run:
        order.append(name)
        return a_run(1.0)

    taken = in_turn({"a": lambda: running("a"), "b": lambda: running("b")}, 3)

    assert ["a", "b", "b", "a", "a", "b"] == order
    assert {"a": 3, "b": 3} == {name: len(runs) for name, runs in taken.items()}


@pytest.mark.parametrize(
    "ratio, expected",
    [
        (Spread(9.13, 8.0, 10.26), "9.1 (8.0 to 10.3)"),
        (Spread(41.2, 31.0, 49.4), "41 (31 to 49)"),
        (Spread(1.004, 0.981, 1.02), "1.00 (0.98 to 1.02)"),
        (Spread(3.0, 3.0, 3.0), "3.0"),
    ],
)
def test_ratios_have_no_more_digits_than_they_are_worth(ratio: Spread, expected: str) -> None:
    """`41.237 times` would claim what a noisy machine cannot tell."""
    assert expected == report.times(ratio)


def test_a_backfill_is_compared_with_what_the_limit_dictates() -> None:
    """More than 15 % above it would not be seen."""
    assert "took 252.0 s, 1.050 times the 240 s that the limit dictates; 2.5 refusals" in str(
        Backfill(252.0, 240.0, 2.5)
    )


def test_table_of_a_comparison() -> None:
    """A reader would divide by the wrong number."""
    runs = {TAP.name: [a_run(1.0), a_run(2.0), a_run(4.0)], "floor": [a_run(0.5, cpu=0.25, peak=1024)]}

    lines = report.speed(Measured("usual", events=1000, bytes=2_000_000, runs=runs)).splitlines()

    assert f"### {PROFILES['usual'].title}: 1,000 events" == lines[0]
    assert "| tap-fullstory | 500 | 75% | 1.0 | 1,000.0 | 2 | 1 | 3 |" == lines[4]
    assert "| floor | 2,000 | - | 4.0 | 250.0 | 1 | 0.50 | 1 |" == lines[5]


def test_table_of_files_compares_with_the_files_of_the_tap() -> None:
    """The target that the tap feeds would stand there as the one that is measured against."""
    runs = {bulk.COPY: [a_run(1.0), a_run(2.0)], bulk.TARGET: [a_run(4.0), a_run(10.0)]}

    lines = report.postgres(Measured("usual", events=1000, bytes=2_000_000, runs=runs)).splitlines()

    assert f"### PostgreSQL. {PROFILES['usual'].title}: 1,000 events" == lines[0]
    assert "| tap-fullstory --to, COPY | 667 | 38% | 1.3 | 1,000.0 | 2 | 1 | 2 |" == lines[4]
    assert "| 4.5 (4.0 to 5.0) | 2 |" == lines[5][-24:]


def test_table_of_growth_leaves_the_start_out() -> None:
    """An event would seem to cost less in a larger bundle, or a start that takes long would hide that it costs more."""
    sizes = [
        Measured(
            "usual", events, events * 1000, {MESSAGES: [a_run(1.0, cpu=cpu)], bulk.FILES: [a_run(1.0, cpu=2 * cpu)]}
        )
        for events, cpu in ((1000, 1.001), (11_000, 1.011), (21_000, 1.051))
    ]
    bundles = [Bundled(10, 100, 146, sizes[0].runs), Bundled(110, 1100, 147, sizes[1].runs)]

    lines = report.growth(Grown(sizes, bundles)).splitlines()

    assert "| 1,000 | 1,001.0 | - | 2 | 2,002.0 | - | 2 |" in lines
    assert "| 11,000 | 91.9 | 1.0 | 2 | 183.8 | 2.0 | 2 |" in lines
    assert "| 21,000 | 50.0 | 4.0 | 2 | 100.1 | 8.0 | 2 |" in lines
    assert "| 10 | 146 | 100.1 | - | 2 | 200.2 | - | 2 |" in lines
    assert "| 110 | 147 | 9.2 | 0.1 | 2 | 18.4 | 0.2 | 2 |" in lines


def test_records_are_counted_and_the_last_state_is_found() -> None:
    """A run that lost events would count as one, and the size of some other message as that of the state."""
    lines = [
        '{"type":"SCHEMA","stream":"events"}',
        r'{"type":"RECORD","stream":"events","record":{"a":"\\n{\"type\":\"RECORD\""}}',
        '{"type":"STATE","value":{"a":1}}',
        '{"type": "RECORD","stream":"events","record":{}}',
        '{"type":"STATE","value":{"a":2}}',
    ]

    done = subprocess.run(
        ["sh", "-c", LAST_LINE], input="\n".join([*lines, ""]), capture_output=True, check=True, text=True
    )

    assert ["2", lines[-1]] == done.stdout.splitlines()


def test_table_has_the_types_of_the_schema() -> None:
    """COPY would fail, or texts would be compared with times."""
    properties = {
        "a": {"type": ["null", "string"], "format": "date-time"},
        "b": {"type": ["null", "integer"]},
        "c": {"type": ["string", "null"]},
        "d": {"type": ["null", "number"]},
    }
    catalog = {
        "streams": [{"tap_stream_id": "bundles"}, {"tap_stream_id": "events", "schema": {"properties": properties}}]
    }

    statements = bulk.definition(catalog)

    columns = '"a" timestamptz, "b" bigint, "c" text, "d" double precision'
    assert f"CREATE SCHEMA copied; CREATE TABLE copied.events ({columns})" == statements


def test_results_survive_their_file(tmp_path: Path) -> None:
    """`--render` would draw something else than what was measured."""
    runs = {TAP.name: [a_run(1.0)]}
    files = {bulk.FILES: [a_run(1.0)], bulk.COPY: [a_run(1.0)], MESSAGES: [a_run(1.0)]}
    results = Results({"date": "today"}, {"usual": {TAP.name: 5}}, [Measured("usual", 5, 10, runs)], {"--help": runs})
    results.pipelines = Piped(5, {JSONL: {TAP.name: [a_run(2.0)], "cat": [a_run(1.0)]}})
    results.parquet = results.postgres = [Measured("usual", 5, 10, files)]
    results.growth = Grown([Measured("usual", 5, 10, files)], [Bundled(10, 100, 146, files)])

    results.save(tmp_path / "results.json")

    assert results == Results.load(tmp_path / "results.json")
    assert "| target-jsonl | 2.0 s | 1.0 s | 1.0 s | 1.0 s | 2.0 | 1 |" in report.whole(results).splitlines()
    for part in (
        report.parquet(results.parquet[0]),
        report.postgres(results.postgres[0]),
        report.growth(results.growth),
    ):
        assert part in report.whole(results)


def test_every_program_has_a_look_of_its_own_in_the_picture() -> None:
    """A benchmark of an hour would end without results, or with two lines that look alike."""
    assert len(PROGRAMS) == len(picture.INK) == len(set(picture.COLOURS)) == len(set(picture.MARKERS))


def test_results_of_older_runs_are_read() -> None:
    """`--render` would fail until somebody has measured everything again."""
    assert Results.load(FIGURES).speed


@pytest.mark.parametrize(
    "profiles, sizes, expected",
    [
        (None, None, list(PLAN)),
        (["narrow"], None, [("narrow", 30_000)]),
        (None, [7], [("usual", 7)]),
        (["narrow", "custom5"], [7], [("narrow", 7), ("custom5", 7)]),
    ],
)
def test_what_is_compared_can_be_chosen(
    profiles: list[str] | None, sizes: list[int] | None, expected: list[tuple[str, int]]
) -> None:
    """Half an hour would pass for an answer that takes one."""
    assert expected == chosen(profiles, sizes)


def test_catalog_selects_only_what_is_named() -> None:
    """With other columns selected, the narrow comparison would measure something else."""
    entries = [
        {"breadcrumb": breadcrumb, "metadata": {}} for breadcrumb in ([], ["properties", "a"], ["properties", "b"])
    ]

    found = json.loads(selecting(json.dumps({"streams": [{"metadata": entries}]}), ["b"]))

    assert [True, False, True] == [entry["metadata"]["selected"] for entry in found["streams"][0]["metadata"]]


def test_names_are_custom_variables() -> None:
    """The tap would report thousands of unknown fields instead of reading custom variables."""
    names = custom_names()

    assert 300 == len(set(names))
    assert all(map(is_custom, names))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_array_is_parsed_in_pieces_of_any_size(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """An opponent that loses events would be faster than it is."""
    monkeypatch.setattr(reading, "CHUNK", size)
    events = [{"a": "},\n{"}, {"b": [1, {"c": "]"}]}, {}]

    text = ",\n".join(map(json.dumps, events))

    assert events == list(reading.parse_array(io.StringIO(f"[{text}]\n")))


def test_array_that_breaks_off_is_an_error() -> None:
    """Half a bundle would count as a whole one."""
    with pytest.raises(ValueError, match=r"Unterminated|delimiter|Expecting"):
        list(reading.parse_array(io.StringIO('[{"a": 1}, {"b"')))


SPOOL, EVENTS, RECORDS = (
    "/x/tap_fullstory/spool.py",
    "/x/tap_fullstory/streams/events.py",
    "/x/tap_fullstory/records.py",
)
LOCK = "/usr/lib/python3.11/threading.py"


@pytest.mark.parametrize(
    "stack, step",
    [
        (f"work ({SPOOL}:3);wait ({LOCK}:5)", profile.FETCH),
        (f"extract ({EVENTS}:9)", profile.SYNC),
        (f"extract ({EVENTS}:9);read ({RECORDS}:4)", profile.RECORDS),
        (f"extract ({EVENTS}:9);read ({RECORDS}:4);split_events (/x/tap_fullstory/bundles.py:4)", profile.RECORDS),
        (f"extract ({EVENTS}:9);to_utc (/x/tap_fullstory/moments.py:4)", profile.SYNC),
        ("<module> (/x/tap_fullstory/messages.py:1);<module> (/y/site-packages/singer/__init__.py:1)", profile.START),
        ("<module> (/x/bin/tap-fullstory:8)", profile.START),
    ],
)
def test_samples_belong_to_steps(stack: str, step: str) -> None:
    """The table would blame the wrong step."""
    assert {step: 1.0} == {name: share for name, share in shares(parse_stacks([f"{stack} 7"])).items() if share}


@pytest.mark.parametrize(
    "text, frame",
    [
        ("run (/home/me/tap/tap_fullstory/cli.py:12)", Frame("run", "tap_fullstory/cli.py", 12)),
        ("run (tap_fullstory/cli.py:12)", Frame("run", "tap_fullstory/cli.py", 12)),
        ("get (/e/lib/python3.11/site-packages/requests/api.py:1)", Frame("get", "requests/api.py", 1)),
        ("wait (/usr/lib/python3.11/threading.py:9)", Frame("wait", "threading.py", 9)),
        ("<module> (/home/me/.envs/bench-ours/bin/tap-fullstory:8)", Frame("<module>", "tap-fullstory", 8)),
        ("process 12", None),
    ],
)
def test_frames_name_no_folder_of_this_machine(text: str, frame: Frame | None) -> None:
    """The picture in the repository would tell how the machine is laid out on which it was made."""
    assert frame == profile.parse_frame(text)


def test_picture_holds_every_step_that_took_time() -> None:
    """A step could be missing in the picture."""
    stacks = parse_stacks([f"read ({RECORDS}:4) 75", f"work ({SPOOL}:3);<a> ({SPOOL}:5) 25"])

    drawn = profile.draw(profile.tree(stacks), 100)

    assert "from_events: 75.0%" in drawn
    assert "fetch: 25.0%" in drawn
    assert "&lt;a&gt;" in drawn
