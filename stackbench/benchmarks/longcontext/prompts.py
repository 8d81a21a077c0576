"""Makes the prompts: each of an exact length by the model's own tokenizer, the chat template counted."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from stackbench.benchmarks.base import Context
from stackbench.benchmarks.longcontext.haystack import Haystack, Question, Spacers
from stackbench.benchmarks.longcontext.judging import reference_of
from stackbench.benchmarks.longcontext.options import LongContextOptions
from stackbench.benchmarks.longcontext.tasks import VARIANTS, LongTask
from stackbench.benchmarks.longcontext.token_table import TokenTable
from stackbench.benchmarks.longcontext.variants import Order, Variant
from stackbench.errors import AttemptError
from stackbench.types import Message, Request, Sampling

__all__ = ["LongPrompt", "PromptMaker"]

KEPT = 8
"""Haystacks in memory."""
TRIES = 6
LEAST_FILL = 0.995
FIRST_RESERVE = 24
"""Tokens for a question, until one of its kind has been seen."""
SAMPLE_BUDGET = 900
ESTIMATED_TEMPLATE = 40
"""Tokens of a chat template that nothing counts."""
COMPLETION = "\nAnswer:"
MARK = "Question: "


@dataclass(frozen=True, slots=True)
class LongPrompt:
    """What is asked at a task."""

    question: Question
    haystack: str
    text: str
    """The whole prompt, without the chat template."""
    shared: int
    """Characters at its beginning that all questions of its haystack have."""
    tokens: int
    """As counted before it is sent, the chat template with it."""
    exact: bool
    """Whether that is the model's own count."""


class PromptMaker:
    """Makes prompts one at a time, in a thread; haystacks that were just made are kept for their other questions."""

    def __init__(self, options: LongContextOptions, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._seed = f"longcontext {options.seed}"
        self._lock = asyncio.Lock()
        self._table: TokenTable | None = None
        self._spacers: dict[str, Spacers] = {}
        self._overhead: dict[str, int] = {}
        self._wanted: dict[tuple[str, int], int] = {}
        """Tokens by our own count that a prompt of a kind and a length has, where counts of whole prompts differed."""
        self._scale: dict[str, float] = {}
        """Where lengths are estimated: tokens by the estimate for each of the model's."""
        self._samples: dict[str, str] = {}
        self._reserve: dict[str, int] = {}
        self._checked: set[tuple[str, int]] = set()
        self._kept: OrderedDict[tuple[str, int, int, int], Haystack] = OrderedDict()

    async def prompt(self, task: LongTask, context: Context, chat: bool) -> LongPrompt:
        """The prompt of a task. Raises AttemptError where what is asked about does not fit its length."""
        async with self._lock:
            if self._table is None:
                await self._begin(context)
            variant = VARIANTS[task.variant]
            if task.variant not in self._overhead:
                await self._measure(variant, context, chat)
            if self._options.closed_book:
                return await asyncio.to_thread(self._closed_book, task, variant, chat)
            try:
                return await self._fitted(task, variant, context, chat)
            except ValueError as error:
                raise AttemptError(f"{task.task_id}: {error}; ask for a longer one") from error

    def request(self, prompt: LongPrompt, sampling: Sampling, chat: bool) -> Request:
        """As it is sent."""
        reference = reference_of(prompt.question)
        made = _request(prompt.text, sampling, chat)
        return replace(made, shared_prefix=prompt.shared, reference=reference)

    # -- once

    async def _begin(self, context: Context) -> None:
        count = await context.text_counter(self._options.tokenizer)
        self._samples = await asyncio.to_thread(self._sample_texts)
        self._table = await asyncio.to_thread(TokenTable, count, list(self._samples.values()))
        if not self._table.exact:
            self._say(
                "longcontext: the model's tokenizer is not at hand (-T tokenizer= names one): lengths are what its "
                "server counts, or estimated from what that tells of earlier prompts"
            )

    def _sample_texts(self) -> dict[str, str]:
        """A text of each kind, before anything can be counted."""
        table = TokenTable(None, [])
        found: dict[str, str] = {}
        for name, variant in VARIANTS.items():
            rng = random.Random(f"{self._seed} sample {name}")
            spacers = Spacers(variant.spacer_lines(rng), table)
            found[name] = variant.build(Order(table, spacers, SAMPLE_BUDGET, self._seed, rng, (0.5,))).hay.text
        return found

    async def _measure(self, variant: Variant, context: Context, chat: bool) -> None:
        """What the chat template and the ends of a prompt add to the count of its text."""
        table, name = self._tables(), _name(variant)
        rng = random.Random(f"{self._seed} spacers {name}")
        self._spacers[name] = await asyncio.to_thread(Spacers, variant.spacer_lines(rng), table)
        self._reserve[name] = FIRST_RESERVE
        text = _text(variant.intro, self._samples[name], "", "What is it?", chat)
        sampling = replace(context.sampling(max_tokens=1), max_tokens=1)
        counted = await context.count_tokens(_request(text, sampling, chat))
        tokens = counted.tokens
        if not table.exact and not counted.exact:
            tokens = (await context.timed(_request(text, sampling, chat))).prompt_tokens or tokens
        if table.exact:
            self._overhead[name] = max(0, tokens - table.count(text)) if counted.exact else ESTIMATED_TEMPLATE
        else:
            self._overhead[name], self._scale[name] = 0, table.count(text) / tokens

    def learn(self, task: LongTask, prompt: LongPrompt, sent: int) -> None:
        """Takes in what the server counted of a prompt whose length was estimated."""
        if not prompt.exact and sent and not self._options.closed_book:
            self._wanted[task.variant, task.asked] = round(self._wanted_of(task) * self._aim(task) / sent)

    def _tables(self) -> TokenTable:
        assert self._table is not None
        return self._table

    # -- one prompt

    async def _fitted(self, task: LongTask, variant: Variant, context: Context, chat: bool) -> LongPrompt:
        """The prompt, made again with what was learned as long as it is not of its length."""
        table, best = self._tables(), None
        checked = (task.variant, task.asked)
        for _ in range(TRIES):
            prompt = await asyncio.to_thread(self._make, task, variant, chat)
            if table.exact and checked in self._checked:
                return replace(prompt, exact=True)
            counted = await context.count_tokens(_request(prompt.text, context.sampling(max_tokens=1), chat))
            if not counted.exact:
                return replace(prompt, exact=table.exact)
            prompt = replace(prompt, tokens=counted.tokens, exact=True)
            if not table.exact and counted.tokens < task.asked:
                prompt = await self._padded(prompt, task, context, chat)
            if LEAST_FILL * task.asked <= prompt.tokens <= task.asked:
                self._checked.add(checked)
                return prompt
            if prompt.tokens <= task.asked and (best is None or prompt.tokens > best.tokens):
                best = prompt
            self._correct(task, prompt)
        if best is None:
            raise ValueError(f"no prompt of {task.asked} tokens could be made")
        return best

    async def _padded(self, prompt: LongPrompt, task: LongTask, context: Context, chat: bool) -> LongPrompt:
        """A prompt whose estimated length was too small, with spacers behind its text as long as they fit."""
        table, spacers = self._tables(), self._spacers[task.variant]
        rng = random.Random(f"{task.task_id} padding")
        missing = self._aim(task) - prompt.tokens
        for _ in range(TRIES):
            if prompt.tokens >= LEAST_FILL * task.asked:
                break
            lines = "".join(spacers.lines(round(missing * table.count(prompt.text) / prompt.tokens), rng))
            at = prompt.text.rindex(MARK)
            text = prompt.text[:at] + lines + prompt.text[at:]
            counted = await context.count_tokens(_request(text, context.sampling(max_tokens=1), chat))
            if counted.tokens <= task.asked:
                prompt = replace(prompt, text=text, tokens=counted.tokens)
                missing = self._aim(task) - prompt.tokens
            else:
                missing /= 2
        return prompt

    def _correct(self, task: LongTask, prompt: LongPrompt) -> None:
        key = (task.variant, task.asked)
        if self._tables().exact:
            self._wanted[key] = self._wanted_of(task) + task.asked - prompt.tokens
        else:
            self._wanted[key] = round(self._wanted_of(task) * self._aim(task) / prompt.tokens)
        self._kept.clear()

    def _wanted_of(self, task: LongTask) -> int:
        """Tokens by our own count that its prompt is to have."""
        known = self._wanted.get((task.variant, task.asked))
        if known is not None:
            return known
        return task.asked if self._tables().exact else round(self._aim(task) * self._scale[task.variant])

    @staticmethod
    def _aim(task: LongTask) -> float:
        """Between the bounds, where counts are estimates."""
        return task.asked * (1 + LEAST_FILL) / 2

    def _make(self, task: LongTask, variant: Variant, chat: bool) -> LongPrompt:
        table, name = self._tables(), _name(variant)
        key = (task.variant, task.length, task.asked, task.haystack)
        overhead = self._overhead[name] + table.count(variant.intro)
        room = self._wanted_of(task) - overhead
        reserve: int | None = None
        number = 0
        while True:
            number += 1
            if key not in self._kept:
                budget = room - (self._reserve[name] if reserve is None else reserve)
                haystack = variant.build(self._order(task, variant, budget))
                self._keep(key, haystack)
            made = self._kept[key]
            question = made.questions[task.number]
            tail = table.count(_text("", "", "", question.text, chat))
            left = room - made.hay.tokens - tail
            padding = "".join(self._spacers[name].lines(max(0, left), random.Random(task.task_id)))
            short = left - table.count(padding) > (1 - LEAST_FILL) * task.asked
            if left >= 0 and (not short or number >= TRIES):
                break
            if left < 0:  # a longer question than any before
                self._reserve[name] += 8 - left
                reserve = None if number < TRIES else self._reserve[name]
            else:  # no spacer is so short: the text itself is made as long
                reserve = tail
            del self._kept[key]
        text = _text(variant.intro, made.hay.text, padding, question.text, chat)
        tokens = overhead + made.hay.tokens + table.count(padding) + tail
        return LongPrompt(question, made.hay.text, text, len(variant.intro + made.hay.text), tokens, table.exact)

    def _order(self, task: LongTask, variant: Variant, budget: int) -> Order:
        if budget < 64:
            raise ValueError(f"{budget} tokens for the text are too few")
        rng = random.Random(f"{self._seed} {task.variant} {task.length} {task.haystack}")
        depths = tuple(depth / 100 for depth in task.depths)
        return Order(self._tables(), self._spacers[_name(variant)], budget, self._seed, rng, depths)

    def _keep(self, key: tuple[str, int, int, int], made: Haystack) -> None:
        self._kept[key] = made
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def _closed_book(self, task: LongTask, variant: Variant, chat: bool) -> LongPrompt:
        """The question alone."""
        table = self._tables()
        made = self._make(task, variant, chat)
        text = made.question.text if chat else made.question.text + COMPLETION
        return LongPrompt(made.question, made.haystack, text, 0, table.count(text), exact=False)


def _name(variant: Variant) -> str:
    return f"{variant.family}/{variant.name}"


def _text(intro: str, haystack: str, padding: str, question: str, chat: bool) -> str:
    return f"{intro}{haystack}{padding}{MARK}{question}{'' if chat else COMPLETION}"


def _request(text: str, sampling: Sampling, chat: bool) -> Request:
    return Request(sampling, messages=(Message("user", text),)) if chat else Request(sampling, prompt=text)
