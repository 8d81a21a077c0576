"""The part of an answer that its decision is read from."""

from __future__ import annotations

import re

__all__ = ["LONGEST_READ", "end_of_answer"]

LONGEST_READ = 20_000
"""Characters at the end of an answer that letters and numbers are read from."""
LONG_BLANK = re.compile(r"\s{30,}")


def end_of_answer(text: str) -> str:
    """The last `LONGEST_READ` characters of an answer; of a longer one, long white space is taken away first."""
    if len(text) <= LONGEST_READ:
        return text
    return LONG_BLANK.sub("\n\n", text)[-LONGEST_READ:]
