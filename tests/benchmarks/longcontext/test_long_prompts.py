"""Prompts have the length that is asked for, by the model's own tokenizer with the chat template counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackbench.benchmarks import create_benchmark
from stackbench.benchmarks.longcontext import LongContext
from stackbench.benchmarks.longcontext.options import LongContextOptions
from stackbench.benchmarks.longcontext.tasks import LongTask
from stackbench.datasets import DatasetStore
from stackbench.errors import ConfigError, GenerationError, UsageError
from stackbench.types import Generation, Request
from tests.benchmarks.longcontext.long_context import LongScripted, train_tokenizer


def made(**options: Any) -> tuple[LongContext, list[LongTask]]:
    benchmark = LongContext(LongContextOptions(**options))
    return benchmark, benchmark.tasks(DatasetStore(Path()))


@pytest.mark.parametrize("kind", ["qwen", "gpt2", "sentencepiece"])
async def test_every_prompt_has_its_length_by_the_models_own_count(kind: str) -> None:
    benchmark, tasks = made(lengths=("1K", "4K"), depths=(0, 50, 100))
    context = LongScripted(train_tokenizer(kind))
    for task in tasks:
        if task.variant == "codebase/complete":
            continue  # executes code: test_long_answers
        scored = await benchmark.attempt(task, context)
        tokens = context.tokens(context.sent[-1])
        assert 0.995 * task.asked <= tokens <= task.asked, task.task_id
        assert scored.metrics["sent"] == tokens and scored.metrics["exact_length"], task.task_id
        assert scored.metrics["fill"] == pytest.approx(tokens / task.asked, abs=1e-4)


@pytest.mark.parametrize("counted", [True, False])
async def test_without_a_tokenizer_the_server_counts_or_lengths_are_estimated_and_said_to_be(counted: bool) -> None:
    benchmark, tasks = made(lengths=("4K",), families=("needle", "multidoc"), depths=(0, 100))
    context = LongScripted(train_tokenizer("qwen"), at_hand=False, counted=counted)
    await benchmark.prepare(tasks, context)
    fills = [(await benchmark.attempt(task, context)).metrics for task in tasks]
    assert len([line for line in context.said if "tokenizer is not at hand" in line]) == 1
    assert {metrics["exact_length"] for metrics in fills} == {counted}
    if counted:
        assert all(0.995 <= metrics["fill"] <= 1 for metrics in fills)
    else:
        assert all(0.85 < metrics["fill"] < 1.1 for metrics in fills)


async def test_prompts_of_one_haystack_come_next_to_each_other_and_begin_alike() -> None:
    benchmark, tasks = made(lengths=("4K",), families=("needle",), variants=("multikey",))
    context = LongScripted(train_tokenizer("qwen"))
    for task in tasks:
        await benchmark.attempt(task, context)
    texts = [request.messages[0].content for request in context.sent]
    shared = {text[: request.shared_prefix] for text, request in zip(texts, context.sent, strict=True)}
    assert len(texts) == 5 and len(set(texts)) == 5 and len(shared) == 1
    assert len(shared.pop()) > 0.9 * len(texts[0])


async def test_a_single_needle_stands_at_its_depth_in_the_same_hay() -> None:
    benchmark, tasks = made(lengths=("4K",), families=("needle",), variants=("single",))
    context = LongScripted(train_tokenizer("qwen"))
    places: dict[float, float] = {}
    for task in tasks:
        await benchmark.attempt(task, context)
        text = context.sent[-1].messages[0].content
        assert task.depth is not None
        places[task.depth] = text.index("The access code for the") / text.index("Question:")
    assert [task.depth for task in tasks] == [100, 75, 50, 25, 0]
    assert all(abs(place - depth / 100) < 0.06 for depth, place in places.items())


async def test_texts_follow_from_the_seed_alone() -> None:
    async def texts(seed: int) -> list[str]:
        benchmark, tasks = made(
            lengths=("1K",), families=("latent", "codebase"), variants=("onehop", "callers"), seed=seed
        )
        context = LongScripted(train_tokenizer("qwen"))
        for task in tasks:
            await benchmark.attempt(task, context)
        return [request.messages[0].content for request in context.sent]

    first = await texts(1)
    assert first == await texts(1)
    assert not set(first) & set(await texts(2))


async def test_a_length_over_the_window_is_cut_to_it_and_longer_ones_are_left_out() -> None:
    benchmark, tasks = made(lengths=("1K", "4K", "8K", "16K"), families=("needle",))
    model = LongScripted(train_tokenizer("qwen"), window=6000)
    kept, note = await benchmark.fit(tasks, model)
    assert {(task.length, task.asked) for task in kept} == {(1024, 1024), (4096, 4096), (8192, 5904)}
    assert (
        note
        == "8K is cut to 5,904 tokens; 16K left out: the model's window holds 6,000 tokens, 96 of them for the answer"
    )
    model.window = 4200
    kept, note = await benchmark.fit(tasks, model)
    assert {task.asked for task in kept} == {1024, 4096} and note.startswith("8K, 16K left out: ")
    model.window = 200_000
    assert await benchmark.fit(tasks, model) == (tasks, "")


async def test_room_for_thinking_is_apart_from_room_for_the_answer() -> None:
    benchmark, tasks = made(lengths=("1K", "4K"), families=("needle",))
    model = LongScripted(train_tokenizer("qwen"), window=4200)
    model.think_tokens = 500
    kept, note = await benchmark.fit(tasks, model)
    assert {task.asked for task in kept} == {1024, 4200 - 96 - 500} and "596 of them for the answer" in note


async def test_a_window_under_the_shortest_length_is_refused() -> None:
    benchmark, tasks = made(lengths=("4K", "8K"), families=("needle",))
    said = r"the shortest length, 4K, .* window of 4,100 tokens; ask for shorter ones: -T lengths="
    with pytest.raises(UsageError, match=said):
        await benchmark.fit(tasks, LongScripted(train_tokenizer("qwen"), window=4100))


async def test_a_window_that_is_not_told_is_asked_for_once_or_taken_from_the_option() -> None:
    asked: list[int] = []

    class Endpoint(LongScripted):
        async def generate(self, request: Request) -> Generation:
            asked.append(self.tokens(request))
            self.window = 3000
            raise GenerationError("maximum context length is 3000 tokens")

    benchmark, tasks = made(lengths=("1K", "4K"), families=("needle",))
    kept, _ = await benchmark.fit(tasks, Endpoint(train_tokenizer("qwen")))
    assert len(asked) == 1 and asked[0] >= 4096
    assert {task.asked for task in kept} == {1024, 2904}
    told, tasks = made(lengths=("1K", "4K"), families=("needle",), window=3000)
    kept, _ = await told.fit(tasks, Endpoint(train_tokenizer("qwen")))
    assert len(asked) == 1 and {task.asked for task in kept} == {1024, 2904}


async def test_an_endpoint_that_refuses_and_tells_no_window_is_an_error_that_names_the_option() -> None:
    class Endpoint(LongScripted):
        async def generate(self, request: Request) -> Generation:
            raise GenerationError("no")

    benchmark, tasks = made(lengths=("1K",), families=("needle",))
    with pytest.raises(UsageError, match="-T window=TOKENS"):
        await benchmark.fit(tasks, Endpoint(train_tokenizer("qwen")))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lengths": "4K,long"}, '"long" is no length'),
        ({"lengths": "0"}, '"0" is no length'),
        ({"lengths": "-4K"}, '"-4K" is no length'),
        ({"lengths": ""}, "takes at least one length"),
        ({"lengths": "99999999K"}, "is no length"),
        ({"families": "needles"}, '"needles" is no family; known: needle, latent'),
        ({"variants": "haystack"}, '"haystack" is no kind of question'),
        ({"depths": "0,120"}, "percentages from 0 to 100"),
        ({"repeats": 0}, "repeats"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create_benchmark("longcontext", options)
