"""From recognised text to what is meant: slots are found, the rest is compared with the phrases of phrases.toml."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from stackbench.errors import UsageError, one_line
from stackbench.extras import install_command
from stackbench.voice.intents import Intent, IntentPhrases, Phrasebook, load_phrasebook
from stackbench.voice.normal_text import normal, said_once, without_phrases

__all__ = ["Grammar"]

LEAST = 0.84
"""Below this likeness it is no command."""
LIKE_A_NAME = 0.86
LEAST_LETTERS = 6
"""A shorter name is taken as it is spelled only."""
LONGEST_NAME = 6
"""Words of a spoken name at most."""
NUMBER = re.compile(r"\d+(?:\.\d+)?")
SLOT_LETTERS = frozenset("NBUST")
_Tokens: TypeAlias = list[str | tuple[str, Any]]
"""Words, and in place of some of them a slot's letter with its value."""
TASK_NUMBER = re.compile(r"(?P<number>\d+)$")


@dataclass(frozen=True, slots=True)
class _Heard:
    """A text with placeholders for what fills slots, in order."""

    skeleton: str
    values: Sequence[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class _Phrase:
    skeleton: str
    slots: tuple[str, ...]
    intent: IntentPhrases
    rest: bool = False


@dataclass
class Grammar:
    """`understand` takes a turn's text. Names in play: benchmarks and suites; the task ids of the run at hand."""

    benchmarks: Sequence[str]
    suites: Sequence[str] = ("quickstart", "smoke", "core", "full")
    tasks: Sequence[str] = ()
    book: Phrasebook = field(default_factory=load_phrasebook)

    def __post_init__(self) -> None:
        empty = self.book.words.empty
        self._phrases = [
            _Phrase(
                without_phrases(words.removesuffix("...").strip(), empty),
                tuple(word for word in words.split() if word in SLOT_LETTERS),
                intent,
                words.endswith("..."),
            )
            for intent in self.book.intents
            for words in intent.phrases
        ]
        self._names = {
            "".join(spoken.split()): name
            for name in self.benchmarks
            for spoken in (name, *self.book.benchmarks.get(name, ()))
        }

    def understand(self, text: str) -> Intent:
        """What is meant; an intent `prompt` where it is no command."""
        said = normal(text)
        words = without_phrases(said, self.book.words.empty)
        if not words:
            return Intent(action="prompt", text=text)
        best = self._match(words)
        if best is None or best.confidence < 1:
            corrected = self._corrected(words)
            if corrected is not None and (best is None or corrected.confidence >= best.confidence):
                best = corrected
        if best is None or best.confidence < 1:
            once = said_once(words)  # people repeat themselves, and so does a recogniser in noise
            repeated = self._match(once) if once != words else None
            if repeated is not None and (best is None or repeated.confidence > best.confidence):
                best = repeated
        if best is None or best.confidence < LEAST:
            return self._with_rest(said, text) or Intent(action="prompt", text=text)
        return best.model_copy(update={"text": text})

    # -- the last intention

    def _corrected(self, words: str) -> Intent | None:
        """What stands behind the last correction: a command of its own, or other values for the one before it."""
        places = [
            found
            for marker in self.book.words.corrections
            for found in re.finditer(rf"(?<![\w'])(?:{re.escape(marker)})(?![\w'])", words)
        ]
        for place in sorted(places, key=lambda found: (-found.end(), found.start())):
            before, after = words[: place.start()].strip(), words[place.end() :].strip()
            if not before or not after:
                continue
            alone = self._match(after)
            if alone is not None and alone.confidence >= LEAST:
                return alone
            mended = self._mended(before, after)
            if mended is not None:
                return mended
        return None

    def _mended(self, before: str, after: str) -> Intent | None:
        first, then = self._fill(before), self._fill(after)
        kinds = [kind for kind, _ in then.values]
        if not kinds:
            return None
        values = list(first.values)
        for kind, value in then.values:
            place = next((index for index in range(len(values) - 1, -1, -1) if values[index][0] == kind), None)
            if place is None:
                return None
            values[place] = (kind, value)
        for skeleton in (first.skeleton, f"{first.skeleton} {_tail(then.skeleton)}".strip()):
            found = self._nearest(_Heard(skeleton, values))
            if found is not None and found.confidence >= LEAST:
                return found
        return None

    # -- comparing

    def _match(self, words: str) -> Intent | None:
        return self._nearest(self._fill(words))

    def _nearest(self, heard: _Heard) -> Intent | None:
        ratio = _ratio()
        kinds = tuple(kind for kind, _ in heard.values)
        best: Intent | None = None
        for phrase in self._phrases:
            if phrase.rest or phrase.slots != kinds:
                continue
            score = ratio(heard.skeleton, phrase.skeleton) / 100
            if best is None or score > best.confidence:
                arguments = {
                    **phrase.intent.arguments,
                    **{phrase.intent.slots[kind]: value for kind, value in heard.values},
                }
                best = Intent(
                    action=phrase.intent.action, name=phrase.intent.name, arguments=arguments, confidence=score
                )
        return best

    def _with_rest(self, said: str, text: str) -> Intent | None:
        """A phrase that takes whatever follows; its words are those that were said, spelling and all."""
        ratio = _ratio()
        best: tuple[float, _Phrase, int] | None = None
        tokens = said.split()
        for phrase in self._phrases:
            count = len(phrase.skeleton.split())
            for size in (count, count + 1):  # one empty word may stand between
                if not phrase.rest or size >= len(tokens):
                    continue
                head = without_phrases(" ".join(tokens[:size]), self.book.words.empty)
                score = ratio(head, phrase.skeleton) / 100
                if score >= 0.9 and (best is None or (score, count) > (best[0], len(best[1].skeleton.split()))):
                    best = (score, phrase, size)
        if best is None:
            return None
        score, phrase, size = best
        rest = " ".join(text.split()[size:]) if len(text.split()) == len(tokens) else " ".join(tokens[size:])
        arguments = {**phrase.intent.arguments, phrase.intent.slots["..."]: rest}
        return Intent(
            action=phrase.intent.action, name=phrase.intent.name, arguments=arguments, confidence=score, text=text
        )

    # -- slots

    def _fill(self, words: str) -> _Heard:
        """Names first, the longest first; then settings, suites and numbers."""
        tokens: _Tokens = list(words.split())
        tokens = self._tasks_found(tokens)
        tokens = _replace(tokens, "B", lambda text: self._names.get("".join(text.split())))
        tokens = _replace(tokens, "B", self._like_benchmark)
        spoken = {one: setting.name for setting in self.book.settings for one in setting.spoken}
        tokens = _replace(tokens, "S", spoken.get)
        tokens = _replace(tokens, "S", partial(_like_setting, spoken=spoken))
        tokens = _replace(tokens, "U", partial(_same, names=self.suites))
        tokens = _replace(tokens, "N", _number)
        skeleton = " ".join(token if isinstance(token, str) else token[0] for token in tokens)
        return _Heard(skeleton, [token for token in tokens if not isinstance(token, str)])

    def _like_benchmark(self, text: str) -> str | None:
        joined = "".join(text.split())
        if len(joined) < LEAST_LETTERS:
            return None
        ratio = _ratio()
        score, spoken = max(((ratio(joined, spoken), spoken) for spoken in self._names), default=(0.0, ""))
        return self._names[spoken] if score >= 100 * LIKE_A_NAME and _digits(joined) == _digits(spoken) else None

    def _tasks_found(self, tokens: _Tokens) -> _Tokens:
        """Ids of tasks: `human eval 12`, `human eval slash 12`, `task 12` where one task alone has that number."""
        spoken: dict[str, str] = {}
        numbers: dict[str, list[str]] = {}
        for task in self.tasks:
            spoken["".join(normal(task.replace("/", " ")).split())] = task
            found = TASK_NUMBER.search(task)
            if found is not None:
                numbers.setdefault(found["number"], []).append(task)
        for number, ids in numbers.items():
            if len(ids) == 1:
                spoken[f"task{number}"] = ids[0]

        def named(text: str) -> str | None:
            return spoken.get("".join(word for word in text.replace("/", " ").split() if word != "slash"))

        return _replace(tokens, "T", named) if spoken else tokens


def _replace(tokens: _Tokens, kind: str, named: Callable[[str], Any]) -> _Tokens:
    """The tokens with names in place of the words that say them."""
    made: _Tokens = []
    index = 0
    while index < len(tokens):
        for size in range(min(LONGEST_NAME, len(tokens) - index), 0, -1):
            part = tokens[index : index + size]
            if not all(isinstance(one, str) for one in part):
                continue
            value = named(" ".join(str(one) for one in part))
            if value is not None:
                made.append((kind, value))
                index += size
                break
        else:
            made.append(tokens[index])
            index += 1
    return made


def _like_setting(text: str, spoken: Mapping[str, str]) -> str | None:
    if len(text) < LEAST_LETTERS or _digits(text):
        return None
    ratio = _ratio()
    score, name = max((ratio(text, one), name) for one, name in spoken.items())
    return name if score >= 100 * LIKE_A_NAME else None


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit())


def _same(text: str, names: Sequence[str]) -> str | None:
    return text if text in names else None


def _number(text: str) -> int | float | None:
    if not NUMBER.fullmatch(text):
        return None
    return float(text) if "." in text else int(text)


def _tail(skeleton: str) -> str:
    """What follows the last placeholder."""
    words = skeleton.split()
    last = max((index for index, word in enumerate(words) if word in SLOT_LETTERS), default=-1)
    return " ".join(words[last + 1 :])


def _ratio() -> Any:
    try:
        from rapidfuzz.fuzz import ratio
    except ImportError as error:
        raise UsageError(f"commands need rapidfuzz ({one_line(error)}); {install_command('voice')}") from error
    return ratio
