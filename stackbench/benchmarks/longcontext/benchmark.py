"""The long-context benchmark: five families of questions about generated texts, by length and depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from stackbench.benchmarks.base import Context, PrepareContext, ServedModel
from stackbench.benchmarks.declared_metrics import MetricKind, amounts, fractions, shares
from stackbench.benchmarks.extract import read_program
from stackbench.benchmarks.longcontext.judging import Judged, judge
from stackbench.benchmarks.longcontext.lengths import length_name
from stackbench.benchmarks.longcontext.long_metrics import LARGEST_TRUNCATED, long_metrics
from stackbench.benchmarks.longcontext.options import LongContextOptions
from stackbench.benchmarks.longcontext.prompts import LongPrompt, PromptMaker
from stackbench.benchmarks.longcontext.tasks import VARIANTS, LongTask, cut_to_window, list_tasks, variants_of
from stackbench.datasets import DatasetStore
from stackbench.errors import ConfigError, GenerationError, StackbenchError, UsageError
from stackbench.sandbox import CodeJob, Section
from stackbench.types import AttemptSummary, FinishReason, Message, Metric, Request, Sampling, Scored, Task

__all__ = ["LongContext"]

CODE_TIMEOUT_S = 5.0
STOP = ("\nQuestion:", "\n\n")
"""Of bare prompts: an answer is one line."""
PROBE_WORD = " time"


class LongContext:
    """Implements `Benchmark`, `WindowedBenchmark` and `OwnGates`."""

    name: ClassVar[str] = "longcontext"
    title: ClassVar[str] = "Long context: questions about generated texts of 1K to 128K tokens"
    datasets: ClassVar[tuple[str, ...]] = ()
    uses_sandbox: bool = True
    """Only where a question's answer is executed."""
    options_type: ClassVar[type[LongContextOptions]] = LongContextOptions
    metric_kinds: ClassVar[Sequence[MetricKind]] = (
        *fractions("score", by_category=True),
        *shares("truncated", by_category=True),
        *fractions("f1", "containment", "near", "support_f1", "chance"),
        *amounts("effective_length_ruler", "effective_length_nolima", "middle_loss"),
    )
    most_of: ClassVar[dict[str, float]] = {"truncated": LARGEST_TRUNCATED}

    def __init__(self, options: LongContextOptions) -> None:
        self.options = options
        try:
            self._variants = variants_of(options)
        except ValueError as error:
            raise ConfigError(f"longcontext: option variants: {error}") from error
        self.uses_sandbox = any(one.runs_code for one in self._variants)
        self._prompts = PromptMaker(options, lambda line: None)

    def tasks(self, data: DatasetStore) -> list[LongTask]:
        return list_tasks(self.options)

    async def fit(self, tasks: Sequence[Any], model: ServedModel) -> tuple[Sequence[LongTask], str]:
        """The tasks that the model's window holds, and a note on what was cut. Raises UsageError where none does."""
        if self.options.tokenizer:
            try:
                await model.text_counter(self.options.tokenizer)
            except StackbenchError as error:
                raise UsageError(f"longcontext: option tokenizer: {error}") from error
        answer = max(one.answer_tokens for one in self._variants) + model.think_tokens
        window = self.options.window or model.window
        if window is None:
            window = await self._probe(max(task.length for task in tasks), answer, model)
            if window is None:
                return tasks, ""
        try:
            return cut_to_window(tasks, window, answer)
        except ValueError as error:
            raise UsageError(f"longcontext: {error}; ask for shorter ones: -T lengths=...") from error

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Texts are made when they are asked for."""
        self._prompts = PromptMaker(self.options, context.say)

    def _chats(self, context: Context) -> bool:
        return self.options.style == "chat" or (self.options.style == "auto" and context.chat)

    async def prompt(self, task: LongTask, context: Context) -> LongPrompt:
        """What is asked at a task. Raises AttemptError where what is asked about does not fit its length."""
        return await self._prompts.prompt(task, context, self._chats(context))

    async def attempt(self, task: LongTask, context: Context) -> Scored:
        chat = self._chats(context)
        variant = VARIANTS[task.variant]
        prompt = await self.prompt(task, context)
        code = prompt.question.kind == "code"
        sampling = context.sampling(max_tokens=variant.answer_tokens, stop=() if chat or code else STOP)
        generation = await context.generate(self._prompts.request(prompt, sampling, chat))
        if code:
            judged, program = await self._run(prompt, generation.text, context)
        else:
            judged, program = judge(prompt.question, generation.text, prompt.haystack), None
        truncated = generation.finish_reason is FinishReason.LENGTH
        reason = judged.reason
        if truncated and not judged.passed:
            reason = f"truncated: {reason.removeprefix('failed: ')}"
        sent = generation.prompt_tokens or prompt.tokens
        self._prompts.learn(task, prompt, generation.prompt_tokens)
        scored = Scored(
            score=judged.score,
            passed=judged.passed,
            reason=reason,
            metrics={
                "variant": task.variant,
                "length": task.length,
                "asked": task.asked,
                "sent": sent,
                "fill": round(sent / task.asked, 5),
                "exact_length": prompt.exact,
                "depth": task.depth,
                "chance": prompt.question.chance,
                "closed_book": self.options.closed_book,
                "style": "chat" if chat else "completion",
                "truncated": truncated,
                **judged.metrics,
            },
            program=program,
        )
        return scored.of(prompt.text[prompt.shared :], generation)

    def metric_categories(self, tasks: Sequence[Task]) -> set[str]:
        """Families, kinds of questions, lengths, and families and kinds at a length."""
        found: set[str] = set()
        for task in tasks:
            assert isinstance(task, LongTask)
            at = length_name(task.length)
            found |= {task.category, task.variant, at, f"{task.category}@{at}", f"{task.variant}@{at}"}
            if task.depth is not None:
                depth = f"d{task.depth:g}"
                found |= {depth, f"{at}@{depth}", f"{task.category}@{at}@{depth}"}
        return found

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        return long_metrics(attempts)

    async def _run(self, prompt: LongPrompt, answer: str, context: Context) -> tuple[Judged, str]:
        """Executes the function of an answer on the uses that were shown and on others."""
        name = prompt.question.setup
        program = await read_program(answer, (name,))
        result = await context.run_code(
            CodeJob(
                sections=(Section(program),),
                checks=prompt.question.checks,
                functions=(name,),
                timeout_s=context.timeout_s or CODE_TIMEOUT_S,
            )
        )
        return Judged(float(result.passed), result.passed, result.reason, {"exec_s": result.wall_s}), program

    async def _probe(self, longest: int, answer: int, model: ServedModel) -> int | None:
        """Asks once with a prompt as long as the longest: the window is then known, or large enough.

        Raises UsageError where the endpoint refuses it without telling a window.
        """
        text = PROBE_WORD * (longest + answer)
        asked = Request(Sampling(max_tokens=1), messages=(Message("user", text),))
        try:
            await model.generate(asked if model.chat else Request(Sampling(max_tokens=1), prompt=text))
        except GenerationError as error:
            if model.window is None:
                raise UsageError(
                    f"longcontext: the endpoint refuses a prompt of {longest:,} tokens and tells no window ({error}); "
                    "name it: -T window=TOKENS"
                ) from error
        return model.window
