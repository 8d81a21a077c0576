"""The protocol of a recogniser: partial text while somebody speaks, final text when the turn is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from stackbench.voice.audio import Samples

__all__ = ["Recognizer", "Transcript"]


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was understood."""

    text: str
    """Empty where there is no speech in it."""
    confidence: float = 0.0
    """The mean probability of its tokens, 0 to 1."""
    no_speech: float = 0.0
    """The probability that nobody speaks, as the recogniser has it."""
    why_empty: str = ""


class Recognizer(Protocol):
    """Takes 16 kHz samples. Called from one thread at a time."""

    @property
    def name(self) -> str: ...

    def start(self) -> None:
        """Loads the model and runs it once, so that the first turn is as fast as the others.

        Raises:
            UsageError, ModelError: it cannot be had.
        """
        ...

    def expect(self, words: Sequence[str]) -> None:
        """Names in play, which are then written as they are spelled here."""
        ...

    def partial(self, samples: Samples) -> Transcript:
        """The text so far; may be rough."""
        ...

    def final(self, samples: Samples) -> Transcript:
        """The text of a whole turn."""
        ...

    def close(self) -> None:
        """Lets go of the model."""
        ...
