"""One model at one endpoint: requests out, generations back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from stackbench.errors import GenerationError, ModelNotAvailableError
from stackbench.models.openai.connection import BusyError, Connection, RefusedError
from stackbench.models.openai.probe import Capabilities, probe
from stackbench.models.openai.wire import generations, request_body, streamed_generation
from stackbench.models.options import ModelOptions
from stackbench.types import Generation, Request

__all__ = ["OpenAIModel"]

NO_COMPLETION = (KeyError, IndexError, TypeError, ValueError, AttributeError)


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
        self._served: Mapping[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._gathering: list[tuple[Request, asyncio.Future[Generation]]] = []

    async def start(self, say: Callable[[str], None]) -> None:
        self._connection.open()
        try:
            await self._check_served(say)
            await self._find_out(say)
        except BaseException:
            await self.close()
            raise

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        if self._options.n_per_request > 1 and not any(request.stream for request in requests):
            return list(await asyncio.gather(*(self._gather(request) for request in requests)))
        if len(requests) == 1:
            return await self._ask(requests[0], 1)
        found = await asyncio.gather(*(self._ask(request, 1) for request in requests))
        return [generation for (generation,) in found]

    def describe(self) -> Mapping[str, Any]:
        return {
            "kind": "openai",
            "model": self._model,
            "url": self._connection.url,
            "served": self._served,
            "capabilities": self.capabilities.describe(),
        }

    async def close(self) -> None:
        await self._connection.close()

    # -- what there is

    async def _check_served(self, say: Callable[[str], None]) -> None:
        """Asks which models are served; an endpoint without that list is used as it is."""
        listed = await self._connection.served()
        url = self._connection.url
        names = [str(entry["id"]) for entry in listed]
        if names and self._model not in names:
            raise ModelNotAvailableError(f'{url} does not serve "{self._model}"; it serves: {", ".join(names[:8])}')
        if not names:
            say(f"{url} does not list its models; taking {self._model} on trust")
        self._served = next((entry for entry in listed if entry["id"] == self._model), {})
        length = self._served.get("max_model_len")  # vLLM and some others tell it
        self.window = length if isinstance(length, int) else None

    async def _find_out(self, say: Callable[[str], None]) -> None:
        found = self.capabilities = await probe(self._connection, self._model)
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
            say(f"{self._connection.url} has no {', '.join(cannot)} for {self._model}")

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
        except Exception as error:  # whatever it was, somebody waits for each of these answers
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
        path = "chat/completions" if chat else "completions"
        body = request_body(self._model, request, n, self.capabilities.chat_limit)
        started = time.perf_counter()
        answer: Any = None
        try:
            if request.stream:
                return [await self._stream(request, path, body, started)]
            answer = await self._connection.post(path, body)
            return generations(answer, request, n, time.perf_counter() - started)
        except NO_COMPLETION as error:
            shown = json.dumps(answer)[:200]
            raise GenerationError(
                f"{self._connection.url}/{path} answered what is no completion ({error!r}): {shown}"
            ) from error

    async def _stream(self, request: Request, path: str, body: dict[str, Any], started: float) -> Generation:
        """A streamed answer, asked for again where it failed on the way, unless the request is to be tried `once`."""
        chat = request.prompt is None
        attempt = 0
        while True:
            try:
                async with aclosing(self._connection.stream(path, body)) as events:
                    return await streamed_generation(events, started, chat=chat, on_text=request.on_text)
            except RefusedError:
                raise
            except GenerationError as error:
                if request.once or attempt >= self._options.retries:
                    raise
                wait_s = error.wait_s if isinstance(error, BusyError) else None
                await self._connection.back_off(attempt, wait_s)
                attempt += 1


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
