"""The run asks as the endpoint takes it: what is refused is left out, named once and recorded."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from stackbench.errors import GenerationError, ModelNotAvailableError
from stackbench.models.openai import OpenAIModel
from stackbench.models.openai.faults import ErrorDetail, RefusedError
from stackbench.models.openai.window import is_too_long, room_named
from stackbench.types import FinishReason, Generation, Message, Request, Sampling
from tests.conftest import Connect
from tests.fake_endpoint import FakeEndpoint, completion, is_probe, refusal

CHAT = (Message("user", "Q"),)


async def ask(model: OpenAIModel, sampling: Sampling = Sampling(), **more: Any) -> Generation:
    (found,) = await model.generate([Request(sampling, CHAT, **more)])
    return found


def refuse(endpoint: FakeEndpoint, field: str, answer: Any, wrong: Any = lambda value: True) -> None:
    """Has the endpoint refuse bodies in which a field has a wrong value."""

    def respond(request: web.Request, body: dict[str, Any]) -> web.Response | None:
        return answer() if field in body and wrong(body[field]) else None

    endpoint.respond = respond


WORDS = [
    lambda name: refusal(f"{name} is no field of this server's"),
    lambda name: refusal(f"Unsupported parameter: '{name}'; use messages, stop, temperature, seed", 422),
    lambda name: refusal("no", param=name),
    lambda name: web.json_response({"detail": [{"loc": ["body", name], "msg": "Extra inputs"}]}, status=422),
    lambda name: web.json_response({"message": {"detail": [{"loc": [name], "msg": "Extra"}]}}, status=422),
    lambda name: refusal("Bad Request"),
    lambda name: web.Response(text="nothing but text", status=400),
    lambda name: refusal(f"temperature, seed and model are fine, {name} is not", 400),
]


@pytest.mark.parametrize("words", range(len(WORDS)))
@pytest.mark.parametrize("name", ["temperature", "seed", "stop"])
async def test_a_parameter_that_is_refused_is_left_out(
    connect: Connect, endpoint: FakeEndpoint, name: str, words: int
) -> None:
    refuse(endpoint, name, lambda: WORDS[words](name))
    said: list[str] = []
    model = await connect(said=said)
    for _ in range(3):
        found = await ask(model, Sampling(0.0, seed=7, stop=("END",), max_tokens=9))
        assert found.text == "an answer"
    kept = {"model", "messages", "max_tokens", "temperature", "seed", "stop"} - {name}
    assert [body.keys() for body in endpoint.requests] == [kept] * 3
    assert found.sent.keys() == kept - {"model", "messages"}
    assert sum(name in line and "(chat)" in line for line in said) == 1
    assert sum("(chat)" in line for line in said) == 1, "innocent parameters are not named"
    described = model.describe()["capabilities"]["requests"]["chat"]
    assert described == (
        {"stop_strings": 0} if name == "stop" else {"left_out": {name: [0.0] if name[0] == "t" else True}}
    )
    assert model.describe()["capabilities"]["chat"] is True


async def test_a_value_that_is_refused_says_nothing_of_another(connect: Connect, endpoint: FakeEndpoint) -> None:
    refuse(endpoint, "temperature", lambda: refusal("temperature must be positive"), lambda value: value == 0)
    model = await connect()
    assert "temperature" not in (await ask(model, Sampling(0.0))).sent
    assert (await ask(model, Sampling(0.8))).sent["temperature"] == 0.8


async def test_a_value_that_is_refused_to_several_at_once_is_one_value(
    connect: Connect, endpoint: FakeEndpoint
) -> None:
    refuse(endpoint, "temperature", lambda: refusal("temperature must be lower"), lambda value: value == 0.8)
    said: list[str] = []
    model = await connect(said=said)
    both = await asyncio.gather(*(ask(model, Sampling(0.8, seed=seed)) for seed in range(6)))
    assert all("temperature" not in found.sent for found in both)
    assert model.describe()["capabilities"]["requests"]["chat"]["left_out"] == {"temperature": [0.8]}
    assert (await ask(model, Sampling(0.2))).sent["temperature"] == 0.2
    assert sum("temperature 0.8" in line for line in said) == 1


async def test_a_parameter_that_is_refused_in_mid_run_is_learnt_then(connect: Connect, endpoint: FakeEndpoint) -> None:
    refuse(endpoint, "min_p", lambda: refusal("min_p: unknown"))
    said: list[str] = []
    model = await connect(said=said)
    sampling = Sampling(0.5, min_p=0.1, top_k=5, presence_penalty=0.2, frequency_penalty=0.3, repetition_penalty=1.1)
    for _ in range(2):
        found = await ask(model, sampling)
    assert found.sent == {
        "max_tokens": 512, "temperature": 0.5, "top_k": 5, "presence_penalty": 0.2, "frequency_penalty": 0.3,
        "repetition_penalty": 1.1,
    }  # fmt: skip
    assert len(endpoint.requests) == 3
    assert sum("min_p" in line for line in said) == 1


async def test_models_that_call_the_limit_otherwise_and_draw_as_they_like(
    connect: Connect, endpoint: FakeEndpoint
) -> None:
    def respond(request: web.Request, body: dict[str, Any]) -> web.Response | None:
        if "max_tokens" in body:
            return refusal("Unsupported: 'max_tokens'. Use 'max_completion_tokens' instead.", param="max_tokens")
        for name in ("temperature", "top_p"):
            if body.get(name, 1) != 1:
                return refusal(f"'{name}' does not support {body[name]}. Only the default (1) is supported.")
        return None

    endpoint.respond = respond
    model = await connect()
    found = await ask(model, Sampling(0.3, top_p=0.9, max_tokens=5, seed=1))
    assert found.sent == {"max_completion_tokens": 5, "seed": 1}


@pytest.mark.parametrize(
    ("message", "most"),
    [("at most 4 stop sequences", 4), ("stop: no more than two texts", 2), ("stop is too long a list", 4)],
)
async def test_stop_strings_over_the_servers_number_are_cut_here(
    connect: Connect, endpoint: FakeEndpoint, message: str, most: int
) -> None:
    refuse(endpoint, "stop", lambda: refusal(message), lambda value: len(value) > most)
    endpoint.reply = lambda body: "kept F cut E"
    model = await connect()
    stops = ("A", "B", "C", "D", "E", "F")
    for stream in (False, True):
        found = await ask(model, Sampling(stop=stops), stream=stream)
        assert found.text.replace(" ", "") == "kept"
        assert found.finish_reason is FinishReason.STOP
        assert found.sent["stop"] == list(stops[:most])


@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize("message", ["at most five log-probabilities", "top_logprobs must be <= 5", "logprobs: bad"])
async def test_fewer_log_probabilities_are_asked_for(
    connect: Connect, endpoint: FakeEndpoint, api: str, message: str
) -> None:
    field = "top_logprobs" if api == "chat" else "logprobs"
    refuse(endpoint, field, lambda: refusal(message), lambda value: value is not True and value > 5)
    model = await connect(api=api)
    request = Request(Sampling(), prompt="Q", choices=(" A", " B"))
    if api == "chat":
        request = Request(Sampling(), CHAT, choices=("A", "B"))
    (found,) = await model.generate([request])
    assert found.choice_logprobs == (-3.0, -0.1)
    assert endpoint.requests[0][field] == 5
    assert model.scores_choices


async def test_a_stream_without_options_is_asked_for_without(connect: Connect, endpoint: FakeEndpoint) -> None:
    refuse(endpoint, "stream_options", lambda: refusal("stream_options is unknown", 422))
    endpoint.lacks.add("usage")
    model = await connect()
    assert model.capabilities.stream_usage is False
    assert (await ask(model, stream=True)).completion_tokens == 2
    assert "stream_options" not in endpoint.requests[0]


async def test_content_that_is_refused_is_neither_tried_again_nor_blamed_on_a_parameter(
    connect: Connect, endpoint: FakeEndpoint
) -> None:
    model = await connect()
    endpoint.respond = lambda request, body: refusal("The prompt was flagged by our content policy")
    with pytest.raises(GenerationError, match="content policy"):
        await ask(model, Sampling(seed=1))
    assert len(endpoint.requests) == 1
    assert model.describe()["capabilities"]["requests"] == {}


async def test_a_parameter_that_the_operator_added_is_not_left_out(connect: Connect, endpoint: FakeEndpoint) -> None:
    refuse(endpoint, "reasoning_effort", lambda: refusal("reasoning_effort is unknown"))
    with pytest.raises(ModelNotAvailableError, match="reasoning_effort is unknown"):
        await connect(extra_body={"reasoning_effort": "low"})


async def test_fields_and_headers_are_added(connect: Connect, endpoint: FakeEndpoint) -> None:
    said: list[str] = []
    model = await connect(
        extra_body={"top_k": 20, "chat_template_kwargs": {"enable_thinking": False}, "seed": None, "temperature": 1},
        headers=("X-Org: lab:7", "Authorization:Basic abc"),
        said=said,
    )
    found = await ask(model, Sampling(0.2, seed=5))
    assert found.sent == {
        "max_tokens": 512, "temperature": 1, "top_k": 20, "chat_template_kwargs": {"enable_thinking": False},
    }  # fmt: skip
    assert (endpoint.headers[0]["X-Org"], endpoint.headers[0]["Authorization"]) == ("lab:7", "Basic abc")
    assert any("sets seed, temperature" in line for line in said)


@pytest.mark.parametrize("owner", ["vllm", "sglang"])
async def test_servers_with_defaults_of_the_checkpoint_are_sent_every_parameter(
    connect: Connect, endpoint: FakeEndpoint, owner: str
) -> None:
    endpoint.listed = {"data": [{"id": "fake", "owned_by": owner, "max_model_len": "4096"}]}
    model = await connect()
    assert model.window == 4096
    sent = (await ask(model, Sampling(0.0, seed=1))).sent
    assert sent == {
        "max_tokens": 512, "temperature": 0.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "presence_penalty": 0.0,
        "frequency_penalty": 0.0, "repetition_penalty": 1.0, "seed": 1,
    }  # fmt: skip


@pytest.mark.parametrize("explicit", [True, False])
async def test_an_answer_that_is_begun(connect: Connect, endpoint: FakeEndpoint, explicit: bool) -> None:
    endpoint.reply = lambda body: "```python\nx = 1"
    model = await connect(explicit_sampling=explicit)
    found = await ask(model, prefill="```python\n")
    body = endpoint.requests[0]
    assert body["messages"][-1] == {"role": "assistant", "content": "```python\n"}
    assert body.get("continue_final_message", False) is explicit
    assert body.get("add_generation_prompt", True) is not explicit
    assert found.text == ("```python\nx = 1" if explicit else "x = 1")


async def test_an_answer_that_may_not_be_begun_says_so(connect: Connect, endpoint: FakeEndpoint) -> None:
    model = await connect()
    endpoint.respond = lambda request, body: refusal("the last message must be of the user")
    with pytest.raises(GenerationError, match="must be of the user.*begins the answer itself"):
        await ask(model, prefill="Sure")


# -- windows


@pytest.mark.parametrize(
    ("text", "asked", "limit"),
    [
        ("the window holds 600 tokens; 612 were asked for, 100 of them prompt", 512, 500),
        ("maximum context length is 600 tokens. However, you requested 612 tokens (100 in the messages, 512 in the "
         "completion). Please reduce the length", 512, 500),
        ("'max_tokens' is too large: 5000. The maximum context length is 4,096 tokens and your request has 20 input "
         "tokens (5000 > 4096 - 20).", 5000, 4076),
        ("maximum context length is 600 tokens. However, you requested 512 output tokens and your prompt contains at "
         "least 89 input tokens, for a total of at least 601 tokens", 512, 511),
        ("`inputs` tokens + `max_new_tokens` must be <= 600. Given: 100 `inputs` tokens and 512 `max_new_tokens`", 512,
         500),
        ("prompt has 512 tokens, and 512 were asked for: over the context window of 1000", 512, 488),
        ("max_tokens is too large: 20000. This model supports at most 16384 completion tokens", 20000, 16384),
        ("max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens", 100000, 8192),
        ("maximum context length is 600 tokens. However, your messages resulted in 700 tokens.", 512, -100),
        ("the prompt (length 700) is longer than the maximum model length of 600", 512, -100),
        ("the request exceeds the context size", 512, None),
    ],
)  # fmt: skip
def test_what_a_refusal_says_of_lengths(text: str, asked: int, limit: int | None) -> None:
    error = RefusedError("", 400, ErrorDetail(text))
    assert is_too_long(error)
    assert room_named(error, asked).limit == limit


def has_window(endpoint: FakeEndpoint, window: int, say: Any) -> None:
    def respond(request: web.Request, body: dict[str, Any]) -> web.Response | None:
        prompt, asked = len(json.dumps(body.get("messages") or body["prompt"])) // 4, body["max_tokens"]
        if is_probe(request) or prompt + asked <= window:
            return None
        return refusal(say(prompt, asked))

    endpoint.respond = respond


async def test_a_limit_over_the_window_is_asked_for_again_once_with_what_is_left(
    connect: Connect, endpoint: FakeEndpoint
) -> None:
    has_window(endpoint, 600, lambda p, a: f"the window has 600 tokens, {p + a} were asked for, {p} of them prompt")
    model = await connect()
    found = await ask(model, Sampling(max_tokens=4000))
    prompt = len(json.dumps(endpoint.requests[0]["messages"])) // 4
    assert [body["max_tokens"] for body in endpoint.requests] == [4000, 600 - prompt]
    assert found.sent["max_tokens"] == 600 - prompt
    assert model.window == 600


async def test_a_refusal_without_numbers_is_met_with_an_estimate(connect: Connect, endpoint: FakeEndpoint) -> None:
    endpoint.listed = {"data": [{"id": "fake", "context_length": 600}]}
    has_window(endpoint, 600, lambda p, a: "this is over the context window")
    model = await connect()
    found = await ask(model, Sampling(max_tokens=4000))
    assert 500 < found.sent["max_tokens"] < 600


async def test_a_prompt_over_the_window_is_an_error_that_names_it(connect: Connect, endpoint: FakeEndpoint) -> None:
    has_window(endpoint, 4, lambda p, a: f"the window has 4 tokens, {p + a} were asked for, {p} of them prompt")
    model = await connect()
    with pytest.raises(GenerationError, match="window has 4 tokens"):
        await ask(model)
    assert len(endpoint.requests) == 1


async def test_an_agent_is_not_answered_in_what_little_is_left(connect: Connect, endpoint: FakeEndpoint) -> None:
    has_window(endpoint, 600, lambda p, a: f"the window has 600 tokens, {p + a} were asked for, {p} of them prompt")
    model = await connect()
    with pytest.raises(GenerationError):
        await ask(model, Sampling(max_tokens=4000), keep_prefix=True)


async def test_the_most_tokens_of_an_answer_are_learnt_once(connect: Connect, endpoint: FakeEndpoint) -> None:
    refuse(
        endpoint, "max_tokens", lambda: refusal("max_tokens is too large: 900. At most 128 completion tokens"),
        lambda value: value > 128,
    )  # fmt: skip
    model = await connect()
    for _ in range(2):
        await ask(model, Sampling(max_tokens=900))
    assert [body["max_tokens"] for body in endpoint.requests] == [900, 128, 128]


async def test_stop_strings_that_a_server_leaves_in_are_cut(connect: Connect, endpoint: FakeEndpoint) -> None:
    model = await connect()
    endpoint.respond = lambda request, body: completion(message={"content": "a\nB later\nA"}, finish_reason="length")
    found = await ask(model, Sampling(stop=("A", "\nB", "")))
    assert (found.text, found.finish_reason) == ("a", FinishReason.STOP)
