"""HTTP to one endpoint: one connection pool, retries, streams, limits on what is read, and redaction of keys."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from stackbench import nesting
from stackbench.errors import EndpointError, GenerationError, ModelNotAvailableError
from stackbench.models.openai.events import EventReader, LineTooLongError
from stackbench.models.openai.faults import AnswerError, BusyError, RefusedError
from stackbench.models.openai.proxies import proxy_arguments, proxy_for
from stackbench.models.openai.reading import AnswerReader
from stackbench.models.openai.retrying import OnRetry, Retrying
from stackbench.models.options import ModelOptions
from stackbench.nesting import is_array, is_object
from stackbench.redaction import Redaction

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Connection"]

REDIRECTS = 3
NOT_STREAMED = "\0"
"""Stands for the name of an event where the whole body is one."""
BLANK = b" \t\r\n\xef\xbb\xbf"
"""What may stand before a body of JSON."""
USAGE_WITHIN_S = 5.0
"""What a server still sends of a stream after the reason of its ending, it sends within this time."""
ANSWERS_WITHIN_S = 10.0
LARGEST_ERROR = 1 << 20
LARGEST_LIST = 8 << 20
LARGEST_ANSWER = 64 << 20
SMALLEST_BOUND = 4 << 20
BYTES_PER_TOKEN = 256
STREAMED_BYTES_PER_TOKEN = 4096


class Connection:
    """Posts JSON to paths below `url`."""

    def __init__(self, url: str, options: ModelOptions) -> None:
        self.url = url
        self._options = options
        self._session: aiohttp.ClientSession | None = None
        self.retrying = Retrying(options.retries)
        self._key = os.environ.get(options.api_key_env, "").strip() if options.api_key_env else ""
        self._headers = [
            (name.strip(), value.strip()) for name, _, value in (h.partition(":") for h in options.headers)
        ]
        self._proxy: dict[str, Any] = {}
        self._lists = True
        """Whether `/models` is no server's error while all is well."""
        proxy = urlsplit(proxy_for(url) or "")
        self.redaction = Redaction(
            (secret for secret in (self._key, proxy.password) if secret), (value for _, value in self._headers)
        )
        self._reader = AnswerReader(url, self.redaction)

    def open(self) -> None:
        """Makes the pool.

        Raises:
            ModelNotAvailableError: a key or header that HTTP cannot carry, or a proxy of a kind that is not known.
        """
        import aiohttp

        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        headers |= dict(self._headers)
        for name, value in headers.items():
            if not value.isascii() or not value.isprintable():
                source = self._options.api_key_env if name == "Authorization" else f"--header {name}"
                raise ModelNotAvailableError(f"the value of {source} has characters that no HTTP header can carry")
        self._proxy, password = proxy_arguments(self.url)
        self._session = aiohttp.ClientSession(
            headers=headers | password,
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(total=self._options.request_timeout_s, connect=30),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        *,
        retries: int | None = None,
        on_retry: OnRetry | None = None,
    ) -> dict[str, Any]:
        """Posts until it succeeds; waits between tries as `Retrying` does.

        Raises:
            RefusedError: the server will not answer this request.
            AnswerError: it answered with too much, or with what is no object of JSON.
            GenerationError: it failed to, again and again.
        """
        data = json.dumps(body).encode()
        most = _largest(body, BYTES_PER_TOKEN)
        retries = self._options.retries if retries is None else retries

        async def ask() -> dict[str, Any]:
            try:
                async with await self._sent(path, data, headers) as response:
                    content = await self._read(response, most)
                    return self._reader.completion(path, content)
            except GenerationError:
                raise
            except Exception as error:
                raise BusyError(self._lost(error)) from error

        try:
            return await self.retrying.call(ask, _is_busy, retries=retries, on_retry=on_retry)
        except BusyError as error:
            raise EndpointError(f"{self.url}/{path} failed {retries + 1} times; last: {error}") from error

    async def stream(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[tuple[float, dict[str, Any]], None]:
        """Posts once, and gives each event of the answer (server-sent events) with the time it came, in seconds of
        `time.perf_counter`. Not retried: what is measured must not hold a failed try.

        Ends where the server says so, and where the stream ends or breaks off after it gave the reason of its ending.

        Raises:
            RefusedError, AnswerError, GenerationError: as for `post`; a stream that breaks off is an error too.
        """
        data = json.dumps(body).encode()
        most = _largest(body, STREAMED_BYTES_PER_TOKEN)
        ended = asyncio.Event()
        try:
            async with await self._sent(path, data, headers) as response:
                async for now, name, text in self._events(response, most, ended):
                    if text.strip() == "[DONE]":
                        return
                    if name == NOT_STREAMED:
                        yield now, self._reader.completion(path, text.encode())
                        return
                    event = self._reader.event(name, text)
                    if event is not None:
                        if _gives_reason(event):
                            ended.set()
                        yield now, event
        except BusyError as error:
            raise BusyError(f"{self.url}/{path}: {error}", error.wait_s) from error
        except LineTooLongError as error:
            raise AnswerError(f"{self.url}/{path} streamed {error}") from error
        except GenerationError:
            raise
        except Exception as error:
            if ended.is_set():
                return
            raise EndpointError(f"{self.url}/{path}: {self._lost(error)}") from error
        if not ended.is_set():
            raise EndpointError(f"{self.url}/{path} ended its stream in the middle")

    async def served(self) -> tuple[list[dict[str, Any]], bool]:
        """What `/models` lists, empty for an endpoint without such a list, and whether there are more than it lists.

        Raises:
            ModelNotAvailableError: nothing answers, or the key is refused.
        """
        import aiohttp

        listed: Any = {}
        try:
            timeout = aiohttp.ClientTimeout(total=30)
            async with self._opened.get(
                self._address("models"), timeout=timeout, allow_redirects=False, **self._proxy
            ) as response:
                self._lists = response.status < 500
                if response.status in (401, 403):
                    raise ModelNotAvailableError(
                        f"{self.url} refuses the key (HTTP {response.status}); set {self._options.api_key_env}"
                    )
                if response.status == 200:
                    content = await self._read(response, LARGEST_LIST)
                    listed = nesting.loads(content.decode(errors="replace"))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ModelNotAvailableError(
                f"nothing answers at {self.url} ({self._said(error)}); {_hint(error)}"
            ) from error
        except (ValueError, RecursionError, AnswerError):
            listed = {}
        data = listed.get("data") if is_object(listed) else listed
        entries = [entry for entry in data if is_object(entry)] if is_array(data) else []
        more = is_object(listed) and bool(listed.get("has_more") or listed.get("next_page_token"))
        return self.redaction.messages([entry for entry in entries if isinstance(entry.get("id"), str)]), more

    async def answers(self) -> bool:
        """Whether the endpoint answers anybody: not with a server's error, where it did not in the beginning."""
        import aiohttp

        try:
            async with self._opened.get(
                self._address("models"),
                timeout=aiohttp.ClientTimeout(total=ANSWERS_WITHIN_S),
                allow_redirects=False,
                **self._proxy,
            ) as response:
                return response.status < 500 or not self._lists
        except RuntimeError:  # the session was closed meanwhile, by us: that tells nothing of the endpoint
            return True
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def ask_server(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the server answers to a post beside OpenAI's API (at its root, without `/v1`); empty where it has no
        such path, refuses or fails: it is asked once, and nothing depends on it."""
        base, mark, query = self.url.partition("?")
        address = f"{base.rstrip('/').removesuffix('/v1')}/{path}{mark}{query}"
        try:
            async with self._opened.post(
                address, data=json.dumps(body).encode(), allow_redirects=False, **self._proxy
            ) as response:
                if response.status != 200:
                    return {}
                text = (await self._read(response, LARGEST_ANSWER)).decode(errors="replace")
                answer = nesting.loads(text)
        except Exception:
            return {}
        return answer if is_object(answer) else {}

    # -- one exchange

    @property
    def _opened(self) -> aiohttp.ClientSession:
        assert self._session is not None, "open() was not called"
        return self._session

    def _address(self, path: str) -> str:
        """The address of a path below the URL, whose query stays at the end."""
        base, mark, query = self.url.partition("?")
        return f"{base.rstrip('/')}/{path}{mark}{query}"

    async def _sent(self, path: str, data: bytes, headers: Mapping[str, str] | None) -> aiohttp.ClientResponse:
        """The answer to a post, where its status is of success, to be released by the caller.

        Redirections to the same host are followed, as they keep the request, and its headers, as they are.

        Raises:
            RefusedError, BusyError: it has another status.
        """
        url = self._address(path)
        for _ in range(REDIRECTS + 1):
            response = await self._opened.post(url, data=data, headers=headers, allow_redirects=False, **self._proxy)
            if 200 <= response.status < 300:  # some answer a post with 201, as the making of something
                return response
            async with response:
                target = urljoin(url, response.headers.get("Location", ""))
                if response.status not in (307, 308) or urlsplit(target).hostname != urlsplit(url).hostname:
                    raise await self._refusal(path, response)
                url = target
        raise RefusedError(f"{self.url}/{path} leads from one address to the next", 310)

    async def _read(self, response: aiohttp.ClientResponse, most: int) -> bytes:
        """The body, unpacked. Raises AnswerError where it is larger than `most`."""
        parts: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > most:
                response.close()
                raise AnswerError(f"{self.url} answered with more than {most >> 20} MiB")
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _refusal(self, path: str, response: aiohttp.ClientResponse) -> GenerationError:
        """What a status other than 200 comes to."""
        try:
            content = await self._read(response, LARGEST_ERROR)
        except AnswerError as error:
            content = str(error).encode()
        return self._reader.refusal(path, response.status, response.headers, content)

    async def _events(
        self, response: aiohttp.ClientResponse, most: int, ended: asyncio.Event
    ) -> AsyncIterator[tuple[float, str, str]]:
        """Events with the time they came; after the reason of the ending, those alone that come soon."""
        reader = EventReader()
        size = 0
        whole: list[bytes] | None = None
        """Of a server that does not stream, and answers with JSON."""
        blank = True
        pieces = response.content.iter_any()
        while True:
            try:
                if ended.is_set():
                    async with asyncio.timeout(USAGE_WITHIN_S):
                        piece = await anext(pieces)
                else:
                    piece = await anext(pieces)
            except StopAsyncIteration:
                break
            now = time.perf_counter()
            size += len(piece)
            if size > most:
                raise AnswerError(f"{self.url} streamed more than {most >> 20} MiB")
            if blank:
                begun = piece.lstrip(BLANK)
                blank = not begun
                whole = [] if begun.startswith(b"{") else None
            if whole is not None:
                whole.append(piece)
                continue
            for name, text in reader.feed(piece):
                yield now, name, text
        now = time.perf_counter()
        if whole is not None:
            yield now, NOT_STREAMED, b"".join(whole).decode(errors="replace")
        for name, text in reader.end():
            yield now, name, text

    # -- what is said of it

    def _said(self, error: BaseException) -> str:
        text = " ".join(str(error).split()).replace(" ssl:default", "")  # aiohttp says it of plain http too
        return self.redaction.message(text)[:300] or type(error).__name__

    def _lost(self, error: Exception) -> str:
        """What to say of an exchange that failed."""
        if isinstance(error, TimeoutError):
            return f"no answer within {self._options.request_timeout_s:g} s"
        if isinstance(error, RuntimeError) and self._opened.closed:
            return "the connection was closed"
        return self._said(error)


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, BusyError)


def _largest(body: Mapping[str, Any], bytes_per_token: int) -> int:
    """Bytes of an answer at most: in proportion to the tokens that it may have."""
    asked = body.get("max_tokens") or body.get("max_completion_tokens") or 0
    tokens = asked * (body.get("n") or 1) if isinstance(asked, int) else 0
    return min(LARGEST_ANSWER, SMALLEST_BOUND + bytes_per_token * tokens)


def _gives_reason(event: Mapping[str, Any]) -> bool:
    choices = event.get("choices")
    first = choices[0] if is_array(choices) and choices else None
    return is_object(first) and bool(first.get("finish_reason"))


def _hint(error: Exception) -> str:
    if "certificate" in str(error).lower():
        return "name a file with the authority's certificate in SSL_CERT_FILE"
    return "is the server running?"
