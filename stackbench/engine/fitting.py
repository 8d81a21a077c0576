"""Leaves out of a run what the model's window does not hold, before the run begins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from stackbench.benchmarks import WindowedBenchmark
from stackbench.config import user_cache
from stackbench.engine.plan import RunPlan
from stackbench.engine.work import LoadedBenchmark
from stackbench.models import Model, Tokenizing
from stackbench.models.text_counting import named_counter
from stackbench.types import Generation, Request

__all__ = ["fit_to_window", "text_counter"]

CountTexts = Callable[[Sequence[str]], Sequence[int]]


class _Served:
    """Implements `stackbench.benchmarks.ServedModel`."""

    def __init__(self, model: Model, plan: RunPlan) -> None:
        self._model = model
        self.think_tokens = plan.settings.think_tokens

    @property
    def chat(self) -> bool:
        return self._model.chat

    @property
    def window(self) -> int | None:
        return self._model.window

    async def text_counter(self, tokenizer: str = "") -> CountTexts | None:
        return await text_counter(self._model, tokenizer)

    async def generate(self, request: Request) -> Generation:
        (generation,) = await self._model.generate([request])
        return generation


async def text_counter(model: Model, tokenizer: str) -> CountTexts | None:
    """Counts the tokens of texts by the tokenizer that is named, else by the model's own, where that is at hand.

    Raises ModelNotAvailableError for a name that is none.
    """
    if tokenizer:
        return await asyncio.to_thread(named_counter, tokenizer, [user_cache() / "models"])
    return await asyncio.to_thread(model.text_counter) if isinstance(model, Tokenizing) else None


async def fit_to_window(
    loaded: Sequence[LoadedBenchmark], plan: RunPlan, model: Model, say: Callable[[str], None]
) -> list[LoadedBenchmark]:
    """The benchmarks with the tasks that fit. Raises UsageError where none of a benchmark's tasks does."""
    found: list[LoadedBenchmark] = []
    for item in loaded:
        benchmark = item.benchmark
        if isinstance(benchmark, WindowedBenchmark):
            tasks, note = await benchmark.fit(item.tasks, _Served(model, plan))
            item = replace(item, tasks=tuple(tasks))
            if note:
                say(f"{item.plan.name}: {note}")
        found.append(item)
    return found
