"""A server at the machine's edge that speaks OpenAI's API: it answers, fails, throttles and drops as a test wants."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Calls = list[tuple[str, str]]
"""Calls of tools: names and arguments as text."""
Reply = Callable[[dict[str, Any]], str | Calls]
Respond = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse] | web.Response | None]


class FakeEndpoint:
    """`faults` are used up first, one per request: a status, `drop`, `garbage` or `slow`."""

    def __init__(self) -> None:
        self.model = "fake"
        self.requests: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        """The requests as they came."""
        self.headers: list[dict[str, str]] = []
        self.faults: deque[Any] = deque()
        self.fault_text = ""
        self.retry_after: str | None = None
        self.reply: Reply = lambda body: "an answer"
        self.finish: Callable[[dict[str, Any]], str] | None = None
        """Why an answer ended, in place of what its kind says."""
        self.delay_s = 0.0
        self.key: str | None = None
        self.probes: list[dict[str, Any]] = []
        self.lacks: set[str] = set()
        """What it refuses: chat, completions, tools, logprobs, usage, completion usage, ignore_eos, max_tokens."""
        self.pieces: Callable[[str], list[str]] = lambda text: text.split(" ")
        self.piece_delay_s = 0.0
        self.respond: Respond = lambda request, body: None
        """Answers in place of all that follows, where it returns something; probes are asked by it too."""
        self.listed: Any = None
        """What `/models` answers, where it is set."""
        self.list_with: Callable[[web.Request], Awaitable[web.StreamResponse] | web.Response] | None = None
        self.beside: Callable[[str, dict[str, Any]], Any] = lambda path, body: None
        """What a post to a path beside OpenAI's API answers (`/tokenize`, say); None: there is no such path."""
        self.asked_beside: list[tuple[str, dict[str, Any]]] = []
        self.before_answer: Callable[[], Awaitable[Any]] | None = None
        """Waited for before each answer that is no probe's."""
        self.prompt_tokens: Callable[[dict[str, Any]], int] = lambda body: 10
        self.most_at_once = 0
        self._now = 0
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self, port: int = 0) -> None:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_post("/{path}", self._beside)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def start_again(self) -> None:
        """At the address that it had before it was stopped."""
        await self.start(int(self.url.split(":")[2].partition("/")[0]))

    @property
    def name(self) -> str:
        return f"openai:{self.model}@{self.url}"

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if self.list_with is not None:
            response = self.list_with(request)
            return response if isinstance(response, web.StreamResponse) else await response
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"message": "bad key"}}, status=401)
        return web.json_response({"data": [{"id": self.model}]} if self.listed is None else self.listed)

    async def _beside(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked_beside.append((request.path, body))
        answer = self.beside(request.path, body)
        return refusal("Not Found", 404) if answer is None else web.json_response(answer)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, _chat_message)

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, lambda text: {"text": text})

    async def _answer(self, request: web.Request, shape: Callable[[Any], dict[str, Any]]) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw)
        response = self.respond(request, body)
        if response is not None:
            if not is_probe(request):
                self.requests.append(body)
                self.bodies.append(raw)
                self.headers.append(dict(request.headers))
            return response if isinstance(response, web.StreamResponse) else await response
        lacking = self._lacking(request.path, body)
        if lacking:
            return web.json_response({"error": {"message": f"no {lacking} here"}}, status=400)
        if is_probe(request):
            self.probes.append(body)
            return await self._reply(request, body, shape)
        self.requests.append(body)
        self.bodies.append(raw)
        self.headers.append(dict(request.headers))
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            fault = self.faults.popleft() if self.faults else None
            if fault == "drop":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            if fault == "garbage":
                return web.Response(text="<html>not json</html>", content_type="application/json")
            if fault == "slow":
                await asyncio.sleep(60)
            if isinstance(fault, int):
                headers = {"Retry-After": self.retry_after} if self.retry_after else {}
                return web.json_response(
                    {"error": {"message": self.fault_text or f"fault {fault}"}}, status=fault, headers=headers
                )
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if self.before_answer is not None:
                await self.before_answer()
            return await self._reply(request, body, shape)
        finally:
            self._now -= 1

    def _lacking(self, path: str, body: dict[str, Any]) -> str:
        if "max_tokens" in self.lacks and "messages" in body and "max_tokens" in body:
            return "max_tokens for this model, use 'max_completion_tokens' instead, not"
        asked = {
            "chat": path.endswith("chat/completions"),
            "completions": not path.endswith("chat/completions"),
            "tools": "tools" in body,
            "logprobs": bool(body.get("logprobs")),
            "ignore_eos": "ignore_eos" in body,
        }
        return next((what for what, wanted in asked.items() if wanted and what in self.lacks), "")

    async def _reply(
        self, request: web.Request, body: dict[str, Any], shape: Callable[[Any], dict[str, Any]]
    ) -> web.StreamResponse:
        if body.get("stream"):
            return await self._stream(request, body)
        choices = []
        for index in range(body.get("n", 1)):
            said = self.reply(body)
            choice = {"index": index, "finish_reason": self._finish(body, said), **shape(said)}
            if body.get("logprobs"):
                choice["logprobs"] = self._logprobs(chat="messages" in body)
            choices.append(choice)
        usage = {"prompt_tokens": self.prompt_tokens(body), "completion_tokens": 5 * len(choices)}
        return web.Response(text=json.dumps({"choices": choices, "usage": usage}), content_type="application/json")

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        chat = "messages" in body
        said = self.reply(body)
        pieces: list[Any] = self.pieces(said) if isinstance(said, str) else _call_pieces(said)
        for index, piece in enumerate(pieces):
            await asyncio.sleep(self.piece_delay_s)
            delta = piece if isinstance(piece, dict) else {"content": piece}
            choice: dict[str, Any] = {"delta": delta} if chat else {"text": piece}
            choice["finish_reason"] = self._finish(body, said) if index == len(pieces) - 1 else None
            await response.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
        if not self.lacks & {"usage", "completion usage" if "prompt" in body else "usage"}:
            usage = {"prompt_tokens": self.prompt_tokens(body), "completion_tokens": len(pieces)}
            await response.write(f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    def _finish(self, body: dict[str, Any], said: str | Calls) -> str:
        if self.finish is not None and "seed" in body:
            return self.finish(body)
        return "tool_calls" if isinstance(said, list) else "stop"

    def _logprobs(self, *, chat: bool) -> dict[str, Any]:
        top = {"A": -3.0, " B": -0.1, "C": -4.0, "D": -5.0}
        if chat:
            return {"content": [{"top_logprobs": [{"token": t, "logprob": p} for t, p in top.items()]}]}
        return {"top_logprobs": [top]}


def is_probe(request: web.Request) -> bool:
    """Whether a request is one of those that find out what the endpoint can do."""
    return "X-Stackbench" in request.headers


def refusal(message: str, status: int = 400, **more: Any) -> web.Response:
    """An error in OpenAI's form."""
    return web.json_response({"error": {"message": message, **more}}, status=status)


def completion(*, usage: Any = None, **choice: Any) -> web.Response:
    """A completion of one choice."""
    answer = {"choices": [{"index": 0, "finish_reason": "stop", **choice}], "usage": usage}
    return web.Response(text=json.dumps(answer), content_type="application/json")


async def raw_stream(request: web.Request, *pieces: bytes, breaks_off: bool = False) -> web.StreamResponse:
    """A stream of exactly these bytes, one write each."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
        await asyncio.sleep(0)
    if breaks_off:
        assert request.transport is not None
        request.transport.abort()
    return response


def _chat_message(said: str | Calls) -> dict[str, Any]:
    if not isinstance(said, list):
        return {"message": {"role": "assistant", "content": said}}
    made = [
        {"id": f"srv_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, (name, arguments) in enumerate(said)
    ]
    return {"message": {"role": "assistant", "content": None, "tool_calls": made}}


def _call_pieces(said: Calls) -> list[dict[str, Any]]:
    """As servers stream calls: the name first, then the arguments in parts."""
    pieces: list[dict[str, Any]] = [{"role": "assistant", "content": None}]
    for n, (name, arguments) in enumerate(said):
        half = len(arguments) // 2
        pieces.append({"tool_calls": [{"index": n, "id": f"srv_{n}", "function": {"name": name, "arguments": ""}}]})
        pieces += [
            {"tool_calls": [{"index": n, "function": {"arguments": part}}]}
            for part in (arguments[:half], arguments[half:])
        ]
    return pieces
