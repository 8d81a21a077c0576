"""HTTP to one endpoint: one connection pool, retries, streams, and a key that is never told."""

from __future__ import annotations

import asyncio
import email.utils
import json
import os
import random
import time
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any

from stackbench.errors import GenerationError, ModelNotAvailableError
from stackbench.models.options import ModelOptions

if TYPE_CHECKING:
    import aiohttp

__all__ = ["BusyError", "Connection", "RefusedError"]

RETRIED_STATUS = {408, 409, 429, 500, 502, 503, 504, 529}
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0
SHORTEST_SECRET = 4


class RefusedError(GenerationError):
    """The server understood the request and will not answer it: another try would end alike."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class BusyError(GenerationError):
    """The server may answer another time."""

    def __init__(self, message: str, wait_s: float | None) -> None:
        super().__init__(message)
        self.wait_s = wait_s
        """How long it asks to wait (Retry-After), where it says so."""


class Connection:
    """Posts JSON to paths below `url`."""

    def __init__(self, url: str, options: ModelOptions) -> None:
        self.url = url
        self._options = options
        self._session: aiohttp.ClientSession | None = None
        self._jitter = random.Random(0)
        self._secret = os.environ.get(options.api_key_env, "")

    def open(self) -> None:
        import aiohttp

        headers = {"Content-Type": "application/json"}
        if self._secret:
            headers["Authorization"] = f"Bearer {self._secret}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(total=self._options.request_timeout_s, connect=30),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Posts until it succeeds; waits between tries as the server asks (Retry-After), else 0.5 s doubling.

        Raises:
            RefusedError: the server will not answer this request.
            GenerationError: it failed to, again and again.
        """
        data = json.dumps(body).encode()
        problem = ""
        for attempt in range(self._options.retries + 1):
            wait_s: float | None = None
            try:
                async with self._opened.post(f"{self.url}/{path}", data=data, headers=headers) as response:
                    content = await response.read()
                    if response.status == 200:
                        return json.loads(content)
                    problem, wait_s = self._refusal(path, response, content)
            except ValueError as error:
                problem = f"the answer is not JSON: {error}"
            except GenerationError:
                raise
            except Exception as error:
                problem = self._lost(error)
            if attempt < self._options.retries:
                await self.back_off(attempt, wait_s)
        raise GenerationError(f"{self.url}/{path} failed {self._options.retries + 1} times; last: {problem}")

    async def stream(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[tuple[float, dict[str, Any]], None]:
        """Posts once, and gives each event of the answer (server-sent events) with the time it came, in seconds of
        `time.perf_counter`. Not retried: what is measured must not hold a failed try.

        Raises:
            RefusedError, GenerationError: as for `post`; a stream that breaks off is an error too.
        """
        data = json.dumps(body).encode()
        try:
            async with self._opened.post(f"{self.url}/{path}", data=data, headers=headers) as response:
                if response.status != 200:
                    problem, wait_s = self._refusal(path, response, await response.read())
                    raise BusyError(f"{self.url}/{path}: {problem}", wait_s)
                left = b""
                async for chunk in response.content.iter_any():
                    now = time.perf_counter()
                    left += chunk.replace(b"\r", b"")
                    *events, left = left.split(b"\n\n")
                    for event in events:
                        if not event.startswith(b"data:"):
                            continue  # a comment that keeps the connection alive
                        content = event[5:].strip()
                        if content == b"[DONE]":
                            return
                        yield now, self._event(json.loads(content))
        except ValueError as error:
            raise GenerationError(f"{self.url}/{path} streamed what is not JSON: {error}") from error
        except GenerationError:
            raise
        except Exception as error:
            raise GenerationError(f"{self.url}/{path}: {self._lost(error)}") from error
        raise GenerationError(f"{self.url}/{path} ended its stream in the middle")

    async def served(self) -> list[dict[str, Any]]:
        """What `/models` lists; empty for an endpoint without such a list.

        Raises:
            ModelNotAvailableError: nothing answers, or the key is refused.
        """
        import aiohttp

        try:
            timeout = aiohttp.ClientTimeout(total=30)
            async with self._opened.get(f"{self.url}/models", timeout=timeout) as response:
                if response.status in (401, 403):
                    raise ModelNotAvailableError(
                        f"{self.url} refuses the key (HTTP {response.status}); set {self._options.api_key_env}"
                    )
                listed = json.loads(await response.read()) if response.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ModelNotAvailableError(f"nothing answers at {self.url} ({error}); is the server running?") from error
        except ValueError:
            listed = {}
        data = listed.get("data", []) if isinstance(listed, dict) else []
        return [entry for entry in data if isinstance(entry, dict) and "id" in entry]

    @property
    def _opened(self) -> aiohttp.ClientSession:
        assert self._session is not None, "open() was not called"
        return self._session

    def _refusal(self, path: str, response: aiohttp.ClientResponse, content: bytes) -> tuple[str, float | None]:
        """What went wrong and how long the server asks to wait; raises RefusedError where waiting does not help."""
        problem = f"HTTP {response.status}: {self._without_secret(_message(content))}"
        if response.status not in RETRIED_STATUS:
            raise RefusedError(f"{self.url}/{path} refused the request: {problem}", response.status)
        return problem, _retry_after_s(response.headers.get("Retry-After"))

    def _lost(self, error: Exception) -> str:
        """What to say of a connection that failed; anything else is raised again."""
        import aiohttp

        if isinstance(error, TimeoutError):
            return f"no answer within {self._options.request_timeout_s:g} s"
        if isinstance(error, RuntimeError) and self._opened.closed:
            return "the connection was closed"
        if isinstance(error, aiohttp.ClientError | ConnectionError):
            return self._without_secret(str(error)) or type(error).__name__
        raise error

    async def back_off(self, attempt: int, wait_s: float | None) -> None:
        """Waits before another try: as long as the server asks, else 0.5 s doubling."""
        backoff = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2**attempt) * (0.5 + self._jitter.random())
        await asyncio.sleep(backoff if wait_s is None else min(wait_s, 10 * LONGEST_BACKOFF_S))

    def _event(self, event: Any) -> dict[str, Any]:
        if not isinstance(event, dict):
            raise ValueError(f"an event that is no object: {str(event)[:100]}")
        if "error" in event:
            raise GenerationError(f"{self.url}: {self._without_secret(_message(json.dumps(event).encode()))}")
        return event

    def _without_secret(self, text: str) -> str:
        """Servers repeat a wrong key in their refusals; these lines are recorded."""
        return text.replace(self._secret, "[key]") if len(self._secret) >= SHORTEST_SECRET else text


def _retry_after_s(header: str | None) -> float | None:
    """Seconds to wait from a Retry-After header: a number or an HTTP date (RFC 9110, section 10.2.3)."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        parsed = email.utils.parsedate_tz(header)
        return None if parsed is None else max(0.0, email.utils.mktime_tz(parsed) - time.time())


def _message(content: bytes) -> str:
    try:
        answer = json.loads(content)
        error = answer.get("error", answer) if isinstance(answer, dict) else answer
        text = error.get("message", error) if isinstance(error, dict) else error
    except ValueError:
        text = content.decode(errors="replace")
    return " ".join(str(text).split())[:300]
