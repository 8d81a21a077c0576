"""Recognised text made comparable: small letters, digits for spelled numbers, no punctuation, no empty words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from stackbench.errors import UsageError, one_line
from stackbench.extras import install_command

__all__ = ["normal", "said_once", "without_phrases"]

KEPT = re.compile(r"[^a-z0-9+./_' -]+")
PLACES = re.compile(r"(?<=\d)[.,](?=\d)")


def normal(text: str) -> str:
    """The text in small letters with numbers as digits: `Start human eval, with ten tasks!` gives
    `start human eval with 10 tasks`."""
    try:
        import text_to_num
    except ImportError as error:
        raise UsageError(f"commands need text2num ({one_line(error)}); {install_command('voice')}") from error
    small = PLACES.sub("\x00", text.lower().replace("\u2019", "'").replace("-", " "))
    small = re.sub(r"[.,;:!?]+(?=\s|$)", " ", small).replace("\x00", ".")
    spelled = _digits(text_to_num, KEPT.sub(" ", small))
    return " ".join(spelled.split())


def _digits(library: Any, text: str) -> str:
    return str(library.alpha2digit(text, "en", 0))


def without_phrases(text: str, phrases: Sequence[str]) -> str:
    """The text without these phrases, wherever they stand as whole words; longer ones go first."""
    for phrase in sorted(phrases, key=len, reverse=True):
        text = re.sub(rf"(?<![\w']){re.escape(phrase)}(?![\w'])", " ", text)
    return " ".join(text.split())


def said_once(words: str) -> str:
    """A text of nothing but one phrase, again and again, as that phrase; another text as it is.

    >>> said_once("stop the run stop the run")
    'stop the run'
    """
    parts = words.split()
    for length in range(1, len(parts) // 2 + 1):
        if len(parts) % length == 0 and parts == parts[:length] * (len(parts) // length):
            return " ".join(parts[:length])
    return words
