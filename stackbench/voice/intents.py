"""What an operator may mean, and the phrases for it: read from phrases.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["SECOND_WORD", "Action", "Intent", "IntentPhrases", "Phrasebook", "load_phrasebook"]

Action = Literal["verb", "start", "place", "confirm", "deny", "prompt"]
"""`prompt`: it is no command; the agent is asked."""

SECOND_WORD = frozenset({"stop", "drain", "cancel", "abort", "approve", "delete"})
"""Verbs that stop, delete or approve: they are carried out after a second word alone. So is `policy never`, which
approves all calls to come."""


class Intent(BaseModel):
    """What somebody means."""

    model_config = ConfigDict(frozen=True)

    action: Action
    name: str = ""
    arguments: Mapping[str, Any] = Field(default_factory=dict)
    confidence: float = 0.0
    """How close what was said is to a phrase, 0 to 1."""
    text: str = ""
    """What was said."""

    @property
    def needs_second_word(self) -> bool:
        approves_all = self.name == "policy" and self.arguments.get("policy") == "never"
        return self.action == "verb" and (self.name in SECOND_WORD or approves_all)

    def describe(self) -> str:
        """In one line, as `ctl` would write it."""
        if self.action == "prompt":
            return f"to the agent: {self.text}"
        if self.action == "start":
            limit = self.arguments.get("limit")
            named = [str(value) for name, value in self.arguments.items() if name != "limit"]
            return " ".join(["start", *named, *([] if limit is None else [f"{limit} tasks"])])
        values = (f"--{name}" if value is True else str(value) for name, value in self.arguments.items())
        words = " ".join([self.name, *values])
        return f"go to {words}" if self.action == "place" else words


class IntentPhrases(BaseModel):
    """An intent and how it is said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Action
    name: str
    phrases: tuple[str, ...]
    slots: dict[str, str] = Field(default_factory=dict)
    """The argument that each placeholder gives."""
    arguments: dict[str, Any] = Field(default_factory=dict)


class SpokenSetting(BaseModel):
    """A setting of a live run and how it is said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    spoken: tuple[str, ...]


class Words(BaseModel):
    """Words that carry no command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    empty: tuple[str, ...]
    corrections: tuple[str, ...]
    """After one of these comes what is meant instead."""


class Phrasebook(BaseModel):
    """The whole of phrases.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    intents: tuple[IntentPhrases, ...]
    settings: tuple[SpokenSetting, ...]
    words: Words
    benchmarks: dict[str, tuple[str, ...]]
    """Other ways in which a benchmark's name is said or misheard."""


@lru_cache(maxsize=1)
def load_phrasebook() -> Phrasebook:
    """The phrases shipped in the package."""
    text = resources.files("stackbench.voice").joinpath("phrases.toml").read_text(encoding="utf-8")
    return Phrasebook.model_validate(tomllib.loads(text))
