"""examples/systemd/: the service works with what systemd would give it, and systemd finds no fault with the units."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.job import SCRIPT, Job, bundle, until
from tests.end_to_end.pipeline import ROOT, TAP, TIMEOUT

UNITS = ROOT / "examples" / "systemd"
SERVICE, TIMER = UNITS / "tap-fullstory.service", UNITS / "tap-fullstory.timer"
INSTALLED = "/usr/local/bin/tap-fullstory.sh"
# Where a service's folders are, by the setting that asks for them.
FOLDERS = {"StateDirectory": "/var/lib", "CacheDirectory": "/var/cache"}
MOST_EXPOSED = 2.0  # of 10, by systemd's own measure; a service without any hardening has 9.6


def values(name: str) -> list[str]:
    """All values of a setting of the service."""
    return re.findall(rf"^{name}=(.*)$", SERVICE.read_text("utf-8"), re.MULTILINE)


class Machine:
    """What systemd would give the service, below a folder of our own."""

    def __init__(self, root: Path, job: Job) -> None:
        self._root = root
        self._job = job
        self.credentials = root / "run" / "credentials"
        self.state, self.cache = (self._at(f"{at}/{values(name)[0]}") for name, at in FOLDERS.items())
        for folder in (self.credentials, self.state, self.cache):
            folder.mkdir(parents=True)

    def _at(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def load_credentials(self) -> None:
        """Hand over the settings, read-only, each under its name."""
        for value in values("LoadCredential"):
            name, _, source = value.partition(":")
            there = self.credentials / name
            there.unlink(missing_ok=True)
            shutil.copy(self._job.folder / Path(source).name, there)
            there.chmod(0o400)

    def environment(self) -> dict[str, str]:
        """The variables of the service."""
        own = {
            "CREDENTIALS_DIRECTORY": str(self.credentials),
            "STATE_DIRECTORY": str(self.state),
            "CACHE_DIRECTORY": str(self.cache),
        }
        own |= dict(text.split("=", 1) for text in values("Environment"))
        assert "/usr/bin:/bin" == own["PATH"].removeprefix("/opt/tap-fullstory/bin:/opt/target-postgres/bin:")
        own["PATH"] = f"{TAP.parent}:{self._job.bin}:/usr/bin:/bin"  # where they are here
        return own | {"TMPDIR": own["TMPDIR"].replace("%C", str(self._at("/var/cache")))}

    def command(self) -> list[str]:
        """The line of the service, as systemd takes it apart."""
        program, *arguments = values("ExecStart")[0].split()
        assert INSTALLED == program
        return [str(SCRIPT), *(word.replace("${CREDENTIALS_DIRECTORY}", str(self.credentials)) for word in arguments)]

    def run(self) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        self.load_credentials()
        return subprocess.run(
            self.command(),
            cwd="/",
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def bookmark(self) -> list[int]:
        """What the state says is done."""
        state = json.loads((self.state / "state.json").read_text())
        done: list[int] = state["bookmarks"]["events"]["done"]
        return done


@pytest.fixture
def machine(job: Job, tmp_path: Path) -> Machine:
    """A machine with the service and an account with two bundles."""
    return Machine(tmp_path / "root", job)


def test_each_run_of_the_service_loads_what_is_new(machine: Machine, job: Job) -> None:
    """Its line would not work, or forget the state with the folder of the settings, which is new each time."""
    first = machine.run()
    job.shop.bundles = [bundle(0), bundle(1), bundle(2)]
    second = machine.run()

    assert [0, 0] == [first.returncode, second.returncode], first.stderr + second.stderr
    assert job.expected_pages() == job.pages()
    assert [bundle(2).id] == machine.bookmark()
    assert {"state.json", "lock"} == {path.name for path in machine.state.iterdir()}
    assert {"config.json", "target.json"} == {path.name for path in machine.credentials.iterdir()}
    assert [] == [*machine.cache.iterdir()]


def test_what_it_says_is_in_the_journal_without_the_key(machine: Machine, job: Job) -> None:
    """Who asks `journalctl` why nothing is loaded would find nothing, or everybody would find the key."""
    job.write_config(api_key="revoked-key")

    run = machine.run()

    assert (77, "") == (run.returncode, run.stdout)
    assert "CRITICAL Fullstory refused the API key" in run.stderr
    assert "tap 77" in run.stderr.splitlines()[-1]
    assert "revoked-key" not in run.stderr + SERVICE.read_text("utf-8") + json.dumps(machine.environment())


def test_a_bundle_on_its_way_survives_the_service(machine: Machine, job: Job) -> None:
    """In a folder that is removed with the service (PrivateTmp) it would have to be downloaded again."""
    job.shop.bundles = [bundle(0, events=20_000)]
    job.write_config(checkpoint_records=500)
    job.write_target_config("waits")
    machine.load_credentials()
    journal = job.folder / "journal"
    with open(journal, "wb") as stderr:
        process = subprocess.Popen(
            machine.command(),
            env=machine.environment(),
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    assert until((machine.state / "state.json").exists)
    (waiting,) = machine.cache.iterdir()
    process.terminate()
    assert until(lambda: "stopping the tap" in journal.read_text())
    (job.folder / "stored.go").touch()

    assert 143 == process.wait(TIMEOUT)
    assert [waiting] == [*machine.cache.iterdir()]
    assert 0 == machine.run().returncode
    assert job.expected_pages() == job.pages()
    assert 1 == job.shop.count("/api/v1/export/get")
    assert [] == [*machine.cache.iterdir()]


def analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """What systemd says about units; it does not have to run for that."""
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=TIMEOUT, check=False)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A copy of the units, with the script where it is here."""
    folder = tmp_path / "units"
    folder.mkdir()
    for path in (SERVICE, TIMER):
        text = path.read_text("utf-8")
        (folder / path.name).write_text(text.replace(f"ExecStart={INSTALLED}", f"ExecStart={SCRIPT}"))
    return folder


@pytest.mark.pipelines
def test_systemd_finds_no_mistake(units: Path) -> None:
    """A setting that is misspelt is ignored, one that contradicts another keeps the service from starting."""
    found = analyze("verify", *(str(path) for path in units.iterdir()))

    assert (0, "") == (found.returncode, found.stderr)


@pytest.mark.pipelines
@pytest.mark.parametrize(
    "line, what",
    [("RestartForceExitStatus=75", "isn't allowed"), ("KillModus=mixed", "Unknown key"), ("RestartSec=soon", "Failed")],
)
def test_systemd_finds_mistakes(units: Path, line: str, what: str) -> None:
    """A check that finds nothing at all would make the test above pass."""
    path = units / SERVICE.name
    path.write_text(path.read_text().replace("Type=oneshot", f"Type=oneshot\n{line}"))

    assert what in analyze("verify", str(path)).stderr


@pytest.mark.pipelines
def test_the_service_is_shut_in(units: Path) -> None:
    """Whoever gets into tap or target, by a hole in a library, would get into the machine."""
    path = units / SERVICE.name
    check = ("security", "--offline=true", f"--threshold={MOST_EXPOSED * 10:.0f}", "--no-pager", str(path))

    hardened = analyze(*check)
    text = path.read_text()
    path.write_text(text[: text.index("DynamicUser=")])
    open_to_all = analyze(*check)

    assert 0 == hardened.returncode, hardened.stdout + hardened.stderr
    assert 0 != open_to_all.returncode


@pytest.mark.pipelines
def test_the_timer_elapses_each_hour() -> None:
    """A moment that systemd cannot read would never come."""
    (moment,) = re.findall(r"^OnCalendar=(.*)$", TIMER.read_text("utf-8"), re.MULTILINE)

    assert "*-*-* *:00:00" in analyze("calendar", moment).stdout
