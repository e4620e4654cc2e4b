"""What the phases of a search take."""

from __future__ import annotations

import time


class Clock:
    """Seconds spent by phase."""

    def __init__(self) -> None:
        """Begin."""
        self.seconds = {"derivatives": 0.0, "backward": 0.0, "forward": 0.0, "total": 0.0}
        self._begin = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._begin

    def timed(self, phase: str) -> _Timed:
        """Add what happens inside to a phase."""
        return _Timed(self.seconds, phase)


class _Timed:
    """A context that adds what it lasts to a sum; a class of its own, since a generator takes thrice the time."""

    __slots__ = ("_begin", "_phase", "_seconds")

    def __init__(self, seconds: dict[str, float], phase: str) -> None:
        self._seconds, self._phase = seconds, phase

    def __enter__(self) -> None:
        self._begin = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._phase] += time.perf_counter() - self._begin
