"""What the Dockerfile says, done outside of a container: there is no engine here that could build it."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fullstory_emulator import sample_bundles
from tests.end_to_end.expected import assert_same_rows, expected_rows
from tests.end_to_end.pipeline import ROOT, Pipeline
from tests.end_to_end.test_distribution import environment

pytestmark = pytest.mark.pipelines


def instructions() -> list[tuple[str, str]]:
    """Each instruction and what it is given, as one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [(one, rest) for one, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def given(instruction: str) -> list[str]:
    """What an instruction is given, each time."""
    return [rest for one, rest in instructions() if one == instruction]


class Image:
    """A folder that stands for the file system of an image; both stages have the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.working = Path("/")
        self.write("/usr/local/bin/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        self.variables = {"PATH": "/usr/local/bin:/usr/bin:/bin"}

    def inside(self, text: str) -> str:
        """*text* with the folder in front of the paths that the image has for itself."""
        return re.sub(r"(?<![\w.])/(?=(?:opt|src|usr/local|etc/fullstory)\b)", f"{self.folder}/", text)

    def path(self, name: str) -> Path:
        """Where a file of the image is."""
        return self.folder / (self.working / name).relative_to("/")

    def write(self, name: str, text: str) -> None:
        """Make a command."""
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_text(text, "utf-8")
        self.path(name).chmod(0o755)

    def build(self, context: Path) -> None:
        """Do what the instructions say."""
        for instruction, rest in instructions():
            if instruction == "ENV":
                self.variables.update(pair.split("=", 1) for pair in rest.split())
            elif instruction == "WORKDIR":
                self.working = Path(rest)
            elif instruction == "COPY" and not rest.startswith("--from="):
                self.copy(context, *rest.split())
            elif instruction == "RUN":
                self.path("").mkdir(parents=True, exist_ok=True)
                self.run(["sh", "-c", self.inside(rest)])

    def copy(self, context: Path, *names: str) -> None:
        """Files into a folder, or one folder into another, as COPY does."""
        *sources, into = names
        for source in sources:
            if (context / source).is_dir():
                shutil.copytree(context / source, self.path(into))
            else:
                assert into.endswith("/")
                self.path(into).mkdir(parents=True, exist_ok=True)
                shutil.copy(context / source, self.path(into))

    def run(self, command: list[str]) -> None:
        """A command in the image, which has to succeed."""
        done = subprocess.run(
            command,
            cwd=self.path(""),
            env=environment(**self.environment()),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert 0 == done.returncode, done.stdout + done.stderr

    def environment(self) -> Mapping[str, str]:
        """The variables; but here pip may use what it has downloaded before."""
        return {name: self.inside(value) for name, value in self.variables.items() if name != "PIP_NO_CACHE_DIR"}


def test_its_steps_make_a_pipeline(tmp_path: Path, tree: Path, pipeline: Pipeline, columns: dict[str, Any]) -> None:
    """A file that has moved, or a release that does not install, would be noticed first by who builds the image."""
    image = Image(tmp_path / "image")
    pipeline.emulator.bundles = sample_bundles()
    for name, file in (
        ("config.json", pipeline.write("config.json", pipeline.tap_settings())),
        ("target.json", pipeline.write_target_settings()),
    ):
        image.path("/etc/fullstory").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, image.path("/etc/fullstory") / name)

    image.build(tree)
    shutil.rmtree(image.path("/src"))  # the second stage has only /opt of the first
    ((*entry,), (*command,)) = (json.loads(given(one)[0]) for one in ("ENTRYPOINT", "CMD"))
    image.working = Path("/")
    image.run([image.inside(one) for one in [*entry, *command]])

    assert ["--from=build /opt /opt"] == [rest for rest in given("COPY") if rest.startswith("--from=")]
    assert_same_rows(expected_rows(pipeline.emulator.bundles, columns), pipeline.rows())
    assert [] != json.loads(image.path("/etc/fullstory/state.json").read_text("utf-8"))["bookmarks"]["events"]["done"]


def test_only_what_it_copies_gets_into_an_image() -> None:
    """Settings with keys lie in the folder of a clone, and an image is given to others."""
    copied = {name for rest in given("COPY") if not rest.startswith("--from=") for name in rest.split()[:-1]}
    everything, *exceptions = [
        line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")
    ]

    assert "*" == everything
    assert sorted(f"!{name}" for name in copied) == sorted(line for line in exceptions if line != "**/__pycache__")


def test_it_runs_as_nobody_in_particular() -> None:
    """What runs as root in a container is refused by many clusters."""
    assert ["10001:10001"] == given("USER")
    assert [one for one, _ in instructions()].index("USER") < [one for one, _ in instructions()].index("ENTRYPOINT")
