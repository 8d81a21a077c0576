"""What a user may set of `longcontext`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from stackbench.benchmarks.base import Options
from stackbench.benchmarks.longcontext.lengths import parse_length

__all__ = ["FAMILIES", "LongContextOptions"]

FAMILIES = ("needle", "latent", "aggregate", "multidoc", "codebase")


class LongContextOptions(Options):
    """Options of `longcontext`; lists are given as `-T lengths=4K,32K`."""

    lengths: tuple[str, ...] = ("1K", "4K", "8K", "16K", "32K", "64K", "128K")
    """Tokens of a prompt, its chat template counted; those that the model's window does not hold are cut to it."""
    depths: tuple[float, ...] = (0, 25, 50, 75, 100)
    """Where the evidence stands, in percent of the text."""
    families: tuple[str, ...] = FAMILIES
    """Families of questions: needle, latent, aggregate, multidoc, codebase."""
    variants: tuple[str, ...] = ()
    """Only these kinds of questions, such as multikey or twohop."""
    repeats: int = Field(default=1, ge=1, le=1000)
    """Questions of each kind, length and depth."""
    seed: int = 19
    """Of the texts."""
    style: Literal["auto", "chat", "completion"] = "auto"
    """A chat turn, or a bare prompt that ends where the answer begins; auto: chat where the model has a template."""
    closed_book: bool = False
    """Ask the questions without the text: what is answered now is not read."""
    window: int | None = Field(default=None, ge=512)
    """Of an endpoint that does not tell it: tokens of prompt and answer together."""
    tokenizer: str = ""
    """File (tokenizer.json), folder or name of a model whose tokenizer counts, for endpoints."""

    @field_validator("lengths", mode="before")
    @classmethod
    def _known_lengths(cls, value: object) -> object:
        if not isinstance(value, tuple | list):
            return value
        texts = [str(one) for one in value]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if not texts:
            raise ValueError("takes at least one length, such as 4K")
        for text in texts:
            parse_length(text)
        return tuple(texts)

    @field_validator("depths")
    @classmethod
    def _known_depths(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or any(not 0 <= depth <= 100 for depth in value):
            raise ValueError("takes percentages from 0 to 100")
        return tuple(sorted(set(value)))

    @field_validator("families")
    @classmethod
    def _known_families(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for family in value:
            if family not in FAMILIES:
                raise ValueError(f'"{family}" is no family; known: {", ".join(FAMILIES)}')
        if not value:
            raise ValueError(f"takes at least one family of {', '.join(FAMILIES)}")
        return value

    @property
    def tokens(self) -> tuple[int, ...]:
        """The lengths in tokens, the shortest first."""
        return tuple(sorted({parse_length(text) for text in self.lengths}))
