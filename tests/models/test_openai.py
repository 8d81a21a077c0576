from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from stackbench.errors import GenerationError, ModelNotAvailableError
from stackbench.models import ModelOptions
from stackbench.models.openai import OpenAIModel, retrying
from stackbench.models.openai.probe import Capabilities
from stackbench.types import FinishReason, Message, Request, Sampling, ToolCall, ToolSpec
from tests.fake_endpoint import FakeEndpoint


def ask(text: str = "hi", **sampling: object) -> Request:
    return Request(Sampling(**sampling), messages=(Message("user", text),))  # type: ignore[arg-type]


async def test_what_is_asked_and_answered(connect, endpoint: FakeEndpoint) -> None:
    model = await connect()
    (answer,) = await model.generate([ask(temperature=0.2, top_p=0.9, max_tokens=7, stop=("x",), seed=3)])
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("an answer", 10, 5)
    assert answer.finish_reason is FinishReason.STOP
    assert answer.latency_s > 0
    assert endpoint.requests[0] == {
        "model": "fake", "max_tokens": 7, "temperature": 0.2, "top_p": 0.9, "stop": ["x"], "seed": 3,
        "messages": [{"role": "user", "content": "hi"}],
    }  # fmt: skip


async def test_plain_prompts_use_completions(connect, endpoint: FakeEndpoint) -> None:
    model = await connect(api="completions")
    assert (model.chat, model.plain_prompts) == (False, True)
    await model.generate([Request(Sampling(), prompt="def f():")])
    assert endpoint.requests[0]["prompt"] == "def f():"


@pytest.mark.parametrize("fault", [429, 500, 502, 503, "drop", "garbage"])
async def test_passing_faults_are_retried(connect, endpoint: FakeEndpoint, fault: object) -> None:
    model = await connect()
    endpoint.faults.extend([fault, fault])
    (answer,) = await model.generate([ask()])
    assert answer.text == "an answer"
    assert len(endpoint.requests) == 3


async def test_retry_after_is_obeyed(connect, endpoint: FakeEndpoint) -> None:
    model = await connect()
    endpoint.faults.append(429)
    endpoint.retry_after = "0.3"
    loop = asyncio.get_running_loop()
    began = loop.time()
    await model.generate([ask()])
    assert loop.time() - began >= 0.3


@pytest.mark.parametrize("stream", [False, True])
async def test_who_asks_is_told_each_wait_and_each_new_try(connect, endpoint: FakeEndpoint, stream: bool) -> None:
    model = await connect()
    endpoint.faults.extend([500, "drop", 503])
    noted: list[tuple[int, float]] = []
    await model.generate(
        [replace(ask(), stream=stream, on_retry=lambda number, wait_s: noted.append((number, wait_s)))]
    )
    assert [number for number, _ in noted] == [2, 2, 3, 3, 4, 4]
    waits = [wait_s for _, wait_s in noted]
    assert waits[1::2] == [0.0, 0.0, 0.0]
    first_s = retrying.FIRST_BACKOFF_S
    for number, wait_s in enumerate(waits[::2]):
        assert 0.5 * first_s * 2**number <= wait_s <= 1.5 * first_s * 2**number


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_always_asks_for_no_wait_is_not_asked_without_pause(
    connect, endpoint: FakeEndpoint, stream: bool
) -> None:
    model = await connect()
    endpoint.faults.extend([429] * 3)
    endpoint.retry_after = "0"
    noted: list[float] = []
    await model.generate([replace(ask(), stream=stream, on_retry=lambda number, wait_s: noted.append(wait_s))])
    assert noted[0] == 0.0
    assert all(wait_s > 0 for wait_s in noted[2::2])


async def test_waits_between_tries_have_a_longest(connect, endpoint: FakeEndpoint, monkeypatch) -> None:
    monkeypatch.setattr(retrying, "LONGEST_BACKOFF_S", 0.02)
    model = await connect(retries=8)
    endpoint.faults.extend([503] * 8)
    noted: list[float] = []
    await model.generate([replace(ask(), on_retry=lambda number, wait_s: noted.append(wait_s))])
    assert len(noted) == 16
    assert max(noted) <= 0.03


async def test_what_stays_broken_is_one_clear_error(connect, endpoint: FakeEndpoint) -> None:
    model = await connect(retries=2)
    endpoint.faults.extend([503] * 3)
    with pytest.raises(GenerationError, match="failed 3 times; last: HTTP 503: fault 503"):
        await model.generate([ask()])


async def test_a_refusal_is_not_retried(connect, endpoint: FakeEndpoint) -> None:
    model = await connect()
    endpoint.faults.append(400)
    with pytest.raises(GenerationError, match="refused the request: HTTP 400: fault 400"):
        await model.generate([ask()])
    assert len(endpoint.requests) == 1


async def test_a_slow_answer_times_out(connect, endpoint: FakeEndpoint) -> None:
    model = await connect(request_timeout_s=0.2, retries=0)
    endpoint.faults.append("slow")
    with pytest.raises(GenerationError, match="no answer within 0.2 s"):
        await model.generate([ask()])


async def test_attempts_at_one_prompt_go_out_together(connect, endpoint: FakeEndpoint) -> None:
    model = await connect(n_per_request=4)
    one = [model.generate([ask("one", temperature=1.0, seed=i)]) for i in range(6)]
    answers = await asyncio.gather(*one, model.generate([ask("other")]))
    assert [len(found) for found in answers] == [1] * 7
    assert sorted(request.get("n", 1) for request in endpoint.requests) == [1, 2, 4]


@pytest.mark.parametrize("api", ["chat", "completions"])
async def test_choices_come_with_log_probabilities(connect, endpoint: FakeEndpoint, api: str) -> None:
    model = await connect(api=api)
    request = Request(Sampling(), prompt="Q", choices=(" A", " B", " C", " D"))
    if api == "chat":
        request = Request(Sampling(), messages=(Message("user", "Q"),), choices=("A", "B", "C", "D"))
    (answer,) = await model.generate([request])
    assert answer.choice_logprobs == (-3.0, -0.1, -4.0, -5.0)
    assert endpoint.requests[0]["max_tokens"] == 1


async def test_the_key_travels_and_is_kept_out_of_the_record(
    connect, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.key = "s3cret"
    monkeypatch.setenv("MY_KEY", "s3cret")
    model = await connect(api_key_env="MY_KEY")
    await model.generate([ask()])
    assert endpoint.headers[0]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(model.describe())


async def test_a_refused_key_names_the_variable(connect, endpoint: FakeEndpoint) -> None:
    endpoint.key = "other"
    with pytest.raises(ModelNotAvailableError, match="refuses the key.*OPENAI_API_KEY"):
        await connect()


async def test_a_model_that_is_not_served_names_those_that_are(endpoint: FakeEndpoint) -> None:
    model = OpenAIModel("x", "other", endpoint.url, ModelOptions())
    with pytest.raises(ModelNotAvailableError, match='does not serve "other"; it serves: fake'):
        await model.start(lambda line: None)


async def test_nothing_at_the_address_says_so() -> None:
    model = OpenAIModel("x", "m", "http://127.0.0.1:9/v1", ModelOptions())
    with pytest.raises(ModelNotAvailableError, match="nothing answers at"):
        await model.start(lambda line: None)


async def test_garbage_that_is_json_is_an_error_of_the_attempt(connect, endpoint: FakeEndpoint) -> None:
    model = await connect(n_per_request=1)
    endpoint.reply = lambda body: None  # type: ignore[assignment, return-value]
    (answer,) = await model.generate([ask()])
    assert answer.text == ""


async def test_what_the_endpoint_can_do_is_found_out_once(connect, endpoint: FakeEndpoint) -> None:
    model = await connect()
    assert model.capabilities == Capabilities(True, True, True, True, True, True)
    assert len(endpoint.probes) == 5
    assert all(body["max_tokens"] == 1 for body in endpoint.probes)
    assert model.describe()["capabilities"]["tools"] is True
    await model.generate([ask()])
    assert len(endpoint.probes) == 5


@pytest.mark.parametrize(
    ("lacks", "attribute"),
    [
        ("tools", "tools"),
        ("completions", "completions"),
        ("usage", "stream_usage"),
    ],
)
async def test_what_it_lacks_is_known_and_said(lacks: str, attribute: str, endpoint: FakeEndpoint) -> None:
    endpoint.lacks.add(lacks)
    said: list[str] = []
    model = OpenAIModel(endpoint.name, endpoint.model, endpoint.url, ModelOptions())
    await model.start(said.append)
    assert getattr(model.capabilities, attribute) is False
    assert attribute.replace("_", " ") in said[0]
    await model.close()


async def test_a_server_without_chat_is_asked_with_bare_prompts(connect, endpoint: FakeEndpoint) -> None:
    endpoint.lacks.add("chat")
    model = await connect()
    assert (model.chat, model.plain_prompts, model.scores_choices) == (False, True, True)


async def test_a_server_without_log_probabilities_is_not_asked_for_them(connect, endpoint: FakeEndpoint) -> None:
    endpoint.lacks.add("logprobs")
    model = await connect()
    assert (model.capabilities.chat, model.capabilities.completions) == (True, True)
    assert model.scores_choices is False


async def test_a_server_that_takes_nothing_says_why(connect, endpoint: FakeEndpoint) -> None:
    endpoint.lacks |= {"chat", "completions"}
    with pytest.raises(ModelNotAvailableError, match="neither chats nor bare prompts.*no chat here"):
        await connect()


@pytest.mark.parametrize("chat", [True, False])
async def test_a_streamed_answer_has_the_times_of_its_pieces(connect, endpoint: FakeEndpoint, chat: bool) -> None:
    endpoint.reply = lambda body: "one two three four"
    endpoint.piece_delay_s = 0.05
    model = await connect()
    request = Request(Sampling(), stream=True, prompt=None if chat else "Q", messages=(Message("user", "Q"),))
    (answer,) = await model.generate([request])
    assert answer.text == "onetwothreefour"
    assert (answer.prompt_tokens, answer.completion_tokens) == (10, 4)
    assert answer.ttft_s is not None and answer.ttft_s >= 0.05
    assert len(answer.gaps_s) == 3 and min(answer.gaps_s) > 0.02
    assert answer.latency_s == pytest.approx(answer.ttft_s + sum(answer.gaps_s))
    assert endpoint.requests[0]["stream_options"] == {"include_usage": True}


async def test_a_stream_without_usage_is_counted_by_its_pieces(connect, endpoint: FakeEndpoint) -> None:
    endpoint.lacks.add("usage")
    endpoint.reply = lambda body: "a b c"
    model = await connect()
    (answer,) = await model.generate([Request(Sampling(), prompt="Q", stream=True)])
    assert answer.completion_tokens == 3


@pytest.mark.parametrize("stream", [True, False])
async def test_tools_are_sent_and_calls_come_back(connect, endpoint: FakeEndpoint, stream: bool) -> None:
    endpoint.reply = lambda body: [("read", '{"path": "a b"}'), ("exec", '{"command": "ls"}')]
    model = await connect()
    before = ToolCall("c1", "read", '{"path": ')
    chat = (Message("user", "Q"), Message("assistant", "", (before,)), Message("tool", "broken", tool_call_id="c1"))
    tools = (ToolSpec("read", "Reads.", '{"type": "object", "properties": {}}'),)
    (answer,) = await model.generate([Request(Sampling(), chat, tools=tools, stream=stream)])
    assert answer.tool_calls == (
        ToolCall("srv_0", "read", '{"path": "a b"}'),
        ToolCall("srv_1", "exec", '{"command": "ls"}'),
    )
    assert (answer.text, answer.finish_reason) == ("", FinishReason.TOOL_CALLS)
    sent = endpoint.requests[0]
    assert sent["tools"][0]["function"]["name"] == "read"
    assert sent["messages"][2] == {"role": "tool", "content": "broken", "tool_call_id": "c1"}
    assert sent["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"malformed": "{\\"path\\": "}'
    assert model.native_tools


async def test_a_server_without_tools_is_known(connect, endpoint: FakeEndpoint) -> None:
    endpoint.lacks.add("tools")
    assert not (await connect()).native_tools


async def test_a_stream_that_says_nothing_and_ends_is_an_empty_answer(connect, endpoint: FakeEndpoint) -> None:
    endpoint.reply = lambda body: ""
    model = await connect()
    (answer,) = await model.generate([Request(Sampling(), (Message("user", "Q"),), stream=True)])
    assert (answer.text, answer.tool_calls) == ("", ())


@pytest.mark.parametrize("fault", [500, 429, "drop", "garbage"])
async def test_a_stream_that_fails_is_asked_for_again(connect, endpoint: FakeEndpoint, fault: object) -> None:
    model = await connect()
    endpoint.faults.append(fault)
    (answer,) = await model.generate([Request(Sampling(), (Message("user", "Q"),), stream=True)])
    assert answer.text == "ananswer"
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize("fault", [500, "drop", "garbage"])
async def test_a_measured_stream_that_fails_is_an_error_and_is_not_tried_again(
    connect, endpoint: FakeEndpoint, fault: object
) -> None:
    model = await connect()
    endpoint.faults.append(fault)
    with pytest.raises(GenerationError):
        await model.generate([Request(Sampling(), prompt="Q", stream=True, no_retry=True)])
    assert len(endpoint.requests) == 1


async def test_a_key_that_the_server_repeats_is_not_passed_on(
    connect, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-s3cret")
    model = await connect(api_key_env="MY_KEY", retries=0)
    endpoint.fault_text = "Incorrect API key provided: sk-s3cret"
    for status in (400, 503):
        endpoint.faults.append(status)
        with pytest.raises(GenerationError, match=r"Incorrect API key provided: \[key\]") as raised:
            await model.generate([ask()])
        assert "s3cret" not in str(raised.value)


async def test_fixed_lengths_are_asked_for(connect, endpoint: FakeEndpoint) -> None:
    model = await connect()
    await model.generate([ask(ignore_eos=True)])
    assert endpoint.requests[0]["ignore_eos"] is True


async def test_a_model_that_calls_the_limit_otherwise_is_asked_so(connect, endpoint: FakeEndpoint) -> None:
    endpoint.lacks |= {"max_tokens", "completions"}
    model = await connect()
    assert model.capabilities.chat is True
    assert model.describe()["capabilities"]["requests"] == {"chat": {"limit": "max_completion_tokens"}}
    await model.generate([ask(max_tokens=9)])
    assert endpoint.requests[0]["max_completion_tokens"] == 9
    assert "max_tokens" not in endpoint.requests[0]
