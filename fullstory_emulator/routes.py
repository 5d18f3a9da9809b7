"""What an endpoint is: a path, a method, the level of key that it needs, and who answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from fullstory_emulator.answers import Answer

if TYPE_CHECKING:
    pass


# A higher level may do all a lower one may. API: https://developer.fullstory.com/server/v2/authentication/
LEVELS = {"USER": 1, "STANDARD": 1, "ARCHITECT": 2, "ADMIN": 3}
ANY_KEY, STANDARD, ARCHITECT = 0, 1, 2


class Route(NamedTuple):
    """One endpoint. Methods and path are regular expressions; the groups of the path are passed to the handler."""

    methods: str
    path: str
    level: int | None  # that a key needs; None: the key is not asked for
    handler: Callable[..., Answer]  # called as handler(emulator, request, fault, *groups), on a thread of the pool
    is_file: bool = False  # it brings a file; all others bring a short document
