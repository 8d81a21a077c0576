"""Needles in a haystack: facts that are asked for in their own words (after Hsieh et al. 2024, arXiv:2404.06654)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from stackbench.benchmarks.longcontext.haystack import Haystack, Placed, Question, Text, fill
from stackbench.benchmarks.longcontext.prose import prose, remarks
from stackbench.benchmarks.longcontext.variants import Order, Variant
from stackbench.benchmarks.longcontext.vocabulary import NameMaker, vocabulary

__all__ = ["NEEDLES", "NUMBER"]

FAMILY = "needle"
INTRO = "Some access codes are hidden in the following text. Memorise them: you will be asked for them afterwards.\n"
NUMBER = r"(?<!\d)\d{7}(?!\d)"
TOKENS_PER_KEY = 200
MOST_KEYS = 64
VALUES = 4
ONE = 'Reply with the number only, on a line that begins with "Answer:".'
ALL = 'Reply with the numbers only, separated by commas, on a line that begins with "Answer:".'


def _single(order: Order) -> Haystack:
    key, value, place = _keys(order.rng, 1)[0], _values(order.rng, 1)[0], order.depths[0]
    needle = _needle(key, value)
    # The same hay for every depth, so that prompts share what stands before the needle.
    hay = random.Random(f"{order.seed} single {order.budget}")
    text = fill(order.tokens, order.budget, [Placed(needle, place)], prose(order.seed, hay), order.spacers, hay)
    return Haystack(text, (_question([key], [value], needle, place),))


def _multikey(order: Order) -> Haystack:
    rng = order.rng
    count = max(len(order.depths), min(MOST_KEYS, order.budget // TOKENS_PER_KEY))
    keys, values = _keys(rng, count), _values(rng, count)
    needles = [_needle(key, value) for key, value in zip(keys, values, strict=True)]
    asked = len(order.depths)
    depths = [*order.depths, *(rng.random() for _ in range(count - asked))]
    text = _in_prose(order, [Placed(needle, depth) for needle, depth in zip(needles, depths, strict=True)])
    return Haystack(text, tuple(_question([keys[i]], [values[i]], needles[i], order.depths[i]) for i in range(asked)))


def _multivalue(order: Order) -> Haystack:
    rng, asked = order.rng, len(order.depths)
    keys, values = _keys(rng, asked), _values(rng, asked * VALUES)
    own = [values[i * VALUES : (i + 1) * VALUES] for i in range(asked)]
    placed = [
        Placed(_needle(key, value), rng.random()) for key, found in zip(keys, own, strict=True) for value in found
    ]
    text = _in_prose(order, placed)
    return Haystack(text, tuple(_question([key], found, "", None) for key, found in zip(keys, own, strict=True)))


def _multiquery(order: Order) -> Haystack:
    rng, asked = order.rng, len(order.depths)
    count = max(VALUES, min(MOST_KEYS, order.budget // TOKENS_PER_KEY))
    keys, values = _keys(rng, count), _values(rng, count)
    placed = [Placed(_needle(key, value), rng.random()) for key, value in zip(keys, values, strict=True)]
    text = _in_prose(order, placed)
    chosen = [rng.sample(range(count), VALUES) for _ in range(asked)]
    return Haystack(
        text, tuple(_question([keys[i] for i in some], [values[i] for i in some], "", None) for some in chosen)
    )


def _distractors(order: Order) -> Haystack:
    """Beside each needle stand others whose keys differ from its key in one attribute alone."""
    rng, words = order.rng, vocabulary()
    asked = len(order.depths)
    keys, taken = _keys(rng, asked), set[tuple[str, str, str]]()
    taken.update(keys)
    placed: list[Placed] = []
    questions: list[Question] = []
    for key, depth in zip(keys, order.depths, strict=True):
        value = _values(rng, 1)[0]
        needle = _needle(key, value)
        placed.append(Placed(needle, depth))
        questions.append(_question([key], [value], needle, depth))
        for attribute, choices in enumerate((words.colours, words.objects)):
            for _ in range(2):
                other = _varied(key, attribute, choices, taken, rng)
                placed.append(Placed(_needle(other, _values(rng, 1)[0]), rng.random()))
        other = (key[0], key[1], NameMaker(rng).place())
        placed.append(Placed(_needle(other, _values(rng, 1)[0]), rng.random()))
    return Haystack(_in_prose(order, placed), tuple(questions))


def _varied(
    key: tuple[str, str, str],
    attribute: int,
    choices: Sequence[str],
    taken: set[tuple[str, str, str]],
    rng: random.Random,
) -> tuple[str, str, str]:
    while True:
        parts = list(key)
        parts[attribute] = rng.choice(choices)
        other = (parts[0], parts[1], parts[2])
        if other not in taken:
            taken.add(other)
            return other


def _in_prose(order: Order, placed: Sequence[Placed]) -> Text:
    return fill(order.tokens, order.budget, placed, prose(order.seed, order.rng), order.spacers, order.rng)


def _keys(rng: random.Random, count: int) -> list[tuple[str, str, str]]:
    """A colour, an object and a place each; no two share colour and object."""
    words, names = vocabulary(), NameMaker(rng)
    pairs = rng.sample([(colour, thing) for colour in words.colours for thing in words.objects], count)
    return [(colour, thing, names.place()) for colour, thing in pairs]


def _values(rng: random.Random, count: int) -> list[str]:
    return [str(number) for number in rng.sample(range(1_000_000, 10_000_000), count)]


def _name(key: tuple[str, str, str]) -> str:
    return f"the {key[0]} {key[1]} in {key[2]}"


def _needle(key: tuple[str, str, str], value: str) -> str:
    return f"The access code for {_name(key)} is {value}.\n"


def _question(
    keys: Sequence[tuple[str, str, str]], values: Sequence[str], needle: str, depth: float | None
) -> Question:
    if len(keys) == 1 and len(values) == 1:
        text = f"What is the access code for {_name(keys[0])}? {ONE}"
    elif len(keys) == 1:
        text = f"What are all {len(values)} access codes for {_name(keys[0])}? {ALL}"
    else:
        named = ", ".join(map(_name, keys[:-1]))
        text = f"What are the access codes for {named} and {_name(keys[-1])}? {ALL}"
    return Question(text, tuple(values), shape=NUMBER, needle=needle, depth=depth)


NEEDLES = (
    Variant(FAMILY, "single", INTRO, _single, remarks, shared=1),
    Variant(FAMILY, "multikey", INTRO, _multikey, remarks),
    Variant(FAMILY, "multivalue", INTRO, _multivalue, remarks, has_depth=False, answer_tokens=96),
    Variant(FAMILY, "multiquery", INTRO, _multiquery, remarks, has_depth=False, answer_tokens=96),
    Variant(FAMILY, "distractors", INTRO, _distractors, remarks),
)
