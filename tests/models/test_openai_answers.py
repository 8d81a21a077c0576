"""What servers send, checked once at the border: read as a person would, or an error of that attempt."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from aiohttp import web

from stackbench.errors import GenerationError
from stackbench.models.openai import OpenAIModel
from stackbench.types import FinishReason, Generation, Message, Request, Sampling, ToolCall, ToolSpec
from tests.conftest import Connect
from tests.fake_endpoint import FakeEndpoint, completion, is_probe, refusal

ASK = Request(Sampling(), messages=(Message("user", "Q"),))
TOOLS = (ToolSpec("exec", "Runs.", '{"type": "object", "properties": {}}'),)


@pytest.fixture
async def answered(connect: Connect, endpoint: FakeEndpoint):
    """The generation that a body comes to."""
    model = await connect(retries=1)

    async def ask(answer: Any, request: Request = ASK) -> Generation:
        text = answer if isinstance(answer, str | bytes) else json.dumps(answer)
        body = text if isinstance(text, bytes) else text.encode()
        endpoint.respond = lambda request, _: web.Response(body=body, content_type="application/json")
        (found,) = await model.generate([request])
        return found

    return ask


def message(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **fields}}]}


@pytest.mark.parametrize(
    ("content", "text", "thought"),
    [
        ("plain", "plain", ""),
        (None, "", ""),
        ("", "", ""),
        ([], "", ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab", ""),
        (["a", "b"], "ab", ""),
        ([{"text": "untyped"}], "untyped", ""),
        ({"type": "text", "text": "one part"}, "one part", ""),
        ([{"type": "output_text", "text": "x"}], "x", ""),
        ([{"type": "text", "text": {"value": "nested"}}], "nested", ""),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "x"}], "x", "hm"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "h"}, "m"]}, {"text": "x"}], "x", "hm"),
        ([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}], "", "hm"),
        ([{"type": "reasoning", "text": "hm"}, "x"], "x", "hm"),
        ([{"type": "image_url", "image_url": {"url": "data:"}}, None, {"type": "text"}], "", ""),
        ([{"type": "refusal", "refusal": "I cannot."}], "I cannot.", ""),
    ],
)
async def test_content_of_any_form(answered, content: Any, text: str, thought: str) -> None:
    found = await answered(message(content=content))
    assert (found.text, found.thought) == (text, thought)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
async def test_reasoning_beside_the_content_is_the_thought(answered, name: str) -> None:
    found = await answered(message(content="x", **{name: "hm"}))
    assert (found.text, found.thought) == ("x", "hm")


async def test_reasoning_under_two_names_is_one_thought(answered) -> None:
    assert (await answered(message(content="x", reasoning="hm", reasoning_content="hm"))).thought == "hm"


@pytest.mark.parametrize("thought", [None, 7, True, [], {}, [None], {"text": 3}])
async def test_reasoning_of_a_wrong_type_is_none(answered, thought: Any) -> None:
    assert (await answered(message(content="x", reasoning_content=thought))).thought == ""


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, (0, 0)),
        ({}, (0, 0)),
        ({"prompt_tokens": 7, "completion_tokens": 3}, (7, 3)),
        ({"prompt_tokens": "7", "completion_tokens": " 3 "}, (7, 3)),
        ({"prompt_tokens": 7.0, "completion_tokens": 3.5}, (7, 0)),
        ({"prompt_tokens": None, "completion_tokens": None}, (0, 0)),
        ({"prompt_tokens": True, "completion_tokens": False}, (0, 0)),
        ({"prompt_tokens": -1, "completion_tokens": "x"}, (0, 0)),
        ({"prompt_tokens": 2**31 - 1, "completion_tokens": 2**31}, (2**31 - 1, 0)),
        ({"prompt_tokens": 10**30, "completion_tokens": 1e300}, (0, 0)),
        ({"prompt_tokens": [], "completion_tokens": {}}, (0, 0)),
        ({"input_tokens": 7, "output_tokens": 3}, (7, 3)),
        ([7, 3], (0, 0)),
        ("7", (0, 0)),
        (12, (0, 0)),
    ],
)
async def test_counts_of_tokens_of_any_type(answered, usage: Any, tokens: tuple[int, int]) -> None:
    found = await answered({**message(content="x"), "usage": usage})
    assert (found.prompt_tokens, found.completion_tokens) == tokens


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-0"])
async def test_numbers_that_json_has_not_are_no_counts(answered, number: str) -> None:
    body = json.dumps(message(content="x"))[:-1] + f', "usage": {{"completion_tokens": {number}}}}}'
    assert (await answered(body)).completion_tokens == 0


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("length", FinishReason.LENGTH),
        ("max_tokens", FinishReason.LENGTH),
        ("model_length", FinishReason.LENGTH),
        ("LENGTH", FinishReason.LENGTH),
        ("stop", FinishReason.STOP),
        ("eos", FinishReason.STOP),
        ("content_filter", FinishReason.STOP),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("function_call", FinishReason.TOOL_CALLS),
        (None, FinishReason.STOP),
        (5, FinishReason.STOP),
        ({}, FinishReason.STOP),
    ],
)
async def test_reasons_of_an_ending(answered, reason: Any, finish: FinishReason) -> None:
    answer = message(content="x")
    answer["choices"][0]["finish_reason"] = reason
    assert (await answered(answer)).finish_reason is finish


@pytest.mark.parametrize(
    ("call", "name", "arguments"),
    [
        ({"function": {"name": "exec", "arguments": '{"command": "ls"}'}}, "exec", '{"command": "ls"}'),
        ({"function": {"name": "exec", "arguments": {"command": "ls"}}}, "exec", '{"command": "ls"}'),
        ({"function": {"name": "exec", "arguments": None}}, "exec", "{}"),
        ({"function": {"name": "exec", "arguments": ""}}, "exec", "{}"),
        ({"function": {"name": "exec"}}, "exec", "{}"),
        ({"function": {"name": "exec", "arguments": [1]}}, "exec", "[1]"),
        ({"function": {"name": "exec", "arguments": 5}}, "exec", "5"),
        ({"function": {"name": None, "arguments": "{}"}}, "", "{}"),
        ({"function": {"name": 5, "arguments": "{}"}}, "5", "{}"),
        ({"function": {"name": ["exec"], "arguments": "{}"}}, "", "{}"),
        ({"function": None}, "", "{}"),
        ({}, "", "{}"),
        ({"name": "exec", "arguments": {"command": "ls"}}, "exec", '{"command": "ls"}'),
    ],
)
async def test_a_call_of_any_form(answered, call: dict[str, Any], name: str, arguments: str) -> None:
    found = await answered(message(content=None, tool_calls=[{"id": "abc123XYZ", **call}]))
    assert found.tool_calls == (ToolCall("abc123XYZ", name, arguments),)


@pytest.mark.parametrize("ids", [(None, None), ("", ""), ("a", "a"), ("call00001", None), (7, 7), ([], {})])
async def test_every_call_has_an_id_of_its_own(answered, ids: tuple[Any, Any]) -> None:
    calls = [{"id": each, "function": {"name": "exec", "arguments": "{}"}} for each in ids]
    first, second = (await answered(message(tool_calls=calls))).tool_calls
    assert first.id != second.id
    made_up = [call.id for call, given in zip((first, second), ids, strict=True) if call.id != str(given)]
    assert all(len(each) == 9 and each.isalnum() for each in made_up)


async def test_one_call_that_is_no_list_and_the_older_form_are_calls(answered) -> None:
    function = {"name": "exec", "arguments": "{}"}
    one = await answered(message(tool_calls={"id": "x", "function": function}))
    older = await answered(message(content=None, function_call=function))
    assert [one.tool_calls[0].name, older.tool_calls[0].name] == ["exec", "exec"]


@pytest.mark.parametrize("calls", [None, [], "", 0, [None], {}])
async def test_no_calls_of_any_form(answered, calls: Any) -> None:
    assert (await answered(message(content="x", tool_calls=calls))).tool_calls == ()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        "text",
        None,
        7,
        {"choices": None},
        {"choices": []},
        {"choices": {}},
        {"choices": "x"},
        {"choices": 7},
        {"choices": [None]},
        {"choices": ["x"]},
        {"choices": [[]]},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": "x"}]},
        {"choices": [{"message": ["x"]}]},
        {"choices": [{"message": {"content": 7}}]},
        {"choices": [{"message": {"content": True}}]},
        {"choices": [{"message": {"content": [7]}}]},
        {"choices": [{"message": {"content": [["x"]]}}]},
        {"choices": [{"message": {"tool_calls": "x"}}]},
        {"choices": [{"message": {"tool_calls": ["x"]}}]},
        {"choices": [{"message": {"tool_calls": [7]}}]},
        {"choices": [{"text": 7}]},
    ],
)
async def test_what_is_no_completion_is_an_error_of_the_attempt(answered, answer: Any) -> None:
    with pytest.raises(GenerationError):
        await answered(answer if isinstance(answer, dict) else json.dumps(answer))


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"<html>", b'{"choices": [{"mess', b"\xff\xfe\x00", b'{"a": ' + b"9" * 5000 + b"}", b"[" * 300_000,
     b'{"a":' * 300_000, b'{"choices": "' + b'\\"' * 300_000, b"[[" * 80 + b"\\" + b'"' * 200_000],
)  # fmt: skip
async def test_a_body_that_is_broken_or_too_deep_is_an_error_of_the_attempt(answered, body: bytes) -> None:
    with pytest.raises(GenerationError):
        await answered(body)


async def test_lone_surrogates_and_bytes_that_are_no_text_do_no_harm(answered) -> None:
    assert (await answered(message(content="a\ud800b"))).text == "a\ud800b"
    body = json.dumps(message(content="a?b")).encode().replace(b"?", b"\xff")
    assert (await answered(body)).text == "a\ufffdb"
    assert (await answered(b"\xef\xbb\xbf" + json.dumps(message(content="x")).encode())).text == "x"


@pytest.mark.parametrize(
    "logprobs",
    [
        None, {}, [], "x", 7, {"content": None}, {"content": []}, {"content": [None]}, {"content": [{}]},
        {"content": [{"token": None, "logprob": -1.0, "top_logprobs": None}]},
        {"content": [{"token": "A", "logprob": None, "top_logprobs": [{"token": "B", "logprob": {}}, None, 7]}]},
        {"top_logprobs": [[]]}, {"top_logprobs": [{"A": None}]}, {"top_logprobs": "x"},
        {"content": [{"token": "A", "logprob": True, "top_logprobs": [{"token": "B"}]}]},
    ],
)  # fmt: skip
async def test_log_probabilities_of_any_form_are_none_where_they_tell_nothing(answered, logprobs: Any) -> None:
    answer = message(content="A")
    answer["choices"][0]["logprobs"] = logprobs
    found = await answered(answer, Request(Sampling(), ASK.messages, choices=("A", "B")))
    assert found.choice_logprobs is None


async def test_log_probabilities_as_text_or_without_bounds(answered) -> None:
    top = [{"token": " A", "logprob": "-0.5"}, {"token": "B", "logprob": -(10**400)}, {"token": "C", "logprob": -2}]
    answer = message(content="A")
    answer["choices"][0]["logprobs"] = {"content": [{"token": "A", "logprob": -0.7, "top_logprobs": top}]}
    found = await answered(answer, Request(Sampling(), ASK.messages, choices=("A", "B", "C")))
    assert found.choice_logprobs == (-0.5, -math.inf, -2.0)


# -- what is asked again


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 501, 503, 505, 520, 522, 524, 529, 599])
async def test_a_status_that_may_pass_is_asked_again(connect: Connect, endpoint: FakeEndpoint, status: int) -> None:
    model = await connect()
    endpoint.faults.append(status)
    assert (await ask_one(model)).text == "an answer"
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 410, 418, 422, 451])
async def test_a_status_that_stays_is_not_asked_again(connect: Connect, endpoint: FakeEndpoint, status: int) -> None:
    model = await connect()
    endpoint.faults.append(status)
    with pytest.raises(GenerationError, match=f"HTTP {status}"):
        await ask_one(model)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        ({"message": "slow down", "code": 429}, 2),
        ({"message": "slow down", "code": "429"}, 2),
        ({"message": "upstream", "code": 502}, 2),
        ({"message": "overloaded", "type": "overloaded_error"}, 2),
        ({"message": "slow", "code": "rate_limit_exceeded"}, 2),
        ("something went wrong", 2),
        ({"message": "no", "code": 400}, 1),
        ({"message": "no", "status": 401}, 1),
        ({"message": "no", "code": "model_not_found"}, 1),
        ({"message": "no", "type": "invalid_request_error"}, 1),
        ({"message": "no", "type": "insufficient_quota"}, 1),
    ],
)
async def test_an_error_within_an_answer_of_status_200(
    connect: Connect, endpoint: FakeEndpoint, error: Any, tries: int
) -> None:
    model = await connect()

    def once(request: web.Request, body: dict[str, Any]) -> web.Response | None:
        return web.json_response({"choices": None, "error": error}) if not endpoint.requests else None

    endpoint.respond = once
    if tries == 1:
        with pytest.raises(GenerationError, match="refused"):
            await ask_one(model)
    else:
        assert (await ask_one(model)).text == "an answer"
    assert len(endpoint.requests) == tries


@pytest.mark.parametrize(
    "choice",
    [{"error": {"message": "gone", "code": 503}}, {"finish_reason": "error"}, {"finish_reason": "abort"}],
)
async def test_an_error_within_a_choice_is_asked_again(
    connect: Connect, endpoint: FakeEndpoint, choice: dict[str, Any]
) -> None:
    model = await connect()
    broken = completion(message={"content": "half"}, **choice)
    endpoint.respond = lambda request, body: None if endpoint.requests else broken
    assert (await ask_one(model)).text == "an answer"


@pytest.mark.parametrize("way", ["truncated", "bad gzip", "cut gzip", "no choices"])
async def test_a_broken_body_is_asked_again(connect: Connect, endpoint: FakeEndpoint, way: str) -> None:
    model = await connect()
    text = json.dumps(message(content="x")).encode()

    def broken() -> web.Response:
        if way == "truncated":
            return web.Response(body=text[:-20], content_type="application/json")
        if way == "no choices":
            return web.json_response({"choices": []})
        data = b"no gzip at all" if way == "bad gzip" else b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
        return web.Response(body=data, headers={"Content-Encoding": "gzip"})

    endpoint.respond = lambda request, body: None if endpoint.requests else broken()
    assert (await ask_one(model)).text == "an answer"


@pytest.mark.parametrize("length", ["500", "5"])
async def test_a_length_that_is_not_kept_is_no_answer(connect: Connect, endpoint: FakeEndpoint, length: str) -> None:
    model = await connect(retries=1)

    async def short(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        text = json.dumps(message(content="x")).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()
        request.transport.write(head + text)  # type: ignore[attr-defined]
        request.transport.close()
        return web.Response()

    endpoint.respond = lambda request, body: None if endpoint.requests else short(request)
    assert (await ask_one(model)).text == "an answer"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("12", 12), ("1e9", 600), ("inf", 600), ("-5", 0), ("nan", None), ("soon", None), ("", None),
     ("Thu, 01 Jan 2026 00:00:07 GMT", 7), ("Wed, 31 Dec 2025 23:00:00 GMT", 0), ("Fri, 01 Jan 2100 00:00:00 GMT", 600),
     ("Thu, 99 Foo 2026", None)],
)  # fmt: skip
def test_how_long_a_server_asks_to_wait(header: str, seconds: float | None) -> None:
    from stackbench.models.openai.faults import retry_after_s

    assert retry_after_s({"Retry-After": header, "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}) == seconds


async def test_a_redirection_to_another_host_is_not_followed(connect: Connect, endpoint: FakeEndpoint) -> None:
    model = await connect()
    headers = {"Location": "http://elsewhere.example/v1/chat/completions"}
    endpoint.respond = lambda request, body: web.Response(status=307, headers=headers)
    with pytest.raises(GenerationError, match="leads to http://elsewhere.example"):
        await ask_one(model)


async def test_several_answers_are_a_prompt_that_is_billed_once(connect: Connect, endpoint: FakeEndpoint) -> None:
    model = await connect(n_per_request=4)
    endpoint.prompt_tokens = lambda body: 103
    requests = [Request(Sampling(1.0, seed=seed), ASK.messages) for seed in range(4)]
    found = await model.generate(requests)
    assert sum(each.prompt_tokens for each in found) == 103
    assert sum(each.completion_tokens for each in found) == 20
    assert [each.sent["choice"] for each in found] == [0, 1, 2, 3]
    assert {each.sent["seed"] for each in found} == {0} == {body["seed"] for body in endpoint.requests}


@pytest.mark.parametrize("refuses", [False, True])
async def test_a_server_that_gives_one_answer_whatever_is_asked(
    connect: Connect, endpoint: FakeEndpoint, refuses: bool
) -> None:
    said: list[str] = []
    model = await connect(n_per_request=4, said=said)

    def one(request: web.Request, body: dict[str, Any]) -> web.Response | None:
        if is_probe(request):
            return None
        if refuses and "n" in body:
            return refusal("only 1 answer", param="n")
        return completion(message={"content": "x"}, usage={"prompt_tokens": 100, "completion_tokens": 10})

    endpoint.respond = one
    for _ in range(2):
        found = await model.generate([Request(Sampling(1.0, seed=seed), ASK.messages) for seed in range(4)])
        assert [(each.text, each.prompt_tokens, each.completion_tokens) for each in found] == [("x", 100, 10)] * 4
    assert sum("n" in body for body in endpoint.requests) == 1
    assert [each.sent.get("seed") for each in found] == [0, 1, 2, 3], "each has its own seed, and it is recorded"
    assert sum("one answer per request" in line for line in said) == 1


async def ask_one(model: OpenAIModel) -> Generation:
    (found,) = await model.generate([ASK])
    return found
