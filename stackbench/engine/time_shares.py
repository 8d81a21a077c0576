"""How the time of a run is shared by its benchmarks: what later runs are estimated from."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["TimeShares"]


@dataclass(slots=True)
class TimeShares:
    """Divides each moment equally among the attempts that are under way in it.

    The shares of all benchmarks add up to the time in which any attempt was under way, so that the time of a run of
    other sizes is the sum of its benchmarks' shares per attempt. Belongs to one event loop.
    """

    clock: Callable[[], float] = time.monotonic
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict[str, float](float))
    """Share of each benchmark, as of the last time that one of its attempts began or ended."""
    longest_s: dict[str, float] = field(default_factory=dict[str, float])
    """The longest attempt of each benchmark, waits included."""
    ended: Counter[str] = field(default_factory=Counter[str])
    """Attempts that ended."""
    _running: dict[str, int] = field(default_factory=dict[str, int])
    _total: int = 0
    """Attempts under way, of all benchmarks."""
    _since: float = 0.0
    _of_one: float = 0.0
    """Seconds that an attempt would have got if it had been under way from the beginning."""
    _settled: dict[str, float] = field(default_factory=dict[str, float])
    """By benchmark: `_of_one` when its share was last counted."""

    def begin(self, benchmark: str) -> float:
        """An attempt begins; returns the time by the clock, for `end`."""
        return self._change(benchmark, 1)

    def end(self, benchmark: str, began: float, *, counted: bool) -> None:
        """It has ended; `counted` is false for one that is made again or was given up."""
        now = self._change(benchmark, -1)
        if counted:
            self.ended[benchmark] += 1
            self.longest_s[benchmark] = max(self.longest_s.get(benchmark, 0.0), now - began)

    def _change(self, benchmark: str, by: int) -> float:
        now, before = self.clock(), self._running.get(benchmark, 0)
        if self._total:
            self._of_one += (now - self._since) / self._total
        if before:
            self.seconds[benchmark] += before * (self._of_one - self._settled[benchmark])
        self._since = now
        self._settled[benchmark] = self._of_one
        self._running[benchmark] = before + by
        self._total += by
        return now
