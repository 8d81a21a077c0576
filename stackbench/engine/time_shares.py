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
    """Share of each benchmark."""
    longest_s: dict[str, float] = field(default_factory=dict[str, float])
    """The longest attempt of each benchmark, waits included."""
    ended: Counter[str] = field(default_factory=Counter[str])
    """Attempts that ended."""
    _running: Counter[str] = field(default_factory=Counter[str])
    _since: float = 0.0

    def begin(self, benchmark: str) -> float:
        """An attempt begins; returns the time by the clock, for `end`."""
        now = self._settle()
        self._running[benchmark] += 1
        return now

    def end(self, benchmark: str, began: float, *, counted: bool) -> None:
        """It has ended; `counted` is false for one that is made again or was given up."""
        now = self._settle()
        self._running[benchmark] -= 1
        if counted:
            self.ended[benchmark] += 1
            self.longest_s[benchmark] = max(self.longest_s.get(benchmark, 0.0), now - began)

    def _settle(self) -> float:
        now = self.clock()
        running = self._running.total()
        if running:
            passed = (now - self._since) / running
            for benchmark, count in self._running.items():
                if count:
                    self.seconds[benchmark] += passed * count
        self._since = now
        return now
