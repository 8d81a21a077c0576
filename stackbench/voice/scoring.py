"""How well speech was recognised: error rates on normalised text, and whether names, paths and numbers are as meant."""

# jiwer and whisper-normalizer have partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from stackbench.errors import UsageError, one_line
from stackbench.extras import install_command
from stackbench.voice.spoken_symbols import written

__all__ = [
    "EntityScore",
    "ErrorCounts",
    "as_written",
    "character_errors",
    "entities_found",
    "normalised",
    "word_errors",
]

SPOKEN_NAMES = {"human eval": "HumanEval", "m b p p": "MBPP", "g s m eight k": "GSM8K"}


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Edits and the length of the reference: rates are summed as counts, over clips too."""

    errors: int
    length: int

    @property
    def rate(self) -> float:
        return self.errors / self.length if self.length else float(self.errors > 0)


@dataclass(frozen=True, slots=True)
class EntityScore:
    """Of the names, paths, flags and numbers that were meant, those that are in the text as they are spelled."""

    found: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def whole(self) -> bool:
        return not self.missing


def normalised(text: str) -> str:
    """The text as Whisper's authors compare it (Radford et al. 2022, appendix C)."""
    return str(_normalizer()(text))


def as_written(said: str) -> str:
    """What a perfect recogniser would write of a text as it is spoken: symbols and names in place of words."""
    for spoken, name in SPOKEN_NAMES.items():
        said = re.sub(rf"\b{re.escape(spoken)}\b", name, said, flags=re.IGNORECASE)
    return written(said)


def word_errors(meant: str, heard: str) -> ErrorCounts:
    """Word errors on normalised text: substitutions, deletions and insertions."""
    return _errors(normalised(meant), normalised(heard), characters=False)


def character_errors(meant: str, heard: str) -> ErrorCounts:
    """Character errors on normalised text."""
    return _errors(normalised(meant), normalised(heard), characters=True)


def entities_found(entities: Sequence[str], text: str) -> EntityScore:
    """Which entities stand in the text exactly as they are spelled; capital letters count in none of them."""
    found = tuple(one for one in entities if _stands_in(one, text))
    return EntityScore(found, tuple(one for one in entities if one not in found))


def _stands_in(entity: str, text: str) -> bool:
    return re.search(rf"(?<![\w/.-]){re.escape(entity)}(?![\w/-]|\.\w)", text, re.IGNORECASE) is not None


def _errors(meant: str, heard: str, *, characters: bool) -> ErrorCounts:
    length = len(meant) if characters else len(meant.split())
    if not meant:
        return ErrorCounts(len(heard) if characters else len(heard.split()), 0)
    try:
        import jiwer
    except ImportError as error:
        raise UsageError(f"error rates need jiwer ({one_line(error)}); {install_command('voice')}") from error
    done: Any = (jiwer.process_characters if characters else jiwer.process_words)(meant, heard)
    return ErrorCounts(int(done.substitutions + done.deletions + done.insertions), length)


@lru_cache(maxsize=1)
def _normalizer() -> Any:
    try:
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        raise UsageError(
            f"error rates need whisper-normalizer ({one_line(error)}); {install_command('voice')}"
        ) from error
    return EnglishTextNormalizer()
