"""What a kind of question has to offer: how its text is made, and how much room its answers take."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stackbench.benchmarks.longcontext.haystack import Haystack, Spacers
from stackbench.benchmarks.longcontext.token_table import TokenTable

__all__ = ["Order", "Variant"]


@dataclass(frozen=True, slots=True)
class Order:
    """One haystack to make."""

    tokens: TokenTable
    spacers: Spacers
    """Of the variant's own lines."""
    budget: int
    """Tokens of the haystack."""
    seed: str
    """Of the whole benchmark: texts that all haystacks share are drawn by it."""
    rng: random.Random
    """Of this haystack."""
    depths: Sequence[float]
    """One question for each, with its evidence there."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One kind of question."""

    family: str
    name: str
    intro: str
    """Stands before the haystack."""
    build: Callable[[Order], Haystack]
    """Raises ValueError where the budget is too small."""
    spacer_lines: Callable[[random.Random], list[str]]
    answer_tokens: int = 64
    has_depth: bool = True
    """Whether the evidence of a question stands at one depth."""
    runs_code: bool = False
    """Whether answers are executed."""
    shared: int = 5
    """Questions at most that are asked of one haystack."""
