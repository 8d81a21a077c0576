"""Recognises refusals because of the context window, and computes a token limit that fits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from stackbench.models.openai.faults import RefusedError

__all__ = ["Room", "is_too_long", "room_named", "tokens_at_most"]

TOO_LONG = re.compile(
    r"context[_ -]?(?:length|window|size|limit)|\bwindow\b|max_model_len|maximum (?:model |sequence |context )?length"
    r"|too (?:long|large|many tokens)|maximum (?:allowed )?number of|at most \d+ (?:completion|output) tokens"
    r"|max_new_tokens`? must be|exceeds? .{0,40}(?:tokens|length|context)|tokens? .{0,40}exceed|reduce the length",
    re.IGNORECASE,
)
NUMBER = re.compile(r"(?<![\w.])\d{1,3}(?:[,_]\d{3})+(?![\w])|(?<![\w.])\d{1,9}(?![\w])")
PROMPT = re.compile(
    r"(?P<a>\d[\d,_]*) (?:of (?:them|which|those|these) )?(?:tokens? )?(?:(?:are|is|were|come) )?"
    r"(?:from |in |for |of |used by )?(?:the |your )?[`'\"]?(?:prompt|inputs?|messages)\b"
    r"|(?:prompt|inputs?|messages)\b[^\d.]{0,40}?(?P<b>\d[\d,_]*)",
    re.IGNORECASE,
)
OUTPUT = re.compile(
    r"(?:completion|output|generated|new) tokens|max_(?:completion_|new_|output_)?tokens", re.IGNORECASE
)
STATUS = {400, 413, 422}
CHARACTERS_PER_TOKEN = 2.5


@dataclass(frozen=True, slots=True)
class Room:
    """What a refusal says of lengths, in tokens; None for what it does not say."""

    window: int | None
    """Of prompt and answer together."""
    prompt: int | None
    most: int | None
    """Of an answer, whatever the prompt."""

    @property
    def limit(self) -> int | None:
        """Tokens that an answer may have."""
        if self.window is not None and self.prompt is not None:
            return self.window - self.prompt
        return self.most


def is_too_long(error: RefusedError) -> bool:
    """Whether a refusal is of the length of prompt and answer."""
    return error.status in STATUS and bool(TOO_LONG.search(error.detail.text))


def room_named(error: RefusedError, asked: int) -> Room:
    """Reads a refusal of a request for an answer of `asked` tokens.

    The prompt is the number that stands beside that word, the window the largest number that is smaller than prompt
    and answer together, and not `asked` itself.
    """
    text = error.detail.text
    numbers = [_value(found) for found in NUMBER.findall(text)]
    beside = [(match["a"], match["b"]) for match in PROMPT.finditer(text)]
    prompts = [_value(before) for before, _ in beside if before] + [_value(after) for _, after in beside if after]
    prompt = next((p for p in prompts if p in numbers and p not in (asked,)), None)
    if prompt is None:  # a prompt that is as long as the answer asked for
        prompt = next((p for p in prompts if numbers.count(p) > 1), None)
    if prompt is not None:
        windows = [number for number in numbers if prompt < number < prompt + asked and number != asked]
        if not windows and prompt + asked > asked:  # the window may be as large as what was asked for
            windows = [number for number in numbers if number == asked and numbers.count(asked) > 1]
        if windows:
            return Room(max(windows), prompt, None)
        longer = [number for number in numbers if number <= prompt and number != asked]
        window = max((number for number in longer if number != prompt or numbers.count(prompt) > 1), default=None)
        return Room(window, prompt, None)
    smaller = [number for number in numbers if 0 < number < asked]
    if smaller and OUTPUT.search(text):
        return Room(None, None, max(smaller))
    return Room(max((number for number in numbers if number not in (asked, 0)), default=None), None, None)


def tokens_at_most(body: dict[str, Any]) -> int:
    """An estimate of a request's prompt in tokens that is rather too high."""
    size = sum(len(str(body[name])) for name in ("prompt", "messages", "tools") if body.get(name))
    return int(size / CHARACTERS_PER_TOKEN) + 16


def _value(number: str) -> int:
    return int(number.replace(",", "").replace("_", "") or 0)
