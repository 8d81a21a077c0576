r"""Makes untrusted text (models, servers, files, names) safe for a terminal: control characters are escaped.

What a terminal obeys, or shows as nothing or in another order, is written as Python writes it: `\x1b`, `\u202e`. That
is control characters (C0 with the escape sequences that they begin, DEL, C1), format characters (directions, zero
widths, tags), line and paragraph separators, lone surrogates, and letters and variation selectors that are blank.
"""

from __future__ import annotations

import re

__all__ = ["in_json", "in_one_line", "visible"]

HIDDEN = (
    r"\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff"
    r"\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
IN_LINES = re.compile(rf"[\x00-\x08\x0b-\x1f{HIDDEN}]")
IN_ONE_LINE = re.compile(rf"[\x00-\x1f{HIDDEN}]")
IN_JSON = re.compile(rf"[{HIDDEN}]")
NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def visible(text: str) -> str:
    """Text of several lines: line ends and tabs stay, everything else that is hidden shows."""
    return text if _plain(text) else IN_LINES.sub(_escape, text.replace("\r\n", "\n"))


def in_one_line(text: object) -> str:
    """Text for a place of one line: line ends and tabs show too."""
    text = str(text)
    return text if _plain(text) else IN_ONE_LINE.sub(_escape, text)


def in_json(text: str) -> str:
    """JSON with its hidden characters as JSON's own escapes: the same document, since they stand in strings only."""
    return text if text.isascii() and "\x7f" not in text else IN_JSON.sub(_json_escape, text)


def _plain(text: str) -> bool:
    """Most text, without a search."""
    return text.isascii() and text.isprintable()


def _escape(match: re.Match[str]) -> str:
    point = ord(match[0])
    if match[0] in NAMED:
        return NAMED[match[0]]
    return rf"\x{point:02x}" if point < 0x100 else rf"\u{point:04x}" if point < 0x10000 else rf"\U{point:08x}"


def _json_escape(match: re.Match[str]) -> str:
    point = ord(match[0])
    if point < 0x10000:
        return rf"\u{point:04x}"
    point -= 0x10000
    return rf"\u{0xD800 + (point >> 10):04x}\u{0xDC00 + (point & 0x3FF):04x}"
