"""Waiting for a condition, never for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], *, within_s: float, every_s: float = 0.05) -> T:
    """The condition's first true value; fails when there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"did not come true within {within_s} s"
        time.sleep(every_s)


async def until(condition: Callable[[], object], *, within_s: float = 20.0, every_s: float = 0.01) -> None:
    """Waits on the event loop until the condition is true; fails when it is not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"did not come true within {within_s} s"
        await asyncio.sleep(every_s)
