"""A semaphore whose size can change while slots are taken."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

__all__ = ["Slots"]


class Slots:
    """A semaphore whose size can change, and which serves the lower `rank` first, then who came first.

    Attempts that have begun rank before those that have not: an agent in its tenth turn does not queue behind 500
    first requests of another benchmark.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @property
    def size(self) -> int:
        return self._size

    @property
    def taken(self) -> int:
        """Places in use."""
        return self._taken

    @property
    def full(self) -> bool:
        """Whether the next to come would have to wait."""
        return self._taken >= self._size or bool(self._waiting)

    def resize(self, size: int) -> None:
        """Changes the number of places; those in use are not taken away."""
        self._size = size
        self._admit()

    @asynccontextmanager
    async def place(self, rank: int = 0) -> AsyncGenerator[None]:
        """A place, given back at the end of the block; waits for one."""
        await self.acquire(rank)
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Gives a place back."""
        self._taken -= 1
        self._admit()

    async def acquire(self, rank: int = 0) -> None:
        """Takes a place, to be given back with `release`; waits for one."""
        if not self.full:
            self._taken += 1
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._order), admitted))
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled():
                self.release()
            raise

    def _admit(self) -> None:
        while self._waiting and self._taken < self._size:
            _, _, admitted = heapq.heappop(self._waiting)
            if not admitted.done():
                self._taken += 1
                admitted.set_result(None)
