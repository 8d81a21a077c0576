"""Variable tracking: chains of assignments, scattered over the text (as RULER has them, arXiv:2404.06654)."""

from __future__ import annotations

import itertools
import random
import string

from stackbench.benchmarks.longcontext.haystack import Haystack, Placed, Question, fill
from stackbench.benchmarks.longcontext.prose import prose, remarks
from stackbench.benchmarks.longcontext.variants import Order, Variant

__all__ = ["TRACKING"]

FAMILY = "aggregate"
INTRO = "Assignments to variables are scattered over the following text. Follow them: you will be asked about them.\n"
HOPS = 4
NAME = r"\b[A-Z]{5}\b"
ASK = (
    "Which variables hold the value {value} at the end, directly or through other variables? Reply with all their "
    'names separated by commas, on a line that begins with "Answer:".'
)


def _build(order: Order) -> Haystack:
    rng = order.rng
    chains = max(2, len(order.depths))
    names = iter(_names(rng, chains * (HOPS + 1)))
    values = [str(value) for value in rng.sample(range(10_000, 100_000), chains)]
    placed: list[Placed] = []
    questions: list[Question] = []
    for number, value in enumerate(values):
        chain = [next(names) for _ in range(HOPS + 1)]
        depths = sorted(rng.random() for _ in chain)
        lines = [f"VAR {chain[0]} = {value}\n"]
        lines += [f"VAR {later} = VAR {earlier}\n" for earlier, later in itertools.pairwise(chain)]
        placed += [Placed(line, depth) for line, depth in zip(lines, depths, strict=True)]
        if number < len(order.depths):
            questions.append(Question(ASK.format(value=value), tuple(chain), shape=NAME))
    text = fill(order.tokens, order.budget, placed, prose(order.seed, rng), order.spacers, rng)
    return Haystack(text, tuple(questions))


def _names(rng: random.Random, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choices(string.ascii_uppercase, k=5))] = None
    return list(found)


TRACKING = (Variant(FAMILY, "tracking", INTRO, _build, remarks, answer_tokens=96, has_depth=False),)
