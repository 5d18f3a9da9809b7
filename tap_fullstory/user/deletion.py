"""Deleting users, and what became of each: receipts.

By uid a deletion is an operation that can be waited for; by Fullstory's id it is only accepted.
API: https://developer.fullstory.com/server/v1/users/delete-user/ and https://developer.fullstory.com/server/users/delete-user/
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tap_fullstory.client import Client, NotFoundError, RateLimit, growing
from tap_fullstory.config import Config
from tap_fullstory.errors import (
    AuthError,
    ExportFailedError,
    ExportPendingError,
    RequestError,
    ResponseError,
)
from tap_fullstory.moments import to_text
from tap_fullstory.sources.exports import COMPLETED, GONE, OPERATIONS
from tap_fullstory.user.asked import ID, Asked, UnknownUserError
from tap_fullstory.user.people import INDIVIDUALS, REPORT, USERS, User, is_path_segment

LOGGER = logging.getLogger(__name__)

FIRST_WAIT, LAST_WAIT = 1.0, 30.0  # seconds between two looks at an operation

# What becomes of somebody who is to be deleted.
UNKNOWN, WOULD, DELETED = "unknown", "would_delete", "deleted"
ACCEPTED, PENDING, FAILED = "accepted", "pending", "failed"
LONGEST_ID = 500  # characters, of an operation
STATUSES = {FAILED: ExportFailedError.status, PENDING: ExportPendingError.status, UNKNOWN: UnknownUserError.status}


@dataclass
class Receipt:
    """What became of one user.

    Attributes:
        asked: whom somebody asked for.
        user: who was found; None: nobody.
        status: see above; empty: nothing has been done yet.
        operation_id: that can be asked for later, too.
        why: what Fullstory says of a deletion that failed.
        at: when this was known, RFC 3339.
    """

    asked: Asked
    user: User | None
    status: str = ""
    operation_id: str = ""
    why: str = ""
    at: str = ""

    def members(self) -> dict[str, Any]:
        """The same for JSON."""
        user = self.user or User("")
        return {
            "asked": str(self.asked),
            "status": self.status,
            "id": user.id or None,
            "uid": user.uid or None,
            "email": user.email or None,
            "operation_id": self.operation_id or None,
            "error": self.why or None,
            "at": self.at or None,
        }


def exit_status(receipts: Sequence[Receipt]) -> int:
    """Return the exit status that says what became of all: of what failed first, then of what is not done yet."""
    return next((code for status, code in STATUSES.items() if any(one.status == status for one in receipts)), 0)


class Deletions:
    """Deletes users.

    Args:
        wait: seconds to wait for all operations together; 0: not at all.
    """

    def __init__(self, client: Client, config: Config, wait: float) -> None:
        self._client = client
        self._url = config.api_url
        self._wait = wait
        self._limit, self._poll_limit = RateLimit(), RateLimit()

    def run(self, receipts: Sequence[Receipt]) -> Iterator[Receipt]:
        """Delete all, wait for them, and yield each receipt once it is known what became of it.

        Those that are still pending when the time is over come last. If it ends with an error, those that were begun
        and were not yielded are pending: their deletion goes on without us.
        """
        waiting: list[Receipt] = []
        for receipt in receipts:
            self._begin(receipt)
            if receipt.status == PENDING:
                waiting.append(receipt)
            else:
                yield receipt
        deadline = time.monotonic() + self._wait
        waits = growing(FIRST_WAIT, LAST_WAIT)
        while True:
            for receipt in [one for one in waiting if self._is_over(one)]:
                waiting.remove(receipt)
                yield receipt
            left = deadline - time.monotonic()
            if not waiting or left <= 0:
                break
            self._client.pause(min(next(waits), left))
        yield from waiting

    def _begin(self, receipt: Receipt) -> None:
        if receipt.user is None:
            self._note(receipt, UNKNOWN)
            return
        self._note(receipt, PENDING)  # from now on Fullstory may have heard of it, even if we never hear that it has
        try:
            self._delete(receipt, receipt.user)
        except (AuthError, RequestError):
            receipt.status = ""
            raise

    def _delete(self, receipt: Receipt, user: User) -> None:
        if receipt.asked.kind != ID and is_path_segment(user.uid):
            url = f"{self._url}{INDIVIDUALS}/{quote(user.uid, safe='')}"
            try:
                receipt.operation_id = self._client.delete_json(url, _parse_deletion, limit=self._limit)
            except NotFoundError:
                LOGGER.info("%s is not known by uid; deleting by id.", receipt.asked)
            else:
                LOGGER.info("The deletion of %s is begun (operation %s).", receipt.asked, receipt.operation_id)
                if not receipt.operation_id or not self._wait:
                    self._note(receipt, ACCEPTED)
                return
        url = f"{self._url}{USERS}/{quote(user.id, safe='')}"
        try:
            self._client.delete_json(url, lambda answer: answer, limit=self._limit)
        except NotFoundError:  # there a moment ago: somebody else deleted it, or our own first request, not answered
            self._note(receipt, DELETED)
        else:
            self._note(receipt, ACCEPTED)

    def _is_over(self, receipt: Receipt) -> bool:
        """Look how far an operation is.

        API: https://developer.fullstory.com/server/v1/operations/get-operation-status/
        """
        url = f"{self._url}{OPERATIONS}/{quote(receipt.operation_id, safe='')}"
        try:
            state, why = self._client.get_json(url, _parse_state, limit=self._poll_limit)
        except NotFoundError:  # not known yet, or not any more: which of both, nobody says
            return False
        if state == COMPLETED:
            self._note(receipt, DELETED)
        elif state in GONE:
            receipt.why = why or state
            self._note(receipt, FAILED)
        else:
            return False
        return True

    def _note(self, receipt: Receipt, status: str) -> None:
        receipt.status, receipt.at = status, to_text(self._client.now())


def _parse_deletion(answer: Any) -> str:
    """Return the id of the operation; empty if the answer names none, as that of v2."""
    found = answer.get("id") if isinstance(answer, dict) else None
    return found if isinstance(found, str) and is_path_segment(found) and len(found) <= LONGEST_ID else ""


def _parse_state(answer: Any) -> tuple[str, str]:
    state = answer.get("state") if isinstance(answer, dict) else None
    if not isinstance(state, str) or not state:
        raise ResponseError('An operation is not as documented: no text "state".', REPORT)
    why = answer.get("errorDetails")
    return state, why if isinstance(why, str) else ""
