"""All errors that a user may meet, grouped by what the user does next.

    TapError
    ├── ConfigError        78  a setting is wrong: mend it
    ├── CatalogError       78  the catalog does not fit this tap: discover again
    ├── StateError         78  the state does not fit this tap: pass the right file
    ├── RequestError       78  Fullstory says that we asked for something it does not have
    ├── AuthError          77  the key is wrong
    │   └── ForbiddenError     the key may not do this: other streams go on
    ├── SpoolError         74  the spool folder or stdout cannot be written
    ├── TransientError     69  not reachable, 5xx, broken transfers: run again
    ├── RateLimitError     75  told to come later than we are allowed to wait: run again then
    ├── ExportPendingError 75  an export takes longer than we are allowed to wait: run again later
    ├── ResponseError      65  an answer is not as documented
    ├── ExportFailedError  65  Fullstory could not make an export
    └── BundleError        65  a bundle stays damaged

    TargetClosed          141  the target closed the pipe
    Stopped          130, 143  SIGINT, SIGTERM

The number is the exit status of the command. A `TapError` is printed as one line: what happened, and what to do.
Whatever is not in this tree is a bug of the tap: status 70, with its traceback.
"""

from __future__ import annotations

STATUS_BUG = 70


class TapError(Exception):
    """Something that a user can do something about; `str(error)` is the line to print.

    Args:
        what: what happened.
        advice: what to do next, once it is certain that it will not pass by itself.
    """

    status = STATUS_BUG

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(f"{what} {advice}" if advice else what)
        self.what = what


class ConfigError(TapError):
    """A setting is wrong."""

    status = 78


class CatalogError(TapError):
    """The given catalog does not fit this tap."""

    status = 78


class StateError(TapError):
    """The given state does not fit this tap."""

    status = 78


class RequestError(TapError):
    """Fullstory refused the request itself (400, or 404 from an endpoint that lists): the settings are wrong."""

    status = 78


class AuthError(TapError):
    """Fullstory refused the key (401)."""

    status = 77


class ForbiddenError(AuthError):
    """The key may not do this (403), but perhaps something else."""


class SpoolError(TapError):
    """A place that must take our bytes does not: full, missing or not writable."""

    status = 74


class TransientError(TapError):
    """No answer, or a broken one; trying again later may help.

    Attributes:
        final: trying again at once cannot help.
    """

    status = 69
    final = False


class RateLimitError(TapError):
    """Fullstory asks to come back later.

    Attributes:
        wait: seconds that Fullstory named, None if it named none.
        counted: whether the wait counts against `retry_timeout`.
    """

    status = 75

    def __init__(self, what: str, advice: str = "", *, wait: float | None = None, counted: bool = False) -> None:
        super().__init__(what, advice)
        self.wait = wait
        self.counted = counted


class ResponseError(TapError):
    """An answer of Fullstory is not as documented."""

    status = 65


class ExportPendingError(TapError):
    """An export is not ready in time; it goes on without us."""

    status = 75


class ExportFailedError(TapError):
    """Fullstory could not make an export, or has it no longer."""

    status = 65


class BundleError(TapError):
    """A bundle cannot be read: cut, damaged, or not what was asked for."""

    status = 65


class TargetClosed(Exception):
    """The target closed the pipe: nobody reads what we write."""

    status = 141


class Stopped(Exception):
    """A signal asked us to stop.

    Attributes:
        status: 128 + the number of the signal, as shells count.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.status = 128 + signum
