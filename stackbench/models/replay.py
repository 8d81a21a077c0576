"""The model that answers from recorded generations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from stackbench import nesting
from stackbench.bounded_files import bounded_lines
from stackbench.errors import GenerationError, ModelNotAvailableError, UsageError, one_line
from stackbench.types import AttemptKey, Generation, Request

__all__ = ["Recording", "ReplayModel"]

T = TypeVar("T")
Recording = tuple[AttemptKey, Generation]
"""What a model answered to an attempt, or said in one turn of it."""


class _Recorded(Generic[T]):
    """What was recorded of attempts; under a seed that was not, what another seed's attempt of that number has."""

    def __init__(self) -> None:
        self._exact: dict[AttemptKey, T] = {}
        self._any_seed: dict[AttemptKey, T] = {}

    def __len__(self) -> int:
        return len(self._exact)

    def add(self, key: AttemptKey, value: T) -> None:
        self._exact[key] = value
        self._any_seed.setdefault(replace(key, seed=0), value)

    def find(self, key: AttemptKey) -> T | None:
        found = self._exact.get(key)
        return self._any_seed.get(replace(key, seed=0)) if found is None else found


def _number(value: Any) -> int:
    """A count as the database's columns take it."""
    number = int(value)
    if not 0 <= number < 1 << 31:
        raise ValueError(f"{number} is no count")
    return number


class ReplayModel:
    """Looks answers up by attempt; a recording of one seed serves a replay under any."""

    chat = True
    plain_prompts = True
    scores_choices = False
    native_tools = True
    window: int | None = None
    concurrency = 64
    gpus = 0
    has_speed = False

    def __init__(
        self, name: str, recordings: Iterable[Recording], source: str, turns: Iterable[Recording] = ()
    ) -> None:
        self.name = name
        self._source = source
        self._answers: _Recorded[Generation] = _Recorded()
        for key, generation in recordings:
            self._answers.add(key, generation)
        by_attempt: dict[AttemptKey, list[Generation]] = defaultdict(list)
        for key, generation in turns:
            by_attempt[key].append(generation)
        self._turns: _Recorded[list[Generation]] = _Recorded()
        for key, made in by_attempt.items():
            self._turns.add(key, made)

    @classmethod
    def from_file(cls, name: str, path: str) -> ReplayModel:
        """Reads an exported attempts .jsonl (benchmark, task_id, attempt, seed, completion).

        Raises:
            ModelNotAvailableError: there is no such file, or it is malformed; names the line.
        """
        found: list[Recording] = []
        counts: dict[tuple[str, str], int] = defaultdict(int)
        try:
            for number, line in bounded_lines(Path(path)):
                try:
                    row = nesting.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                    benchmark, task_id, text = str(row["benchmark"]), str(row["task_id"]), str(row["completion"])
                    attempt = _number(row.get("attempt", counts[benchmark, task_id]))
                    seed = int(row.get("seed", 0))
                    tokens = _number(row.get("prompt_tokens") or 0), _number(row.get("completion_tokens") or 0)
                except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                    raise ModelNotAvailableError(
                        f"replay:{path} line {number} is no recorded attempt ({one_line(repr(error))}); "
                        'it takes what "stackbench export" writes as attempts.jsonl'
                    ) from error
                counts[benchmark, task_id] += 1
                key = AttemptKey(benchmark, task_id, attempt, seed)
                found.append((key, Generation(text, prompt_tokens=tokens[0], completion_tokens=tokens[1])))
        except UsageError as error:
            raise ModelNotAvailableError(f"replay:{error}; name a run or a .jsonl file") from error
        return cls(name, found, path)

    async def start(self, say: Callable[[str], None]) -> None:
        say(f"replaying {len(self._answers)} recorded generations from {self._source}")

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Generation:
        key = request.key
        if key is None:
            raise GenerationError("a replay answers attempts only")
        if request.tools:
            return self._turn(request, key)
        found = self._answers.find(key)
        if found is None:
            raise GenerationError(f"{self._source} has no attempt {key.attempt} at {key.benchmark} {key.task_id}")
        return found

    def _turn(self, request: Request, key: AttemptKey) -> Generation:
        """The next turn of an agent's: as many came before as its chat has of the assistant's."""
        made = self._turns.find(key) or []
        number = sum(message.role == "assistant" for message in request.messages)
        if number >= len(made):
            raise GenerationError(
                f"{self._source} has {len(made)} turns of attempt {key.attempt} at {key.benchmark} {key.task_id}, "
                f"and turn {number + 1} was asked for; an agent's turns are replayed from its run, not from a file"
            )
        return made[number]

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "replay", "source": self._source, "generations": len(self._answers)}

    async def close(self) -> None:
        """Nothing to free."""
