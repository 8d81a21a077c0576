"""GSM8K: 1,319 grade-school word problems with a number for an answer (Cobbe et al. 2021, arXiv:2110.14168)."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from stackbench.benchmarks.base import Context, Options, PrepareContext
from stackbench.benchmarks.declared_metrics import MetricKind, pass_at, shares
from stackbench.benchmarks.number_answers import exact_match, flexible_match, read_answer, shown_number, strict_match
from stackbench.benchmarks.passes import KS, pass_at_k_metrics
from stackbench.datasets import DatasetStore
from stackbench.nesting import is_object
from stackbench.types import AttemptSummary, Generation, Message, Metric, Request, Scored, Task

__all__ = ["Gsm8k", "Gsm8kOptions", "Gsm8kTask"]

MAX_TOKENS = 512
STOP = ("\nQuestion:",)
# lm-eval 0.4.13, lm_eval/tasks/gsm8k/gsm8k.yaml (version 3), and the token limit of its Hugging Face models.
LM_EVAL_FORMS = ("lm-eval", "lm-eval-chat")
LM_EVAL_ASK = "Question: {}\nAnswer:"
LM_EVAL_STOP = ("Question:", "</s>", "<|im_end|>")
LM_EVAL_TOKENS = 256
LM_EVAL_SHOTS = 5
LM_EVAL_SEED = 1234
ASK = (
    "{question}\n\nWork through the problem step by step. Then write the final answer, a bare number, on a last line "
    "of the form:\n#### number"
)
CALCULATOR = re.compile(r"<<[^<>]*>>")


class Gsm8kOptions(Options):
    """Options of `gsm8k`."""

    style: Literal["auto", "chat", "fewshot", "lm-eval", "lm-eval-chat"] = "auto"
    """One chat turn without examples, or few-shot chain of thought; auto: chat where there is a template. The forms of
    lm-eval's task gsm8k: a bare prompt, or a chat with the examples as turns (--apply_chat_template)."""
    shots: int = Field(default=8, ge=0, le=100)
    """Examples from the training split: its first rows; in lm-eval's forms those that it draws, 5 unless set."""
    fewshot_as_turns: bool = False
    """In a chat, show the examples as earlier turns of it: a question of the user's, an answer of the assistant's."""

    @model_validator(mode="before")
    @classmethod
    def _usual_shots(cls, values: Any) -> Any:
        if not is_object(values) or "shots" in values or values.get("style") not in LM_EVAL_FORMS:
            return values
        return {**values, "shots": LM_EVAL_SHOTS}


@dataclass(frozen=True, slots=True)
class Gsm8kTask(Task):
    """One problem with its worked answer."""

    question: str = ""
    answer: str = ""
    number: Fraction = Fraction(0)


class Gsm8k:
    """Implements `Benchmark`."""

    name: ClassVar[str] = "gsm8k"
    title: ClassVar[str] = "GSM8K: 1,319 grade-school maths problems"
    datasets: ClassVar[tuple[str, ...]] = ("gsm8k",)
    uses_sandbox: ClassVar[bool] = False
    options_type: ClassVar[type[Options]] = Gsm8kOptions
    metric_kinds: ClassVar[Sequence[MetricKind]] = tuple(
        kind
        for how in ("robust", "flexible", "strict")
        for kind in (*shares(f"exact_match_{how}"), pass_at(KS[1:], suffix=f"_{how}"))
    )

    def __init__(self, options: Gsm8kOptions) -> None:
        self.options = options
        self._shots = ""
        self._turns: list[Message] = []
        self._drawn: dict[str, list[tuple[str, str]]] = {}
        """In lm-eval's forms, the examples of each task: its question as asked, and its answer."""

    def tasks(self, data: DatasetStore) -> list[Gsm8kTask]:
        train = data.rows("gsm8k", "train")
        examples = train[: self.options.shots]
        self._shots = "".join(
            f"Question: {row['question']}\nAnswer: {CALCULATOR.sub('', row['answer'])}\n\n" for row in examples
        )
        self._turns = [
            turn
            for row in examples
            for turn in (
                Message("user", ASK.format(question=row["question"])),
                Message("assistant", CALCULATOR.sub("", row["answer"])),
            )
        ]
        tasks: list[Gsm8kTask] = []
        for index, row in enumerate(data.rows("gsm8k")):
            number = Fraction(row["answer"].rsplit("####", 1)[-1].strip().replace(",", ""))
            tasks.append(Gsm8kTask(f"gsm8k/{index}", question=row["question"], answer=row["answer"], number=number))
        if self.options.style in LM_EVAL_FORMS:
            self._draw_as_lm_eval(tasks, [(LM_EVAL_ASK.format(row["question"]), row["answer"]) for row in train])
        return tasks

    def _draw_as_lm_eval(self, tasks: Sequence[Gsm8kTask], train: Sequence[tuple[str, str]]) -> None:
        """lm-eval draws examples for one task after another, from one generator."""
        rng = random.Random(LM_EVAL_SEED)
        count = self.options.shots
        self._drawn = {task.task_id: rng.sample(train, count) if count else [] for task in tasks}

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Nothing to make."""

    async def attempt(self, task: Gsm8kTask, context: Context) -> Scored:
        form = self._form(context)
        if form in LM_EVAL_FORMS:
            prompt, generation = await self._ask_as_lm_eval(task, form, context)
        elif form == "chat":
            prompt = ASK.format(question=task.question)
            turns = self._turns if self.options.fewshot_as_turns else []
            generation = await context.generate(
                Request(
                    context.sampling(max_tokens=MAX_TOKENS),
                    messages=(*turns, Message("user", prompt)),
                    reference=task.answer,
                )
            )
        else:
            prompt = f"Question: {task.question}\nAnswer:"
            generation = await context.generate(
                Request(
                    context.sampling(max_tokens=MAX_TOKENS, stop=STOP),
                    prompt=self._shots + prompt,
                    shared_prefix=len(self._shots),
                    reference=task.answer,
                )
            )
        answer = read_answer(generation.text)
        passed = answer == task.number
        shown = "no number found" if answer is None else f"answered {shown_number(answer)}"
        return Scored(
            score=float(passed),
            passed=passed,
            reason=f"passed: {shown}" if passed else f"failed: {shown}, not {shown_number(task.number)}",
            metrics={
                "robust": passed,
                "flexible": exact_match(flexible_match(generation.text), task.answer),
                "strict": exact_match(strict_match(generation.text), task.answer),
                "answer": None if answer is None else shown_number(answer),
                "form": form,
            },
        ).of(prompt, generation)

    def _form(self, context: Context) -> str:
        if self.options.style != "auto":
            return self.options.style
        return "chat" if context.chat else "fewshot"

    async def _ask_as_lm_eval(self, task: Gsm8kTask, form: str, context: Context) -> tuple[str, Generation]:
        """The prompt of lm-eval 0.4.13's task gsm8k (version 3), with its limit of tokens and its stop strings."""
        prompt, examples = LM_EVAL_ASK.format(task.question), self._drawn[task.task_id]
        sampling = context.sampling(max_tokens=LM_EVAL_TOKENS, stop=LM_EVAL_STOP)
        if form == "lm-eval-chat":
            turns = [turn for ask, answer in examples for turn in (Message("user", ask), Message("assistant", answer))]
            request = Request(sampling, messages=(*turns, Message("user", prompt)), reference=task.answer)
        else:
            shots = "".join(f"{ask} {answer}\n\n" for ask, answer in examples)
            request = Request(sampling, prompt=shots + prompt, shared_prefix=len(shots), reference=f" {task.answer}")
        return prompt, await context.generate(request)

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        """Accuracy by the answer as a person reads it (`robust`), and by lm-eval's two filters."""
        return [
            *_accuracy(attempts, "robust"),
            *_accuracy(attempts, "flexible"),
            *_accuracy(attempts, "strict"),
        ]


def _accuracy(attempts: Sequence[AttemptSummary], how: str) -> list[Metric]:
    found = pass_at_k_metrics(attempts, passed=lambda attempt: bool(attempt.metrics.get(how)))
    name = {"pass@1": f"exact_match_{how}"}
    return [
        Metric(name.get(m.name, f"{m.name}_{how}"), m.value, m.stderr, m.ci_low, m.ci_high, m.n, m.category)
        for m in found
    ]
