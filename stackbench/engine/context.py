"""The services of one attempt: the model, the sandbox, its seed, its log."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackbench.active_clock import ActiveClock
from stackbench.control.messages import (
    AttemptText,
    CallDecided,
    CallWaiting,
    CommandOutput,
    Notice,
    ToolCallEnded,
    ToolCallStarted,
)
from stackbench.engine.asking import run_sampling, whole_answer, with_run_texts
from stackbench.engine.attempt_tracker import attempt_ref
from stackbench.engine.calls import call_payload
from stackbench.engine.fitting import text_counter
from stackbench.engine.plan import BenchmarkPlan, RunPlan
from stackbench.engine.processor_pressure import ProcessorPressure
from stackbench.engine.recorded_requests import RequestRecorder
from stackbench.engine.seats import known_tool
from stackbench.errors import AttemptError, ModelNotAvailableError
from stackbench.models import Reloadable, Watched
from stackbench.plurals import number_of
from stackbench.sandbox import CodeJob, CodeResult, SandboxSpec
from stackbench.sandbox.sandboxes import Sandboxes
from stackbench.sandbox.session import Session
from stackbench.slots import Slots
from stackbench.types import (
    AttemptKey,
    EventRecord,
    FinishReason,
    Generation,
    Request,
    Sampling,
    Scored,
    ServerLoad,
    TokenCount,
    ToolCall,
    ToolCallRecord,
    ToolParser,
    Variant,
)

if TYPE_CHECKING:
    from stackbench.agents import Decision, Operator
    from stackbench.agents.checkpoints import CheckpointStore
    from stackbench.engine.checkpoint_file import CheckpointFile
    from stackbench.engine.resources import AttemptResources
    from stackbench.sandbox.recipe import DockerfileRecipe, ImageLimits, ImageRecipe, PulledImage, ReadyImage

__all__ = ["AttemptContext", "Preparation", "request_seed"]

OUTPUT_LOGGED = 2000


class AttemptContext:
    """Implements `stackbench.benchmarks.Context` for one attempt; gathers its events until it is committed."""

    def __init__(
        self,
        key: AttemptKey,
        plan: RunPlan,
        benchmark: BenchmarkPlan,
        resources: AttemptResources,
        slots: Slots,
        next_seq: Callable[[], int],
        now: Callable[[], datetime],
        *,
        agent: bool = False,
    ) -> None:
        model = resources.model
        self.key = key
        self.events: list[EventRecord] = []
        self.tool_calls: list[ToolCallRecord] = []
        self.chat = model.chat
        self.plain_prompts = model.plain_prompts
        self.scores_choices = model.scores_choices
        self.native_tools = model.native_tools
        self.window = model.window
        self.tool_parser: ToolParser = plan.settings.tool_parser
        self._plan = plan
        self._benchmark = benchmark
        self._model = model
        self._sandbox = resources.sandbox
        self._controls = resources.controls
        self._tracker = resources.tracker
        self._publish = resources.publish
        self._slots = slots
        self._agent = agent
        self.session: Session | None = None
        """Its sandbox, while it has leased one."""
        self._operator: Operator | None = None
        self._turn = 0
        self._next_seq = next_seq
        self._now = now
        self._recorder = RequestRecorder()
        self._asked = Scored(0.0, False)
        self._calls = 0
        self._checkpoint_folder = resources.checkpoints
        self._checkpoint_file: CheckpointFile | None = None
        self.clock = ActiveClock()
        """What counts against the attempt's time limit."""
        self._backing_off = False
        self._try_began = 0.0
        self._pressure: ProcessorPressure | None = None
        self.cut = False
        """Whether an answer, or a turn of an agent, ended at its token limit."""

    def texts(self, prompt: str) -> dict[str, str]:
        """What the events' requests refer to, by sha256, without what the attempt's row holds as its `prompt`."""
        return {digest: text for digest, text in self._recorder.texts.items() if text != prompt}

    @property
    def timeout_s(self) -> float | None:
        return self._controls.timeout_s

    @property
    def operator(self) -> Operator:
        """The operator's seat at this attempt's agent."""
        if self._operator is None:
            from stackbench.agents import Operator

            seats = self._controls.seats
            self._operator = Operator(
                self._approval, policy=lambda: seats.policy_of(self.key), waits=self._waiting_for_operator
            )
            seats.take(self.key, self._operator, self)
        return self._operator

    @property
    def checkpoints(self) -> CheckpointStore | None:
        """Where an agent's state is kept; None on a machine other than the engine's."""
        if self._checkpoint_file is None and self._checkpoint_folder is not None:
            from stackbench.engine.checkpoint_file import CheckpointFile

            self._checkpoint_file = CheckpointFile(self._checkpoint_folder, self.key, self)
        return self._checkpoint_file

    def drop_checkpoint(self) -> None:
        """The attempt is not to be taken up again."""
        if self._checkpoint_file is not None:
            self._checkpoint_file.drop()

    def saved_log(self) -> dict[str, Any]:
        """What was logged of the attempt so far, for `take_up_log`; JSON but for times."""
        return {
            "events": [{"ts": event.ts, "kind": event.kind, "payload": event.payload} for event in self.events],
            "tool_calls": [asdict(call) for call in self.tool_calls],
            "texts": self._recorder.texts,
            "calls": self._calls,
            "turn": self._turn,
            "cut": self.cut,
        }

    def take_up_log(self, saved: Mapping[str, Any]) -> None:
        """Goes on with the log of an earlier process; its events are numbered anew."""
        key = self.key
        self.events += [
            EventRecord(
                key.benchmark, key.task_id, key.attempt, key.seed, self._next_seq(),
                datetime.fromisoformat(event["ts"]), event["kind"], event["payload"],
            )
            for event in saved["events"]
        ]  # fmt: skip
        self.tool_calls += [ToolCallRecord(**call) for call in saved["tool_calls"]]
        self._recorder.texts |= saved["texts"]
        self._calls, self._turn, self.cut = saved["calls"], saved["turn"], saved["cut"]
        line = f"{key.benchmark}: {key.task_id} goes on from its checkpoint, after {number_of(self._turn, 'turn')}"
        self._publish(Notice(text=line))

    def end(self) -> None:
        """The attempt has ended, however it did."""
        if self._operator is not None:
            self._controls.seats.leave(self.key)

    def _waiting_for_operator(self, what: str) -> AbstractContextManager[None]:
        return self._tracker.waiting(self.key, "operator", what)

    async def _approval(self, call: ToolCall) -> Decision:
        """Waits for the operator's decision on a call."""
        from stackbench.agents.risk import is_risky

        seats, ref = self._controls.seats, attempt_ref(self.key)
        waiting = seats.ask(self.key, call)
        verdict = "given up"
        self._publish(
            CallWaiting(
                attempt=ref, call=waiting.number, call_id=call.id, tool=call.name, arguments=call.arguments,
                risky=is_risky(call),
            )
        )  # fmt: skip
        try:
            approval = f"approval of call {waiting.number} ({known_tool(call)})"
            with self._waiting_for_operator(approval), self.clock.waiting():
                decision = await waiting.decided
            verdict = decision.verdict
            return decision
        finally:
            seats.close(waiting)
            self._publish(CallDecided(attempt=ref, call=waiting.number, call_id=call.id, verdict=verdict))

    def call_started(self, step: int, call: ToolCall) -> None:
        ref = attempt_ref(self.key)
        self._publish(
            ToolCallStarted(attempt=ref, step=step, call_id=call.id, tool=call.name, arguments=call.arguments)
        )

    def command_output(self, session_id: str, text: str) -> None:
        if self._tracker.watched:
            self._publish(CommandOutput(attempt=attempt_ref(self.key), command=session_id, text=text))

    def busy_processors(self) -> float:
        """The share of the time since the first call of this in which something waited for a processor, 0 to 1."""
        if self._pressure is None:
            self._pressure = ProcessorPressure()
            return 0.0
        return self._pressure.share()

    def failed(self) -> Scored:
        """What is recorded of an attempt that ended in an error: the last prompt and answer, if it came so far."""
        return self._asked

    def sampling(self, *, max_tokens: int, stop: Sequence[str] = ()) -> Sampling:
        settings, benchmark, model = self._plan.settings, self._benchmark, self._model
        return run_sampling(
            settings,
            getattr(model, "sampling_defaults", {}),  # of a Preset; to ask for that takes 20 us of each request
            temperature=self._plan.temperature(benchmark),
            temperature_set=benchmark.temperature is not None or settings.temperature is not None,
            max_tokens=(settings.max_tokens or benchmark.max_tokens or max_tokens) + settings.think_tokens,
            stop=stop,
            seed=request_seed(self.key),
        )

    async def generate(self, request: Request) -> Generation:
        asked = request.prompt if request.prompt is not None else request.messages[-1].content
        asked = asked[request.shared_prefix :]
        self._asked = replace(self._asked, prompt=asked)
        agent = request.stream or bool(request.tools)
        choices = request.choices
        request = replace(
            request,
            key=self.key,
            keep_prefix=agent,
            on_text=self._text_listener(request.on_text) if request.stream else None,
            on_thought=self._text_listener(request.on_thought, thought=True) if request.stream else None,
            on_retry=self._note_retry,
        )
        request, prefill = with_run_texts(request, self._plan.settings)
        recorded = self._recorder.record(request, prefill or request.prefill)
        try:
            generation = await self._ask(request)
        except BaseException as problem:  # of whatever kind, a limit of time included: what was sent is recorded
            self.log("model_call_failed", {"request": recorded, "error": str(problem) or type(problem).__name__})
            raise
        # a recorded answer is whole
        generation = whole_answer(generation, prefill if self._model.has_speed else "")
        self._calls += 1
        self._tracker.tokens += generation.completion_tokens
        payload = call_payload(request, generation, whole=agent or bool(choices) or self._calls > 1)
        self.log("model_call", {**payload, "request": recorded})
        if choices:
            # The token that was asked for is the whole answer, whatever limit the request named.
            generation = replace(generation, finish_reason=FinishReason.STOP)
        self.cut = self.cut or generation.finish_reason is FinishReason.LENGTH
        self._asked = self._asked.of(asked, generation)
        return generation

    async def count_tokens(self, request: Request) -> TokenCount:
        complete, _ = with_run_texts(request, self._plan.settings)
        return await self._model.count_tokens(complete)

    async def text_counter(self, tokenizer: str = "") -> Callable[[Sequence[str]], Sequence[int]] | None:
        return await text_counter(self._model, tokenizer)

    async def _ask(self, request: Request) -> Generation:
        """Waits for a place at the model, then for its answer."""
        controls, tracker = self._controls, self._tracker
        self._turn += 1
        rank = 0 if self._turn > 1 else 1 if self._agent else 2
        while True:
            if controls.held:
                await self._pass_hold()
            if self._slots.full:
                with tracker.waiting(self.key, "slot"), self.clock.waiting():
                    await self._slots.acquire(rank)
            else:
                await self._slots.acquire(rank)
            if not controls.held:
                break
            self._slots.release()  # held while it waited for its place
        self._try_began = self.clock.active_s
        try:
            with tracker.waiting(self.key, "model"):
                (generation,) = await self._model.generate([request])
        finally:
            self._slots.release()
            self._end_back_off()
        return generation

    async def _pass_hold(self) -> None:
        with self._tracker.waiting(self.key, "operator", "the run is held"), self.clock.waiting():
            await self._controls.pass_hold()

    def _note_retry(self, number: int, wait_s: float) -> Awaitable[None] | None:
        """A request failed and is tried again; neither the failed try nor the wait counts as the model's time. A try
        that is due while the run is held waits."""
        self._end_back_off()
        if wait_s:
            self.clock.forgive(self.clock.active_s - self._try_began)
            self.clock.stop()
            self._backing_off = True
            self._tracker.note(self.key, "retry", f"try {number} in {wait_s:.1f} s")
        elif self._controls.held:
            return self._try_after_hold(number)
        else:
            self._begin_try(number)
        return None

    async def _try_after_hold(self, number: int) -> None:
        await self._pass_hold()
        self._begin_try(number)

    def _begin_try(self, number: int) -> None:
        self._try_began = self.clock.active_s
        self._tracker.note(self.key, "model", f"try {number}")

    def _end_back_off(self) -> None:
        if self._backing_off:
            self._backing_off = False
            self.clock.go_on()

    def _text_listener(self, on_text: Callable[[str], None] | None, *, thought: bool = False) -> Callable[[str], None]:
        """Tells watchers each piece of text, and the benchmark where it asks to be told."""
        ref, step = attempt_ref(self.key), self._turn + 1

        def tell(text: str) -> None:
            self._publish(AttemptText(attempt=ref, step=step, text=text, thought=thought))
            if on_text is not None:
                on_text(text)

        return tell

    async def run_code(self, job: CodeJob) -> CodeResult:
        program = next((section.code for section in job.sections if not section.trusted), "")
        self._asked = replace(self._asked, program=program)
        with self._tracker.waiting(self.key, "tests"):
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

    @asynccontextmanager
    async def lease(self, spec: SandboxSpec | None = None) -> AsyncGenerator[Session]:
        leased = self._sandbox.lease(spec)
        with self._tracker.waiting(self.key, "container"):
            session = await leased.__aenter__()
        self.session = session
        try:
            yield session
        except BaseException as problem:
            if not await leased.__aexit__(type(problem), problem, problem.__traceback__):
                raise
        else:
            await leased.__aexit__(None, None, None)
        finally:
            self.session = None

    @asynccontextmanager
    async def image(
        self, wanted: ImageRecipe | DockerfileRecipe | PulledImage, limits: ImageLimits
    ) -> AsyncGenerator[ReadyImage]:
        with self._tracker.waiting(self.key, "container", "its image"), self.clock.waiting():
            ready = await self._sandbox.image(wanted, limits)
        try:
            yield ready
        finally:
            self._sandbox.release_image(ready, limits)

    def log_call(self, call: ToolCallRecord) -> None:
        self.tool_calls.append(call)
        self._publish(
            ToolCallEnded(
                attempt=attempt_ref(self.key),
                step=call.step,
                call_id=call.call_id,
                tool=call.tool,
                output=(call.error if call.result is None else call.result) or "",
                failed=call.error is not None,
                duration_ms=call.duration_ms,
            )
        )

    @property
    def gpus(self) -> int:
        return self._model.gpus

    async def timed(self, request: Request) -> Generation:
        (generation,) = await self._model.generate([replace(request, key=self.key, stream=True, no_retry=True)])
        self._tracker.tokens += generation.completion_tokens
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
        key, seq = self.key, self._next_seq()
        self.events.append(
            EventRecord(key.benchmark, key.task_id, key.attempt, key.seed, seq, self._now(), kind, payload)
        )


class Preparation:
    """Implements `stackbench.benchmarks.PrepareContext`."""

    def __init__(self, cache: Path, sandbox: Sandboxes, say: Callable[[str], None]) -> None:
        self.cache = cache
        self._sandbox = sandbox
        self._say = say

    async def run_code(self, job: CodeJob) -> CodeResult:
        return await self._sandbox.run(job)

    def lease(self, spec: SandboxSpec | None = None) -> AbstractAsyncContextManager[Session]:
        return self._sandbox.lease(spec)

    @asynccontextmanager
    async def image(
        self, wanted: ImageRecipe | DockerfileRecipe | PulledImage, limits: ImageLimits
    ) -> AsyncGenerator[ReadyImage]:
        ready = await self._sandbox.image(wanted, limits)
        try:
            yield ready
        finally:
            self._sandbox.release_image(ready, limits)

    def say(self, line: str) -> None:
        self._say(line)


def request_seed(key: AttemptKey) -> int:
    """A seed of 31 bits that belongs to this attempt whatever else runs: sha256 of its name."""
    name = f"{key.seed}\0{key.benchmark}\0{key.task_id}\0{key.attempt}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:4], "big") >> 1
