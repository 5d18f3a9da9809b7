"""The pages that the demo leaves behind: what is run for them, and where they are kept."""

import shutil
from pathlib import Path

from demo.postgres import Postgres

FOLDER = Path(__file__).resolve().parent
PROGRAMS = FOLDER.parent / "examples" / "timeline"
TIMELINE, REPORT = "timeline.html", "report.html"
WHAT = {TIMELINE: "one visitor's session", REPORT: "the runs: is all well, and what has arrived"}
REPORTS = "reports"  # the folder in which the runs of the demo leave what the second one shows
REPLAY_ROOT = "https://app.fullstory.com/ui/o-DEMO-na1/session/"  # of the account that the emulator has


def report() -> str:
    """What draws the runs of the demo."""
    return f"tap-fullstory-report {REPORTS} -o {REPORT}"


def timeline(postgres: Postgres) -> str:
    """What draws a session out of the table of the demo; it finds the password in `environment`."""
    place = f"postgresql://{postgres.user}@{postgres.host}:{postgres.port}/{postgres.database}"
    return f"timeline.py --from {place} --table fullstory.events \\\n  --replay-root {REPLAY_ROOT} -o {TIMELINE}"


def environment(postgres: Postgres) -> dict[str, str]:
    """What that needs beside its arguments, which everybody on this machine can see."""
    return {"PGPASSWORD": postgres.password}


def keep(page: Path) -> str:
    """Copy *page* to where it outlives the demo; return where that is, or why it is not there."""
    try:
        shutil.copyfile(page, FOLDER / page.name)
    except OSError as error:  # somebody else's clone, or one that can only be read
        return f"demo/{page.name} cannot be written ({error.strerror}): the page is gone after the demo."
    return f"demo/{page.name:<{len(TIMELINE)}}   {WHAT[page.name]}"
