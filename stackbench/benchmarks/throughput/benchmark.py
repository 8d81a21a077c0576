"""The throughput benchmark: which loads are measured, how often, and how repeats are summarised."""

from __future__ import annotations

import asyncio
import itertools
import math
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import ClassVar

from pydantic import Field, field_validator

from stackbench.benchmarks.base import Context, Options, PrepareContext
from stackbench.benchmarks.declared_metrics import MetricKind
from stackbench.benchmarks.throughput.figures import FIGURES, Targets, load_figures
from stackbench.benchmarks.throughput.load import Load, closed_loop, open_loop, poisson_arrivals
from stackbench.benchmarks.throughput.workload import (
    DATASETS,
    Ask,
    DatasetAsk,
    PromptMaker,
    Sender,
    Ways,
    dataset_asks,
    dataset_sample,
)
from stackbench.datasets import DatasetStore
from stackbench.errors import AttemptError
from stackbench.types import AttemptSummary, Metric, Scored, Task, Variant

__all__ = ["Throughput", "ThroughputOptions", "ThroughputTask"]

MIX = re.compile(r"(\d+)x(\d+)")
AS_SERVED = "none"
WAVES = 4
FEWEST_REQUESTS = 8
OPEN_SECONDS = 30
READ_EVERY_S = 0.5
MEASURED_AT_MOST = 3
MEMORY_PEAKS = ("memory_peak_bytes", "vram_peak_bytes")
TARGETS = ("ttft", "tpot", "e2el")


class ThroughputOptions(Options):
    """Options of `throughput`; lists are given as `-T concurrency=1,8,32`."""

    concurrency: tuple[int, ...] = (1, 8, 32)
    """Closed loops: streams that are kept busy."""
    rates: tuple[float, ...] = ()
    """Open loops: requests per second that arrive as a Poisson process."""
    mixes: tuple[str, ...] = ("256x128",)
    """Tokens of prompt and answer, or a dataset whose prompts and answer lengths are drawn: gsm8k, humaneval, mbpp."""
    requests: int | None = Field(default=None, ge=1)
    """Per measurement; unset: four for each stream, or thirty seconds of arrivals."""
    warmup: int | None = Field(default=None, ge=0)
    """Requests before each measurement, left out of it; unset: one for each stream."""
    batch_sizes: tuple[int, ...] = ()
    """Sequences that a vllm: server decodes together; one server for each."""
    quantizations: tuple[str, ...] = ()
    """Side by side, of a vllm: model: none, awq, gptq, bitsandbytes, fp8."""
    goodput: str = ""
    """Targets in milliseconds, such as ttft:500,tpot:50,e2el:10000."""
    gpus: int | None = Field(default=None, ge=0)
    """For tokens per second and GPU, of an endpoint whose GPUs are not known."""

    @field_validator("concurrency", "rates", "batch_sizes")
    @classmethod
    def _positive(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(number <= 0 for number in value):
            raise ValueError("takes numbers above 0")
        return value

    @field_validator("mixes")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for mix in value:
            match = MIX.fullmatch(mix)
            if not (match and int(match[1]) and int(match[2])) and mix not in DATASETS:
                raise ValueError(f'"{mix}" is no mix: TOKENSxTOKENS, such as 256x128, or one of {", ".join(DATASETS)}')
        return value

    @field_validator("goodput")
    @classmethod
    def _targets(cls, value: str) -> str:
        parse_targets(value)
        return value


@dataclass(frozen=True, slots=True)
class ThroughputTask(Task):
    """One load on one way to serve."""

    variant: Variant = field(default_factory=Variant)
    streams: int = 0
    """Of a closed loop."""
    rate: float = 0.0
    """Of an open loop."""

    @property
    def mix(self) -> str:
        return self.category


class Throughput:
    """Implements `Benchmark` and `SpeedBenchmark`."""

    name: ClassVar[str] = "throughput"
    title: ClassVar[str] = "Throughput: tokens per second and latency under closed and open load"
    datasets: ClassVar[tuple[str, ...]] = ()
    uses_sandbox: ClassVar[bool] = False
    options_type: ClassVar[type[Options]] = ThroughputOptions
    least_attempts: ClassVar[int] = 3
    metric_kinds: ClassVar[Sequence[MetricKind]] = tuple(
        MetricKind(name, at_most=None, interval=False, whole=name == "output_tok_s", by_category=True)
        for name in (*FIGURES, *MEMORY_PEAKS)
    )

    def __init__(self, options: ThroughputOptions) -> None:
        self.options = options
        self._targets = parse_targets(options.goodput)
        self._rows: dict[str, tuple[DatasetAsk, ...]] = {}
        self._variant: Variant | None = None
        """The way the model is served in now, and what was found out there:"""
        self._ways: Ways | None = None
        self._maker: PromptMaker | None = None

    def tasks(self, data: DatasetStore) -> list[ThroughputTask]:
        options = self.options
        for mix in options.mixes:
            if mix in DATASETS and mix not in self._rows:
                self._rows[mix] = dataset_asks(data, mix)
        ways = itertools.product(options.quantizations or (None,), options.batch_sizes or (None,))
        found: list[ThroughputTask] = []
        for quantization, batch_size in ways:
            variant = Variant(None if quantization == AS_SERVED else quantization, batch_size)
            parts = [quantization] if quantization else []
            parts += [f"b{batch_size}"] if batch_size else []
            for mix in options.mixes:
                for streams in options.concurrency:
                    name = "/".join([*parts, mix, f"c{streams}"])
                    found.append(ThroughputTask(name, mix, variant, streams=streams))
                for rate in options.rates:
                    name = "/".join([*parts, mix, f"r{rate:g}"])
                    found.append(ThroughputTask(name, mix, variant, rate=rate))
        return found

    def planned_tokens(self) -> tuple[int, int] | None:
        """Of one stream of a closed loop: means over the loads. None for open loops and prompts of a dataset."""
        options = self.options
        mixes = [(int(match[1]), int(match[2])) for mix in options.mixes if (match := MIX.fullmatch(mix)) is not None]
        if options.rates or len(mixes) < len(options.mixes):
            return None
        rounds = [
            ((options.requests or _closed_requests(streams)) + (streams if options.warmup is None else options.warmup))
            / streams
            for streams in options.concurrency
        ]
        each = fmean(rounds)
        return round(each * fmean(prompt for prompt, _ in mixes)), round(each * fmean(answer for _, answer in mixes))

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Nothing to make."""

    async def attempt(self, task: ThroughputTask, context: Context) -> Scored:
        sender = await self._served(task, context)
        for _ in range(MEASURED_AT_MOST):
            before = _restarts(context)
            load, peak = await self._measure(task, context, sender)
            if _restarts(context) == before:
                return self._scored(task, load, context, sender, peak)
        raise AttemptError(f"the server was started again during each of {MEASURED_AT_MOST} measurements")

    def metric_categories(self, tasks: Sequence[Task]) -> set[str]:
        """The loads."""
        return {task.task_id for task in tasks}

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        """The median over repeats of each figure, with their range from least to most in place of an interval.

        Repeats in which requests failed are left out, unless all had some. First the best output throughput of any
        load, then each load's figures under its name as category.
        """
        whole = {attempt.key.task_id for attempt in attempts if not attempt.metrics.get("failed")}
        by_task: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for attempt in attempts:
            if attempt.metrics.get("failed") and attempt.key.task_id in whole:
                continue
            for figure, value in attempt.metrics.get("figures", {}).items():
                by_task[attempt.key.task_id][figure].append(float(value))
        found = [
            Metric.of_repeats(figure, values, task)
            for task, figures in by_task.items()
            for figure, values in figures.items()
        ]
        best = max((m for m in found if m.name == "output_tok_s"), key=lambda m: m.value, default=None)
        if best is None:
            return []
        return [replace(best, category=""), *found]

    # -- one measurement

    async def _measure(self, task: ThroughputTask, context: Context, sender: Sender) -> tuple[Load[Ask], list[int]]:
        count = self.options.requests or _requests(task)
        warmup = self.options.warmup if self.options.warmup is not None else (task.streams or 2)
        # The attempt's own seed names its prompts, so that no repeat finds another's in the prefix cache.
        seed = context.sampling(max_tokens=1).seed or 0
        warm_up = self._asks(task, warmup, f"{seed} warm-up")
        await closed_loop(warm_up, task.streams or max(1, warmup), sender)
        asks = self._asks(task, count, str(seed))
        async with _peak_memory(context) as peak:
            if task.streams:
                return await closed_loop(asks, task.streams, sender), peak
            return await open_loop(asks, poisson_arrivals(count, task.rate, seed), sender), peak

    async def _served(self, task: ThroughputTask, context: Context) -> Sender:
        """Has the model served as the task wants, and finds out once how to ask for lengths there."""
        if self._variant != task.variant:
            self._variant = self._maker = None
            await context.serve_as(task.variant)
            self._ways = (await Sender.connect(context)).ways
            self._variant = task.variant
        assert self._ways is not None
        sender = Sender(context, self._ways)
        if self._maker is None and MIX.fullmatch(task.mix):
            self._maker = await PromptMaker.calibrate(sender)
        return sender

    def _asks(self, task: ThroughputTask, count: int, name: str) -> list[Ask]:
        match = MIX.fullmatch(task.mix)
        if match is None:
            return dataset_sample(self._rows[task.mix], count, name)
        maker = self._maker
        assert maker is not None
        tokens, output = int(match[1]), int(match[2])
        return [Ask(maker.prompt(tokens, f"{name} {index}"), output) for index in range(count)]

    def _scored(
        self, task: ThroughputTask, load: Load[Ask], context: Context, sender: Sender, peak: list[int]
    ) -> Scored:
        answers = [answer for answer in load.answers if answer is not None]
        if not answers:
            raise AttemptError(f"every request failed; the last: {load.errors[-1] if load.errors else 'none was made'}")
        gpus = self.options.gpus if self.options.gpus is not None else context.gpus
        figures = load_figures(answers, load.seconds, gpus, self._targets)
        for figure, value in zip(MEMORY_PEAKS, peak, strict=True):
            if value:
                figures[figure] = float(value)
        failed = len(load.errors)
        return Scored(
            score=len(answers) / len(load.answers),
            passed=failed == 0,
            reason=""
            if not failed
            else f"failed: {failed} of {len(load.answers)} requests; the last: {load.errors[-1]}",
            prompt=f"{len(load.answers)} requests, {task.task_id}",
            completion=f"{figures['output_tok_s']:.1f} output tokens/s, {figures['ttft_ms_p50']:.0f} ms to the first",
            prompt_tokens=int(figures["prompt_tokens"]),
            completion_tokens=int(figures["output_tokens"]),
            latency_s=load.seconds,
            metrics={
                "figures": figures,
                "mix": task.mix,
                "streams": task.streams or None,
                "rate": task.rate or None,
                "requests": len(load.answers),
                "failed": failed,
                "most_at_once": load.most_at_once,
                "ignore_eos": sender.ways.ignore_eos,
                "plain_prompts": sender.ways.plain,
            },
        )


def parse_targets(text: str) -> Targets | None:
    """Targets of goodput, `ttft:500,tpot:50`. Raises ValueError."""
    if not text:
        return None
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition(":")
        try:
            limit = float(value)
        except ValueError:
            limit = math.nan
        if name not in TARGETS or not limit > 0:
            raise ValueError(f'"{part.strip()}" is no target: NAME:MILLISECONDS, with NAME one of {", ".join(TARGETS)}')
        found[f"{name}_ms"] = limit
    return Targets(**found)


def _restarts(context: Context) -> int:
    load = context.server_load()
    return load.restarts if load is not None else 0


def _closed_requests(streams: int) -> int:
    return max(FEWEST_REQUESTS, WAVES * streams)


def _requests(task: ThroughputTask) -> int:
    if task.streams:
        return _closed_requests(task.streams)
    return max(FEWEST_REQUESTS, math.ceil(task.rate * OPEN_SECONDS))


@asynccontextmanager
async def _peak_memory(context: Context) -> AsyncIterator[list[int]]:
    """The most memory, of the model's processes and of the GPUs, that was seen meanwhile; 0 where it is not told."""
    peak = [0, 0]

    async def watch() -> None:
        while True:
            load = context.server_load()
            if load is not None:
                peak[0], peak[1] = max(peak[0], load.memory_bytes), max(peak[1], load.vram_bytes)
            await asyncio.sleep(READ_EVERY_S)

    watcher = asyncio.create_task(watch())
    try:
        yield peak
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
