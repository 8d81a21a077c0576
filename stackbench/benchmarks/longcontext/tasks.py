"""The tasks of the benchmark: kinds of questions by length and depth, those of one haystack next to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stackbench.benchmarks.longcontext.codebase import CODEBASE
from stackbench.benchmarks.longcontext.documents import DOCUMENTS
from stackbench.benchmarks.longcontext.latent import LATENT
from stackbench.benchmarks.longcontext.ledger import LEDGER
from stackbench.benchmarks.longcontext.lengths import length_name
from stackbench.benchmarks.longcontext.needles import NEEDLES
from stackbench.benchmarks.longcontext.options import LongContextOptions
from stackbench.benchmarks.longcontext.tracking import TRACKING
from stackbench.benchmarks.longcontext.variants import Variant
from stackbench.types import Task

__all__ = ["VARIANTS", "LongTask", "cut_to_window", "list_tasks", "variants_of"]

VARIANTS: dict[str, Variant] = {
    f"{one.family}/{one.name}": one for one in (*NEEDLES, *LATENT, *TRACKING, *LEDGER, *DOCUMENTS, *CODEBASE)
}
SHARED_FROM = 4096
"""Tokens from which on several questions are asked of one haystack."""

LEAST_GAIN = 0.9
"""A length that is cut is asked for only where the next shorter one is less than this share of it."""


@dataclass(frozen=True, slots=True)
class LongTask(Task):
    """One question; `category` is its family."""

    variant: str = ""
    """By its name in `VARIANTS`."""
    length: int = 0
    """Tokens that were wished for: the column that it counts in."""
    asked: int = 0
    """Tokens that its prompt is to have: less where the window is smaller."""
    depth: float | None = None
    """Percent, where the evidence stands at one depth."""
    haystack: int = 0
    """Which haystack of its kind and length."""
    number: int = 0
    """Which question of that."""
    depths: tuple[float, ...] = ()
    """Of all questions of the haystack."""

    @property
    def strata(self) -> tuple[str, ...]:
        return (self.category, self.variant, length_name(self.length))


def variants_of(options: LongContextOptions) -> list[Variant]:
    """Those that the options ask for. Raises ValueError for a name that there is not."""
    chosen = [one for one in VARIANTS.values() if one.family in options.families]
    if not options.variants:
        return chosen
    known = {one.name for one in chosen}
    unknown = [name for name in options.variants if name not in known]
    if unknown:
        raise ValueError(f'"{unknown[0]}" is no kind of question of {", ".join(options.families)}; known: '
                         f"{', '.join(sorted(known))}")  # fmt: skip
    return [one for one in chosen if one.name in options.variants]


def list_tasks(options: LongContextOptions) -> list[LongTask]:
    """Every task, the shortest first; the deepest needle of a haystack first, which leaves most to a prefix cache."""
    found: list[LongTask] = []
    for length in options.tokens:
        for variant in variants_of(options):
            slots = [depth for _ in range(options.repeats) for depth in reversed(options.depths)]
            together = variant.shared if length >= SHARED_FROM else 1
            for haystack, start in enumerate(range(0, len(slots), together)):
                depths = tuple(slots[start : start + together])
                for number, depth in enumerate(depths):
                    where = f"d{depth:g}" if variant.has_depth else f"q{(start + number) % len(options.depths)}"
                    repeat = (start + number) // len(options.depths)
                    found.append(
                        LongTask(
                            f"{variant.family}/{variant.name}/{length_name(length)}/{where}/{repeat}",
                            variant.family,
                            variant=f"{variant.family}/{variant.name}",
                            length=length,
                            asked=length,
                            depth=depth if variant.has_depth else None,
                            haystack=haystack,
                            number=number,
                            depths=depths,
                        )
                    )
    return found


def cut_to_window(tasks: Sequence[LongTask], window: int, answer_tokens: int) -> tuple[list[LongTask], str]:
    """The tasks whose prompts fit with their answers, the first length that does not cut to what does; and a note.

    Raises ValueError where not even the shortest fits.
    """
    lengths = sorted({task.length for task in tasks})
    longest = window - answer_tokens
    if longest < lengths[0]:
        raise ValueError(
            f"the shortest length, {length_name(lengths[0])}, and {answer_tokens} tokens of answer do not fit the "
            f"model's window of {window:,} tokens"
        )
    fitting = [length for length in lengths if length <= longest]
    over = [length for length in lengths if length > longest]
    if not over:
        return list(tasks), ""
    asked = {length: length for length in fitting}
    if fitting[-1] < longest * LEAST_GAIN:
        asked[over[0]] = longest
        said, left = [f"{length_name(over[0])} is cut to {longest:,} tokens"], over[1:]
    else:
        said, left = [], over
    if left:
        said.append(f"{', '.join(map(length_name, left))} left out")
    kept = [replace(task, asked=asked[task.length]) for task in tasks if task.length in asked]
    note = f"{'; '.join(said)}: the model's window holds {window:,} tokens, {answer_tokens} of them for the answer"
    return kept, note
