"""Rate limits: so many requests in so many seconds."""

from __future__ import annotations

import math
import threading
import time

Limit = tuple[int, float]  # requests, and the seconds in which no more than these are answered


class Limits:
    """When requests were answered, by what the limit is for."""

    def __init__(self) -> None:
        self._answered: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        with self._lock:
            self._answered = {name: [at - seconds for at in answered] for name, answered in self._answered.items()}

    def seconds_left(self, name: str, limit: Limit) -> int | None:
        """Whole seconds until the next request is allowed; None: it is now, and is counted."""
        most, window = limit
        now = time.monotonic()
        with self._lock:
            answered = self._answered[name] = [at for at in self._answered.get(name, ()) if at > now - window]
            if len(answered) < most:
                answered.append(now)
                return None
            return max(1, math.ceil(answered[-most] + window - now))
