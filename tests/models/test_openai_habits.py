# ruff: noqa: E501
"""Further habits of servers: statuses, packing, odd bodies and streams that a right answer still comes out of."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from typing import Any

import pytest
from aiohttp import web

from stackbench.errors import GenerationError, ModelNotAvailableError
from stackbench.models.openai import OpenAIModel
from stackbench.models.options import ModelOptions
from stackbench.models.registry import parse_model_name
from stackbench.types import FinishReason, Message, Request, Sampling, ToolCall, ToolSpec
from tests.conftest import Connect
from tests.fake_endpoint import FakeEndpoint, is_probe, raw_stream

ASK = Request(Sampling(), messages=(Message("user", "Q"),))
STREAMED = Request(Sampling(), messages=(Message("user", "Q"),), stream=True)
TOOLS = (ToolSpec("get_time", "Tells.", '{"type": "object", "properties": {}}'),)
BODY = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}]}
PLAIN = json.dumps(BODY).encode()


def choice(**fields: Any) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}} | fields]
    }


@pytest.mark.parametrize(
    "response",
    [
        web.Response(body=PLAIN, status=200),
        web.Response(body=PLAIN, status=201),
        web.Response(body=PLAIN, status=202),
        web.Response(body=PLAIN, status=203),
        web.Response(body=b"\xef\xbb\xbf" + PLAIN),
        web.Response(body=b"\n\n   \n" + PLAIN),
        web.Response(body=PLAIN + b"\n\n\x00\x00"),
        web.Response(body=PLAIN + b"\r\n<!-- served by proxy 3 -->"),
        web.Response(body=PLAIN, content_type="text/plain"),
        web.Response(body=gzip.compress(PLAIN), headers={"Content-Encoding": "gzip"}),
        web.Response(body=zlib.compress(PLAIN), headers={"Content-Encoding": "deflate"}),
        web.Response(body=json.dumps({**BODY, "error": {}}).encode()),
        web.Response(body=json.dumps({**BODY, "error": {"code": 0, "message": ""}}).encode()),
        web.Response(body=json.dumps({**BODY, "error": {"code": None, "message": None, "type": None}}).encode()),
        web.Response(body=json.dumps({**BODY, "error": []}).encode()),
        web.Response(body=json.dumps({**BODY, "error": False}).encode()),
        web.Response(body=json.dumps({"choices": BODY["choices"][0]}).encode()),
        web.Response(body=json.dumps({"choices": [{"delta": {"content": "yes"}, "finish_reason": "stop"}]}).encode()),
        web.Response(body=json.dumps({"choices": [{"text": "yes", "message": {}, "finish_reason": "stop"}]}).encode()),
        web.Response(body=json.dumps(choice(finish_reason="content_filter")).encode()),
        web.Response(body=json.dumps(choice(finish_reason="eos")).encode()),
        web.Response(body=json.dumps(choice(finish_reason=None)).encode()),
        web.Response(body=json.dumps(choice(finish_reason={"type": "stop"})).encode()),
        web.Response(body=json.dumps({**BODY, "usage": "none"}).encode()),
        web.Response(body=json.dumps({**BODY, "usage": {"prompt_tokens": "-1", "completion_tokens": 1e99}}).encode()),
    ],
)
async def test_the_answer_is_read_however_it_is_packed(
    connect: Connect, endpoint: FakeEndpoint, response: web.Response
) -> None:
    model = await connect(retries=0)
    endpoint.respond = lambda request, _: _copy(response)
    (found,) = await model.generate([ASK])
    assert (found.text, found.finish_reason) == ("yes", FinishReason.STOP)


def _copy(response: web.Response) -> web.Response:
    headers = {k: v for k, v in response.headers.items() if k == "Content-Encoding"}
    return web.Response(body=response.body, status=response.status, headers=headers, content_type=response.content_type)


@pytest.mark.parametrize("reason", ["length", "LENGTH", "MAX_TOKENS", "max_length", "token_limit", "max_new_tokens"])
async def test_a_cut_answer_is_known_by_whatever_name(connect: Connect, endpoint: FakeEndpoint, reason: str) -> None:
    model = await connect(retries=0)
    endpoint.respond = lambda request, _: web.json_response(choice(finish_reason=reason))
    (found,) = await model.generate([ASK])
    assert found.finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize(
    "body",
    [b"<html>busy</html>", b"", b"null", b"[]", b'{"choices": []}', b'{"choices": null}', b'{"choices": [null]}', b'{"choices": "x"}',
     PLAIN + b"\n" + PLAIN, b'[{"error": {"code": 503, "message": "overloaded"}}]', b'{"error": "overloaded"}', b'{"error": ["overloaded"]}'],
)  # fmt: skip
async def test_what_is_no_answer_is_an_error_of_the_attempt(
    connect: Connect, endpoint: FakeEndpoint, body: bytes
) -> None:
    model = await connect(retries=0)
    endpoint.respond = lambda request, _: web.Response(body=body, content_type="application/json")
    with pytest.raises(GenerationError):
        await model.generate([ASK])


@pytest.mark.parametrize("header", ["0", "-5", "0.0"])
async def test_an_answer_that_asks_for_no_wait_is_not_asked_again_at_once_for_ever(
    connect: Connect, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    waits: list[float] = []

    async def noted(seconds: float) -> None:
        waits.append(seconds)

    model = await connect(retries=5)
    monkeypatch.setattr("stackbench.models.openai.connection.asyncio.sleep", noted)
    endpoint.respond = lambda request, _: web.json_response({}, status=429, headers={"Retry-After": header})
    with pytest.raises(GenerationError):
        await model.generate([ASK])
    assert len(waits) == 5
    assert all(wait > 0 for wait in waits[1:])


CHUNK = 'data: {"choices": [{"index": 0, "delta": %s, "finish_reason": %s}]}\n\n'


def chunk(delta: Any, finish: str | None = None) -> bytes:
    return (CHUNK % (json.dumps(delta), json.dumps(finish))).encode()


END = chunk({}, "stop")


@pytest.mark.parametrize(
    "pieces",
    [
        [chunk({"role": "assistant"}), chunk({"content": "yes"}), END, b"data: [DONE]\n\n"],
        [chunk(None), chunk({"content": "yes"}), END],
        [b"\n\n\n", b"\n", chunk({"content": "yes"}), b"\n\n", END],
        [b": keep\n\n", b": keep\n\n", chunk({"content": "yes"}), END],
        [b"\xef\xbb\xbf" + chunk({"content": "yes"}), END],
        [b"\xef\xbb\xbf" + PLAIN],
        [b"\n", b"\n  ", PLAIN],
        [b"\n\n" + PLAIN],
        [chunk({"content": "yes"}), END, b'data: {"choices": [], "usage": null}\n\n'],
        [b'data: {"choices": null, "usage": null}\n\n', chunk({"content": "yes"}), END],
        [b'data: {}\n\n', chunk({"content": "yes"}), END],
        [b"data: null\n\n", chunk({"content": "yes"}), END, b"data:[DONE]\n\n"],
        [chunk({"content": "yes"}), END, b"data: [DONE]  \n\n"],
        [chunk({"content": "yes"}), b'data: {"choices": [{"finish_reason": "eos_token"}]}\n\n'],
        [chunk({"content": "yes", "tool_calls": None, "function_call": None}), END],
        [chunk({"content": "ye"}), chunk({"content": None}), chunk({"content": "s", "refusal": None}), END],
        [chunk({"content": "yes"}), chunk({}, "content_filter")],
        [bytes([byte]) for byte in chunk({"content": "yes"}) + END],
    ],
)  # fmt: skip
async def test_a_stream_is_read_whatever_stands_between(
    connect: Connect, endpoint: FakeEndpoint, pieces: list[bytes]
) -> None:
    model = await connect(retries=0)
    endpoint.respond = lambda request, _: raw_stream(request, *pieces)
    (found,) = await model.generate([STREAMED])
    assert (found.text, found.finish_reason) == ("yes", FinishReason.STOP)


def called(**fields: Any) -> dict[str, Any]:
    return {"tool_calls": [fields]}


@pytest.mark.parametrize(
    ("deltas", "calls"),
    [
        (
            [called(index=0, id="a", function={"name": "get_", "arguments": ""}),
             called(index=0, function={"name": "time", "arguments": ""}),
             called(index=0, function={"arguments": '{"x": 1}'})],
            [ToolCall("a", "get_time", '{"x": 1}')],
        ),
        (
            [called(index=0, id="a", function={"name": "get", "arguments": ""}),
             called(index=0, id="a", function={"name": "get_time", "arguments": '{"x": 1}'})],
            [ToolCall("a", "get_time", '{"x": 1}')],
        ),
        (
            [called(index=0, id="a", function={"name": "get_time", "arguments": ""}),
             called(index=0, id="a", function={"name": "get_time", "arguments": '{"x":'}),
             called(index=0, id="a", function={"name": "get_time", "arguments": " 1}"})],
            [ToolCall("a", "get_time", '{"x": 1}')],
        ),
        (
            [called(index=0, id="a", function={"name": "get_time", "arguments": {"x": 1}})],
            [ToolCall("a", "get_time", '{"x": 1}')],
        ),
        (
            [called(function={"name": "get_time"}), called(function={"name": "get_date"})],
            [ToolCall("call00001", "get_time", "{}"), ToolCall("call00002", "get_date", "{}")],
        ),
        (
            [called(index="0", id="a", function={"name": "get_time", "arguments": "{}"}),
             called(index="1", id="b", function={"name": "get_date", "arguments": "{}"})],
            [ToolCall("a", "get_time", "{}"), ToolCall("b", "get_date", "{}")],
        ),
        (
            [{"function_call": {"name": "get_time"}}, {"function_call": {"arguments": '{"x": '}}, {"function_call": {"arguments": "1}"}}],
            [ToolCall("call00001", "get_time", '{"x": 1}')],
        ),
        (
            [called(index=0, id="a", function={"name": "get_time", "arguments": None}), called(index=0, function=None)],
            [ToolCall("a", "get_time", "{}")],
        ),
    ],
)  # fmt: skip
async def test_calls_come_together_from_their_pieces(
    connect: Connect, endpoint: FakeEndpoint, deltas: list[dict[str, Any]], calls: list[ToolCall]
) -> None:
    model = await connect(retries=0)
    stream = [*(chunk(delta) for delta in deltas), chunk({}, "tool_calls")]
    endpoint.respond = lambda request, _: raw_stream(request, *stream)
    (found,) = await model.generate([Request(Sampling(), messages=ASK.messages, tools=TOOLS, stream=True)])
    assert list(found.tool_calls) == calls


TOP = {"A": -3.0, "B": -0.1, "C": -4.0, "D": -5.0}


@pytest.mark.parametrize(
    "logprobs",
    [
        {
            "content": [
                {"token": "B", "logprob": -0.1, "top_logprobs": [{"token": t, "logprob": p} for t, p in TOP.items()]}
            ]
        },
        {
            "content": [
                {
                    "token": "B",
                    "logprob": "-0.1",
                    "top_logprobs": [{"token": t, "logprob": str(p)} for t, p in TOP.items()],
                }
            ]
        },
        {"content": [{"token": "B", "logprob": -0.1, "top_logprobs": TOP}]},
        {
            "content": [
                {
                    "token": "\u2581B",
                    "logprob": -0.1,
                    "top_logprobs": [{"token": f"\u2581{t}", "logprob": p} for t, p in TOP.items()],
                }
            ]
        },
        {
            "content": [
                {
                    "token": "\u0120B",
                    "logprob": -0.1,
                    "top_logprobs": [{"token": f"\u0120{t}", "logprob": p} for t, p in TOP.items()],
                }
            ]
        },
        {"content": None, "tokens": ["B"], "token_logprobs": [-0.1], "top_logprobs": [TOP]},
        {
            "tokens": [" B"],
            "token_logprobs": [-0.1],
            "top_logprobs": [{f" {t}": p for t, p in TOP.items()}],
            "text_offset": [0],
        },
    ],
)
async def test_log_probabilities_are_read_in_each_form(
    connect: Connect, endpoint: FakeEndpoint, logprobs: dict[str, Any]
) -> None:
    model = await connect(retries=0)
    endpoint.respond = lambda request, _: web.json_response(choice(logprobs=logprobs))
    (found,) = await model.generate([Request(Sampling(), messages=ASK.messages, choices=("A", "B", "C", "D"))])
    assert found.choice_logprobs is not None
    assert [round(math.exp(value), 3) for value in found.choice_logprobs] == [0.05, 0.905, 0.018, 0.007]


@pytest.mark.parametrize(
    "listed",
    [
        {"data": [{"id": "other"}, {"id": "models/fake"}]},
        {"data": [{"id": "fake:latest"}]},
        {"data": [{"id": "other"}], "has_more": True},
        {"data": [{"id": 3}, None, "fake", {"name": "fake"}]},
        {"data": None},
        {"object": "list"},
        [],
        "none",
        3,
        {"data": {"id": "other"}},
        {"models": [{"name": "other"}]},
        {"data": [{"id": "fake", "max_model_len": "4096", "context_length": None}]},
        {"data": [{"id": "fake", "max_model_len": -1}]},
    ],
)
async def test_odd_lists_of_models_keep_nobody_out(connect: Connect, endpoint: FakeEndpoint, listed: Any) -> None:
    endpoint.listed = listed
    model = await connect(retries=0)
    (found,) = await model.generate([ASK])
    assert found.text == "an answer"


async def test_a_model_that_is_not_listed_is_refused(connect: Connect, endpoint: FakeEndpoint) -> None:
    endpoint.listed = {"data": [{"id": "other"}, {"id": "notfake"}]}
    with pytest.raises(ModelNotAvailableError, match="it serves: other"):
        await connect(retries=0)


async def test_answers_of_one_request_keep_their_order(connect: Connect, endpoint: FakeEndpoint) -> None:
    def respond(request: web.Request, body: dict[str, Any]) -> web.Response | None:
        if is_probe(request):
            return None
        order = [2, 0, 1][: body.get("n", 1)]
        choices = [{"index": str(i), "finish_reason": "stop", "message": {"content": f"answer {i}"}} for i in order]
        usage = {"prompt_tokens": "7", "completion_tokens": "9"}
        return web.json_response({"choices": choices, "usage": usage})

    model = await connect(retries=0, n_per_request=3)
    endpoint.respond = respond
    requests = [Request(Sampling(seed=seed), messages=ASK.messages) for seed in (1, 2, 3)]
    found = await model.generate(requests)
    assert [one.text for one in found] == ["answer 0", "answer 1", "answer 2"]
    assert sum(one.prompt_tokens for one in found) == 7
    assert [one.sent["choice"] for one in found] == [0, 1, 2]


@pytest.mark.parametrize("tail", ["/", "//", "?api-version=2024", "/?api-version=2024"])
async def test_an_address_may_end_with_a_slash_or_a_query(endpoint: FakeEndpoint, tail: str) -> None:
    queries: list[str] = []
    endpoint.respond = lambda request, _: queries.append(request.query_string)
    model = OpenAIModel("m", "fake", parse_model_name(f"{endpoint.name}{tail}").url, ModelOptions(retries=0))
    await model.start(lambda line: None)
    try:
        (found,) = await model.generate([ASK])
    finally:
        await model.close()
    assert found.text == "an answer"
    assert set(queries) == {tail.partition("?")[2]}
