"""What goes wrong in the thread of a model in process reaches whoever waits for an answer; what is asked is done."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="needs the local extra")

from stackbench.errors import GenerationError, ModelLostError, ModelNotAvailableError
from stackbench.models import ModelOptions
from stackbench.models.hf import HFModel
from stackbench.types import FinishReason, Generation, Message, Request, Sampling, ToolSpec
from tests.models.tiny_model import END, TEMPLATE, make_tiny_model

ASK = Request(Sampling(max_tokens=12, ignore_eos=True), messages=(Message("user", "hi"),))
BARE = Request(Sampling(max_tokens=12, ignore_eos=True), prompt="hi")
WAIT_S = 30
Load = Callable[..., Any]


class Panic(BaseException):
    """As a library in Rust raises it: no Exception."""


@pytest.fixture
async def load(tmp_path: Path) -> AsyncIterator[Load]:
    made: list[HFModel] = []

    async def one(template: str | None = TEMPLATE, generation: dict[str, Any] | None = None, **options: Any) -> HFModel:
        folder = make_tiny_model(tmp_path / f"m{len(made)}", template, generation)
        model = HFModel("hf:tiny", str(folder), ModelOptions(home=tmp_path, dtype="float32", **options))
        made.append(model)
        await asyncio.wait_for(model.start(lambda line: None), WAIT_S)
        return model

    yield one
    for model in made:
        await model.close()


async def ask(model: HFModel, *requests: Request) -> list[Generation]:
    return await asyncio.wait_for(model.generate(requests), WAIT_S)


ROLES = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
)
ROLES += "{{ m.content }}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (ROLES, "refuses the chat: System role not supported"),
        ("{{ nobody.home }}", "'nobody' is undefined"),
        ("{% if %}", "refuses the chat"),
        ("{{ 'a' * 10**11 }}", "goes too far"),
        ("{{ messages[0]['content'][99] }}{{ 1 / 0 }}", "ZeroDivisionError"),
        ("", "the prompt is empty"),
        ("{{ '\\ud800' }}", "the prompt cannot be read"),
    ],
)
async def test_a_template_that_raises_fails_the_attempt_in_its_words(load: Load, template: str, words: str) -> None:
    model = await load(template)
    chat = replace(ASK, messages=(Message("system", "s"), *ASK.messages))
    refused, answered = await asyncio.gather(ask(model, chat), ask(model, BARE), return_exceptions=True)
    assert isinstance(refused, GenerationError)
    with pytest.raises(GenerationError, match=words):
        raise refused
    assert isinstance(answered, list) and answered[0].completion_tokens == 12
    assert (await ask(model, BARE)) and not isinstance(refused, ModelLostError)


async def test_a_model_without_a_template_takes_no_chats(load: Load) -> None:
    model = await load(None)
    assert not model.chat
    with pytest.raises(GenerationError, match="has no chat template"):
        await ask(model, ASK)


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("no such row"), Panic("index out of bounds")])
async def test_whatever_a_step_raises_fails_those_in_it_and_the_next_is_answered(
    load: Load, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    from stackbench.models.decoding import BatchDecoder

    model = await load()

    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(BatchDecoder, "step", fails)
        with pytest.raises(GenerationError, match=f"decoding failed: {type(error).__name__}"):
            await ask(model, ASK, BARE)
    assert (await ask(model, ASK))[0].completion_tokens == 12


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError("deep"), Panic("out of bounds")])
async def test_whatever_a_tokenizer_raises_fails_its_request_alone(
    load: Load, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    model = await load()
    encode = model._thread.loaded.reader._tokenizer.encode

    def fails(text: str, **options: Any) -> list[int]:
        if "bad" in text:
            raise error
        return encode(text, **options)

    monkeypatch.setattr(model._thread.loaded.reader._tokenizer, "encode", fails)
    bad, good = await asyncio.gather(
        ask(model, replace(BARE, prompt="bad")), ask(model, BARE, ASK), return_exceptions=True
    )
    assert isinstance(bad, GenerationError) and f"cannot be read: {type(error).__name__}" in str(bad)
    assert isinstance(good, list) and len(good) == 2


async def test_an_answer_whose_calls_cannot_be_read_fails_alone(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    model = await load()

    def fails(text: str) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("stackbench.models.prompting.take_calls", fails)
    with_tools = replace(ASK, tools=(ToolSpec("t", "T.", "{}"),))
    bad, good = await asyncio.gather(ask(model, with_tools), ask(model, ASK), return_exceptions=True)
    assert isinstance(bad, GenerationError) and "too deep" in str(bad)
    assert isinstance(good, list)


async def test_a_thread_that_dies_fails_all_who_wait_and_all_who_come(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = await load()

    def dies(*_: object, **__: object) -> None:
        raise Panic("the thread is gone")

    monkeypatch.setattr(model._thread.loaded.decoder, "has_room", dies)
    results = await asyncio.gather(ask(model, ASK), ask(model, BARE), return_exceptions=True)
    assert [type(result) for result in results] == [ModelLostError] * 2
    assert "hf:tiny stopped decoding: Panic: the thread is gone" in str(results[0])
    with pytest.raises(ModelLostError):
        await ask(model, ASK)


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(3), Panic("no such file")])
async def test_whatever_loading_raises_reaches_who_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("stackbench.models.hf_loading.load_weights", fails)
    model = HFModel("hf:tiny", str(make_tiny_model(tmp_path / "m")), ModelOptions(home=tmp_path))
    with pytest.raises(ModelNotAvailableError, match=f"cannot be loaded: {type(error).__name__}"):
        await asyncio.wait_for(model.start(lambda line: None), WAIT_S)
    await model.close()


async def test_who_still_waits_when_it_is_closed_hears_of_it(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    model = await load()
    began, go_on = threading.Event(), threading.Event()
    step = model._thread.loaded.decoder.step  # type: ignore[union-attr]

    def held() -> None:
        began.set()
        go_on.wait(WAIT_S)
        step()

    monkeypatch.setattr(model._thread.loaded.decoder, "step", held)
    waiting = [asyncio.create_task(model.generate([request])) for request in (ASK, BARE)]
    await asyncio.to_thread(began.wait, WAIT_S)
    closing = asyncio.create_task(model.close())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait_for(closing, WAIT_S)
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, GenerationError) and "was closed before it answered" in str(result)
    with pytest.raises(GenerationError, match="was closed"):
        await ask(model, ASK)


# -- what is asked


async def test_what_decided_the_draws_is_told_with_the_answer(load: Load) -> None:
    model = await load(max_model_len=64)
    sampling = Sampling(
        0.7, 0.9, 5000, ("x", "y"), seed=11, top_k=4, min_p=0.1, presence_penalty=0.5, frequency_penalty=-0.5,
        repetition_penalty=1.2,
    )  # fmt: skip
    (answer,) = await ask(model, replace(BARE, sampling=sampling))
    assert answer.sent == {
        "temperature": 0.7, "top_p": 0.9, "top_k": 4, "min_p": 0.1, "presence_penalty": 0.5, "frequency_penalty": -0.5,
        "repetition_penalty": 1.2, "max_tokens": 62, "stop": ["x", "y"], "seed": 11,
    }  # fmt: skip
    json.dumps(answer.sent)


async def test_penalties_and_cuts_do_not_depend_on_batch_mates(load: Load) -> None:
    model = await load()
    base = Sampling(max_tokens=30, ignore_eos=True)
    samplings = [
        base,
        replace(base, repetition_penalty=1.8),
        replace(base, presence_penalty=2.0, frequency_penalty=0.5),
        replace(base, temperature=1.0, seed=3, top_k=5),
        replace(base, temperature=1.0, seed=3, min_p=0.2, frequency_penalty=1.0),
        replace(base, temperature=1.0, seed=3, top_k=1),
    ]
    requests = [Request(sampling, prompt="abcabc") for sampling in samplings]
    alone = [(await ask(model, request))[0].text for request in requests]
    assert [answer.text for answer in await ask(model, *requests)] == alone
    assert alone[5] == alone[0] and len(set(alone)) >= 4


async def test_greedy_answers_with_a_penalty_are_transformers_own(load: Load) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = await load()
    folder = model._target
    tokenizer, reference = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer("abcabc", return_tensors="pt")
    for penalty in (0.7, 1.1, 2.0):
        sampling = Sampling(max_tokens=30, repetition_penalty=penalty)
        (answer,) = await ask(model, Request(sampling, prompt="abcabc"))
        with torch.inference_mode():
            out = reference.generate(**ids, max_new_tokens=30, do_sample=False, repetition_penalty=penalty)
        assert answer.text == tokenizer.decode(out[0, ids.input_ids.shape[1] :], skip_special_tokens=True)


async def test_a_checkpoints_sampling_counts_only_where_it_is_asked_for(load: Load) -> None:
    wants = {"repetition_penalty": 1.9, "top_k": 1, "top_p": 0.1, "temperature": 0.3, "do_sample": True}
    plain, opinionated = await load(), await load(generation=wants)
    asked = await load(generation=wants, generation_config="checkpoint")
    first, second, third = [(await ask(model, BARE))[0] for model in (plain, opinionated, asked)]
    assert first.text == second.text == third.text  # what a request says is what is done
    assert first.sent == second.sent
    assert (plain.sampling_defaults, opinionated.sampling_defaults) == ({}, {})
    assert asked.sampling_defaults == {name: value for name, value in wants.items() if name != "do_sample"}
    assert opinionated.describe()["generation_config"] == {"applied": "vllm", "checkpoint": asked.sampling_defaults}


async def test_every_end_that_the_generation_config_names_ends_an_answer(load: Load) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = await load()
    ids = AutoTokenizer.from_pretrained(model._target)("hi", return_tensors="pt").input_ids
    reference = AutoModelForCausalLM.from_pretrained(model._target)
    with torch.inference_mode():
        first, second = reference.generate(ids, max_new_tokens=2, do_sample=False)[0, -2:].tolist()
    greedy = replace(BARE, sampling=Sampling(max_tokens=12))
    for ends, tokens in (([END], 12), ([END, second], 2), ([second, first], 1), (first, 1)):
        (answer,) = await ask(await load(generation={"eos_token_id": ends}), greedy)
        finish = FinishReason.LENGTH if tokens == 12 else FinishReason.STOP
        assert (answer.finish_reason, answer.completion_tokens) == (finish, tokens)


async def test_an_answer_goes_on_from_its_given_beginning(load: Load) -> None:
    model = await load()
    (plain,) = await ask(model, ASK)
    sampling = replace(ASK.sampling, max_tokens=6)
    (rendered,) = await ask(model, Request(sampling, prompt="<user>hi</s><assistant>Sure: "))
    (given,) = await ask(model, replace(ASK, sampling=sampling, prefill="Sure: "))
    assert given.text == rendered.text != plain.text
    assert given.prompt_tokens == plain.prompt_tokens + len("Sure: ")


async def test_a_template_of_ones_own_is_used(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text("Q: {{ messages[-1].content }} {{ eos_token }}A:")
    model = await load(None, chat_template=str(path))
    (bare,) = await ask(model, replace(BARE, prompt="Q: hi </s>A:"))
    (chat,) = await ask(model, ASK)
    assert chat.text == bare.text and model.chat
    with pytest.raises(ModelNotAvailableError, match=r"--chat-template .*none.jinja: no such file"):
        await load(chat_template=str(tmp_path / "none.jinja"))


# -- what was loaded


async def test_a_damaged_model_has_another_hash_and_is_told_of(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m")
    described: list[dict[str, Any]] = []
    said: list[str] = []
    for _ in range(2):
        model = HFModel("hf:tiny", str(folder), ModelOptions(home=tmp_path, dtype="float32"))
        await model.start(said.append)
        described.append(dict(model.describe()))
        await model.close()
        (folder / "stackbench.sha256").write_text(f"{described[0]['files']['model.safetensors']}  model.safetensors\n")
        with (folder / "model.safetensors").open("r+b") as file:
            file.seek(-5, 2)
            file.write(b"\x41")
    assert described[0]["sha256"] != described[1]["sha256"]
    assert described[0]["files"]["model.safetensors"] != described[1]["files"]["model.safetensors"]
    assert described[0]["files"]["tokenizer.json"] == described[1]["files"]["tokenizer.json"]
    assert any("model.safetensors: not the bytes that were fetched" in line for line in said)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"\xff" * 100),
        ("model.safetensors", b""),
        ("tokenizer.json", b"{"),
        ("config.json", b'{"model_type": "nonesuch"}'),
        ("config.json", b"[" * 100_000),
        ("config.json", b'{"model_type": "llama", "num_attention_heads": 0}'),
        ("generation_config.json", b'{"eos_token_id": "x"}'),
    ],
)
async def test_a_broken_checkpoint_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    folder = make_tiny_model(tmp_path / "m")
    (folder / name).write_bytes(content)
    model = HFModel("hf:tiny", str(folder), ModelOptions(home=tmp_path))
    with pytest.raises(ModelNotAvailableError) as caught:
        await asyncio.wait_for(model.start(lambda line: None), WAIT_S)
    assert len(str(caught.value).splitlines()) == 1
    await model.close()
