from __future__ import annotations

import asyncio

import pytest

from stackbench.errors import GenerationError, ModelNotAvailableError
from stackbench.models import ModelOptions
from stackbench.models import openai as module
from stackbench.models.openai import OpenAIModel
from stackbench.types import FinishReason, Message, Request, Sampling
from tests.fake_endpoint import FakeEndpoint


def ask(text: str = "hi", **sampling: object) -> Request:
    return Request(Sampling(**sampling), messages=(Message("user", text),))  # type: ignore[arg-type]


@pytest.fixture
async def connect(endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "FIRST_BACKOFF_S", 0.01)
    models: list[OpenAIModel] = []

    async def make(**options: object) -> OpenAIModel:
        model = OpenAIModel(endpoint.name, endpoint.model, endpoint.url, ModelOptions(**options))  # type: ignore[arg-type]
        models.append(model)
        await model.start(lambda line: None)
        return model

    yield make
    for model in models:
        await model.close()


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
