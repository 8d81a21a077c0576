"""`gguf:` models: a real small model through llama.cpp, what cannot be loaded, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from stackbench.errors import GenerationError, ModelLostError, ModelNotAvailableError, StackbenchError, UsageError
from stackbench.models import ModelOptions, create_model
from stackbench.models.gguf import GgufModel
from stackbench.models.gguf_header import read_shape
from stackbench.models.pull import locate_gguf
from stackbench.types import FinishReason, Message, Request, Sampling
from tests.conftest import MODELS, SMALL_MODEL

needs_llama = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="needs the gguf extra (xllamacpp)")
WAIT_S = 120
GREEDY = Sampling(max_tokens=12)


@pytest.fixture(scope="module")
def weights() -> Path:
    try:
        return locate_gguf(SMALL_MODEL, MODELS, lambda line: None)
    except StackbenchError as error:
        pytest.skip(f"the small model cannot be had: {error}")


@pytest.fixture(scope="module")
async def model(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GgufModel]:
    if find_spec("xllamacpp") is None:
        pytest.skip("needs the gguf extra (xllamacpp)")
    made = create_model(f"gguf:{SMALL_MODEL}", options(tmp_path_factory.mktemp("logs"), max_batch=4))
    assert isinstance(made, GgufModel)
    await made.start(lambda line: None)
    yield made
    await made.close()


def options(logs: Path, **more: Any) -> ModelOptions:
    return ModelOptions(home=MODELS.parent, logs=logs, **{"max_model_len": 1024, **more})


def ask(prompt: str, **sampling: Any) -> Request:
    return Request(replace(GREEDY, **sampling), prompt=prompt)


pytestmark = [pytest.mark.model, pytest.mark.xdist_group("model")]


async def test_it_answers_prompts_and_chats_and_counts_their_tokens(model: GgufModel) -> None:
    bare, chat = await model.generate(
        [ask("The capital of France is"), Request(GREEDY, messages=(Message("user", "Say hello."),))]
    )
    assert "Paris" in bare.text and chat.text
    assert (bare.finish_reason, bare.completion_tokens) == (FinishReason.LENGTH, 12)
    count = await model.count_tokens(ask("The capital of France is"))
    assert (count.tokens, count.exact) == (bare.prompt_tokens, True)
    assert (model.window, model.chat, model.plain_prompts, model.concurrency) == (1024, True, True, 4)


async def test_the_record_names_the_file_and_its_hash(model: GgufModel, weights: Path) -> None:
    about = model.describe()
    assert about["files"] == {weights.name: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"}
    assert (about["kind"], about["slots"], about["context_window"]) == ("gguf", 4, 1024)


async def test_a_seed_draws_the_same_beside_others(model: GgufModel) -> None:
    hot = [ask("Once upon a time", temperature=1.2, seed=seed) for seed in range(4)]
    together = [answer.text for answer in await model.generate(hot)]
    assert len(set(together)) == 4
    alone = [(await model.generate([request]))[0].text for request in hot]
    assert sum(a == b for a, b in zip(together, alone, strict=True)) >= 3  # a near tie may fall either way


async def test_more_requests_than_slots_are_all_answered(model: GgufModel) -> None:
    answers = await model.generate([ask(f"{number} and", max_tokens=4, ignore_eos=True) for number in range(11)])
    assert [answer.completion_tokens for answer in answers] == [4] * 11


async def test_stops_prefill_choices_streams_and_penalties(model: GgufModel) -> None:
    (whole,) = await model.generate([ask("def add(a, b):", max_tokens=24)])
    (cut,) = await model.generate([ask("def add(a, b):", max_tokens=24, stop=(whole.text[5:8],))])
    assert cut.text == whole.text[:5] and cut.finish_reason is FinishReason.STOP
    chat = Request(GREEDY, messages=(Message("user", "Count to five."),), prefill="One, two,")
    (continued,) = await model.generate([chat])
    assert continued.text.strip().startswith("three") and "One, two," not in continued.text
    choices = ("A", "B", "C", "D")
    letters = Request(Sampling(), prompt="Q: What is 1 + 1?\nA. 3\nB. 2\nC. 9\nD. 7\nAnswer:", choices=choices)
    (scored,) = await model.generate([letters])
    assert scored.choice_logprobs is not None and len(scored.choice_logprobs) == 4
    pieces: list[str] = []
    streamed = replace(ask("1 2 3", max_tokens=6, ignore_eos=True), stream=True, on_text=pieces.append)
    (answer,) = await model.generate([streamed])
    assert "".join(pieces) == answer.text and len(pieces) > 1 and answer.ttft_s is not None
    repeating = ask("a a a a a a a a", max_tokens=24, ignore_eos=True)
    plain, penalised = await model.generate(
        [repeating, replace(repeating, sampling=replace(repeating.sampling, repetition_penalty=1.8))]
    )
    assert plain.text != penalised.text and penalised.sent["repeat_penalty"] == 1.8


async def test_a_prompt_longer_than_the_window_fails_alone_naming_both_lengths(model: GgufModel) -> None:
    long, good = await asyncio.gather(
        model.generate([ask("word " * 3000)]), model.generate([ask("1 2 3", max_tokens=2)]), return_exceptions=True
    )
    assert isinstance(long, GenerationError) and isinstance(good, list)
    assert "3001 tokens" in str(long) and "1024 tokens" in str(long) and "\n" not in str(long)


async def test_a_request_that_nobody_waits_for_frees_its_slot(weights: Path, tmp_path: Path) -> None:
    model = await started(weights, options(tmp_path, max_batch=1))
    try:
        times: list[float] = []
        begun = asyncio.Event()

        def note(text: str) -> None:
            times.append(time.perf_counter())
            if len(times) == 11:
                begun.set()

        endless = replace(ask("x", max_tokens=1000, ignore_eos=True), stream=True, on_text=note)
        task = asyncio.create_task(model.generate([endless]))
        await asyncio.wait_for(begun.wait(), WAIT_S)
        task.cancel()
        (answer,) = await asyncio.wait_for(model.generate([ask("1 2 3", max_tokens=2)]), WAIT_S)
        a_token_s = (times[10] - times[0]) / 10
        assert answer.completion_tokens == 2
        assert answer.latency_s < 300 * a_token_s  # the only slot was free long before 1000 tokens were made
    finally:
        await model.close()


async def started(weights: Path, given: ModelOptions) -> GgufModel:
    if find_spec("xllamacpp") is None:
        pytest.skip("needs the gguf extra (xllamacpp)")
    model = GgufModel(f"gguf:{weights}", str(weights), given)
    await model.start(lambda line: None)
    return model


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


async def test_closing_answers_those_who_wait_and_leaves_no_process_thread_or_port(
    weights: Path, tmp_path: Path
) -> None:
    before, threads = children(), threading.active_count()
    model = await started(weights, options(tmp_path, max_batch=2))
    assert model._server is not None
    (server,) = (psutil.Process(pid) for pid in children() - before)
    (port,) = {one.laddr.port for one in server.net_connections() if one.status == psutil.CONN_LISTEN}
    begun = asyncio.Event()
    endless = replace(ask("x", max_tokens=1000, ignore_eos=True), stream=True, on_text=lambda _: begun.set())
    waiting = asyncio.create_task(model.generate([endless]))
    await asyncio.wait_for(begun.wait(), WAIT_S)
    await model.close()
    (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
    assert isinstance(outcome, GenerationError) and "was closed before it answered" in str(outcome)
    assert not server.is_running() and children() == before
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)
    assert threading.active_count() <= threads + 1  # one that the event loop keeps for its executor
    await model.close()


async def test_a_server_that_is_killed_is_a_lost_model(weights: Path, tmp_path: Path) -> None:
    before = children()
    model = await started(weights, options(tmp_path))
    try:
        (pid,) = children() - before
        begun = asyncio.Event()
        endless = replace(ask("x", max_tokens=1000, ignore_eos=True), stream=True, on_text=lambda _: begun.set())
        waiting = asyncio.create_task(model.generate([endless]))
        await asyncio.wait_for(begun.wait(), WAIT_S)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ModelLostError, match="was killed, perhaps for want of memory"):
            await asyncio.wait_for(waiting, WAIT_S)
    finally:
        await model.close()


async def test_others_of_this_machine_are_not_answered(model: GgufModel) -> None:
    import aiohttp

    assert model._server is not None
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{model._server.url}/v1/completions", json={"prompt": "hi", "max_tokens": 1}) as answer,
    ):
        assert answer.status == 401


# -- what cannot be loaded


Start = Callable[[Path | str], Any]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    async def run(target: Path | str, **more: Any) -> str:
        model = GgufModel(f"gguf:{target}", str(target), ModelOptions(home=tmp_path, **more))
        before = children()
        with pytest.raises(StackbenchError) as caught:
            await model.start(lambda line: None)
        await model.close()
        assert children() == before
        assert len(str(caught.value).splitlines()) == 1
        return f"{type(caught.value).__name__}: {caught.value}"

    return run


@needs_llama
async def test_names_and_files_that_are_no_model_are_one_line(start: Start, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("hello, this is no model at all")
    (tmp_path / "empty.gguf").touch()
    (tmp_path / "two").mkdir()
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / "two" / name).touch()
    for target, said in (
        (tmp_path / "none.gguf", "UsageError: .*none.gguf: no such file or folder; name a .gguf file, or one of: qwen"),
        ("qwen2.5-coder-7b-instruct", "UsageError: .*the manifest knows no GGUF file for it"),
        (tmp_path / "text.gguf", "ModelNotAvailableError: .*text.gguf is no GGUF file"),
        (tmp_path / "empty.gguf", "empty.gguf is no GGUF file"),
        (tmp_path / "two", "holds 2 .gguf files; name one file"),
        (Path("/dev/null"), "null is no GGUF file"),
    ):
        message = await start(target)
        assert re.search(said, message), message


@needs_llama
async def test_a_file_that_was_cut_off_is_one_line_with_its_log(start: Start, weights: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    with weights.open("rb") as file:
        cut.write_bytes(file.read(8 << 20))
    message = await start(cut)
    assert "llama.cpp cannot load" in message and "cut.gguf" in message and "llama.log" in message


@needs_llama
async def test_too_little_memory_says_how_much_is_needed(
    start: Start, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Memory:
        available = 101 << 20

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    assert "GiB are free: use a smaller file, --max-batch or --max-model-len" in await start(weights)


async def test_without_the_package_the_extra_is_named(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackbench.models.gguf.importlib.util.find_spec", lambda name: None)
    said = await start("any")
    assert "gguf: models need the gguf extra (xllamacpp is missing); run: " in said and "[gguf]" in said


@pytest.mark.parametrize("name", ["gguf:", "gguf"])
def test_a_name_without_a_file_is_refused_with_the_form_it_should_have(name: str) -> None:
    with pytest.raises(UsageError, match="gguf:NAME_OR_PATH"):
        create_model(name, ModelOptions())


# -- the header


def header(*pairs: tuple[str, int, bytes], count: int | None = None) -> bytes:
    body = b"".join(
        struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + value for key, kind, value in pairs
    )
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs) if count is None else count) + body


def number(name: str, value: int) -> tuple[str, int, bytes]:
    return f"llama.{name}", 4, struct.pack("<I", value)


SHAPE = [
    number("block_count", 2),
    number("context_length", 4096),
    number("embedding_length", 64),
    number("attention.head_count", 8),
    number("attention.head_count_kv", 2),
]


def test_a_shape_is_read_past_texts_and_arrays(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    text = struct.pack("<Q", 3) + b"abc"
    file.write_bytes(
        header(
            ("general.name", 8, text),
            ("general.tags", 9, struct.pack("<IQ", 8, 2) + text + text),
            ("general.sizes", 9, struct.pack("<IQ", 5, 3) + bytes(12)),
            *SHAPE,
            ("tokenizer.tokens", 9, struct.pack("<IQ", 8, 1 << 40)),
        )
    )
    shape = read_shape(file)
    assert (shape.context, shape.kv_bytes_per_token) == (4096, 2 * 2 * (8 + 8) * 2)


@pytest.mark.parametrize(
    "content",
    [
        header(*SHAPE[:4])[:-6],
        header(*SHAPE[:2]),
        header(*SHAPE[:3], number("attention.head_count", 0)),
        header(("x", 9, struct.pack("<IQ", 9, 1)), *SHAPE),
        header(("x", 99, b"\0" * 8), *SHAPE),
        header(("x", 8, struct.pack("<Q", 1 << 60)), *SHAPE),
    ],
)
def test_a_header_that_tells_no_shape_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(content)
    with pytest.raises(ModelNotAvailableError, match="is damaged, or no language model"):
        read_shape(file)
