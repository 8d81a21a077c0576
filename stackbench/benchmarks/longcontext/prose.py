"""Sentences without any fact that is asked for: the hay."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache

from stackbench.benchmarks.longcontext.vocabulary import NameMaker, vocabulary

__all__ = ["prose", "remarks", "sentences"]

POOL = 6000
PATTERNS = (
    "{Name} {verb} the {adjective} {object} {scene}.",
    "The {adjective} {object} stood {scene} {time}.",
    "{Time}, {name} {verb} the {adjective} {object} and two {object2}s.",
    "Nobody {verb} the {object} {scene}, although {name} had asked for it.",
    "A {trade} from {place} {verb} the {object} {time}.",
    "{Name} said that the {object} {scene} looked {adjective}.",
    "There were {number} {object}s {scene}, most of them {adjective}.",
    "The {trade} {verb} the {goods} and left the {object} {scene}.",
    "{Time} the {goods} arrived {scene}.",
    "In {place} the {trade}s {verb} their {adjective} {object}s {time}.",
    "{Name} and {name} {verb} the {goods}, then rested {scene}.",
    "It was {name} who {verb} the {adjective} {object} {scene}.",
    "The road from {place} to {place2} was {adjective} {time}.",
    "The {goods} lay {scene}, next to the {adjective} {object}.",
    "{Name} preferred the {adjective} {object} to the {adjective2} one.",
    "The {object} was {adjective}, and the {object2} beside it was {adjective2}.",
)
REMARKS = (
    "It was quiet {scene}.",
    "The {object} was {adjective}.",
    "The weather changed {time}.",
    "Nothing else happened {time}.",
    "So it went on {scene}.",
    "All was well.",
    "The {adjective} {object} {scene} was left alone {time}.",
    "The {goods} stayed dry {time}.",
    "People came and went {scene}, as they did {time}.",
)


@lru_cache(maxsize=4)
def sentences(seed: str) -> tuple[str, ...]:
    """A pool of sentences, a line each."""
    rng = random.Random(f"{seed} prose")
    names, words = NameMaker(rng), vocabulary()
    people = [names.first_name() for _ in range(300)]
    places = [names.place() for _ in range(120)]
    found: list[str] = []
    for _ in range(POOL):
        time = rng.choice(words.times)
        found.append(
            rng.choice(PATTERNS).format(
                Name=rng.choice(people), name=rng.choice(people), verb=rng.choice(words.verbs),
                adjective=rng.choice(words.adjectives), adjective2=rng.choice(words.adjectives),
                object=rng.choice(words.objects), object2=rng.choice(words.objects), scene=rng.choice(words.scenes),
                time=time, Time=time[0].upper() + time[1:], trade=rng.choice(words.trades),
                goods=rng.choice(words.goods), place=rng.choice(places), place2=rng.choice(places),
                number=rng.choice(("three", "four", "five", "six", "seven", "nine", "a dozen", "twenty")),
            ) + "\n"
        )  # fmt: skip
    return tuple(dict.fromkeys(found))


def prose(seed: str, rng: random.Random) -> Iterator[str]:
    """Sentences of the pool in any order, without end."""
    pool = sentences(seed)
    while True:
        yield from rng.choices(pool, k=512)


def remarks(rng: random.Random, lead: str = "", count: int = 400) -> list[str]:
    """Short lines of many lengths that say nothing, each with `lead` before it."""
    words = vocabulary()
    return [
        lead
        + rng.choice(REMARKS).format(
            scene=rng.choice(words.scenes),
            object=rng.choice(words.objects),
            adjective=rng.choice(words.adjectives),
            time=rng.choice(words.times),
            goods=rng.choice(words.goods),
        )
        + "\n"
        for _ in range(count)
    ]
