"""How many tokens a request is: by the model's own tokenizer where there is one, else an estimate that says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stackbench.errors import GenerationError
from stackbench.models import ModelOptions
from stackbench.models.hf import HFModel
from stackbench.models.null import NullModel
from stackbench.models.oracle import OracleModel
from stackbench.models.replay import ReplayModel
from stackbench.types import Message, Request, Sampling, TokenCount, ToolSpec
from tests.conftest import MODELS
from tests.fake_endpoint import FakeEndpoint

CHAT = (Message("system", "Be brief."), Message("user", "What is two and two? " * 20))
TOOLS = (ToolSpec("read", "Reads a file.", '{"type": "object", "properties": {"path": {"type": "string"}}}'),)
ASK = Request(Sampling(max_tokens=2), CHAT)
BARE = Request(Sampling(max_tokens=2), prompt="def add(a, b):\n    return")


def as_vllm(path: str, body: dict[str, Any]) -> Any:
    if path != "/tokenize" or body.get("model") != "fake":
        return None
    text = body["prompt"] if "prompt" in body else str(body["messages"]) + str(body.get("tools", ""))
    return {"count": len(text), "max_model_len": 4096, "tokens": list(range(len(text)))}


def as_llama_cpp(path: str, body: dict[str, Any]) -> Any:
    if path == "/apply-template":
        return {
            "prompt": "".join(f"<{m['role']}>{m['content']}" for m in body["messages"]) + str(body.get("tools", ""))
        }
    return {"tokens": [ord(letter) for letter in body.get("content", "")]} if path == "/tokenize" else None


async def test_vllms_tokenizer_counts_chats_with_their_tools_and_prompts(connect, endpoint: FakeEndpoint) -> None:
    endpoint.beside = as_vllm
    model = await connect()
    chat, bare = await model.count_tokens(ASK), await model.count_tokens(BARE)
    with_tools = await model.count_tokens(Request(Sampling(), CHAT, tools=TOOLS))
    assert bare == TokenCount(len(BARE.prompt or ""), exact=True)
    assert chat.exact and with_tools.exact and with_tools.tokens > chat.tokens
    (_, sent) = endpoint.asked_beside[0]
    assert sent == {"model": "fake", "messages": [{"role": m.role, "content": m.content} for m in CHAT]}
    await model.count_tokens(Request(Sampling(), CHAT, prefill="The answer"))
    (_, sent) = endpoint.asked_beside[-1]
    assert sent["messages"][-1] == {"role": "assistant", "content": "The answer"}
    assert (sent["continue_final_message"], sent["add_generation_prompt"]) == (True, False)


async def test_llama_cpps_tokenizer_counts_the_rendered_chat(connect, endpoint: FakeEndpoint) -> None:
    endpoint.beside = as_llama_cpp
    model = await connect()
    assert await model.count_tokens(BARE) == TokenCount(len(BARE.prompt or ""), exact=True)
    rendered = "".join(f"<{m.role}>{m.content}" for m in CHAT)
    assert await model.count_tokens(ASK) == TokenCount(len(rendered), exact=True)
    with_tools = await model.count_tokens(Request(Sampling(), CHAT, tools=TOOLS))
    assert with_tools.exact and with_tools.tokens > len(rendered)


@pytest.mark.parametrize(
    "answer", [None, {"count": -1}, {"count": "many"}, {"tokens": "x"}, {"tokens": []}, {"error": "no"}, [], "text"]
)
async def test_without_a_tokenizer_the_count_is_marked_as_an_estimate(
    connect, endpoint: FakeEndpoint, answer: Any
) -> None:
    endpoint.beside = lambda path, body: answer
    model = await connect()
    counted = await model.count_tokens(ASK)
    assert not counted.exact and 50 < counted.tokens < 500
    asked = len(endpoint.asked_beside)
    await model.count_tokens(ASK)
    assert len(endpoint.asked_beside) == asked  # it is not asked again and again
    assert endpoint.requests == []  # nor is an answer asked for to learn a count


async def test_an_estimate_follows_what_the_server_counted_of_earlier_prompts(connect, endpoint: FakeEndpoint) -> None:
    model = await connect()
    before = await model.count_tokens(BARE)
    endpoint.prompt_tokens = lambda body: len(body["prompt"]) // 2
    await model.generate([Request(Sampling(), prompt="word " * 400)])
    after = await model.count_tokens(BARE)
    assert after == TokenCount(len(BARE.prompt or "") // 2, exact=False)
    assert after.tokens > before.tokens


@pytest.mark.parametrize("model", [NullModel(), OracleModel(), ReplayModel("replay:x", [], "x")])
async def test_models_without_a_tokenizer_estimate(model: Any) -> None:
    short, long = await model.count_tokens(BARE), await model.count_tokens(ASK)
    assert not short.exact and 0 < short.tokens < long.tokens


@pytest.mark.model
@pytest.mark.xdist_group("model")
async def test_a_model_in_this_process_counts_as_it_reads(small_model: str) -> None:
    model = HFModel(f"hf:{small_model}", small_model, ModelOptions(home=MODELS.parent, dtype="float32"))
    await model.start(lambda line: None)
    try:
        asked = [ASK, BARE, Request(Sampling(max_tokens=2), CHAT, prefill="The")]
        answering = asyncio.gather(*(model.generate([one]) for one in asked * 4))
        counted = await asyncio.gather(*(model.count_tokens(one) for one in asked * 4))  # while it decodes
        answers = [answer for (answer,) in await answering]
        assert counted == [TokenCount(answer.prompt_tokens, exact=True) for answer in answers]
        with pytest.raises(GenerationError, match="template"):
            await model.count_tokens(Request(Sampling(), (Message("user", "x" * (17 << 20)),)))
    finally:
        await model.close()
