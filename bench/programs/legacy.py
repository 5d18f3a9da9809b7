"""Starts tap-fullstory 1.0.4 on Pythons it was not made for, and against a server that is not Fullstory's.

Usage: legacy.py URL [ARGUMENT...]

It is run as a file, not as `-m bench…`: the folder of the repository must not be on the search path, or its package of
the same name would be measured.
"""

from __future__ import annotations

import collections
import collections.abc
import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from typing import Any


class OldFinders:
    """Lets finders of modules that have no `find_spec` work, which Python 3.12 passes over: those of an old `six`."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Ask the old finders one after the other."""
        del target
        for finder in sys.meta_path:
            if hasattr(finder, "find_module") and not hasattr(finder, "find_spec"):
                loader = finder.find_module(name, path)
                if loader is not None:
                    return importlib.util.spec_from_loader(name, loader)
        return None


def main() -> None:
    """Run the tap; its arguments are ours without the first."""
    url = sys.argv.pop(1)
    for name in collections.abc.__all__:
        setattr(collections, name, getattr(collections.abc, name))  # where they were until Python 3.9
    sys.meta_path.append(OldFinders)
    tap: Any = importlib.import_module("tap_fullstory")
    tap.BASE_URL = f"{url}/api/v1/export/"
    tap.main()


if __name__ == "__main__":
    main()
