"""Words, and invented names: nothing here is of a real text, nothing can be known beforehand."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["Landmark", "NameMaker", "Vocabulary", "vocabulary"]


@dataclass(frozen=True, slots=True)
class Landmark:
    """What stands somewhere, where, and in which country: general knowledge."""

    landmark: str
    town: str
    country: str


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Lists of words by their part in a sentence."""

    adjectives: tuple[str, ...]
    colours: tuple[str, ...]
    objects: tuple[str, ...]
    scenes: tuple[str, ...]
    times: tuple[str, ...]
    verbs: tuple[str, ...]
    trades: tuple[str, ...]
    goods: tuple[str, ...]
    weekdays: tuple[str, ...]
    first_syllables: tuple[str, ...]
    middle_syllables: tuple[str, ...]
    person_ends: tuple[str, ...]
    surname_ends: tuple[str, ...]
    place_ends: tuple[str, ...]
    organisation_kinds: tuple[str, ...]
    landmarks: tuple[Landmark, ...]


@cache
def vocabulary() -> Vocabulary:
    """The words of the package's file."""
    text = resources.files("stackbench.benchmarks.longcontext").joinpath("vocabulary.toml").read_text(encoding="utf-8")
    read = tomllib.loads(text)
    landmarks = tuple(Landmark(**entry) for entry in read.pop("landmarks"))
    return Vocabulary(landmarks=landmarks, **{name: tuple(words) for name, words in read.items()})


class NameMaker:
    """Draws invented names, none of them twice."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._words = vocabulary()
        self._made: set[str] = set()

    def person(self) -> str:
        """A first name and a surname."""
        return self._fresh(lambda: f"{self._root(self._words.person_ends)} {self._root(self._words.surname_ends)}")

    def first_name(self) -> str:
        """A first name alone."""
        return self._fresh(lambda: self._root(self._words.person_ends))

    def place(self) -> str:
        """A town."""
        return self._fresh(lambda: self._root(self._words.place_ends))

    def organisation(self) -> str:
        """A guild, a press or the like, with a name of its own before that."""
        return self._fresh(lambda: f"{self.root()} {self._rng.choice(self._words.organisation_kinds)}")

    def root(self) -> str:
        """An invented word of two or three syllables."""
        words = self._words
        return self._rng.choice(words.first_syllables) + self._rng.choice(words.middle_syllables)

    def _root(self, ends: tuple[str, ...]) -> str:
        return self.root() + self._rng.choice(ends)

    def _fresh(self, make: Callable[[], str]) -> str:
        while True:
            name = make()
            if name not in self._made:
                self._made.add(name)
                return name
