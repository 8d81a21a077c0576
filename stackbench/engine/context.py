"""What one attempt is given: the model, the sandbox, its seed, its log."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stackbench.engine.asking import run_sampling, with_prefill, with_run_texts
from stackbench.engine.calls import call_payload
from stackbench.engine.lazy_sandbox import LazySandbox
from stackbench.engine.plan import BenchmarkPlan, RunPlan
from stackbench.errors import AttemptError, ModelNotAvailableError
from stackbench.models import Model, Preset, Reloadable, Watched
from stackbench.sandbox import CodeJob, CodeResult, Sandbox
from stackbench.sandbox.session import Session
from stackbench.thoughts import without_thoughts
from stackbench.types import (
    AttemptKey,
    EventRecord,
    FinishReason,
    Generation,
    Message,
    Request,
    Sampling,
    Scored,
    ServerLoad,
    ToolCall,
    ToolCallRecord,
    ToolParser,
    ToolSpec,
    Variant,
)

__all__ = ["AttemptContext", "Preparation", "request_seed", "utc_now"]

OUTPUT_LOGGED = 2000


class AttemptContext:
    """Implements `stackbench.benchmarks.Context` for one attempt; gathers its events until it is committed."""

    def __init__(
        self,
        key: AttemptKey,
        plan: RunPlan,
        benchmark: BenchmarkPlan,
        model: Model,
        sandbox: LazySandbox,
        slots: asyncio.Semaphore,
        next_seq: Callable[[], int],
        now: Callable[[], datetime],
    ) -> None:
        self.key = key
        self.events: list[EventRecord] = []
        self.tool_calls: list[ToolCallRecord] = []
        self.chat = model.chat
        self.plain_prompts = model.plain_prompts
        self.scores_choices = model.scores_choices
        self.native_tools = model.native_tools
        self.window = model.window
        self.tool_parser: ToolParser = plan.settings.tool_parser
        self.timeout_s = plan.settings.timeout_s
        self._plan = plan
        self._benchmark = benchmark
        self._model = model
        self._sandbox = sandbox
        self._slots = slots
        self._next_seq = next_seq
        self._now = now
        self._asked = Scored(0.0, False)
        self._calls = 0
        self.cut = False
        """Whether an answer, or a turn of an agent, ended at its token limit."""

    def failed(self) -> Scored:
        """What is recorded of an attempt that ended in an error: the last prompt and answer, if it came so far."""
        return self._asked

    def sampling(self, *, max_tokens: int, stop: Sequence[str] = ()) -> Sampling:
        settings, benchmark, model = self._plan.settings, self._benchmark, self._model
        return run_sampling(
            settings,
            model.sampling_defaults if isinstance(model, Preset) else {},
            temperature=self._plan.temperature(benchmark),
            temperature_set=benchmark.temperature is not None or settings.temperature is not None,
            max_tokens=settings.max_tokens or benchmark.max_tokens or max_tokens,
            stop=stop,
            seed=request_seed(self.key),
        )

    async def generate(
        self,
        sampling: Sampling,
        *,
        messages: Sequence[Message] = (),
        prompt: str | None = None,
        choices: Sequence[str] = (),
        reference: str = "",
        tools: Sequence[ToolSpec] = (),
        reference_calls: Sequence[ToolCall] = (),
        stream: bool = False,
        on_text: Callable[[str], None] | None = None,
    ) -> Generation:
        asked = prompt if prompt is not None else messages[-1].content
        self._asked = replace(self._asked, prompt=asked)
        agent = stream or bool(tools)
        request = Request(
            sampling,
            messages=tuple(messages),
            prompt=prompt,
            choices=tuple(choices),
            reference=reference,
            tools=tuple(tools),
            reference_calls=tuple(reference_calls),
            key=self.key,
            stream=stream,
            goes_on=agent,
            on_text=on_text,
        )
        request, prefill = with_run_texts(request, self._plan.settings)
        async with self._slots:
            (generation,) = await self._model.generate([request])
        if self._model.has_speed:  # a recorded answer is whole
            generation = with_prefill(generation, prefill)
        generation = without_thoughts(generation)
        self._calls += 1
        self.log("model_call", call_payload(request, generation, whole=agent or bool(choices) or self._calls > 1))
        if choices:
            # The token that was asked for is the whole answer, whatever limit the request named.
            generation = replace(generation, finish_reason=FinishReason.STOP)
        self.cut = self.cut or generation.finish_reason is FinishReason.LENGTH
        self._asked = self._asked.of(asked, generation)
        return generation

    async def run_code(self, job: CodeJob) -> CodeResult:
        program = next((section.code for section in job.sections if not section.trusted), "")
        self._asked = replace(self._asked, program=program)
        result = await self._sandbox.run(job)
        self.log(
            "sandbox",
            {
                "code": program,
                "result": result.reason,
                "checks": result.checks,
                "wall_s": result.wall_s,
                "cpu_s": result.cpu_s,
                "max_rss_mib": result.max_rss_mib,
                "output": result.output[:OUTPUT_LOGGED],
                "output_bytes": result.output_bytes,
            },
        )
        return result

    def lease(self) -> AbstractAsyncContextManager[Session]:
        return self._sandbox.lease()

    def log_call(self, call: ToolCallRecord) -> None:
        self.tool_calls.append(call)

    @property
    def gpus(self) -> int:
        return self._model.gpus

    async def timed(
        self, sampling: Sampling, *, messages: Sequence[Message] = (), prompt: str | None = None
    ) -> Generation:
        (generation,) = await self._model.generate(
            [Request(sampling, tuple(messages), prompt, key=self.key, stream=True, once=True)]
        )
        return generation

    async def serve_as(self, variant: Variant) -> None:
        if isinstance(self._model, Reloadable):
            try:
                await self._model.reload(variant)
            except ModelNotAvailableError as error:
                raise AttemptError(str(error)) from error
        elif variant != Variant():
            raise AttemptError(f"{self._model.name} cannot be served in another way; only vllm: models can")

    def server_load(self) -> ServerLoad | None:
        return self._model.load() if isinstance(self._model, Watched) else None

    def log(self, kind: str, payload: Mapping[str, Any]) -> None:
        key = self.key
        told = {**payload, "seed": key.seed}
        self.events.append(
            EventRecord(key.benchmark, key.task_id, key.attempt, self._next_seq(), self._now(), kind, told)
        )


class Preparation:
    """Implements `stackbench.benchmarks.PrepareContext`."""

    def __init__(self, cache: Path, sandbox: Sandbox, say: Callable[[str], None]) -> None:
        self.cache = cache
        self._sandbox = sandbox
        self._say = say

    async def run_code(self, job: CodeJob) -> CodeResult:
        return await self._sandbox.run(job)

    def say(self, line: str) -> None:
        self._say(line)


def request_seed(key: AttemptKey) -> int:
    """A seed of 31 bits that belongs to this attempt whatever else runs: sha256 of its name."""
    name = f"{key.seed}\0{key.benchmark}\0{key.task_id}\0{key.attempt}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:4], "big") >> 1


def utc_now() -> datetime:
    """Now in UTC, without a zone: as the database holds it."""
    return datetime.now(UTC).replace(tzinfo=None)
