"""What a run itself waits for, by name, before and between its attempts: `ctl why` and the notices of no progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from stackbench.durations import spoken_duration

__all__ = ["RunWaits"]


@dataclass(slots=True)
class RunWaits:
    """Belongs to the event loop; `words` may be called from any thread. `clock`: seconds, monotonic."""

    clock: Callable[[], float] = time.monotonic
    _waits: dict[int, tuple[str, float]] = field(default_factory=dict[int, tuple[str, float]])
    _next: int = 0

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """The run waits for this, inside the block."""
        number, self._next = self._next, self._next + 1
        self._waits[number] = (what, self.clock())
        try:
            yield
        finally:
            self._waits.pop(number)

    @property
    def words(self) -> str:
        """`the model to start, for 45 s`; the longest first, empty where it waits for nothing."""
        now = self.clock()
        waits = list(self._waits.values())
        waits.sort(key=lambda wait: wait[1])
        return "; ".join(f"{what}, for {spoken_duration(now - since)}" for what, since in waits)
