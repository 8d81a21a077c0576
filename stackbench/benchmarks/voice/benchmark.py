"""The voice benchmark: speech is recognised, carried out and scored, beside the same request as typed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from stackbench.agents import AgentLimits, AgentResult, run_agent
from stackbench.benchmarks.base import Context, Options, PrepareContext
from stackbench.benchmarks.declared_metrics import MetricKind
from stackbench.benchmarks.extract import read_program
from stackbench.benchmarks.tooluse.benchmark import SYSTEM
from stackbench.benchmarks.tooluse.checks.evaluation import evaluate
from stackbench.benchmarks.tooluse.checks.observation import observe
from stackbench.benchmarks.tooluse.scenario.scenario import Scenario
from stackbench.benchmarks.tooluse.scenario.staging import staged
from stackbench.benchmarks.tooluse.validation.playing import script_of
from stackbench.benchmarks.voice.clips import (
    Clip,
    SpokenTask,
    clips_hash,
    load_clips,
    published_clips,
    tasks_of,
)
from stackbench.benchmarks.voice.hearing import Heard, Hearing
from stackbench.benchmarks.voice.voice_metrics import voice_kinds, voice_metrics
from stackbench.config.home import user_cache
from stackbench.datasets import DatasetStore
from stackbench.errors import DataNotAvailableError, ModelNotAvailableError
from stackbench.sandbox import CodeJob, Section
from stackbench.types import AttemptSummary, Message, Metric, Request, Scored, Task
from stackbench.voice.conditions import CONDITIONS, Condition
from stackbench.voice.endpointing import EndpointSettings
from stackbench.voice.grammar import Grammar
from stackbench.voice.intents import Intent
from stackbench.voice.scoring import as_written, character_errors, entities_found, word_errors
from stackbench.voice.spoken_symbols import written
from stackbench.voice.vocabulary import benchmark_names, names_in_play
from stackbench.voice.weights import find_weights
from stackbench.voice.whisper import WhisperRecognizer

__all__ = ["Voice", "VoiceOptions"]

MAX_TOKENS = 512
TIMEOUT_S = 5.0
ASK = "{request}\n\nReply with the complete function, with every import it needs, in a single Python code block."
TOOLS = ("read", "write", "edit", "exec")
AGENT_STEPS = 8
AGENT_S = 300.0


class VoiceOptions(Options):
    """Options of `voice`."""

    recognizer: str = "whisper-base"
    """whisper-base, whisper-tiny.en, or a folder with a CTranslate2 Whisper model."""
    conditions: tuple[Condition, ...] = CONDITIONS
    """What the recordings are heard under: clean, snr20, snr10, snr5, reverb."""
    kinds: tuple[Literal["coding", "tool", "command"], ...] = ("coding", "tool", "command")
    clips: str | None = None
    """A folder of recordings of one's own, laid out as audio_fixtures/."""
    silence: float = Field(default=0.5, ge=0.2, le=5.0)
    """Seconds of silence that end a turn."""
    names: bool = True
    """Whether the recogniser is told the names in play."""

    @field_validator("conditions", "kinds")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("takes at least one")
        return tuple(dict.fromkeys(value))


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of a request."""

    passed: bool
    reason: str
    prompt: str = ""
    answer: str = ""
    program: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model_s: float = 0.0
    first_token_s: float | None = None
    code_s: float | None = None
    executed_s: float | None = None
    """From the text: first token, whole answer, executed."""


class Voice:
    """Implements `Benchmark` and `AgentBenchmark`."""

    name: ClassVar[str] = "voice"
    title: ClassVar[str] = "Spoken requests and commands: recognised, carried out, scored by execution"
    datasets: ClassVar[tuple[str, ...]] = ()
    uses_sandbox: ClassVar[bool] = True
    tools: ClassVar[tuple[str, ...]] = TOOLS
    options_type: ClassVar[type[Options]] = VoiceOptions
    metric_kinds: ClassVar[Sequence[MetricKind]] = voice_kinds()

    def __init__(self, options: VoiceOptions) -> None:
        self.options = options
        self.tasks_hash = ""
        self._grammar = Grammar(benchmark_names())
        self._hearing: Hearing | None = None
        self._typed: dict[tuple[str, int, int, str], asyncio.Future[_Done]] = {}

    def tasks(self, data: DatasetStore) -> list[SpokenTask]:
        """Raises DataNotAvailableError without the recogniser, so that nobody waits for the model to load first."""
        try:
            self._weights()
        except ModelNotAvailableError as error:
            raise DataNotAvailableError(str(error)) from error
        folder = Path(self.options.clips).expanduser() if self.options.clips else published_clips()
        clips = [clip for clip in load_clips(folder) if clip.kind in self.options.kinds]
        self.tasks_hash = clips_hash(clips)
        return list(tasks_of(clips, self.options.conditions))

    def metric_categories(self, tasks: Sequence[Task]) -> set[str]:
        """Conditions."""
        return {task.category for task in tasks}

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Loads the recogniser. Raises UsageError, ModelError."""
        recognizer = WhisperRecognizer(self._weights())
        if self.options.names:
            recognizer.expect(names_in_play())
        self._hearing = Hearing(recognizer, EndpointSettings(silence_s=self.options.silence))
        await self._hearing.start()
        context.say(f"voice: {recognizer.name}, recordings sha256 {self.tasks_hash[:16]}")

    def _weights(self) -> Path:
        """Raises UsageError, ModelNotAvailableError."""
        return find_weights(self.options.recognizer, user_cache() / "models")

    async def attempt(self, task: SpokenTask, context: Context) -> Scored:
        assert self._hearing is not None, "prepare comes first"
        clip = task.spec
        made: list[_Done] = []
        heard = await self._hearing.hear(task)
        typed_text = clip.typed or as_written(clip.say)
        if clip.kind == "command":
            meant = self._grammar.understand(heard.text)
            spoken = _understood(clip, meant)
            typed = _understood(clip, self._grammar.understand(typed_text))
            entity_text = f"{meant.describe()} {heard.text}"
        else:
            text = written(heard.text)
            typed, made_typed = await self._carried_out(clip, typed_text, context)
            spoken, made_spoken = (
                await self._carried_out(clip, text, context)
                if text
                else (_Done(False, "failed: nothing was heard"), False)
            )
            made = [one for one, here in ((typed, made_typed), (spoken, made_spoken)) if here]
            entity_text = text
        metrics = _metrics(clip, heard, spoken, typed, entity_text)
        context.log("voice", {"heard": heard.text, "meant": typed_text, "condition": task.condition, **metrics})
        return Scored(
            score=float(spoken.passed),
            passed=spoken.passed,
            prompt=spoken.prompt or heard.text,
            completion=spoken.answer,
            reason=spoken.reason if heard.text else f"{spoken.reason} ({heard.why_empty})",
            prompt_tokens=sum(one.prompt_tokens for one in made),
            completion_tokens=sum(one.completion_tokens for one in made),
            latency_s=sum(one.model_s for one in made),
            metrics=metrics,
            program=spoken.program,
        )

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        return voice_metrics(attempts)

    async def _carried_out(self, clip: Clip, text: str, context: Context) -> tuple[_Done, bool]:
        """What becomes of a text, and whether this attempt had it carried out: the same text of the same recording is
        carried out once for all conditions."""
        key = (clip.id, context.sampling(max_tokens=MAX_TOKENS).seed or 0, 0, text)
        known = self._typed.get(key)
        here = known is None
        if known is None:
            known = self._typed[key] = asyncio.get_running_loop().create_future()
            try:
                work = self._code if clip.kind == "coding" else self._agent
                known.set_result(await work(clip, text, context))
            except BaseException as error:
                del self._typed[key]
                known.cancel()
                raise error
        return await asyncio.shield(known), here

    async def _code(self, clip: Clip, text: str, context: Context) -> _Done:
        begun = context.clock.active_s  # it stands while the operator holds the run, or others have the model
        prompt = ASK.format(request=text)
        generation = await context.generate(
            Request(
                context.sampling(max_tokens=MAX_TOKENS),
                messages=(Message("user", prompt),),
                reference=f"```python\n{clip.reference}```" if clip.function in text else "I did not understand that.",
                stream=True,
            )
        )
        code_s = context.clock.active_s - begun
        program = await read_program(generation.text, (clip.function,))
        tests = "\n".join(f"assert {test}" for test in clip.tests)
        result = await context.run_code(
            CodeJob(
                sections=(Section(program), Section(tests, trusted=True)),
                functions=(clip.function,),
                timeout_s=context.timeout_s or TIMEOUT_S,
            )
        )
        return _Done(
            result.passed,
            result.reason,
            prompt,
            generation.text,
            program,
            generation.prompt_tokens,
            generation.completion_tokens,
            generation.latency_s,
            generation.ttft_s,
            code_s,
            code_s + result.wall_s,
        )

    async def _agent(self, clip: Clip, text: str, context: Context) -> _Done:
        spec = _scenario(clip, text)
        understood = all(one.lower() in text.lower() for one in clip.entities)
        async with context.lease() as session, staged(spec, session) as world:
            begun = context.clock.active_s
            result = await run_agent(
                text,
                backend=context,
                workspace=world.workspace,
                tools=TOOLS,
                system=SYSTEM,
                sampling=context.sampling(max_tokens=MAX_TOKENS),
                limits=AgentLimits(steps=AGENT_STEPS, seconds=context.timeout_s or AGENT_S),
                parser=context.tool_parser,
                operator=context.operator,
                script=script_of(spec.oracle if understood else (), spec.answer),
            )
            executed_s = context.clock.active_s - begun
            checks = await evaluate(spec, await observe(spec, session, world.start, result.answer, result.calls))
        failed = [check.name for check in checks if not check.passed]
        return _Done(
            not failed,
            f"passed: all checks hold ({len(checks)})"
            if not failed
            else f"failed: {'; '.join(failed)}{_limit(result)}",
            text,
            result.answer,
            None,
            result.prompt_tokens,
            result.completion_tokens,
            result.model_s,
            executed_s=executed_s,
        )


def _limit(result: AgentResult) -> str:
    """What cut the agent short, where something did."""
    return f" (the agent ended at its limit of {result.ending})" if result.ending in ("steps", "seconds") else ""


def _understood(clip: Clip, intent: Intent) -> _Done:
    right = (intent.action, intent.name, dict(intent.arguments)) == (clip.action, clip.name, clip.arguments)
    return _Done(right, f"{'passed' if right else 'failed'}: {intent.describe()}", answer=intent.describe())


def _scenario(clip: Clip, text: str) -> Scenario:
    """The request as a scenario of the tool-use benchmark, whose checks it shares."""
    return Scenario.model_validate(
        {
            "id": clip.id,
            "category": "files",
            "subcategory": "spoken",
            "difficulty": 1,
            "prompt": f"The request as it was heard: {text}",  # what the agent is told is the text alone
            "setup": {"files": clip.files},
            "tools": list(TOOLS),
            "limits": {"steps": AGENT_STEPS, "seconds": AGENT_S},
            "checks": list(clip.checks),
            "expected": [{"call": "exec"}],
            "oracle": [{"exec": {"command": clip.command}}],
            "answer": "Done.",
        }
    )


def _metrics(clip: Clip, heard: Heard, spoken: _Done, typed: _Done, entity_text: str) -> dict[str, Any]:
    said, text = as_written(clip.say), written(heard.text)
    words, letters = word_errors(said, text), character_errors(said, text)
    entities = entities_found(clip.entities, entity_text)
    after = heard.text_s
    return {
        "heard": heard.text,
        "kind": clip.kind,
        "voice": clip.voice,
        "corrected": clip.corrected,
        "word_errors": words.errors,
        "words": words.length,
        "character_errors": letters.errors,
        "characters": letters.length,
        "entities_found": len(entities.found),
        "entities": len(clip.entities),
        "entities_missing": list(entities.missing),
        "command_right": float(spoken.passed) if clip.kind == "command" else None,
        "typed_passed": float(typed.passed),
        "cut_off": float(heard.cut_off),
        "false_start": float(heard.false_start),
        "never_ended": float(heard.never_ended),
        "endpoint_ms": _ms(heard.endpoint_s),
        "transcript_ms": _ms(after),
        "first_token_ms": _ms(after, spoken.first_token_s),
        "code_complete_ms": _ms(after, spoken.code_s),
        "executed_ms": _ms(after, spoken.executed_s),
        "real_time_factor": heard.passes_s / heard.sound_s if heard.sound_s else None,
    }


def _ms(*parts: float | None) -> float | None:
    """The sum in milliseconds; None where a part is not known."""
    total = 0.0
    for part in parts:
        if part is None:
            return None
        total += part
    return round(1000 * total, 1)
