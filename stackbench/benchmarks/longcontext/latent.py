"""Needles that share no content word with their questions (as Modarressi et al. 2025 argue, arXiv:2502.05167).

A person lives beside a landmark; asked is who has a home in the town where that stands (one hop), or in the country of
that town (two hops). No two landmarks of the list stand in one town or one country.
"""

from __future__ import annotations

from collections.abc import Callable

from stackbench.benchmarks.longcontext.haystack import Haystack, Placed, Question, fill
from stackbench.benchmarks.longcontext.prose import prose, remarks
from stackbench.benchmarks.longcontext.variants import Order, Variant
from stackbench.benchmarks.longcontext.vocabulary import Landmark, NameMaker, vocabulary

__all__ = ["LATENT"]

FAMILY = "latent"
INTRO = "Read the following text. Questions about the people in it come afterwards.\n"
FEWEST = 6
"""People beside landmarks, so that no name stands out."""
MOST = 24
TOKENS_PER_PERSON = 400
NEEDLES = (
    "{name} rents a flat just across from the {landmark}.\n",
    "From the kitchen window {name} looks out on the {landmark}.\n",
    "{name} walks the dog around the {landmark} before breakfast.\n",
    "The doorbell beside the {landmark} still bears a brass plate reading {name}.\n",
)
ASK = 'Which character has a home in {where}? Reply with the name only, on a line that begins with "Answer:".'


def _build(order: Order, where: Callable[[Landmark], str]) -> Haystack:
    rng, asked = order.rng, len(order.depths)
    count = max(FEWEST, asked + 1, min(MOST, order.budget // TOKENS_PER_PERSON))
    names = NameMaker(rng)
    landmarks = rng.sample(vocabulary().landmarks, count)
    people = [names.first_name() for _ in range(count)]
    needles = [
        rng.choice(NEEDLES).format(name=name, landmark=one.landmark)
        for name, one in zip(people, landmarks, strict=True)
    ]
    depths = [*order.depths, *(rng.random() for _ in range(count - asked))]
    placed = [Placed(needle, depth) for needle, depth in zip(needles, depths, strict=True)]
    text = fill(order.tokens, order.budget, placed, prose(order.seed, rng), order.spacers, rng)
    return Haystack(
        text,
        tuple(
            Question(
                ASK.format(where=where(landmarks[i])),
                (people[i],),
                candidates=tuple(sorted(people)),
                needle=needles[i],
                depth=order.depths[i],
            )
            for i in range(asked)
        ),
    )


LATENT = (
    Variant(FAMILY, "onehop", INTRO, lambda order: _build(order, lambda one: one.town), remarks),
    Variant(FAMILY, "twohop", INTRO, lambda order: _build(order, lambda one: one.country), remarks),
)
