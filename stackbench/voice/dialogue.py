"""The second word: what stops, deletes or approves waits for a confirmation before it is carried out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from stackbench.voice.intents import Intent

__all__ = ["CONFIRM_WITHIN_S", "Dialogue", "Step"]

CONFIRM_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done now: carry an intent out, or nothing, and what the operator is told."""

    intent: Intent | None
    line: str = ""


class Dialogue:
    """Takes one intent after another. A question that is not answered in time is forgotten, and nothing is done."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._asked: Intent | None = None
        self._until = 0.0

    def take(self, intent: Intent, ago_s: float = 0.0) -> Step:
        """What follows from an intent that the operator began to say so many seconds ago: a busy machine may take long
        to understand a second word that came in time."""
        asked = self._asked if self._now() - ago_s <= self._until else None
        self._asked = None
        if intent.action == "confirm":
            return Step(asked) if asked is not None else Step(None, "nothing waits for a second word")
        if intent.action == "deny":
            return Step(None, "nothing was to be done" if asked is None else f"not done: {asked.describe()}")
        if intent.needs_second_word:
            self._asked, self._until = intent, self._now() + CONFIRM_WITHIN_S
            return Step(None, f'{intent.describe()}? say "confirm" within {CONFIRM_WITHIN_S:.0f} s, or "never mind"')
        return Step(intent)
