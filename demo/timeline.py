"""The page of a session, which the demo leaves behind: what is run for it, and where it is kept."""

import shutil
from pathlib import Path

from demo.postgres import Postgres

FOLDER = Path(__file__).resolve().parent
PROGRAMS = FOLDER.parent / "examples" / "timeline"
NAME = "timeline.html"
REPLAY_ROOT = "https://app.fullstory.com/ui/o-DEMO-na1/session/"  # of the account that the emulator has


def command(postgres: Postgres) -> str:
    """What draws a session out of the table of the demo; it finds the password in `environment`."""
    place = f"postgresql://{postgres.user}@{postgres.host}:{postgres.port}/{postgres.database}"
    return f"timeline.py --from {place} --table fullstory.events \\\n  --replay-root {REPLAY_ROOT} -o {NAME}"


def environment(postgres: Postgres) -> dict[str, str]:
    """What the command needs beside its arguments, which everybody on this machine can see."""
    return {"PGPASSWORD": postgres.password}


def keep(page: Path) -> str:
    """Copy *page* to where it outlives the demo; return where that is, or why it is not there."""
    try:
        shutil.copyfile(page, FOLDER / NAME)
    except OSError as error:  # somebody else's clone, or one that can only be read
        return f"demo/{NAME} cannot be written ({error.strerror}): the page is gone after the demo."
    return f"demo/{NAME}   one visitor's session; open it in a browser"
