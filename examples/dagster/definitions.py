"""Fullstory's events in Dagster: a partition for each day, read by one run of `tap-fullstory --to`.

README.md beside this file says how to start it and what the variables are.
"""

import json
import os
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
from upath import UPath

LATER = {69, 75}  # exit statuses of what passes by itself: Fullstory cannot be reached, or wants us to come later
TRIES = 25
# A day's bundle comes 24 hours after its end, the next one 24 hours later, and two hours are there for reading it.
OLDEST = timedelta(hours=50)

# A day has its partition from 24 hours after its end on: before that there is no bundle of it.
days = dg.DailyPartitionsDefinition(os.environ["FULLSTORY_START"], end_offset=-1)


class Tap(dg.ConfigurableResource):
    """The command, and where its files are. The key is in none of these: it stays in the tap's own settings."""

    command: str
    config: str
    to: str
    states: str
    wait: int  # seconds until a day is tried again

    def state(self, day: str) -> Path:
        """Return the file that says how far a day is read."""
        return Path(self.states) / f"{day}.json"

    def place(self, day: str) -> str:
        """Return where the files of a day are."""
        return f"{self.to.rstrip('/')}/day={day}"

    def run(self, day: str, window: dg.TimeWindow, log: dg.DagsterLogManager) -> tuple[int, str]:
        """Read what is missing of a day; return the exit status, and the last line that was printed."""
        self.state(day).parent.mkdir(parents=True, exist_ok=True)
        settings = ["--config", self.config, "--config", "ENV"]  # ENV: also what TAP_FULLSTORY_… say
        command = [self.command, *settings, "--state", str(self.state(day)), "--to", self.place(day)]
        span = {"TAP_FULLSTORY_START_DATE": to_text(window.start), "TAP_FULLSTORY_END_DATE": to_text(window.end)}
        with subprocess.Popen(
            command, env={**os.environ, **span}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as tap:
            assert tap.stdout
            last = ""
            try:
                for line in tap.stdout:
                    last = line.strip() or last
                    log.info(last)
            except BaseException:  # Dagster ends the run: the tap writes its state, and ends within 5 seconds
                tap.terminate()
                tap.communicate()
                raise
        return tap.returncode, last


@dg.asset(
    partitions_def=days,
    pool="fullstory",  # Fullstory allows two downloads a minute; dagster.yaml says how many runs share them
    check_specs=[dg.AssetCheckSpec("no_gaps", asset="fullstory_events", description="Bundles cover the whole day.")],
)
def fullstory_events(context: dg.AssetExecutionContext, tap: Tap) -> dg.MaterializeResult:
    """The events of a day, as Parquet files."""
    day, window = context.partition_key, context.partition_time_window
    state, end = tap.state(day), to_text(window.end)
    if state.exists() and bookmark(state)["until"] == end:
        state.unlink()  # the day is wanted once more; one that is not finished is gone on with

    status, last = tap.run(day, window, context.log)
    later = dg.RetryRequested(max_retries=TRIES - 1, seconds_to_wait=tap.wait)
    if status in LATER:
        raise later from dg.Failure(f"Status {status}: {last}")
    if status:
        raise dg.Failure(f"Status {status}: {last}", allow_retries=False)
    read = bookmark(state)
    if read["until"] != end:
        raise later from dg.Failure(f"Fullstory has no bundle yet that ends at {end} or later.")

    # of all attempts together: what the tap prints is about the last one
    manifests = sorted(UPath(tap.place(day)).glob("_manifests/*.json"))
    contents = [json.loads(manifest.read_text("utf-8")) for manifest in manifests]
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": tap.place(day),
            "dagster/partition_row_count": sum(one["rows"] for one in contents),
            "files": sum(len(one["files"]) for one in contents),
            "bytes": sum(one["bytes"] for one in contents),
            "manifests": [str(manifest) for manifest in manifests],
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="no_gaps",
                passed=not read["gaps"],
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"gaps": read["gaps"]},
            )
        ],
    )


@dg.asset_check(asset=fullstory_events, description="The newest day ended no more than 50 hours ago.")
def fresh(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Look at the days, not at when they were read: else a backfill of last year would pass for news."""
    read = context.instance.get_materialized_partitions(fullstory_events.key)
    if not read:
        return dg.AssetCheckResult(passed=False, description="No day is read yet.")
    age = datetime.now(timezone.utc) - days.time_window_for_partition_key(max(read)).end
    return dg.AssetCheckResult(
        passed=age <= OLDEST, description=f"{max(read)} ended {age / timedelta(hours=1):.1f} h ago."
    )


def bookmark(state: Path) -> Any:
    """Return what a state says of the stream `events`."""
    return json.loads(state.read_text("utf-8"))["bookmarks"]["events"]


def to_text(moment: datetime) -> str:
    """Return a moment as settings and states have it."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# `fresh` is not looked at by each run of a backfill, but by a schedule of its own.
load = dg.define_asset_job("load", dg.AssetSelection.assets(fullstory_events) - dg.AssetSelection.checks(fresh))
look = dg.define_asset_job("look", dg.AssetSelection.checks(fresh))

defs = dg.Definitions(
    executor=dg.in_process_executor,  # a run is one step
    assets=[fullstory_events],
    asset_checks=[fresh],
    jobs=[load, look],
    schedules=[
        dg.build_schedule_from_partitioned_job(load, name="daily", hour_of_day=1),
        dg.ScheduleDefinition(name="hourly", job=look, cron_schedule="30 * * * *"),
    ],
    resources={
        "tap": Tap(
            command=dg.EnvVar("FULLSTORY_TAP"),
            config=dg.EnvVar("FULLSTORY_CONFIG"),
            to=dg.EnvVar("FULLSTORY_TO"),
            states=dg.EnvVar("FULLSTORY_STATES"),
            wait=int(os.environ.get("FULLSTORY_WAIT", "3600")),
        )
    },
)
