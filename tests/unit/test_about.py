"""What the tap says about itself is what it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

from tap_fullstory import __version__, cli
from tap_fullstory.about import FORMATS, about, settings_schema
from tap_fullstory.config import SETTINGS, parse_config

ROOT = Path(__file__).resolve().parents[2]
SAMPLE: dict[str, Any] = json.loads((ROOT / "sample_config.json").read_text("utf-8"))


def printed(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert 0 == cli.run(["--about", *arguments])
    return capfd.readouterr().out


@pytest.mark.proves("capabilities", "about")
def test_programs_can_read_it(capfd: pytest.CaptureFixture[str]) -> None:
    """An orchestrator could not offer the settings in a form."""
    found = json.loads(printed(capfd, "--format", "json"))

    assert about() == found
    assert ("tap-fullstory", __version__, "TAP_FULLSTORY_") == (found["name"], found["version"], found["env_prefix"])
    assert [one.name for one in SETTINGS] == list(found["settings"]["properties"])
    assert ["api_key"] == found["settings"]["required"]
    secret = {name for name, one in found["settings"]["properties"].items() if one.get("secret")}
    assert {"api_key", "hash_key", "http_headers"} == secret


@pytest.mark.parametrize("name", ["text", "markdown"])
def test_people_can_read_it(capfd: pytest.CaptureFixture[str], name: str) -> None:
    """Somebody who has only the command would not find out about a setting."""
    found = printed(capfd, "--format", name)

    for one in SETTINGS:
        assert one.name in found
        assert one.meaning in found or one.meaning.replace("`", "") in found
    assert all(line == line.rstrip() for line in found.splitlines())


def test_text_is_the_usual_format(capfd: pytest.CaptureFixture[str]) -> None:
    """People in a terminal would get JSON."""
    assert FORMATS["text"](about()) + "\n" == printed(capfd)


def test_the_schema_accepts_what_the_tap_accepts() -> None:
    """A form that is made of it would refuse good settings."""
    Draft4Validator.check_schema(settings_schema())
    validator = Draft4Validator(settings_schema())
    validator.validate(SAMPLE)
    validator.validate({"api_key": "a", **dict.fromkeys((one.name for one in SETTINGS if not one.is_required), None)})
    defaults = {
        name: one["default"] for name, one in settings_schema()["properties"].items() if one.get("default") is not None
    }
    validator.validate({"api_key": "a", **defaults})
    encoding = {"format": "jsonl", "compression": "gzip"}
    for batch_config in (
        {"storage": {"root": "a"}},
        {"encoding": encoding, "storage": {"root": "a", "prefix": "b"}, "batch_size": 5},
    ):
        validator.validate({"api_key": "a", "batch_config": batch_config})
        parse_config({"api_key": "a", "batch_config": batch_config}, {})
    assert parse_config({"api_key": "a"}, {}) == parse_config({"api_key": "a", **defaults}, {})


@pytest.mark.parametrize(
    "wrong",
    [
        *({}, {"api_key": None}, {"api_key": 5}),
        *(
            {"api_key": "a", **one}
            for one in ({"prefetch": "1"}, {"gap_check_hours": -1}, {"report_keep_days": 0}, {"batch_config": {}})
        ),
        {"api_key": "a", "batch_config": {"storage": {"root": "a"}, "encoding": {"format": "parquet"}}},
        {"api_key": "a", "batch_config": {"storage": {"root": "a", "params": {}}}},
    ],
)
def test_the_schema_refuses_what_the_tap_refuses(wrong: dict[str, Any]) -> None:
    """A form would accept what the run then refuses."""
    assert not Draft4Validator(settings_schema()).is_valid(wrong)


def test_versions_of_python_are_those_of_the_package() -> None:
    """Installers and `--about` would disagree."""
    classifiers = re.findall(r"Python :: (3\.\d+)", (ROOT / "setup.py").read_text("utf-8"))

    assert classifiers == about()["supported_python_versions"]


@pytest.mark.parametrize("path", ["meltano.yml", "hub/tap-fullstory.yml"])
def test_capabilities_are_those_that_meltano_is_told(path: str) -> None:
    """Meltano would leave out what the tap can, or ask for what it cannot."""
    found = re.search(r"^ *capabilities:\n(?:#.*\n)?((?: *- \S+\n)+)", (ROOT / path).read_text("utf-8"), re.MULTILINE)
    assert found

    assert re.findall(r"- (\S+)", found[1]) == about()["capabilities"]
