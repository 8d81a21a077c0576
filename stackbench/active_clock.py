"""The time of an attempt that counts against its limit: its model's and its tools', not what it waits for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

__all__ = ["ActiveClock"]


class ActiveClock:
    """Stands while its owner waits for a place, the operator, or another try. Belongs to one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._waited_s = 0.0
        self._waits = 0
        self._since = 0.0
        self._deadline: tuple[asyncio.Timeout, float] | None = None

    @property
    def waited_s(self) -> float:
        """Seconds since its making in which it stood."""
        return self._waited_s + (self._clock() - self._since if self._waits else 0.0)

    @property
    def active_s(self) -> float:
        """Seconds since its making in which it ran."""
        return self._clock() - self._started - self.waited_s

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The clock stands in the block; blocks may overlap."""
        self.stop()
        try:
            yield
        finally:
            self.go_on()

    def stop(self) -> None:
        """The clock stands from now on, until as many calls of `go_on` as of this."""
        if not self._waits:
            self._since = self._clock()
        self._waits += 1
        self._set_deadline()

    def go_on(self) -> None:
        self._waits -= 1
        if not self._waits:
            self._waited_s += self._clock() - self._since
        self._set_deadline()

    def forgive(self, seconds: float) -> None:
        """Takes time that has run for time of waiting (a try of a request that failed)."""
        self._waited_s += seconds
        self._set_deadline()

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncGenerator[asyncio.Timeout]:
        """Cancels the block after so many seconds that count, with a TimeoutError. One at a time."""
        timeout = asyncio.timeout(None)
        async with timeout:
            self._deadline = (timeout, self.active_s + seconds)
            self._set_deadline()
            try:
                yield timeout
            finally:
                self._deadline = None

    def _set_deadline(self) -> None:
        if self._deadline is None:
            return
        timeout, at = self._deadline
        if timeout.expired():
            return
        when = None if self._waits else asyncio.get_running_loop().time() + at - self.active_s
        timeout.reschedule(when)
