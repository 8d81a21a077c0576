"""Waiting for something that a run depends on and that is gone for now: an endpoint, the Docker engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from stackbench.durations import spoken_duration
from stackbench.errors import OutageError

__all__ = ["Outage"]

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0
GIVE_UP_AFTER_S = 1800.0


class Outage:
    """Tries again with growing pauses; who meets the same outage waits with the first. Belongs to one event loop.

    Args:
        give_up_after_s: seconds without an answer after which the wait ends in an error.
        say: takes lines for the operator.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        give_up_after_s: float = GIVE_UP_AFTER_S,
        say: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.give_up_after_s = give_up_after_s
        self.say = say
        self._clock = clock
        self._waits: dict[str, asyncio.Task[bool]] = {}
        self._since: dict[str, float] = {}
        self._abandoned = asyncio.Event()
        self._gave_up: OutageError | None = None

    @property
    def waiting_for(self) -> str:
        """What does not answer, and for how long; empty where everything does."""
        now = self._clock()
        return "; ".join(f"{what}, for {spoken_duration(now - since)}" for what, since in self._since.items())

    async def wait(self, what: str, answers: Callable[[], Awaitable[bool]], why: str = "") -> bool:
        """Returns once `what` answers; False when the operator ends the run first.

        Raises:
            OutageError: it did not answer for `give_up_after_s`.
        """
        if self._gave_up is not None:
            raise self._gave_up
        if self._abandoned.is_set():
            return False
        task = self._waits.get(what)
        if task is None:
            task = self._waits[what] = asyncio.create_task(self._until(what, answers, why))
            task.add_done_callback(lambda done: self._ended(what, done))
        return await asyncio.shield(task)

    async def passed(self) -> None:
        """Waits while anything is waited for."""
        while self._waits:
            await asyncio.wait(self._waits.values())

    @property
    def is_over(self) -> bool:
        """Whether nothing is waited for."""
        return not self._waits

    def abandon(self) -> None:
        """Ends every wait: the operator ends the run. May be called from a signal handler of the loop."""
        self._abandoned.set()

    async def close(self) -> None:
        """Ends what is left."""
        waits = list(self._waits.values())
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    def _ended(self, what: str, task: asyncio.Task[bool]) -> None:
        self._waits.pop(what, None)
        self._since.pop(what, None)
        if not task.cancelled() and isinstance(error := task.exception(), OutageError):
            self._gave_up = error

    async def _until(self, what: str, answers: Callable[[], Awaitable[bool]], why: str) -> bool:
        started = self._since[what] = self._clock()
        pause_s = FIRST_PAUSE_S
        reason = f" ({why})" if why else ""
        announced = False
        while not await answers():
            left_s = self.give_up_after_s - (self._clock() - started)
            if left_s <= 0:
                raise OutageError(f"{what} did not answer for {spoken_duration(self.give_up_after_s)}{reason}")
            wait_s = min(pause_s, left_s)
            self.say(
                f"{what} does not answer{reason}; the run is paused, tries again in {spoken_duration(wait_s)}, and "
                f"stops, resumable, in {spoken_duration(left_s)}"
            )
            announced = True
            try:
                async with asyncio.timeout(wait_s):
                    await self._abandoned.wait()
                return False
            except TimeoutError:
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        if announced:
            self.say(f"{what} answers again after {spoken_duration(self._clock() - started)}; the run goes on")
        return True
