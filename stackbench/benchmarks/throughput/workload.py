"""The requests of a load: prompts of a given length in the model's tokens, or those of a dataset."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from stackbench.benchmarks.base import Context
from stackbench.datasets import DatasetStore
from stackbench.errors import AttemptError, GenerationError, ModelUnreachableError
from stackbench.types import Generation, Message, Request

__all__ = ["DATASETS", "Ask", "DatasetAsk", "PromptMaker", "Sender", "Ways", "dataset_asks", "dataset_sample"]

# Common words that tokenizers hold as one token with the space before them.
WORDS = """
time year people way day man thing woman life child world school state family student group country problem
hand part place case week company system program question work government number night point home water room
mother area money story fact month lot right study book eye job word business issue side kind head house
service friend father power hour game line end member law car city community name president team minute idea
body information back parent face others level office door health person art war history party result change
morning reason research girl guy moment air teacher force education
"""
PROBE_WORDS = (64, 192)
CHARACTERS_PER_TOKEN = 3.5
DATASETS = {"gsm8k": ("question", "answer"), "humaneval": ("prompt", "canonical_solution"), "mbpp": ("text", "code")}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: a prompt and how many tokens to answer with."""

    prompt: str
    output_tokens: int


@dataclass(frozen=True, slots=True)
class DatasetAsk:
    """A row of a dataset: its prompt, and its reference answer, whose length is to be answered."""

    prompt: str
    reference: str


@dataclass(frozen=True, slots=True)
class Ways:
    """How requests are made."""

    plain: bool
    """As bare prompts, not as chats."""
    ignore_eos: bool
    """Answers go on past the model's own end."""


class Sender:
    """Asks with answers streamed, to their full length where the server can be made to."""

    def __init__(self, context: Context, ways: Ways) -> None:
        self.ways = ways
        self._context = context

    @classmethod
    async def connect(cls, context: Context) -> Sender:
        """Finds out how to ask.

        As a bare prompt where the model takes one and tells its length, else as a chat; past the model's own end where
        the server goes on.

        Raises:
            GenerationError: it answers in no way.
        """
        answering: Sender | None = None
        failure: GenerationError | None = None
        for plain in (True, False) if context.plain_prompts else (False,):
            if not plain and answering is not None and not context.chat:
                break
            for ignore_eos in (True, False):
                sender = cls(context, Ways(plain, ignore_eos))
                try:
                    answer = await sender(Ask("Say yes.", 2))
                except ModelUnreachableError:
                    raise
                except GenerationError as error:
                    failure = failure or error
                    continue
                if answer.prompt_tokens:
                    return sender
                answering = answering or sender
                break
        if answering is None:
            raise failure or GenerationError("the model answers neither a prompt nor a chat")
        return answering

    async def __call__(self, ask: Ask) -> Generation:
        """Raises GenerationError."""
        context = self._context
        asked = replace(
            context.sampling(max_tokens=ask.output_tokens),
            max_tokens=ask.output_tokens,
            ignore_eos=self.ways.ignore_eos,
        )
        if self.ways.plain:
            return await context.timed(Request(asked, prompt=ask.prompt))
        return await context.timed(Request(asked, messages=(Message("user", ask.prompt),)))


class PromptMaker:
    """Makes prompts of a length in tokens without a tokenizer: the server is asked what words come to."""

    def __init__(self, tokens_per_word: float, overhead: float) -> None:
        self._tokens_per_word = tokens_per_word
        self._overhead = overhead

    @classmethod
    async def calibrate(cls, sender: Callable[[Ask], Awaitable[Generation]]) -> PromptMaker:
        """Two requests of one token.

        Raises:
            AttemptError: the server does not tell the length of a prompt, or not truly.
        """
        counts: list[int] = []
        for words in PROBE_WORDS:
            answer = await sender(Ask(_words(words, random.Random(f"calibrate {words}")), 1))
            if not answer.prompt_tokens:
                raise AttemptError(
                    "the model does not tell how many tokens a prompt has, so prompts of a length cannot be made; "
                    "measure on a dataset: -T mixes=gsm8k"
                )
            counts.append(answer.prompt_tokens)
        if counts[1] <= counts[0]:
            raise AttemptError(
                f"the model tells that prompts of {PROBE_WORDS[0]} and {PROBE_WORDS[1]} words have {counts[0]} and "
                f"{counts[1]} tokens, so prompts of a length cannot be made; measure on a dataset: -T mixes=gsm8k"
            )
        per_word = (counts[1] - counts[0]) / (PROBE_WORDS[1] - PROBE_WORDS[0])
        return cls(per_word, counts[0] - per_word * PROBE_WORDS[0])

    def prompt(self, tokens: int, name: str) -> str:
        """A text of about that many tokens, its chat template included; another for another name."""
        words = max(1, round((tokens - self._overhead) / self._tokens_per_word))
        return _words(words, random.Random(name))


def dataset_asks(data: DatasetStore, dataset: str) -> tuple[DatasetAsk, ...]:
    """The rows of one of `DATASETS`. Raises DataError."""
    prompt, answer = DATASETS[dataset]
    return tuple(DatasetAsk(str(row[prompt]), str(row[answer])) for row in data.rows(dataset))


def dataset_sample(rows: Sequence[DatasetAsk], count: int, name: str) -> list[Ask]:
    """Rows drawn with replacement; an answer as long as the reference, at 3.5 characters a token, 4 at least."""
    rng = random.Random(name)
    drawn = [rows[rng.randrange(len(rows))] for _ in range(count)]
    return [Ask(row.prompt, max(4, round(len(row.reference) / CHARACTERS_PER_TOKEN))) for row in drawn]


def _words(count: int, rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS.split(), k=count))
