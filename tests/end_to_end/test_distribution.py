"""What people install: wheel and sdist of a clean copy, what is in them, and that they run where nothing else is."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path, PurePosixPath

import pytest

from demo.processes import stop
from fullstory_emulator import Emulator, sample_bundles
from tap_fullstory import __version__
from tap_fullstory.about import CAPABILITIES, PYTHONS
from tests.end_to_end.pipeline import ROOT, TIMEOUT

pytestmark = pytest.mark.pipelines

TOOLS = ROOT / ".envs" / "dist" / "bin"
PACKAGES = ("tap_fullstory", "fullstory_emulator")
MOST_BYTES = 260_000  # of the wheel, without the emulator
ADDRESS = '"git+https://GIT-HOST/OWNER/tap-fullstory.git"'  # as the README has it
# What the tap needs, and what that needs; anything else would be ours alone.
RUNTIME = """
backoff certifi charset-normalizer ciso8601 idna isal jsonschema msgspec pendulum python-dateutil pytz requests
simplejson singer-python six tap-fullstory tzdata urllib3
""".split()


def environment(**variables: str) -> dict[str, str]:
    """Ours, without what would lead to the tree or to settings of the tap; builds are the same at any time."""
    dropped = re.compile("TAP_FULLSTORY_|PYTHON|VIRTUAL_ENV|PIPX_|UV_TOOL|LOGLEVEL")
    kept = {name: value for name, value in os.environ.items() if not dropped.match(name)}
    return {**kept, "SOURCE_DATE_EPOCH": "1700000000", "PYTHONUTF8": "1", **variables}


def run(*command: object, cwd: Path, **variables: str) -> str:
    """What a command prints, which has to succeed."""
    arguments = [str(one) for one in command]
    done = subprocess.run(
        arguments,
        cwd=cwd,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert 0 == done.returncode, f"{arguments}\n{done.stdout}{done.stderr}"
    return done.stdout


def pythons() -> dict[str, str]:
    """Every interpreter found that the tap might be installed for: version to path."""
    found = {"%d.%d" % sys.version_info[:2]: sys.executable}
    for version in [*PYTHONS, "3.14"]:
        command = [str(ROOT / "scripts" / "find-python"), version]
        path = subprocess.run(command, capture_output=True, encoding="utf-8", check=False).stdout.strip()
        if path:
            found.setdefault(version, path)
    return dict(sorted(found.items(), key=lambda item: int(item[0].partition(".")[2])))


INTERPRETERS = pythons()


@dataclass
class Built:
    """What `python -m build` leaves behind."""

    sdist: Path
    wheel: Path  # made of the sdist
    wheel_of_tree: Path  # made as the README says

    def metadata(self) -> "Message[str, str]":
        """The METADATA of the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            return BytesParser().parsebytes(archive.read(name))


@pytest.fixture(scope="module")
def built(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Wheel and sdist; the tree itself stays as it is."""
    folder = tmp_path_factory.mktemp("built")
    copy = folder / "copy"
    run("git", "clone", "--quiet", tree, copy, cwd=folder)
    run(TOOLS / "python", "-m", "build", "--outdir", folder / "dist", copy, cwd=folder)
    run(
        TOOLS / "python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "of_tree", ".", cwd=copy
    )
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    (wheel_of_tree,) = (folder / "of_tree").glob("*.whl")
    return Built(sdist, wheel, wheel_of_tree)


@pytest.fixture(autouse=True)
def tools() -> None:
    """What builds and installs; it has an environment of its own."""
    assert TOOLS.exists(), "These tests need an environment of their own: run them with `make test-pipelines`."


def install(package: object, folder: Path, python: str = sys.executable, constraints: str = "constraints.txt") -> Path:
    """Install into an environment that holds nothing else; its folder of commands."""
    run(python, "-m", "venv", "--without-pip", folder / "environment", cwd=folder)
    pip(folder / "environment", "install", "--quiet", "-c", ROOT / constraints, package)
    return folder / "environment" / "bin"


def pip(folder: Path, *arguments: object) -> str:
    """pip, for an environment that has none: what it prints."""
    command = (TOOLS / "python", "-m", "pip", "--python", folder, "--no-input", *arguments)
    return run(*command, cwd=folder)


def pinned(constraints: str) -> dict[str, set[str]]:
    """What a file of constraints admits: name to releases; there can be two, for two versions of Python."""
    found: dict[str, set[str]] = {}
    for name, release in re.findall(r"^([\w.-]+)==([^;\s]+)", (ROOT / constraints).read_text("utf-8"), re.MULTILINE):
        found.setdefault(canonical(name), set()).add(release)
    return found


def canonical(name: str) -> str:
    """The name of a package as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def sync(tap: Path, folder: Path, url: str, key: str) -> list[dict[str, object]]:
    """The messages of a run of an installed tap."""
    settings = {"api_key": key, "api_url": url, "export_url": url, "spool_dir": str(folder), "start_date": "2020-01-01"}
    (folder / "config.json").write_text(json.dumps(settings), "utf-8")
    printed = run(tap, "--config", "config.json", cwd=folder)
    return [json.loads(line) for line in printed.splitlines()]


def assert_all_of_the_sample(messages: list[dict[str, object]]) -> None:
    """The records are those of the 144 real events, and the state says so."""
    kinds = [message["type"] for message in messages]
    assert ("SCHEMA", 144, "STATE") == (kinds[0], kinds.count("RECORD"), kinds[-1])
    starts = [event["EventStart"] for bundle in sample_bundles() for event in bundle.read_events()]
    records = [message["record"] for message in messages if message["type"] == "RECORD"]
    assert sorted(starts) == sorted(record["EventStart"] for record in records if isinstance(record, dict))
    assert f'"done": [{sample_bundles()[-1].id}]' in json.dumps(messages[-1])


def test_wheel_holds_the_packages_and_nothing_else(built: Built, tree: Path) -> None:
    """A schema that is left out breaks every installed tap, and tests or benchmarks are of no use there."""
    expected = {
        path.relative_to(tree).as_posix()
        for package in PACKAGES
        for path in (tree / package).rglob("*")
        if path.is_file() and path.name != "README.md"
    }
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
        about = {name for name in names if PurePosixPath(name).parts[0] == f"tap_fullstory-{__version__}.dist-info"}
        (licence,) = [name for name in about if name.endswith("/LICENSE")]

        assert expected == names - about
        assert (tree / "LICENSE").read_bytes() == archive.read(licence)
        for name in expected:
            assert (tree / name).read_bytes() == archive.read(name), name
    assert {"tap_fullstory/py.typed", "tap_fullstory/schemas/bundles.json", "fullstory_emulator/data/LICENSE"} <= names


def test_wheel_is_small(built: Built) -> None:
    """What starts every few minutes in a fresh container should not bring anything that it does not use."""
    with zipfile.ZipFile(built.wheel) as archive:
        largest = sorted(archive.infolist(), key=lambda one: -one.compress_size)
    emulator = sum(one.compress_size for one in largest if one.filename.startswith("fullstory_emulator/"))
    promised = re.search(r"The wheel is\ssmaller than (\d+) kB", (ROOT / "README.md").read_text("utf-8"))
    assert promised

    found = built.wheel.stat().st_size
    assert MOST_BYTES > found - emulator, [(one.filename, one.compress_size) for one in largest[:10]]
    assert 1000 * int(promised[1]) > found, [(one.filename, one.compress_size) for one in largest[:10]]


def test_sdist_builds_the_same_wheel(built: Built) -> None:
    """Who installs from the sdist, or builds it another day, would get something else than was tested."""
    assert built.wheel.name == built.wheel_of_tree.name
    assert built.wheel.read_bytes() == built.wheel_of_tree.read_bytes()


def test_sdist_holds_what_a_package_is_made_of(built: Built, tree: Path) -> None:
    """Packagers look for licence, changes and constraints; nobody needs our benchmarks, and no settings may slip in."""
    with tarfile.open(built.sdist) as archive:
        names = {PurePosixPath(one.name).relative_to(f"tap_fullstory-{__version__}") for one in archive if one.isfile()}
    outside = {str(name) for name in names if name.parts[0] not in PACKAGES and ".egg-info" not in name.parts[0]}

    documents = {"CHANGELOG.md", "LICENSE", "README.md", "sample_config.json"}
    sources = {"MANIFEST.in", "PKG-INFO", "pyproject.toml", "setup.cfg", "setup.py"}
    assert documents | sources | {"constraints.txt", "constraints-lowest.txt"} == outside
    assert PurePosixPath("fullstory_emulator/README.md") in names


def test_metadata(built: Built) -> None:
    """Installers and people choose by it: a wrong version of Python, licence or address leads them astray."""
    found = built.metadata()
    urls = found.get_all("Project-URL") or []
    classifiers = found.get_all("Classifier") or []

    assert ("tap-fullstory", __version__) == (found["Name"], found["Version"])
    assert ("Apache-2.0", ">=3.10") == (found["License-Expression"], found["Requires-Python"])
    assert list(PYTHONS) == [one.rpartition(" ")[2] for one in classifiers if "Python :: 3." in one]
    assert {"emulator", "parquet", "s3", "gcs", "spark", "test", "dev"} == set(found.get_all("Provides-Extra") or [])
    assert found["Summary"] and found["Keywords"]
    # the repository has no fixed address, and the name in the public index is another project's
    assert {"developer.fullstory.com", "www.singer.io"} == {url.split("/")[2] for url in urls}
    assert found["Home-page"] is None
    description = found.get_payload()
    assert isinstance(description, str)
    assert "append only" in description
    assert all("://" in link for link in re.findall(r"\]\(([^)]+)\)", description)), "leads nowhere outside of the tree"


def test_an_index_would_take_it(built: Built) -> None:
    """A private index checks the same as the public one: metadata that cannot be rendered is refused."""
    run(TOOLS / "twine", "check", "--strict", built.wheel, built.sdist, cwd=built.wheel.parent)


@pytest.mark.parametrize("constraints", ["constraints.txt", "constraints-lowest.txt"])
@pytest.mark.parametrize("version", INTERPRETERS)
def test_installed_wheel(version: str, constraints: str, built: Built, tmp_path: Path, shop: Emulator) -> None:
    """The tap would not start, or lose something, where only what it asks for is installed."""
    commands = install(built.wheel, tmp_path, INTERPRETERS[version], constraints)
    tap = commands / "tap-fullstory"

    listed = json.loads(pip(commands.parent, "list", "--format=json"))
    packages = {canonical(one["name"]): one["version"] for one in listed}
    assert set(RUNTIME) == set(packages)
    admitted = pinned(constraints)
    assert {} == {
        name: release
        for name, release in packages.items()
        if name != "tap-fullstory" and release not in admitted.get(name, ())
    }
    pip(commands.parent, "check")

    code = "import sys, tap_fullstory; print('%d.%d' % sys.version_info[:2], tap_fullstory.__file__)"
    where = run(commands / "python", "-c", code, cwd=tmp_path)
    assert where.startswith(f"{version} {commands.parent}/")
    assert f"tap-fullstory {__version__}\n" == run(tap, "--version", cwd=tmp_path)
    assert "usage: tap-fullstory" in run(tap, "--help", cwd=tmp_path)
    assert f"fullstory-user {__version__}\n" == run(commands / "fullstory-user", "--version", cwd=tmp_path)
    assert f"tap-fullstory-report {__version__}\n" == run(commands / "tap-fullstory-report", "--version", cwd=tmp_path)
    about = json.loads(run(tap, "--about", "--format", "json", cwd=tmp_path))
    assert ([*CAPABILITIES], __version__) == (about["capabilities"], about["version"])
    assert (ROOT / "catalog.json").read_text("utf-8") == run(tap, "--discover", cwd=tmp_path)

    shop.bundles = sample_bundles()
    assert_all_of_the_sample(sync(tap, tmp_path, shop.url, shop.api_key))


def test_installed_sdist(built: Built, tmp_path: Path, shop: Emulator) -> None:
    """Who builds everything from source would be left without a tap."""
    tap = install(built.sdist, tmp_path) / "tap-fullstory"
    shop.bundles = sample_bundles()

    assert f"tap-fullstory {__version__}\n" == run(tap, "--version", cwd=tmp_path)
    assert_all_of_the_sample(sync(tap, tmp_path, shop.url, shop.api_key))


def test_installed_emulator(built: Built, tmp_path: Path) -> None:
    """Who wants to try the tap without an account and without a clone could not."""
    commands = install(f"{built.wheel}[emulator]", tmp_path)
    command = [str(commands / "python"), "-m", "fullstory_emulator", "--sample", "--port", "0"]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        )
    try:
        assert process.stdout is not None
        greeting = process.stdout.readline().decode() + process.stdout.readline().decode()
        found = re.fullmatch(r"Fullstory emulator: (\S+)\n  API key   (\S+)\n", greeting)
        assert found, greeting + (tmp_path / "log").read_text("utf-8")
        assert_all_of_the_sample(sync(commands / "tap-fullstory", tmp_path, found[1], found[2]))
    finally:
        stop(process, signal.SIGTERM, patience=TIMEOUT)
        assert process.stdout is not None
        process.stdout.close()
    assert 0 == process.returncode


@pytest.mark.parametrize(
    "command",
    [
        "pipx install ADDRESS",
        'pipx install --pip-args="-c constraints.txt" ADDRESS',
        "uv tool install ADDRESS",
        "uv tool install -c constraints.txt ADDRESS",
    ],
)
def test_installed_from_a_git_address(command: str, tree: Path, tmp_path: Path, shop: Emulator) -> None:
    """The commands in the README would install nothing, or the package of that name in the public index."""
    assert f"\n$ {command.replace('ADDRESS', ADDRESS)}\n" in (ROOT / "README.md").read_text("utf-8")
    folders = {
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_MAN_DIR": str(tmp_path / "man"),
        "UV_TOOL_DIR": str(tmp_path / "uv"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
        "PATH": f"{TOOLS}:{os.environ['PATH']}",
    }
    run("bash", "-c", command.replace("ADDRESS", f"git+file://{tree}"), cwd=tree, **folders)
    tap = tmp_path / "bin" / "tap-fullstory"
    shop.bundles = sample_bundles()

    assert f"tap-fullstory {__version__}\n" == run(tap, "--version", cwd=tmp_path)
    assert_all_of_the_sample(sync(tap, tmp_path, shop.url, shop.api_key))
