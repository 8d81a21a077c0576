"""Retries of requests that failed with a transient error: one policy for endpoints and vLLM servers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential

from stackbench.models.openai.faults import BusyError

__all__ = ["OnRetry", "Retrying"]

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0

OnRetry = Callable[[int, float], Awaitable[None] | None]
"""Takes a try's number and the seconds until it; once more with 0 when it begins, which waits for what is returned."""

Result = TypeVar("Result")


class Retrying:
    """Waits between tries as long as the server asks (Retry-After), else 0.5 s doubling up to 60 s, with jitter."""

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._jitter = random.Random(0)

    async def call(
        self,
        ask: Callable[[], Awaitable[Result]],
        passing: Callable[[BaseException], bool],
        *,
        retries: int | None = None,
        on_retry: OnRetry | None = None,
    ) -> Result:
        """The result of the first try that succeeds. Raises what the last try raised, or what is not `passing`."""
        failed: list[BaseException] = []
        try:
            return await ask()  # most succeed: the bookkeeping of tries took a tenth of a request's time
        except Exception as error:
            if not passing(error):
                raise
            failed.append(error)

        async def ask_again() -> Result:
            if failed:
                raise failed.pop()  # the first try, as it went
            return await ask()

        async def before(state: RetryCallState) -> None:
            if on_retry is not None and state.attempt_number > 1:
                held = on_retry(state.attempt_number, 0.0)
                if held is not None:
                    await held

        def before_sleep(state: RetryCallState) -> None:
            if on_retry is not None:
                on_retry(state.attempt_number + 1, state.upcoming_sleep)

        tries = AsyncRetrying(
            stop=stop_after_attempt((self._retries if retries is None else retries) + 1),
            retry=retry_if_exception(passing),
            wait=self._wait_s,
            before=before,
            before_sleep=before_sleep,
            sleep=asyncio.sleep,
            reraise=True,
        )
        return await tries(ask_again)

    def _wait_s(self, state: RetryCallState) -> float:
        """Seconds before the next try.

        A wait of no time at all is taken once: an endpoint that always asks for it would be asked without pause.
        """
        backoff = wait_exponential(multiplier=FIRST_BACKOFF_S, max=LONGEST_BACKOFF_S)
        own_s = backoff(state) * (0.5 + self._jitter.random())
        error = state.outcome.exception() if state.outcome is not None else None
        asked_s = error.wait_s if isinstance(error, BusyError) else None
        if asked_s is not None and (asked_s > 0 or state.attempt_number == 1):
            return asked_s
        return own_s
