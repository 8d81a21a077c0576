"""What never ends, or unpacks to more than memory holds, is a clear error: in a process that has little memory."""

from __future__ import annotations

import asyncio
import sys
import zlib
from typing import Any

import pytest
from aiohttp import web

from tests.conftest import Connect
from tests.fake_endpoint import FakeEndpoint, is_probe

MEMORY = 700 << 20
"""Address space of the child; the program with its libraries takes some 350 MiB of it."""

CHILD = """
import asyncio, resource, sys
from stackbench.errors import StackbenchError
from stackbench.models import ModelOptions
from stackbench.models.openai import OpenAIModel
from stackbench.types import Message, Request, Sampling
import aiohttp, yarl
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))

async def main():
    model = OpenAIModel("x", "fake", sys.argv[1], ModelOptions(retries=0, request_timeout_s=120))
    try:
        await model.start(lambda line: print("said", line))
        for number, way in enumerate(sys.argv[3:]):
            asked = Request(Sampling(max_tokens=16), (Message("user", str(number)),), stream=way == "stream")
            try:
                print("answered", (await model.generate([asked]))[0].text[:50])
            except StackbenchError as error:
                print("error", type(error).__name__, str(error)[:300])
    finally:
        await model.close()

asyncio.run(main())
"""


async def child(endpoint: FakeEndpoint, *ways: str) -> str:
    """What a process with little memory tells of its requests, a line each; the message of each is its number."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, endpoint.url, str(MEMORY), *(ways or ("whole",)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def endless(request: web.Request, first: bytes, block: bytes, **headers: str) -> web.StreamResponse:
    """Writes until the reader goes, 4 GiB at most."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", **headers})
    await response.prepare(request)
    try:
        await response.write(first)
        for _ in range((4 << 30) // len(block)):
            await response.write(block)
    except (ConnectionError, asyncio.CancelledError):
        pass
    return response


def bomb() -> bytes:
    """1 GiB of zeros in 1 MiB of gzip, which goes on within the JSON text that it begins; without an end of its own."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    begin = packer.compress(b'{"choices": [{"message": {"content": "') + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b"0" * (1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    return begin + 64 * block


BLOCK = b"x" * (1 << 20)
LINES = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n' * 1000


CASES = (
    ("whole", b'{"choices": "', BLOCK, "answered with more than 4 MiB"),
    ("whole", b"[" * 1000, b"[" * (1 << 20), "answered with more than 4 MiB"),
    ("whole", b'{"choices": [', b"{}," * (1 << 18), "answered with more than 4 MiB"),
    ("stream", b"data: ", BLOCK, "streamed"),
    ("stream", b"", b": ping\n" * (1 << 16), "streamed more than 4 MiB"),
    ("stream", b"", b"data: x\n" * (1 << 16), "streamed"),
    ("stream", b"", LINES, "pieces for 16 tokens"),
    ("stream", b'{"choices": "', BLOCK, "streamed more than 4 MiB"),
)


async def test_answers_without_end(endpoint: FakeEndpoint) -> None:
    def respond(request: web.Request, body: dict[str, Any]) -> Any:
        if is_probe(request):
            return None
        _, first, block, _ = CASES[int(body["messages"][0]["content"])]
        return endless(request, first, block)

    endpoint.respond = respond
    lines = (await child(endpoint, *(case[0] for case in CASES))).splitlines()
    assert len(lines) == len(CASES)
    for line, (*_, said) in zip(lines, CASES, strict=True):
        assert line.startswith("error AnswerError") and said in line


async def test_answers_that_unpack_to_gigabytes(endpoint: FakeEndpoint) -> None:
    packed = bomb()
    assert len(packed) < 4 << 20
    endpoint.respond = lambda request, body: (
        None if is_probe(request) else web.Response(body=packed, headers={"Content-Encoding": "gzip"})
    )
    lines = (await child(endpoint, "whole", "stream")).splitlines()
    assert ["more than 4 MiB" in line for line in lines] == [True, True]


async def test_an_error_without_end(endpoint: FakeEndpoint) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        try:
            while True:
                await response.write(BLOCK)
        except (ConnectionError, asyncio.CancelledError):
            return response

    endpoint.respond = lambda request, body: None if is_probe(request) else refuse(request)
    assert "error RefusedError" in await child(endpoint)


@pytest.mark.parametrize("text", [b"[" * 500_000, b'{"data":' * 200_000, b'{"data": [' + b"1," * 100 + b'"' * 100_000])
async def test_a_list_of_models_that_is_too_deep_or_broken(endpoint: FakeEndpoint, text: bytes) -> None:
    endpoint.list_with = lambda request: web.Response(body=text, content_type="application/json")
    out = await child(endpoint)
    assert "does not list its models" in out
    assert "answered an answer" in out


async def test_a_list_of_models_without_end(endpoint: FakeEndpoint) -> None:
    endpoint.list_with = lambda request: endless(request, b'{"data": [', b'{"id": "x"},' * (1 << 16))
    out = await child(endpoint)
    assert "does not list its models" in out
    assert "answered an answer" in out


async def test_probes_that_are_answered_with_depth_or_without_end(endpoint: FakeEndpoint) -> None:
    deep = b'{"choices":' * 300_000

    def respond(request: web.Request, body: dict[str, Any]) -> Any:
        if not is_probe(request):
            return None
        if body.get("tools"):
            return web.Response(body=deep, content_type="application/json")
        return endless(request, b'{"choices": "', BLOCK) if body.get("logprobs") else None

    endpoint.respond = respond
    assert "answered an answer" in await child(endpoint)


async def test_entries_of_any_type_in_the_list_of_models(connect: Connect, endpoint: FakeEndpoint) -> None:
    whole = {"id": "fake", "max_model_len": True, "context_length": "2048", "more": "x" * (1 << 20)}
    entries: list[Any] = [None, 7, "x", [], {}, {"id": None}, {"id": 7}, {"id": ["fake"]}, whole]
    lists: list[Any] = [
        {"data": entries},
        entries,
        {"data": None},
        {"data": 7},
        {"data": {}},
        7,
        "x",
        [],
        {"object": 1},
    ]
    for listed in lists:
        endpoint.listed = listed
        model = await connect()
        assert model.window in (2048, None)
        assert len(str(model.describe())) < 20_000
