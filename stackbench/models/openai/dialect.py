"""The parameters that one interface of an endpoint accepts, learnt from its refusals."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stackbench.models.openai.faults import ErrorDetail, RefusedError

__all__ = ["NEWER_LIMIT", "OLDER_LIMIT", "TOP_LOGPROBS", "Change", "Dialect"]

OLDER_LIMIT, NEWER_LIMIT = "max_tokens", "max_completion_tokens"
TOP_LOGPROBS = 20
FEWER = {"stop": (4, 1, 0), "logprobs": (10, 5, 2, 1, 0)}
"""What is tried where a server takes fewer than asked and does not say how many."""
NEGOTIABLE = {400, 413, 422}
BY_VALUE = ("temperature", "top_p")
"""Refused values of these say nothing of others."""
NAMES = {
    "temperature": r"temperature",
    "top_p": r"top[_ -]?p|nucleus",
    "top_k": r"top[_ -]?k",
    "min_p": r"min[_ -]?p",
    "seed": r"seed",
    "stop": r"stop(?:[_ -]?(?:sequence|string|word|text|token)s?|s)?",
    "stream_options": r"stream_options|include_usage",
    "logprobs": r"(?:top_)?logprobs?|log[- ]?prob\w*",
    "n": r"['\"`]n['\"`]|n (?:must|should|can|is|>|=)",
    "presence_penalty": r"presence[_ ]penalty",
    "frequency_penalty": r"frequency[_ ]penalty",
    "repetition_penalty": r"repetition[_ ]penalty",
    "limit": r"max_(?:completion_)?tokens",
}
PATTERNS = {name: re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE) for name, pattern in NAMES.items()}
WORDS = {"no": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "eight": 8, "ten": 10, "sixteen": 16}
NUMBER = re.compile(rf"\b(\d{{1,3}}|{'|'.join(WORDS)})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Change:
    """A way in which requests differ from what was asked, because the server refuses it."""

    name: str
    value: Any
    """As it was asked."""
    before: Any
    """What the dialect held before, so that a change can be taken back."""


@dataclass(slots=True)
class Dialect:
    """What requests to one interface (chats or completions) leave out, call otherwise or have fewer of."""

    limit: str = OLDER_LIMIT
    """What the limit of an answer is called."""
    stops: int | None = None
    """Stop strings at most; None for any number."""
    logprobs: int = TOP_LOGPROBS
    """Log-probabilities of a token at most; 0 for none."""
    most_tokens: int | None = None
    """Of an answer, where the server limits them below its window."""
    refused: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    """Parameters that are left out, with the values that were refused."""
    accepted: set[frozenset[str]] = field(default_factory=set[frozenset[str]])
    """Names of parameters that were taken together."""
    tried: set[frozenset[str]] = field(default_factory=set[frozenset[str]])
    """Those that were refused together, and leaving parameters out did not help."""
    trial: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while parameters are left out one after the other, so that this is done once."""

    def leaves_out(self, name: str, value: Any) -> bool:
        """Whether a parameter of this value is to be left out; two refused values stand for all."""
        values = self.refused.get(name)
        if values is None:
            return False
        return name not in BY_VALUE or len(values) > 1 or value in values

    def describe(self) -> dict[str, Any]:
        """What is not as by default; JSON values."""
        found: dict[str, Any] = {}
        if self.refused:
            found["left_out"] = {
                name: list(values) if name in BY_VALUE else True for name, values in sorted(self.refused.items())
            }
        for name, value, usual in (
            ("limit", self.limit, OLDER_LIMIT),
            ("stop_strings", self.stops, None),
            ("logprobs", self.logprobs, TOP_LOGPROBS),
            ("most_tokens", self.most_tokens, None),
        ):
            if value != usual:
                found[name] = value
        return found

    def accept(self, body: Mapping[str, Any]) -> None:
        """Remembers which parameters were taken together."""
        if not self._is_known(body):
            self.accepted.add(frozenset(body))

    def may_be_of_form(self, error: RefusedError, body: Mapping[str, Any]) -> bool:
        """Whether a refusal that names nothing may be of a parameter: such a body was never taken before."""
        return error.status in NEGOTIABLE and not self._is_known(body) and frozenset(body) not in self.tried

    def blame(self, error: RefusedError, body: Mapping[str, Any], innocent: set[str]) -> Change | None:
        """Changes the dialect by what a refusal names; None where it names nothing that can be done without."""
        if error.status not in NEGOTIABLE:
            return None
        for name in _named(error.detail):
            key = self.limit if name == "limit" else name
            if key in body and name not in innocent:
                change = self.do_without(name, body, error.detail)
                if change is not None:
                    return change
        return None

    def names_another(self, error: RefusedError, body: Mapping[str, Any]) -> bool:
        """Whether a refusal names a parameter of the body other than the limit of the answer."""
        return any(name in body for name in _named(error.detail) if name != "limit")

    def do_without(self, name: str, body: Mapping[str, Any], detail: ErrorDetail | None = None) -> Change | None:
        """Leaves a parameter out from now on, has fewer of it, or calls it otherwise; None where that cannot be."""
        if name == "limit":
            if self.limit != OLDER_LIMIT:
                return None
            self.limit = NEWER_LIMIT
            return Change(name, OLDER_LIMIT, OLDER_LIMIT)
        value = body[name]
        if name == "stop":
            before, self.stops = self.stops, _fewer("stop", len(value), detail)
            return Change(name, len(value), before)
        if name == "logprobs":
            asked = body.get("top_logprobs", TOP_LOGPROBS) if value is True else int(value)
            before, self.logprobs = self.logprobs, _fewer("logprobs", asked, detail)
            return Change(name, asked, before)
        before = list(self.refused.get(name, ()))
        if value not in before:  # requests under way together learn the same
            self.refused[name] = [*before, value]
        return Change(name, value, before)

    def take_back(self, change: Change) -> None:
        """Undoes a change that did not help."""
        if change.name == "limit":
            self.limit = change.before
        elif change.name == "stop":
            self.stops = change.before
        elif change.name == "logprobs":
            self.logprobs = change.before
        elif change.before:
            self.refused[change.name] = change.before
        else:
            self.refused.pop(change.name, None)

    def removable(self, body: Mapping[str, Any]) -> list[str]:
        """Those parameters of a body that a request can do without."""
        return [name for name in PATTERNS if name != "limit" and name in body] + (
            ["limit"] if self.limit == OLDER_LIMIT and OLDER_LIMIT in body else []
        )

    def phrase(self, change: Change) -> str:
        """What a change comes to, for the operator."""
        if change.name == "limit":
            return f"calls the limit of an answer {self.limit}"
        if change.name == "stop":
            return f"takes {self.stops} stop strings at most: answers are cut at the others here"
        if change.name == "logprobs":
            return f"gives {self.logprobs} log-probabilities at most"
        if change.name == "n":
            return "gives one answer per request: several are asked for one by one"
        if change.name == "stream_options":
            return "refuses stream_options: the tokens of streamed answers are counted by their pieces"
        return f"refuses {change.name} {change.value}: it is left out, and the server's own value holds"

    def _is_known(self, body: Mapping[str, Any]) -> bool:
        names = body.keys()
        return any(names <= seen for seen in self.accepted)


def _named(detail: ErrorDetail) -> list[str]:
    """Parameters that a refusal names: the one it names apart, then quoted ones, then others, as they come."""
    parameter = detail.parameter.rpartition(".")[2]
    found: list[tuple[int, int, str]] = []
    for name, pattern in PATTERNS.items():
        if parameter and (pattern.fullmatch(parameter) or parameter == name):
            found.append((0, 0, name))
        match = pattern.search(detail.text)
        if match:
            quoted = detail.text[max(0, match.start() - 1) : match.start()] in ("'", '"', "`")
            found.append((1 if quoted else 2, match.start(), name))
    return list(dict.fromkeys(name for _, _, name in sorted(found)))


def _fewer(name: str, asked: int, detail: ErrorDetail | None) -> int:
    """How many to ask for instead: the largest number below `asked` that the refusal names, else the next try."""
    numbers = [_value(match) for match in NUMBER.findall(detail.text)] if detail is not None else []
    below = [number for number in numbers if 0 < number < asked]
    if below:
        return max(below)
    return next((fewer for fewer in FEWER[name] if fewer < asked), 0)


def _value(word: str) -> int:
    return int(word) if word.isdigit() else WORDS[word.lower()]
