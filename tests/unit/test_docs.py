"""The documents say what the code does: nothing generated is stale, nothing named is missing, nothing is left out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from itertools import chain
from pathlib import Path
from types import ModuleType

import pytest

from tap_fullstory import __version__, config, dictionary, errors
from tap_fullstory.about import about
from tests import evidence
from tests.end_to_end import targets
from tests.integration import fault_matrix

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
MELTANO = (ROOT / "meltano.yml").read_text("utf-8")
EXAMPLES = ROOT / "examples"

# All places from which people copy commands.
COPIED_FROM = sorted(
    path
    for path in chain(
        ROOT.glob("*.md"),
        ROOT.glob("*.yml"),
        ROOT.glob("hub/*.yml"),
        ROOT.glob("fullstory_emulator/*.md"),
        ROOT.glob("examples/**/*"),
        ROOT.glob("demo/*.py"),
        ROOT.glob("tap_fullstory/**/*.py"),
        [ROOT / "Makefile", ROOT / "Dockerfile"],
    )
    if path.is_file()
)
TOP_LEVEL = {"tap_fullstory", "fullstory_emulator", "tests", "demo", "soak", "examples", "hub", "scripts", ".ci"}
LEFT_BY_DEMO = {"demo/timeline.html", "demo/report.html"}

# `pip install`, `pipx run`, `uv tool install`, `meltano add`, … up to the end of the command.
_INSTALL = re.compile(
    r"\b(?:(?:pip3?|pipx|uv|poetry|pdm|conda|mamba)\b[^\n`]*?\b(?:install|add|run|inject|download)|meltano add|uvx)\b"
    r"([^\n`;|&]*)"
)
_BARE_NAME = re.compile(r"tap[-_.]?fullstory(?:\[[^\]]*\])?(?:[=<>!~@].*)?", re.IGNORECASE)


def load_update_docs() -> ModuleType:
    """scripts/update-docs as a module; it is a command, so its name has no ending."""
    loader = SourceFileLoader("update_docs", str(ROOT / "scripts" / "update-docs"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    """What scripts/update-docs would write."""
    made: dict[str, str] = load_update_docs().documents()
    return made


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "meltano.yml",
        "hub/tap-fullstory.yml",
        "examples/sql/create_postgres.sql",
        "examples/sql/create_snowflake.sql",
    ],
)
def test_generated_parts_are_current(name: str, documents: dict[str, str]) -> None:
    """Settings, columns and `--help` stand in the documents as the code has them. If not: scripts/update-docs."""
    assert documents[name] == (ROOT / name).read_text("utf-8")


def test_catalog_json_is_what_discover_prints() -> None:
    """The catalog in the repository is byte for byte what the command prints with default settings."""
    printed = subprocess.run(
        [sys.executable, "-m", "tap_fullstory", "--discover"], cwd=ROOT, capture_output=True, check=True
    ).stdout

    assert printed == (ROOT / "catalog.json").read_bytes()


def test_every_capability_is_shown_by_a_test_that_ran() -> None:
    """The README and `--about` would promise what nobody has tried, or keep quiet about what works."""
    assert {*about()["capabilities"]} == {name for _, (name,) in evidence.rows("capabilities")}


def test_every_target_is_shown_by_tests_that_ran() -> None:
    """The README would recommend what nobody has tried, or keep quiet about what works."""
    part = README.partition("<!-- begin targets: ")[2].partition("<!-- end targets -->")[0]
    packages = re.findall(r"^\| (\S+) \d\S*[ ,|]", part, re.MULTILINE)

    assert [way.package for way in targets.WAYS] == packages
    assert "| BigQuery, Redshift: not tried |" in part
    assert "not shown" not in part
    assert "?" not in part


def test_what_was_not_shown_is_not_in_the_table_of_targets() -> None:
    """One test of many that passes would be enough for a promise."""
    facts = evidence.rows(targets.TABLE)
    for part in (targets.VALUES, targets.NEW, targets.KILLED):
        left = [(test, fact) for test, fact in facts if fact[1:] != [targets.WITH, part]]
        assert len(targets.WAYS) == targets.table(left).count("| not shown |")
    assert "not shown" not in targets.table(facts)


def test_update_docs_writes_nothing_when_all_is_current() -> None:
    """The check that people run by hand agrees with these tests."""
    run = subprocess.run(
        [sys.executable, "scripts/update-docs", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (0, "", "") == (run.returncode, run.stdout, run.stderr)


def test_update_docs_sees_what_is_stale() -> None:
    """A generator that returned what is there already would make the tests above pass for ever."""
    update_docs = load_update_docs()
    stale = README.replace("| `prefetch` |", "| `prefetched` |")
    assert stale != README

    assert README == update_docs.replaced(stale, "settings", update_docs.settings_table(), "<!-- {} -->")


def test_readme_has_every_setting() -> None:
    """One row for each setting, and none for a setting that is gone; independent of how the table is made."""
    assert [setting.name for setting in config.SETTINGS] == rows_of("begin settings", "end settings")


def test_readme_has_every_column() -> None:
    """One row for each column, in the order of the schema with a key."""
    assert list(dictionary.schema(event_key=True)["properties"]) == rows_of("begin columns", "end columns")


def test_readme_has_every_fault() -> None:
    """One row for each fault that is tried, with statuses that the table of exit statuses explains."""
    part = README.partition("<!-- begin faults: ")[2].partition("<!-- end faults -->")[0]
    explained = README.partition("\n## Exit statuses\n")[2].partition("\n## ")[0]

    assert [row.what for row in fault_matrix.ROWS] == re.findall(r"^\| ([^|]+) \| [a-z]", part, re.MULTILINE)[1:]
    assert all(f"\n| {status} |" in explained for status in re.findall(r"ends with (\d+)", part))


def test_help_comparison_ignores_only_the_layout() -> None:
    """Versions of Python lay `--help` out differently; a changed word must still be seen."""
    words = load_update_docs().words
    assert words("-c FILE, --config FILE\n   settings") == words("-c, --config FILE  settings")
    assert words("-c FILE, --config FILE") != words("-c FILE, --configs FILE")


def test_sample_config_holds_every_setting_and_is_accepted() -> None:
    """Copying the sample and putting the key in is all there is to do."""
    sample = json.loads((ROOT / "sample_config.json").read_text("utf-8"))

    assert [setting.name for setting in config.SETTINGS] == list(sample)
    assert "YOUR-API-KEY" == config.parse_config(sample, {}).api_key
    assert [] == config.unknown_settings(sample)


def test_sample_config_changes_no_default() -> None:
    """Whoever copies the sample must not get other behaviour than whoever sets only the key."""
    sample = json.loads((ROOT / "sample_config.json").read_text("utf-8"))
    least = {name: sample[name] for name in ("api_key", "start_date")}

    assert config.parse_config(least, {}) == config.parse_config(sample, {})
    eu_key = {"api_key": f"{config.EU_KEY_PREFIX}key"}
    assert config.EU_API_URL == config.parse_config({**sample, **eu_key}, {}).api_url


@pytest.mark.parametrize("path", ["meltano.yml", "hub/tap-fullstory.yml"])
def test_meltano_knows_every_setting(path: str) -> None:
    """A setting that the plugin definition lacks cannot be set with Meltano; a secret must not be shown by it."""
    part = (ROOT / path).read_text("utf-8").partition("# begin settings: ")[2].partition("# end settings\n")[0]
    entries = re.split(r"^ *- ", part, flags=re.MULTILINE)[1:]

    assert [setting.name for setting in config.SETTINGS] == re.findall(r"^[ -]*name: (\S+)$", part, re.MULTILINE)
    for setting, entry in zip(config.SETTINGS, entries, strict=True):
        for key in ("label", "kind", "description"):
            assert re.search(rf"^ *{key}: \S", entry, re.MULTILINE), (setting.name, key)
        assert setting.secret == ("  sensitive: true" in entry), setting.name


def test_meltano_installs_what_is_in_the_clone() -> None:
    """Whoever tries the definition would get another project of the same name."""
    assert "    pip_url: -e .\n    executable: tap-fullstory\n" in MELTANO


KILLED = 137  # comes from outside


def test_readme_explains_every_exit_status() -> None:
    """Every status that the code can end with, and no other, is in the table."""
    in_code = {0, 2, errors.STATUS_BUG, errors.TargetClosed.status, errors.Stopped(2).status, errors.Stopped(15).status}
    kinds = [errors.TapError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if not kind.__module__.startswith("tap_fullstory.user."):  # that command has a table of its own
            in_code.add(kind.status)

    assert sorted({*in_code, KILLED}) == [*runbook()]
    script = (EXAMPLES / "cron" / "tap-fullstory.sh").read_text("utf-8")
    assert {int(status) for status in re.findall(r"(?:exit|status=)\s?(\d+)", script)} <= {*runbook()}


def test_runbook_says_what_systemd_does() -> None:
    """Somebody would wait for a run that does not come, or look into what passes by itself."""
    unit = (EXAMPLES / "systemd" / "tap-fullstory.service").read_text("utf-8")
    (prevented,) = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    (fine,) = re.findall(r"^SuccessExitStatus=(.*)$", unit, re.MULTILINE)

    assert re.search(r"^Restart=on-failure$", unit, re.MULTILINE)
    assert "RestartSec=15min\n" in unit and "by systemd after 15 minutes" in words(README)
    assert doing(done={0, *numbers(fine)}, next_hour=numbers(prevented)) == {
        at: row[2] for at, row in runbook().items()
    }


def test_runbook_says_what_kubernetes_does() -> None:
    """The same, for who runs the tap there."""
    manifest = (EXAMPLES / "kubernetes" / "cronjob.yaml").read_text("utf-8")
    (pointless,) = re.findall(r"^ +values: \[(.*)\]$", manifest, re.MULTILINE)

    assert "backoffLimit: 3\n" in manifest and "by Kubernetes up to three times" in words(README)
    assert doing(done={0}, next_hour=numbers(pointless)) == {at: row[3] for at, row in runbook().items()}


@pytest.mark.parametrize("path", COPIED_FROM, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_install_by_the_bare_name(path: Path) -> None:
    """In the public index the name belongs to another project: who installs by name alone gets that one."""
    assert [] == bare_installs(path.read_text("utf-8"))


@pytest.mark.parametrize(
    "text, bare",
    [
        ("pip install tap-fullstory", True),
        ("pip3 install --upgrade 'tap-fullstory[emulator]'", True),
        ("tap/bin/pip install -q \\\n  tap-fullstory==3.0.0", True),
        ("Run `python -m pip install tap_fullstory` first", True),
        ("pipx install tap-fullstory", True),
        ("uv tool install tap-fullstory", True),
        ("uvx tap-fullstory --help", True),
        ("meltano add extractor tap-fullstory", True),
        ("meltano add tap-fullstory", True),
        ("    pip_url: tap-fullstory\n", True),
        ("    pip_url: -e .\n", False),
        ('pip install "git+https://GIT-HOST/OWNER/tap-fullstory.git"', False),
        ("pip install dist/tap_fullstory-3.0.0-py3-none-any.whl", False),
        ("python3 -m venv tap && tap/bin/pip install . && tap/bin/tap-fullstory --help", False),
        ("meltano add tap-fullstory --from-ref tap-fullstory.yml", False),
        ('uv tool install -c constraints.txt "git+https://GIT-HOST/OWNER/tap-fullstory.git"', False),
        ("meltano install, then meltano run tap-fullstory target-jsonl", False),
    ],
)
def test_bare_name_is_recognised(text: str, bare: bool) -> None:
    """The check above finds the ways in which people install things, and leaves the others alone."""
    assert bare == bool(bare_installs(text))


@pytest.mark.parametrize("name", ["README.md", "RELEASING.md"])
def test_everything_a_document_names_exists(name: str) -> None:
    """A link or a path that leads nowhere costs the reader more than none."""
    text = (ROOT / name).read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    spans = [span for span in re.findall(r"`([^`\s]+)`", text) if span.partition("/")[0] in TOP_LEVEL]
    spans = [span for span in spans if span not in LEFT_BY_DEMO]  # not there in a new clone
    anchors = {anchor_of(title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}

    assert [] == [link for link in links if link.startswith("#") and link[1:] not in anchors]
    assert [] == [path for path in [*links, *spans] if path[0] != "#" and not any(ROOT.glob(path.partition("#")[0]))]


@pytest.mark.parametrize("name", ["README.md", "RELEASING.md"])
def test_documents_name_only_make_targets_that_exist(name: str) -> None:
    """The first two commands that a reader tries are from the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|\$ )make\s([a-z-]+)", (ROOT / name).read_text("utf-8")))

    assert {"demo"} <= named
    assert set() == named - targets


def test_changelog_has_this_version() -> None:
    """Whoever updates looks for what is new in the version they got."""
    assert re.search(r"^## \[Unreleased\]$", CHANGELOG, re.MULTILINE)
    own_heading = re.search(rf"^## \[{re.escape(__version__)}\] - \d{{4}}-\d\d-\d\d$", CHANGELOG, re.MULTILINE)
    unreleased = CHANGELOG.partition("## [Unreleased]\n")[2].partition("\n## ")[0]
    assert own_heading or f"released as {__version__}." in unreleased


def rows_of(begin: str, end: str) -> list[str]:
    """The first cells, without the backquotes, of the README's table between two markers."""
    assert 1 == README.count(f"<!-- {begin}: ")
    part = README.partition(f"<!-- {begin}: ")[2].partition(f"<!-- {end} -->")[0]
    return re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE)


def runbook() -> dict[int, list[str]]:
    """The table of exit statuses: status to its other cells."""
    section = README.partition("\n## Exit statuses\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", section, re.MULTILINE)
    return {int(status): rest.split(" | ") for status, rest in rows}


def doing(*, done: set[int], next_hour: set[int]) -> dict[int, str]:
    """What is done with each status in the runbook."""
    return {at: "done" if at in done else "next hour" if at in next_hour else "again" for at in runbook()}


def numbers(text: str) -> set[int]:
    """The numbers in *text*."""
    return {int(number) for number in re.findall(r"\d+", text)}


def words(text: str) -> str:
    """*text* without its line breaks."""
    return " ".join(text.split())


def bare_installs(text: str) -> list[str]:
    """The commands in *text* that would install the package of this name from an index."""
    text = text.replace("\\\n", " ")
    found = [f"pip_url: {name}" for name in re.findall(r"pip_url: *(\S+)", text) if _BARE_NAME.fullmatch(name)]
    for match in _INSTALL.finditer(text):
        arguments = [word.strip("'\"(),.:") for word in match[1].split()]
        if (
            "--from-ref" in arguments
        ):  # then the name is only what it is to be called; where it comes from is in the file
            continue
        found += [match[0] for word in arguments if _BARE_NAME.fullmatch(word)]
    return found


def anchor_of(title: str) -> str:
    """The anchor that a forge makes of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
