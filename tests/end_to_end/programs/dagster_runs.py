"""`python dagster_runs.py`: runs jobs of examples/dagster in this one process; the example is in the current folder.

Reads requests from stdin, a JSON object a line, and answers each by one on stdout. Runs in the environment of Dagster,
which takes seconds to import.
"""

import json
import os
import sys
from collections import defaultdict
from contextlib import redirect_stdout
from datetime import datetime
from typing import Any

import dagster as dg
from definitions import defs


def run(instance: dg.DagsterInstance, job: str, day: "str | None") -> dict[str, Any]:
    """What became of a run."""
    result = defs.resolve_job_def(job).execute_in_process(instance=instance, partition_key=day, raise_on_error=False)
    events = result.all_events
    return {
        "success": result.success,
        "retries": sum(event.is_step_up_for_retry for event in events),
        "failures": [str(event.event_specific_data.error) for event in events if event.is_step_failure],
        "reasons": [str(event.event_specific_data.error) for event in events if event.is_step_up_for_retry],
        "materialized": [metadata(event.materialization) for event in result.get_asset_materialization_events()],
        "checks": {
            one.check_name: {"passed": one.passed, "severity": one.severity.value, "description": one.description}
            for one in result.get_asset_check_evaluations()
        },
        "log": [entry.user_message for entry in instance.all_logs(result.run_id)],
    }


def metadata(materialization: dg.AssetMaterialization) -> dict[str, Any]:
    """What a materialization says, and of which partition."""
    return {"day": materialization.partition} | {name: one.value for name, one in materialization.metadata.items()}


def tick(instance: dg.DagsterInstance, schedule: str, at: str) -> list[Any]:
    """The partitions that a schedule asks for at a moment."""
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=datetime.fromisoformat(at))
    data = defs.resolve_schedule_def(schedule).evaluate_tick(context)
    return [request.partition_key for request in data.run_requests or []]


def answer(instance: dg.DagsterInstance, request: dict[str, Any]) -> Any:
    """Do what is asked for."""
    os.environ.update(request["environment"])
    if "pools" in request:
        with dg.DagsterInstance.from_config(request["environment"]["DAGSTER_HOME"]) as stored:
            return {pool.name: pool.limit for pool in stored.event_log_storage.get_pool_limits()}
    if "schedule" in request:
        return tick(instance, request["schedule"], request["at"])
    return run(instance, request["job"], request.get("day"))


if __name__ == "__main__":
    stdout = sys.stdout
    instances: defaultdict[str, dg.DagsterInstance] = defaultdict(dg.DagsterInstance.ephemeral)  # in memory, by folder
    for line in sys.stdin:
        with redirect_stdout(sys.stderr):
            request = json.loads(line)
            answered = answer(instances[request["environment"]["DAGSTER_HOME"]], request)
        print(json.dumps(answered, default=str), file=stdout, flush=True)
