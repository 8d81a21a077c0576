"""Generates load: closed (a fixed concurrency) or open (requests arrive at a rate, independent of the server)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from stackbench.errors import GenerationError, ModelLostError, ModelUnreachableError
from stackbench.types import Generation

__all__ = ["Load", "closed_loop", "open_loop", "poisson_arrivals"]

Ask = TypeVar("Ask")
Send = Callable[[Ask], Awaitable[Generation]]


@dataclass(frozen=True, slots=True)
class Load(Generic[Ask]):
    """What came of a list of requests."""

    answers: tuple[Generation | None, ...]
    """In the order of the requests; None for one that failed."""
    errors: tuple[str, ...]
    seconds: float
    """From the first request's start to the last one's end."""
    most_at_once: int


async def closed_loop(asks: Sequence[Ask], streams: int, send: Send[Ask]) -> Load[Ask]:
    """Keeps `streams` requests under way until all are done: the next starts when one ends.

    Raises:
        ModelLostError, ModelUnreachableError: the model is gone.
    """
    runner = _Runner(len(asks), send)
    queue = iter(enumerate(asks))

    async def stream() -> None:
        for index, ask in queue:
            await runner.one(index, ask)

    await _all(stream() for _ in range(min(streams, len(asks))))
    return runner.load()


async def open_loop(asks: Sequence[Ask], arrivals_s: Sequence[float], send: Send[Ask]) -> Load[Ask]:
    """Starts each request at its time, in seconds from now, however many are under way.

    Raises:
        ModelLostError, ModelUnreachableError: the model is gone.
    """
    runner = _Runner(len(asks), send)
    began = time.perf_counter()

    async def arrive(index: int, ask: Ask, at_s: float) -> None:
        await asyncio.sleep(max(0.0, began + at_s - time.perf_counter()))
        await runner.one(index, ask)

    await _all(arrive(index, ask, at_s) for index, (ask, at_s) in enumerate(zip(asks, arrivals_s, strict=True)))
    return runner.load()


def poisson_arrivals(count: int, rate: float, seed: int) -> list[float]:
    """Times of `count` arrivals of a Poisson process of `rate` per second, from 0.

    Stretched so that the last comes at (count - 1) / rate, as `vllm bench serve` does: the rate asked for is then the
    rate offered, whatever the draw.
    """
    rng = random.Random(seed)
    times = [0.0]
    for _ in range(count - 1):
        times.append(times[-1] + rng.expovariate(rate))
    stretch = (count - 1) / rate / times[-1] if times[-1] > 0 else 1.0
    return [at * stretch for at in times]


class _Runner(Generic[Ask]):
    def __init__(self, count: int, send: Send[Ask]) -> None:
        self._send = send
        self._answers: list[Generation | None] = [None] * count
        self._errors: list[str] = []
        self._first = float("inf")
        self._last = 0.0
        self._now = self._most = 0

    async def one(self, index: int, ask: Ask) -> None:
        self._first = min(self._first, time.perf_counter())
        self._now += 1
        self._most = max(self._most, self._now)
        try:
            self._answers[index] = await self._send(ask)
        except ModelUnreachableError:
            raise
        except GenerationError as error:
            self._errors.append(str(error))
        finally:
            self._now -= 1
            self._last = time.perf_counter()

    def load(self) -> Load[Ask]:
        return Load(tuple(self._answers), tuple(self._errors), max(0.0, self._last - self._first), self._most)


async def _all(parts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs coroutines side by side; the first that raises ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except* (ModelLostError, ModelUnreachableError) as lost:
        raise lost.exceptions[0] from None
