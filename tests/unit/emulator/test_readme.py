"""The README of the emulator says what there is, and its example works."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import fullstory_emulator
from fullstory_emulator import Fault, control

README = (Path(fullstory_emulator.__file__).parent / "README.md").read_text(encoding="utf-8")


def test_the_example_works() -> None:
    """The first thing people try is to copy it."""
    found = re.search("```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    exec(compile(found[1], "README.md", "exec"), {})


def test_every_fault_and_setting_is_described() -> None:
    """A member without a word in the tables would not be found."""
    members = [member.name for member in fields(Fault) if member.init and member.name != "path"]
    undescribed = [name for name in [*members, *control.SETTINGS] if not re.search(f"`{name}[`=(]", README)]
    assert [] == undescribed


def test_every_control_request_is_described() -> None:
    """The table in the module and the one in the README speak of the same requests."""
    assert control.__doc__ is not None
    paths = set(re.findall(r"/_emulator/\w+", control.__doc__))
    assert paths
    assert paths == set(re.findall(r"/_emulator/\w+", README))
