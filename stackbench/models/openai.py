"""Any OpenAI-compatible endpoint, over one connection pool."""

from __future__ import annotations

import asyncio
import email.utils
import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stackbench.errors import GenerationError, ModelNotAvailableError
from stackbench.models.base import ModelOptions
from stackbench.types import FinishReason, Generation, Request

if TYPE_CHECKING:
    import aiohttp

__all__ = ["OpenAIModel"]

RETRIED_STATUS = {408, 409, 429, 500, 502, 503, 504, 529}
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0
TOP_LOGPROBS = 20


class OpenAIModel:
    """Chat or plain completions of one model at one endpoint.

    Requests for the same prompt that arrive together are asked in one call of up to `n_per_request` answers.
    """

    concurrency = 64

    def __init__(self, name: str, model: str, url: str, options: ModelOptions) -> None:
        self.name = name
        self.chat = options.api != "completions"
        self.plain_prompts = not self.chat
        self.scores_choices = True
        self._model = model
        self._url = url
        self._options = options
        self._session: aiohttp.ClientSession | None = None
        self._served: Mapping[str, Any] = {}
        self._jitter = random.Random(0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._gathering: list[tuple[Request, asyncio.Future[Generation]]] = []

    async def start(self, say: Callable[[str], None]) -> None:
        import aiohttp

        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self._options.api_key_env)
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(total=self._options.request_timeout_s, connect=30),
        )
        await self._check_served(say)

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        if self._options.n_per_request > 1:
            return list(await asyncio.gather(*(self._gather(request) for request in requests)))
        if len(requests) == 1:
            return await self._ask(requests[0], 1)
        found = await asyncio.gather(*(self._ask(request, 1) for request in requests))
        return [generation for (generation,) in found]

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "openai", "model": self._model, "url": self._url, "served": self._served}

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    # -- several answers to one prompt in one request

    def _gather(self, request: Request) -> asyncio.Future[Generation]:
        """Holds a request back until all that are ready now have been seen."""
        loop = asyncio.get_running_loop()
        if not self._gathering:
            loop.call_soon(lambda: loop.call_soon(self._send_gathered))
        answer: asyncio.Future[Generation] = loop.create_future()
        self._gathering.append((request, answer))
        return answer

    def _send_gathered(self) -> None:
        gathered, self._gathering = self._gathering, []
        for group in _same_prompt([request for request, _ in gathered], self._options.n_per_request):
            task = asyncio.create_task(self._answer([gathered[index] for index in group]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, group: list[tuple[Request, asyncio.Future[Generation]]]) -> None:
        try:
            generations = await self._ask(group[0][0], len(group))
        except GenerationError as error:
            for _, answer in group:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), generation in zip(group, generations, strict=True):
            if not answer.done():
                answer.set_result(generation)

    # -- one request

    async def _ask(self, request: Request, n: int) -> list[Generation]:
        chat = request.prompt is None
        body = json.dumps(_body(self._model, request, n, chat=chat)).encode()
        url = f"{self._url}/{'chat/completions' if chat else 'completions'}"
        started = time.perf_counter()
        answer = await self._post(url, body)
        latency_s = time.perf_counter() - started
        try:
            return _generations(answer, request, n, latency_s, chat=chat)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            shown = json.dumps(answer)[:200]
            raise GenerationError(f"{url} answered what is no completion ({error!r}): {shown}") from error

    async def _post(self, url: str, body: bytes) -> Any:
        """Posts until it succeeds; waits between tries as the server asks (Retry-After), else 0.5 s doubling."""
        import aiohttp

        assert self._session is not None, "start() was not called"
        problem = ""
        for attempt in range(self._options.retries + 1):
            wait_s: float | None = None
            try:
                async with self._session.post(url, data=body) as response:
                    content = await response.read()
                    if response.status == 200:
                        return json.loads(content)
                    problem = f"HTTP {response.status}: {_message(content)}"
                    if response.status not in RETRIED_STATUS:
                        raise GenerationError(f"{url} refused the request: {problem}")
                    wait_s = _retry_after_s(response.headers.get("Retry-After"))
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                problem = str(error) or type(error).__name__
                if isinstance(error, TimeoutError):
                    problem = f"no answer within {self._options.request_timeout_s:g} s"
            except ValueError as error:
                problem = f"the answer is not JSON: {error}"
            if attempt < self._options.retries:
                backoff = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2**attempt) * (0.5 + self._jitter.random())
                await asyncio.sleep(backoff if wait_s is None else min(wait_s, 10 * LONGEST_BACKOFF_S))
        raise GenerationError(f"{url} failed {self._options.retries + 1} times; last: {problem}")

    async def _check_served(self, say: Callable[[str], None]) -> None:
        """Asks which models are served; an endpoint without that list is used as it is."""
        import aiohttp

        assert self._session is not None
        try:
            async with self._session.get(f"{self._url}/models", timeout=aiohttp.ClientTimeout(total=30)) as response:
                if response.status in (401, 403):
                    await self.close()
                    raise ModelNotAvailableError(
                        f"{self._url} refuses the key (HTTP {response.status}); set {self._options.api_key_env}"
                    )
                listed = json.loads(await response.read()) if response.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            await self.close()
            raise ModelNotAvailableError(f"nothing answers at {self._url} ({error}); is the server running?") from error
        except ValueError:
            listed = {}
        data = listed.get("data", []) if isinstance(listed, dict) else []
        names = [str(entry["id"]) for entry in data if isinstance(entry, dict) and "id" in entry]
        if names and self._model not in names:
            await self.close()
            raise ModelNotAvailableError(
                f'{self._url} does not serve "{self._model}"; it serves: {", ".join(names[:8])}'
            )
        if not names:
            say(f"{self._url} does not list its models; taking {self._model} on trust")
        self._served = next((entry for entry in data if isinstance(entry, dict) and entry.get("id") == self._model), {})


def _same_prompt(requests: Sequence[Request], most: int) -> list[list[int]]:
    """Indices of requests that differ in seed and key only, in groups of at most `most`."""
    groups: dict[Request, list[list[int]]] = {}
    for index, request in enumerate(requests):
        alike = replace(request, key=None, sampling=replace(request.sampling, seed=None))
        mine = groups.setdefault(alike, [[]])
        if len(mine[-1]) == most:
            mine.append([])
        mine[-1].append(index)
    return [group for mine in groups.values() for group in mine]


def _body(model: str, request: Request, n: int, *, chat: bool) -> dict[str, Any]:
    sampling = request.sampling
    body: dict[str, Any] = {"model": model, "max_tokens": sampling.max_tokens, "temperature": sampling.temperature}
    if chat:
        body["messages"] = [{"role": message.role, "content": message.content} for message in request.messages]
    else:
        body["prompt"] = request.prompt
    if sampling.top_p != 1.0:
        body["top_p"] = sampling.top_p
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if n > 1:
        body["n"] = n
    if request.choices:
        body["max_tokens"] = 1
        body["logprobs"] = True if chat else TOP_LOGPROBS
        if chat:
            body["top_logprobs"] = TOP_LOGPROBS
    return body


def _generations(answer: Any, request: Request, n: int, latency_s: float, *, chat: bool) -> list[Generation]:
    choices = answer["choices"]
    if len(choices) != n:
        raise ValueError(f"{len(choices)} answers instead of {n}")
    usage = answer.get("usage") or {}
    prompt_tokens, completion_tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
    found: list[Generation] = []
    for choice in choices:
        text = choice["message"].get("content") if chat else choice["text"]
        found.append(
            Generation(
                text=text or "",
                finish_reason=FinishReason.LENGTH if choice.get("finish_reason") == "length" else FinishReason.STOP,
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens // n,
                latency_s=latency_s,
                choice_logprobs=_choice_logprobs(choice, request.choices, chat=chat) if request.choices else None,
            )
        )
    return found


def _choice_logprobs(choice: Any, wanted: Sequence[str], *, chat: bool) -> tuple[float, ...] | None:
    """The best log-probability of a first token that is the choice, white space aside; None when none was given."""
    logprobs = choice.get("logprobs")
    if not logprobs:
        return None
    if chat:
        top = {entry["token"]: entry["logprob"] for entry in logprobs["content"][0]["top_logprobs"]}
    else:
        top = logprobs["top_logprobs"][0]
    best = {want.strip(): float("-inf") for want in wanted}
    for token, value in top.items():
        if token.strip() in best:
            best[token.strip()] = max(best[token.strip()], float(value))
    if all(value == float("-inf") for value in best.values()):
        return None
    return tuple(best[want.strip()] for want in wanted)


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
