"""Streams as the SSE standard reads them, what their pieces add up to, and when they came."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest
from aiohttp import web

from stackbench.errors import GenerationError
from stackbench.models.openai import OpenAIModel, connection
from stackbench.models.openai.events import LONGEST_LINE, EventReader, LineTooLongError
from stackbench.types import FinishReason, Generation, Message, Request, Sampling, ToolCall
from tests.conftest import Connect
from tests.fake_endpoint import FakeEndpoint, is_probe, raw_stream

CHAT = (Message("user", "Q"),)


def events(*pieces: bytes) -> list[tuple[str, str]]:
    reader = EventReader()
    found = [event for piece in pieces for event in reader.feed(piece)]
    return [*found, *reader.end()]


STREAM = (
    b"\xef\xbb\xbf: hello\nevent: x\nid: 7\nretry: 10\ndata: one\ndata:two\ndata\n\n"
    b"data:  \xc3\xa9\n\n\n\nunknown: x\ndata: z"
)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_events_are_the_same_however_they_are_cut(end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    wanted = [("x", "one\ntwo\n"), ("", " é"), ("", "z")]
    assert events(stream) == wanted
    assert events(*(stream[at : at + 1] for at in range(len(stream)))) == wanted
    for at in range(len(stream)):
        assert events(stream[:at], stream[at:]) == wanted


def test_a_line_or_an_event_without_end_is_refused_in_bounded_memory() -> None:
    block = b"x" * (1 << 20)
    for pieces in (itertools.repeat(block), itertools.chain([b"data: "], itertools.repeat(block)),
                   itertools.repeat(b"data: " + block + b"\n")):  # fmt: skip
        reader = EventReader()
        taken = 0
        with pytest.raises(LineTooLongError):
            for piece in pieces:
                taken += len(piece)
                list(reader.feed(piece))
        assert taken <= LONGEST_LINE + 2 * len(block)


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def data(*found: Any, end: bytes = b"\n\n") -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + end for each in found)


USAGE = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}
HELLO = data(delta(role="assistant", content=""), delta(content="Hello"[:3]), delta(content="lo"), delta("stop"), USAGE)


@pytest.fixture
async def streamed(connect: Connect, endpoint: FakeEndpoint):
    """The generation that the bytes of a stream come to."""
    model = await connect(retries=0)

    async def ask(*pieces: bytes, breaks_off: bool = False, request: Request | None = None) -> Generation:
        endpoint.respond = lambda request, body: raw_stream(request, *pieces, breaks_off=breaks_off)
        (found,) = await model.generate([request or Request(Sampling(), CHAT, stream=True)])
        return found

    return ask


@pytest.mark.parametrize(
    "pieces",
    [
        (HELLO, b"data: [DONE]\n\n"),
        (HELLO, b"data: [DONE]\n"),
        (HELLO, b"data: [DONE]"),
        (HELLO,),
        (HELLO.removesuffix(b"\n\n"),),
        (HELLO.removesuffix(b"\n"), b"\ndata:[DONE]\r\n\r\n"),
        (HELLO.replace(b"\n", b"\r\n"), b"data: [DONE]\r\n\r\n"),
        (HELLO.replace(b"\n", b"\r"),),
        (b": ping\n\n", HELLO.replace(b"data: {", b"event: message\nid: 1\nretry: 3\ndata: {"), b": ping\n\n"),
        (HELLO.replace(b"data: ", b"data:"),),
        (HELLO.replace(b'{"choices"', b'{\ndata: "choices"'),),
        (b"\xef\xbb\xbf" + HELLO,),
        tuple(HELLO[at : at + 7] for at in range(0, len(HELLO), 7)),
        (b"event: ping\ndata: {\"type\": \"ping\"}\n\n" + HELLO,),
        (HELLO + b"data: null\n\ndata: \n\n",),
        (b"\n\n\n" + HELLO,),
    ],
)  # fmt: skip
async def test_streams_of_every_form_are_one_answer(streamed, pieces: tuple[bytes, ...]) -> None:
    found = await streamed(*pieces)
    assert (found.text, found.prompt_tokens, found.completion_tokens) == ("Hello", 9, 4)
    assert found.finish_reason is FinishReason.STOP


async def test_a_connection_that_breaks_after_the_reason_of_the_ending_is_an_end(streamed) -> None:
    found = await streamed(data(delta(content="Hello"), delta("length")), breaks_off=True)
    assert (found.text, found.finish_reason) == ("Hello", FinishReason.LENGTH)


@pytest.mark.parametrize("breaks_off", [True, False])
async def test_a_stream_that_ends_in_the_middle_is_an_error(streamed, breaks_off: bool) -> None:
    with pytest.raises(GenerationError):
        await streamed(data(delta(content="Hello"[:3])), breaks_off=breaks_off)


async def test_a_server_that_never_closes_its_stream_is_waited_for_shortly(
    connect: Connect, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "USAGE_WITHIN_S", 0.05)
    model = await connect()
    let_go = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        response = await raw_stream(request, data(delta(content="Hello"), delta("stop")))
        await let_go.wait()
        return response

    endpoint.respond = lambda request, body: None if is_probe(request) else hang(request)
    (found,) = await model.generate([Request(Sampling(), CHAT, stream=True)])
    let_go.set()
    assert found.text == "Hello"


async def test_a_server_that_does_not_stream_is_read_whole(connect: Connect, endpoint: FakeEndpoint) -> None:
    model = await connect()
    answer = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}], "usage": USAGE["usage"]}
    for kind in ("application/json", "text/event-stream"):
        endpoint.respond = lambda request, body, kind=kind: web.Response(text=json.dumps(answer), content_type=kind)
        (found,) = await model.generate([Request(Sampling(), CHAT, stream=True)])
        assert (found.text, found.completion_tokens) == ("Hello", 4)


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (b"event: error\ndata: overloaded\n\n", 2),
        (b'event: error\ndata: {"message": "slow down", "code": 429}\n\n', 2),
        (b'data: {"error": {"message": "oh", "code": 500}}\n\n', 2),
        (b'data: {"error": "oh"}\n\n', 2),
        (b'data: {"choices": [{"error": {"message": "oh", "code": 502}, "delta": {}}]}\n\n', 2),
        (b"data: {broken\n\n", 2),
        (b"data: 7\n\n", 2),
        (b'data: {"error": {"message": "no", "code": 400}}\n\n', 1),
        (b'data: {"error": {"message": "no", "type": "invalid_request_error"}}\n\n', 1),
        (b"data: " + b"[" * 100_000 + b"\n\n", 2),
        (b'data: {"choices": "x"}\n\n', 1),
        (b'data: {"choices": [{"delta": "x"}]}\n\n', 1),
        (b'data: {"choices": [{"delta": {"content": 7}}]}\n\n', 1),
        (b'data: {"choices": [{"delta": {"tool_calls": "x"}}]}\n\n', 1),
        (b'data: {"choices": [{"delta": {"tool_calls": ["x"]}}]}\n\n', 1),
    ],
)
async def test_an_error_within_a_stream(connect: Connect, endpoint: FakeEndpoint, error: bytes, tries: int) -> None:
    model = await connect(retries=1)
    endpoint.respond = lambda request, body: (
        raw_stream(request, error) if not endpoint.requests else raw_stream(request, HELLO)
    )
    if tries == 2:
        (found,) = await model.generate([Request(Sampling(), CHAT, stream=True)])
        assert found.text == "Hello"
    else:
        with pytest.raises(GenerationError):
            await model.generate([Request(Sampling(), CHAT, stream=True)])
    assert len(endpoint.requests) == tries


async def test_pieces_without_end_are_cut_off_in_proportion_to_the_limit(streamed) -> None:
    request = Request(Sampling(max_tokens=5), CHAT, stream=True)
    block = data(*[delta(content="x")] * 500)
    with pytest.raises(GenerationError, match="pieces for 5 tokens"):
        await streamed(*[block] * 40, request=request)


# -- thoughts and their times


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_thoughts_are_tokens_and_not_the_answer(
    connect: Connect, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    model = await connect()
    clock = itertools.count()
    monkeypatch.setattr(connection.time, "perf_counter", lambda: float(next(clock)))
    pieces = [delta(role="assistant", content=""), *(delta(**{name: "h"}) for _ in range(3)), delta(content="x"),
              delta(content="y"), delta("stop"), USAGE]  # fmt: skip
    endpoint.respond = lambda request, body: raw_stream(request, *(data(piece) for piece in pieces))
    (found,) = await model.generate([Request(Sampling(), CHAT, stream=True)])
    assert (found.text, found.thought) == ("xy", "hhh")
    assert found.ttft_s is not None and found.first_answer_s is not None
    assert found.ttft_s < found.first_answer_s < found.latency_s
    assert len(found.gaps_s) == 5  # three of the thought, two of the answer, and the end


async def test_a_thought_alone_has_no_first_answer(streamed) -> None:
    found = await streamed(data(delta(reasoning_content="hm"), delta("length")))
    assert (found.text, found.thought, found.first_answer_s) == ("", "hm", None)
    assert found.ttft_s is not None


@pytest.mark.parametrize("pieces", [["<think", ">a</think", ">\n\n", "x"], ["<think>a</think>x"], ["x"]])
async def test_the_first_answer_comes_after_a_thought_in_the_text(
    connect: Connect, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, pieces: list[str]
) -> None:
    model = await connect()
    clock = itertools.count()
    monkeypatch.setattr(connection.time, "perf_counter", lambda: float(next(clock)))
    written = [data(delta(content=piece)) for piece in pieces]
    endpoint.respond = lambda request, body: raw_stream(request, *written, data(delta("stop")))
    (found,) = await model.generate([Request(Sampling(), CHAT, stream=True)])
    assert found.first_answer_s is not None and found.ttft_s is not None
    assert (found.first_answer_s > found.ttft_s) is (len(pieces) > 1)


async def test_content_in_parts_streams(streamed) -> None:
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
    found = await streamed(data(delta(content=thinking), delta(content=[{"type": "text", "text": "x"}]), delta("stop")))
    assert (found.text, found.thought) == ("x", "hm")


# -- calls in pieces


def call(arguments: Any, **fields: Any) -> dict[str, Any]:
    name = fields.pop("name", None)
    return {**fields, "function": {**({"name": name} if name else {}), "arguments": arguments}}


ONE, TWO = '{"command": "echo one"}', '{"command": "echo two"}'


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        ([call(ONE, index=0, id="a", name="exec"), call(TWO, index=1, id="b", name="exec")], [ONE, TWO]),
        ([call(ONE, index=0, id="a", name="exec"), call(TWO, index=0, id="b", name="exec")], [ONE, TWO]),
        ([call(ONE, id="a", name="exec"), call(TWO, id="b", name="exec")], [ONE, TWO]),
        ([call(ONE, name="exec"), call(TWO, name="exec")], [ONE, TWO]),
        ([call(ONE, index=0, name="exec"), call(TWO, index=0, name="exec")], [ONE, TWO]),
        ([call(ONE, index=None, id="a", name="exec"), call(TWO, index=None, id="b", name="exec")], [ONE, TWO]),
        ([call("", index=0, id="a", name="exec"), call(ONE[:5], index=0), call(ONE[5:], index=0)], [ONE]),
        ([call("", index="0", id="a", name="exec"), call(ONE[:5], index="0"), call(ONE[5:], index=0.0)], [ONE]),
        ([call(ONE[:5], index=0, id="a", name="exec"), call(ONE[5:], index=0, id="a", name="exec")], [ONE]),
        ([call(ONE[:5], index=0, name="exec"), call(ONE[5:], index=0, name="exec")], [ONE]),
        ([call(ONE[:5], id="a", name="exec"), call(ONE[5:])], [ONE]),
        ([call(ONE, index=0, id="a", name="exec"), call(ONE, index=0, id="a", name="exec")], [ONE]),
        ([call(ONE, index=0, id="a", name="exec"), call(ONE, index=0)], [ONE]),
        ([call(ONE[:9], index=0, id="a", name="exec"), call(ONE[:14], index=0), call(ONE, index=0)], [ONE]),
        ([call(json.loads(ONE), index=0, id="a", name="exec")], [ONE]),
        ([call(ONE[:5], index=0, id="a", name="exec"), call(TWO[:5], index=1, id="b", name="exec"),
          call(ONE[5:], index=0), call(TWO[5:], index=1)], [ONE, TWO]),
        ([call(TWO, index=1, id="b", name="exec"), call(ONE, index=0, id="a", name="exec")], [ONE, TWO]),
        ([call(None, index=0, id="a", name="exec")], ["{}"]),
        ([call(ONE, index=True, id="a", name="exec"), call(TWO, index=[], id="b", name="exec")], [ONE, TWO]),
        ([None, call(ONE, index=10**30, id="a", name="exec")], [ONE]),
    ],
)  # fmt: skip
async def test_pieces_of_calls_are_put_together(streamed, pieces: list[Any], calls: list[str]) -> None:
    for together in (False, True):
        parts = [pieces] if together else [[piece] for piece in pieces]
        found = await streamed(data(*(delta(tool_calls=part) for part in parts), delta("tool_calls")))
        assert [each.arguments for each in found.tool_calls] == calls
        assert {each.name for each in found.tool_calls} == {"exec"}
        assert len({each.id for each in found.tool_calls}) == len(calls)
        for each in pieces:
            if each and each.get("id"):
                assert each["id"] in {found.id for found in found.tool_calls}


async def test_a_call_of_the_older_form_streams(streamed) -> None:
    found = await streamed(
        data(delta(function_call={"name": "exec", "arguments": ONE[:4]}),
             delta(function_call={"arguments": ONE[4:]}), delta("function_call"))
    )  # fmt: skip
    assert found.tool_calls == (ToolCall("call00001", "exec", ONE),)
    assert found.finish_reason is FinishReason.TOOL_CALLS


# -- stop strings and who listens


async def test_a_stop_string_that_is_left_in_ends_the_stream(streamed) -> None:
    heard: list[str] = []
    request = Request(Sampling(stop=("[END]", "###")), CHAT, stream=True, on_text=heard.append)
    pieces = [delta(content=piece) for piece in ("one [", "not] two", " #", "##", " three")]
    found = await streamed(data(*pieces, delta("length")), request=request)
    assert (found.text, found.finish_reason) == ("one [not] two ", FinishReason.STOP)
    assert "".join(heard) == "one [not] two "


async def test_who_listens_is_told_all_at_the_end(streamed) -> None:
    heard: list[str] = []
    request = Request(Sampling(stop=("[END]",)), CHAT, stream=True, on_text=heard.append)
    await streamed(data(delta(content="one"), delta(content=" [EN"), delta("stop")), request=request)
    assert heard == ["one", " ", "[EN"]


async def test_a_model_that_is_asked_at_once_many_times_keeps_its_streams_apart(
    connect: Connect, endpoint: FakeEndpoint
) -> None:
    model: OpenAIModel = await connect()
    endpoint.reply = lambda body: body["messages"][0]["content"] + " end"
    asks = [Request(Sampling(), (Message("user", str(number)),), stream=True) for number in range(20)]
    found = await model.generate(asks)
    assert [each.text for each in found] == [f"{number}end" for number in range(20)]
