"""MMLU: 14,042 four-way questions in 57 subjects (Hendrycks et al. 2021, arXiv:2009.03300)."""

from __future__ import annotations

import math
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, ClassVar, Literal

from pydantic import Field

from stackbench.benchmarks.base import Context, Options, PrepareContext
from stackbench.benchmarks.declared_metrics import MetricKind, fractions, shares
from stackbench.benchmarks.letter_answers import LETTERS, find_letter
from stackbench.benchmarks.passes import task_means, to_metric
from stackbench.datasets import DatasetStore
from stackbench.stats import Estimate, share
from stackbench.types import AttemptSummary, Generation, Message, Metric, Request, Scored, Task

__all__ = ["Mmlu", "MmluOptions", "MmluTask"]

MAX_TOKENS = 2048
"""Of an answer in words: a thought may come before the letter, and a model ends by itself behind it."""
MAX_CONTINUATION_TOKENS = 32
LEAST_SHARE = {"chat": 0.5, "completion": 0.01}
"""The letters' share of the first token's probability from which on it decides. A chat's first token may begin a
thought or a sentence; after a bare prompt the four are compared, as the paper does, unless they mean nothing."""
LM_EVAL_ABOUT = "The following are multiple choice questions (with answers) about {}.\n\n"
"""lm-eval 0.4.13, lm_eval/tasks/mmlu/default."""
ASK = "\nReply with the letter of the right answer and nothing else."


class MmluOptions(Options):
    """Options of `mmlu`."""

    style: Literal["auto", "chat", "completion", "lm-eval", "lm-eval-chat"] = "auto"
    """auto: the letters' log-probabilities after a bare few-shot prompt where the model takes one, else a chat turn.
    The forms of lm-eval's task mmlu: a bare prompt, or a chat with the examples as turns (--apply_chat_template)."""
    shots: int = Field(default=5, ge=0, le=5)
    """Examples of the same subject from the dev split."""
    fewshot_as_turns: bool = False
    """In a chat, show the examples as earlier turns of it: a question of the user's, an answer of the assistant's."""


@dataclass(frozen=True, slots=True)
class MmluTask(Task):
    """One question; `category` is its subject."""

    question: str = ""
    choices: tuple[str, ...] = ()
    answer: int = 0


class Mmlu:
    """Implements `Benchmark` and `ClusteredBenchmark`."""

    name: ClassVar[str] = "mmlu"
    title: ClassVar[str] = "MMLU: 14,042 four-way questions in 57 subjects"
    datasets: ClassVar[tuple[str, ...]] = ("mmlu",)
    uses_sandbox: ClassVar[bool] = False
    options_type: ClassVar[type[Options]] = MmluOptions
    metric_kinds: ClassVar[Sequence[MetricKind]] = (
        *shares("acc", by_category=True),
        *fractions("acc_macro"),
    )

    def __init__(self, options: MmluOptions) -> None:
        self.options = options
        self._shots: dict[str, str] = {}
        self._turns: dict[str, list[Message]] = {}
        self._lm_eval_shots: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        """Questions and letters of a subject's examples."""

    def tasks(self, data: DatasetStore) -> list[MmluTask]:
        examples: dict[str, list[str]] = defaultdict(list)
        turns: dict[str, list[Message]] = defaultdict(list)
        shots = self._lm_eval_shots = defaultdict(list)
        for row in data.rows("mmlu", "dev"):
            if len(examples[row["subject"]]) < self.options.shots:
                question, letter = _question(_task(row, 0)), LETTERS[row["answer"]]
                examples[row["subject"]].append(f"{question} {letter}\n\n")
                turns[row["subject"]] += [Message("user", question + ASK), Message("assistant", letter)]
                shots[row["subject"]].append((question, letter))
        self._turns = dict(turns)
        self._shots = {
            subject: f"Multiple-choice questions on {subject.replace('_', ' ')}, with answers.\n\n{''.join(found)}"
            for subject, found in examples.items()
        }
        numbers: dict[str, int] = defaultdict(int)
        tasks: list[MmluTask] = []
        for row in data.rows("mmlu"):
            tasks.append(_task(row, numbers[row["subject"]]))
            numbers[row["subject"]] += 1
        return tasks

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Nothing to make."""

    async def attempt(self, task: MmluTask, context: Context) -> Scored:
        style = self.options.style
        if style == "auto":
            style = "completion" if context.plain_prompts else "chat"
        if style == "lm-eval" or style == "lm-eval-chat":
            return await self._attempt_as_lm_eval(task, style, context)
        as_turns = style == "chat" and self.options.fewshot_as_turns
        shots = "" if as_turns else self._shots.get(task.category, "")
        prompt = _question(task) + (ASK if style == "chat" else "")
        reference = LETTERS[task.answer]
        turns = self._turns.get(task.category, []) if as_turns else []
        generation, in_letters = await self._ask(shots, prompt, reference, style, context, turns)
        by_logprob = in_letters is not None and in_letters >= LEAST_SHARE[style]
        if in_letters is not None and not by_logprob:
            in_words, _ = await self._ask(shots, prompt, reference, style, context, turns, scored=False)
            generation = _after(generation, in_words)
        chosen = _likeliest(generation) if by_logprob else find_letter(generation.text, task.choices)
        share = None if in_letters is None else round(in_letters, 4)
        return _judged(chosen, reference, style, by_logprob, share).of(prompt, generation)

    async def _attempt_as_lm_eval(self, task: MmluTask, style: str, context: Context) -> Scored:
        """The prompt of lm-eval 0.4.13's mmlu tasks (version 1); the likeliest letter is the answer.

        A model that gives no log-probabilities is read by its text, which `by` tells.
        """
        scored = context.scores_choices
        about = LM_EVAL_ABOUT.format(task.category.replace("_", " "))
        shots, prompt, reference = self._lm_eval_shots[task.category], _question(task), LETTERS[task.answer]
        sampling = context.sampling(max_tokens=1 if scored else MAX_CONTINUATION_TOKENS)
        if style == "lm-eval-chat":
            turns = [turn for ask, letter in shots for turn in (Message("user", ask), Message("assistant", letter))]
            chat = (Message("system", about), *turns, Message("user", prompt))
            request = Request(sampling, messages=chat, choices=tuple(LETTERS) if scored else (), reference=reference)
        else:
            shared = about + "".join(f"{ask} {letter}\n\n" for ask, letter in shots)
            choices = tuple(f" {letter}" for letter in LETTERS) if scored else ()
            request = Request(
                sampling, prompt=shared + prompt, shared_prefix=len(shared), choices=choices, reference=reference
            )
        generation = await context.generate(request)
        by_logprob = generation.choice_logprobs is not None
        chosen = _likeliest(generation) if by_logprob else find_letter(generation.text, task.choices)
        return _judged(chosen, reference, style, by_logprob, None).of(prompt, generation)

    @staticmethod
    def cluster(attempt: AttemptSummary) -> str:
        """The subject."""
        return attempt.category

    async def _ask(
        self,
        shots: str,
        prompt: str,
        reference: str,
        style: str,
        context: Context,
        turns: Sequence[Message],
        *,
        scored: bool = True,
    ) -> tuple[Generation, float | None]:
        """The answer, and the letters' share of the first token's probability; None where that was not asked for."""
        scored = scored and context.scores_choices
        if style == "chat":
            request = Request(
                context.sampling(max_tokens=MAX_TOKENS),
                messages=(*turns, Message("user", shots + prompt)),
                shared_prefix=len(shots),
                choices=tuple(LETTERS) if scored else (),
                reference=reference,
            )
        else:
            request = Request(
                context.sampling(max_tokens=MAX_CONTINUATION_TOKENS, stop=("\n",)),
                prompt=shots + prompt,
                shared_prefix=len(shots),
                choices=tuple(f" {letter}" for letter in LETTERS) if scored else (),
                reference=reference,
            )
        generation = await context.generate(request)
        if not scored:
            return generation, None
        return generation, sum(math.exp(min(value, 0.0)) for value in generation.choice_logprobs or ())

    def metric_categories(self, tasks: Sequence[Task]) -> set[str]:
        """Subjects, and groups of subjects."""
        subjects = {task.category for task in tasks}
        return subjects | {group for group, members in _groups().items() if subjects & set(members)}

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        """Accuracy over questions (micro), over subjects (macro), by group and by subject; questions are the unit."""
        if not attempts:
            return []
        subjects = {attempt.key.task_id: attempt.category for attempt in attempts}
        by_subject: dict[str, list[float]] = defaultdict(list)
        for task, score in task_means(attempts, lambda attempt: float(bool(attempt.passed))).items():
            by_subject[subjects[task]].append(score)
        found = [
            to_metric("acc", _accuracy(by_subject)),
            to_metric("acc_macro", _accuracy(by_subject, macro=True)),
        ]
        for group, members in _groups().items():
            inside = {subject: scores for subject, scores in by_subject.items() if subject in members}
            if inside:
                found.append(to_metric("acc", _accuracy(inside), group))
        for subject, scores in sorted(by_subject.items()):
            found.append(to_metric("acc", _accuracy({subject: scores}), subject))
        return found


def _accuracy(by_subject: Mapping[str, Sequence[float]], *, macro: bool = False) -> Estimate:
    """Over scores of questions; those of one subject belong together.

    Further attempts at a question are mostly copies (answers by log-probability always are), so that a question is
    never worth more than one attempt.
    """
    scores = [score for found in by_subject.values() for score in found]
    subjects = [subject for subject, found in by_subject.items() for _ in found]
    return share(scores, clusters=subjects, weight_clusters=macro, attempts=[1] * len(scores))


def _judged(chosen: str, reference: str, style: str, by_logprob: bool, share: float | None) -> Scored:
    passed = chosen == reference
    answered = f"answered {chosen or 'no letter'}"
    return Scored(
        score=float(passed),
        passed=passed,
        reason=f"passed: {answered}" if passed else f"failed: {answered}, not {reference}",
        metrics={
            "answer": chosen,
            "by": "logprob" if by_logprob else "text",
            "letters_share": share,
            "form": style,
        },
    )


def _likeliest(generation: Generation) -> str:
    assert generation.choice_logprobs is not None
    return LETTERS[max(range(len(LETTERS)), key=generation.choice_logprobs.__getitem__)]


def _after(first: Generation, second: Generation) -> Generation:
    """The second of two answers to one question, with what both cost."""
    return replace(
        second,
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        completion_tokens=first.completion_tokens + second.completion_tokens,
        latency_s=first.latency_s + second.latency_s,
    )


def _task(row: dict[str, Any], number: int) -> MmluTask:
    return MmluTask(
        f"{row['subject']}/{number}", row["subject"], row["question"], tuple(row["choices"]), int(row["answer"])
    )


def _question(task: MmluTask) -> str:
    options = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, task.choices, strict=True))
    return f"{task.question.strip()}\n{options}\nAnswer:"


def _groups() -> dict[str, list[str]]:
    text = resources.files("stackbench.benchmarks").joinpath("mmlu_groups.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
