"""A model at an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from stackbench.errors import GenerationError, ModelNotAvailableError, ModelUnreachableError, one_line
from stackbench.models.openai.answer import served_window
from stackbench.models.openai.connection import Connection
from stackbench.models.openai.dialect import Change, Dialect
from stackbench.models.openai.faults import AnswerError, RefusedError
from stackbench.models.openai.probe import Capabilities, probe
from stackbench.models.openai.settling import settled
from stackbench.models.openai.streamed import streamed_generation
from stackbench.models.openai.token_counting import TokenCounter
from stackbench.models.openai.window import Room, is_too_long, room_named, tokens_at_most
from stackbench.models.openai.wire import Manner, generations, request_body
from stackbench.models.options import ModelOptions
from stackbench.types import Generation, Request, TokenCount

__all__ = ["OpenAIModel"]

OWN_DEFAULTS = {"vllm", "sglang"}
"""Servers, as they name themselves in `owned_by`, that draw with the checkpoint's parameters where none are sent."""
SAMPLING = {
    "temperature", "top_p", "top_k", "min_p", "seed", "stop", "max_tokens", "max_completion_tokens", "presence_penalty",
    "frequency_penalty", "repetition_penalty",
}  # fmt: skip
LARGEST_ENTRY = 16 << 10


class OpenAIModel:
    """Chat or plain completions of one model at one endpoint.

    Requests for the same prompt that arrive together are asked in one call of up to `n_per_request` answers.
    """

    concurrency = 64
    gpus = 0
    has_speed = True

    def __init__(self, name: str, model: str, url: str, options: ModelOptions) -> None:
        self.name = name
        self.chat = options.api != "completions"
        self.plain_prompts = not self.chat
        self.scores_choices = True
        self.native_tools = True
        self.window: int | None = None
        self.capabilities = Capabilities()
        self._model = model
        self._options = options
        self._connection = Connection(url, options)
        self._counter = TokenCounter(self._connection, model)
        self._served: Mapping[str, Any] = {}
        self._manner = Manner(options.explicit_sampling, options.extra_body, options.parameter_names)
        self._chats, self._prompts = Dialect(), Dialect()
        self._say: Callable[[str], None] = lambda line: None
        self._noticed: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._gathering: list[tuple[Request, asyncio.Future[Generation]]] = []

    async def start(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._connection.open()
        try:
            await self._check_served()
            await self._find_out()
        except BaseException:
            await self.close()
            raise

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        try:
            return await self._generate(requests)
        except (RefusedError, AnswerError):
            raise
        except GenerationError as error:
            if await self._connection.answers():
                raise
            raise ModelUnreachableError(str(error)) from error

    async def answers(self) -> bool:
        return await self._connection.answers()

    async def _generate(self, requests: Sequence[Request]) -> list[Generation]:
        if self._options.n_per_request > 1 and not any(request.stream for request in requests):
            return list(await asyncio.gather(*(self._gather(request) for request in requests)))
        if len(requests) == 1:
            return await self._ask(requests)
        found = await asyncio.gather(*(self._ask([request]) for request in requests))
        return [generation for (generation,) in found]

    async def count_tokens(self, request: Request) -> TokenCount:
        return await self._counter.count(request)

    def describe(self) -> Mapping[str, Any]:
        differences = {
            name: dialect.describe() for name, dialect in (("chat", self._chats), ("completions", self._prompts))
        }
        return {
            "kind": "openai",
            "model": self._model,
            "url": self._connection.url,
            "served": self._served,
            "capabilities": {
                **self.capabilities.describe(),
                "requests": {name: found for name, found in differences.items() if found},
            },
        }

    async def close(self) -> None:
        await self._connection.close()

    # -- what there is

    async def _check_served(self) -> None:
        """Asks which models are served; an endpoint without that list is used as it is."""
        listed, more = await self._connection.served()
        url = self._connection.url
        names = [entry["id"] for entry in listed]
        alike = {self._model, f"models/{self._model}", f"{self._model}:latest"}  # Gemini's and Ollama's names for it
        is_listed = bool(alike.intersection(names))
        if names and not is_listed and not more:
            raise ModelNotAvailableError(
                f'{url} does not serve "{self._model}"; it serves: {one_line(", ".join(names[:8]))}'
            )
        if not is_listed:
            self._say(f"{url} does not list {'all ' if names else ''}its models; taking {self._model} on trust")
        entry = next((entry for entry in listed if entry["id"] in alike), dict[str, Any]())
        self.window = served_window(entry)
        if entry.get("owned_by") in OWN_DEFAULTS:
            self._manner = replace(self._manner, explicit=True)
        self._served = entry if len(json.dumps(entry)) <= LARGEST_ENTRY else {"id": self._model}

    async def _find_out(self) -> None:
        url = self._connection.url
        overridden = sorted(SAMPLING & self._options.extra_body.keys())
        if overridden:
            self._say(f"--extra-body sets {', '.join(overridden)}: it takes the place of the run's own")
        found = self.capabilities = await probe(
            self._connection, self._model, self._chats, self._prompts, self._manner, self._tell
        )
        if found.chat is False and found.completions is False:
            raise ModelNotAvailableError(f"{self._model} takes neither chats nor bare prompts: {found.chat_refusal}")
        if self._options.api == "auto":
            self.chat = found.chat is not False
            self.plain_prompts = found.completions is True
        logprobs = found.completion_logprobs if self.plain_prompts else found.chat_logprobs
        self.scores_choices = logprobs is not False
        self.native_tools = self.chat and found.tools is not False
        cannot = [name.replace("_", " ") for name, can in found.describe().items() if can is False]
        if cannot:
            self._say(f"{url} has no {', '.join(cannot)} for {self._model}")

    def _tell(self, interface: str, change: Change) -> None:
        """Names what requests leave out from now on, once."""
        dialect = self._chats if interface == "chat" else self._prompts
        line = f"{self._connection.url} {dialect.phrase(change)} ({interface})"
        if line not in self._noticed:
            self._noticed.add(line)
            self._say(line)

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
            generations = await self._ask([request for request, _ in group])
        except Exception as error:  # whatever it was, somebody waits for each of these answers
            for _, answer in group:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), generation in zip(group, generations, strict=True):
            if not answer.done():
                answer.set_result(generation)

    # -- one request

    async def _ask(self, group: Sequence[Request]) -> list[Generation]:
        """Answers to requests that differ in their seeds alone: in one request, with the first one's seed, where the
        server gives so many, else one by one, with their own."""
        request, n = group[0], len(group)
        dialect = self._chats if request.prompt is None else self._prompts
        together = 1 if dialect.leaves_out("n", n) else n
        found = await self._fitted(request, together, dialect)
        if len(found) < together and n > 1:
            dialect.refused["n"] = [n]
            self._tell("chat" if request.prompt is None else "completions", Change("n", n, []))
        if len(found) < n:
            more = await asyncio.gather(*(self._fitted(each, 1, dialect) for each in group[len(found) :]))
            found += [generation for (generation,) in more]
        return found

    async def _fitted(self, request: Request, n: int, dialect: Dialect) -> list[Generation]:
        """Asks with the limit that was wished, and again with what the window leaves where that is too long.

        An agent's chat is not answered in less than half of its limit: it is shortened instead, by who asks.
        """
        limit: int | None = None
        while True:
            try:
                return await self._settled(request, n, dialect, limit)
            except RefusedError as error:
                if not is_too_long(error):
                    raise
                asked = limit or min(request.sampling.max_tokens, dialect.most_tokens or request.sampling.max_tokens)
                room = room_named(error, asked)
                fewer = self._limit(room, request, n, dialect, asked)
                least = asked // 2 if request.keep_prefix else 1
                if fewer is None or not least <= fewer < asked:
                    raise
                if room.most is not None:
                    dialect.most_tokens = room.most
                if self.window is None and room.window is not None and room.prompt is not None:
                    self.window = room.window
                limit = fewer

    def _limit(self, room: Room, request: Request, n: int, dialect: Dialect, asked: int) -> int | None:
        """Tokens that an answer may have: by the refusal's own numbers, else by an estimate of the prompt."""
        if room.limit is not None:
            return room.limit
        window = room.window or self.window
        if window is None:
            return None
        body = request_body(self._model, request, n, dialect, self._manner)
        return min(asked - 1, window - tokens_at_most(body))

    async def _settled(self, request: Request, n: int, dialect: Dialect, limit: int | None) -> list[Generation]:
        """Asks once what the endpoint takes; what it refuses by name is left out from now on."""
        interface = "chat" if request.prompt is None else "completions"

        async def ask(body: dict[str, Any]) -> list[Generation]:
            found = [await self._stream(request, body)] if request.stream else await self._whole(request, body, n)
            self._counter.learn(request, found)
            return found

        try:
            return await settled(
                ask,
                lambda: request_body(
                    self._model, request, 1 if dialect.leaves_out("n", n) else n, dialect, self._manner, limit
                ),
                dialect,
                lambda change: self._tell(interface, change),
                by_trial=ask,
            )
        except RefusedError as error:
            if request.prefill and not is_too_long(error):
                message = f"{error} (the request begins the answer itself: it ends with a message of the assistant)"
                raise RefusedError(message, error.status, error.detail) from error
            raise

    async def _whole(self, request: Request, body: dict[str, Any], n: int) -> list[Generation]:
        path = "chat/completions" if request.prompt is None else "completions"
        started = time.perf_counter()
        answer = await self._connection.post(path, body, on_retry=request.on_retry)
        took_s = time.perf_counter() - started
        try:
            return generations(answer, request, body, n, took_s, self._connection.redaction)
        except AnswerError as error:
            raise AnswerError(f"{self._connection.url}/{path} answered what is no completion: {error}") from error

    async def _stream(self, request: Request, body: dict[str, Any]) -> Generation:
        """A streamed answer, asked for again where it failed on the way, unless the request says `no_retry`."""
        path = "chat/completions" if request.prompt is None else "completions"
        started = time.perf_counter()

        async def ask() -> Generation:
            try:
                async with aclosing(self._connection.stream(path, body)) as events:
                    return await streamed_generation(events, started, request, body, self._connection.redaction)
            except AnswerError as error:
                if str(error).startswith(self._connection.url):
                    raise
                raise AnswerError(f"{self._connection.url}/{path}: {error}") from error

        retries = 0 if request.no_retry else None
        return await self._connection.retrying.call(ask, _may_pass, retries=retries, on_retry=request.on_retry)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, GenerationError) and not isinstance(error, RefusedError | AnswerError)


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
