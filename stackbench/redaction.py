"""Secrets in texts from outside: found in the forms in which servers repeat them, and replaced before anything is cut,
stored or shown."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from stackbench.nesting import is_array, is_object

__all__ = ["REPLACEMENT", "Redaction"]

REPLACEMENT = "[key]"
SHORTEST = 4
"""Of a secret that is replaced in what a server says of itself (errors, its list of models)."""
SHORTEST_IN_ANSWERS = 6
LONG = 16
PLAIN = re.compile(r"[A-Za-z0-9_-]+")
PARTS = re.compile(r"[\s;,=]+")

T = TypeVar("T")


class Redaction:
    """Replaces secrets.

    Answers of a model are searched for those alone that can be nothing else, long or of letters with digits: `EMPTY`,
    a usual key of servers that want none, is a word that a right answer may hold.
    """

    def __init__(self, secrets: Iterable[str], headers: Iterable[str] = ()) -> None:
        """`headers` are values of headers: secrets may be words of them."""
        values = {value.strip() for value in headers}
        parts = {part for value in values for part in PARTS.split(value) if _is_unmistakable(part)}
        whole = {secret.strip() for secret in secrets}
        kept = [secret for secret in whole | values | parts if len(secret) >= SHORTEST]
        self._everywhere = _forms(kept)
        self._in_answers = _forms(part for part in kept if _is_unmistakable(part))
        self._starts = tuple({form[:length] for form in self._in_answers for length in range(1, len(form))})
        self._marks = tuple({_mark(form) for form in self._in_answers})
        self._longest = max(map(len, self._in_answers), default=0)

    def __bool__(self) -> bool:
        return bool(self._everywhere)

    def message(self, text: str) -> str:
        """What a server says of itself, without any secret."""
        return _without(text, self._everywhere)

    def answer(self, text: str) -> str:
        """What a model says, without what can only be a secret."""
        return _without(text, self._in_answers) if self._in_answers else text

    def may_hold(self, text: str) -> bool:
        """Whether JSON could hold an unmistakable secret; escapes may hide one."""
        if not self._in_answers:
            return False
        return "\\u" in text or any(mark in text for mark in self._marks)

    def answers(self, value: T) -> T:
        """A JSON value with each of its texts as `answer` has them."""
        return _walk(value, self._in_answers)

    def messages(self, value: T) -> T:
        """A JSON value with each of its texts as `message` has them."""
        return _walk(value, self._everywhere)

    def held_back(self, text: str) -> int:
        """How many characters at the end of a text that goes on may be the beginning of a secret."""
        if not self._in_answers:
            return 0
        tail = text[-self._longest :]
        return next((len(tail) - at for at in range(len(tail)) if tail[at:] in self._starts), 0)


def _is_unmistakable(secret: str) -> bool:
    if len(secret) >= LONG:
        return True
    mixed = any(c.isdigit() for c in secret) and any(c.isalpha() for c in secret)
    return mixed and len(secret) >= SHORTEST_IN_ANSWERS


def _mark(form: str) -> str:
    """A piece of a form that no escape of JSON takes apart."""
    return max(PLAIN.findall(form), key=len, default="")


def _forms(secrets: Iterable[str]) -> tuple[str, ...]:
    """Secrets as they are and as encodings write them, the longest first."""
    found: set[str] = set()
    for secret in secrets:
        data = secret.encode("utf-8", "surrogatepass")
        in_ascii, in_json = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
        in_escapes = "".join(f"\\u{ord(letter):04x}" for letter in secret if ord(letter) < 1 << 16)
        found |= {secret, in_escapes, in_ascii, in_json, in_json.replace("/", "\\/"), json.dumps(in_json)[1:-1]}
        found |= {secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}
        if len(data) >= SHORTEST_IN_ANSWERS:
            percent = quote(data, safe="")
            found |= {percent, percent.lower(), quote_plus(data), quote(data), secret.upper(), secret.lower()}
            found |= {data.hex(), data.hex().upper(), secret[::-1]}
            found |= _in_base64(data)
    return tuple(sorted((form for form in found if len(form) >= SHORTEST), key=len, reverse=True))


def _in_base64(data: bytes) -> set[str]:
    """The letters that stand for these bytes and no others, wherever in a longer text they are encoded."""
    found: set[str] = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).rstrip(b"=").decode()
        whole = encoded[-(-before * 8 // 6) :]
        if (before + len(data)) % 3:
            whole = whole[:-1]  # its last letter holds bits of what follows
        if len(whole) >= 8:
            found |= {whole, whole.replace("+", "-").replace("/", "_")}
    return found


def _without(text: str, forms: tuple[str, ...]) -> str:
    for form in forms:
        if form in text:
            text = text.replace(form, REPLACEMENT)
    return text


def _walk(value: Any, forms: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        return _without(value, forms)
    if is_array(value):
        return [_walk(one, forms) for one in value]
    if is_object(value):
        return {_without(str(name), forms): _walk(one, forms) for name, one in value.items()}
    return value
