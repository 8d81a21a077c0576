"""Symbols that people say in words: `count underscore words dot P Y` is written `count_words.py`."""

from __future__ import annotations

import re

__all__ = ["written"]

JOINED = {
    "underscore": "_",
    "underscores": "_",
    "dot": ".",
    "slash": "/",
    "hyphen": "-",
}
"""Said between two parts of one name."""
ENDINGS = {
    **{ending: ending for ending in ("txt", "md", "py", "csv", "json", "log", "toml", "yaml", "sh", "html")},
    **{" ".join(ending): ending for ending in ("txt", "md", "py", "csv", "toml", "yaml", "sh", "html")},
    "text": "txt",
    "pie": "py",
    "jason": "json",
}
"""Endings of file names, as they are said and heard."""
_SYMBOL = "|".join(JOINED)
_ENDING = "|".join(sorted((re.escape(one) for one in ENDINGS), key=len, reverse=True))
_LETTERS = re.compile(r"\b(?:[A-Za-z][.-]){1,4}[A-Za-z]\b\.?(?!\w)")
_DOT_ENDING = re.compile(rf"(?<=\w)\s*(?:\bdot\s+|\.\s*)(?P<ending>{_ENDING})(?![\w-])", re.IGNORECASE)
_BETWEEN = re.compile(rf"(?<=\w),?\s+(?P<symbol>{_SYMBOL})\s+(?=\w)", re.IGNORECASE)
_FLAG = re.compile(r"\b(?:dash dash|double dash|minus minus)\s+(?P<name>\w+)", re.IGNORECASE)
_PATH = re.compile(r"(?<!\w)slash\s+(?=\w+,?\s+slash\b)", re.IGNORECASE)
"""The first slash of several: in `look into slash tmp slash log` it joins nothing before it."""
_LEADING_SLASH = re.compile(r"(?<!\w)slash\s+(?=\w)", re.IGNORECASE)


def written(text: str) -> str:
    """The text with symbols in place of the words for them, between the parts of a name; other words stay."""
    found = _LETTERS.sub(lambda match: re.sub(r"[.-]", " ", match[0]).strip(), text)
    found = _DOT_ENDING.sub(lambda match: "." + ENDINGS[" ".join(match["ending"].lower().split())], found)
    found = _FLAG.sub(lambda match: f"--{match['name']}", found)
    return _LEADING_SLASH.sub("/", _BETWEEN.sub(_joined, _PATH.sub("/", found)))


def _joined(match: re.Match[str]) -> str:
    return JOINED[match["symbol"].lower()]
