"""The model that answers from recorded generations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from stackbench import nesting
from stackbench.bounded_files import bounded_lines
from stackbench.errors import GenerationError, ModelNotAvailableError, UsageError, one_line
from stackbench.token_estimate import TokenEstimator
from stackbench.types import AttemptKey, FinishReason, Generation, Request, TokenCount

__all__ = ["Recording", "ReplayModel", "Traits"]

T = TypeVar("T")
Recording = tuple[AttemptKey, Sequence[Generation]]
"""What a model answered to an attempt, each time that it was asked."""


class _Recorded(Generic[T]):
    """What was recorded of attempts; under a seed that was not, what another seed's attempt of that number has."""

    def __init__(self, seeds: set[int]) -> None:
        self._seeds = seeds
        """Those of which anything was recorded, here or beside."""
        self._exact: dict[AttemptKey, T] = {}
        self._any_seed: dict[AttemptKey, T] = {}

    def __len__(self) -> int:
        return len(self._exact)

    def add(self, key: AttemptKey, value: T) -> None:
        self._exact[key] = value
        self._seeds.add(key.seed)
        self._any_seed.setdefault(replace(key, seed=0), value)

    def find(self, key: AttemptKey) -> T | None:
        if key.seed in self._seeds:
            return self._exact.get(key)
        return self._any_seed.get(replace(key, seed=0))


@dataclass(frozen=True, slots=True)
class Traits:
    """What benchmarks look at before they ask; a replay has those of the model that it replays."""

    chat: bool = True
    plain_prompts: bool = True
    scores_choices: bool = False
    native_tools: bool = True
    window: int | None = None


class ReplayModel:
    """Looks answers up by attempt; a recording of one seed serves a replay under any.

    An attempt that asks several times (an agent) gets its recorded answers in their order. Attempts that ended in
    errors (`errors`, by attempt) end so again.
    """

    concurrency = 64
    gpus = 0
    has_speed = False

    def __init__(
        self,
        name: str,
        recordings: Iterable[Recording],
        source: str,
        *,
        traits: Traits | None = None,
        errors: Mapping[AttemptKey, str] | None = None,
        of_run: bool = False,
    ) -> None:
        traits = traits or Traits()
        self.name = name
        self.chat = traits.chat
        self.plain_prompts = traits.plain_prompts
        self.scores_choices = traits.scores_choices
        self.native_tools = traits.native_tools
        self.window = traits.window
        self._source = source
        self._of_run = of_run
        self._asked: dict[AttemptKey, int] = defaultdict(int)
        seeds: set[int] = set()
        self._answers: _Recorded[Sequence[Generation]] = _Recorded(seeds)
        for key, made in recordings:
            self._answers.add(key, made)
        self._errors: _Recorded[str] = _Recorded(seeds)
        for key, error in (errors or {}).items():
            self._errors.add(key, error)

    def holds(self, key: AttemptKey) -> bool:
        """Whether the attempt can be made again; what a file lacks is an error, what a run lacks was not made there."""
        return not self._of_run or self._answers.find(key) is not None or self._errors.find(key) is not None

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
                    found.append((AttemptKey(benchmark, task_id, attempt, seed), [_of_row(row, text)]))
                except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                    raise ModelNotAvailableError(
                        f"replay:{path} line {number} is no recorded attempt ({one_line(repr(error))}); "
                        'it takes what "stackbench export" writes as attempts.jsonl'
                    ) from error
                counts[benchmark, task_id] += 1
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
        made = self._answers.find(key)
        if made is None:
            error = self._errors.find(key)
            raise GenerationError(
                f"{self._source} has no attempt {key.attempt} at {key.benchmark} {key.task_id}"
                if error is None
                else f"as in {self._source}: {error}"
            )
        number = self._asked[key]
        self._asked[key] += 1
        if not self._of_run and not request.tools:
            return made[0]
        if number >= len(made) or not self._of_run:
            raise GenerationError(
                f"{self._source} has {len(made)} answers of attempt {key.attempt} at {key.benchmark} {key.task_id}, "
                f"and one more was asked for; an agent's turns are replayed from its run, not from a file"
            )
        return made[number]

    async def count_tokens(self, request: Request) -> TokenCount:
        return TokenEstimator().count(request)

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "replay", "source": self._source, "generations": len(self._answers)}

    async def close(self) -> None:
        """Nothing to free."""


def _number(value: Any) -> int:
    """A count as the database's columns take it."""
    number = int(value)
    if not 0 <= number < 1 << 31:
        raise ValueError(f"{number} is no count")
    return number


def _of_row(row: Mapping[str, Any], text: str) -> Generation:
    """The answer in a row of an exported `attempts.jsonl`; what it does not tell has its default."""
    return Generation(
        text,
        FinishReason(row["finish_reason"]) if row.get("finish_reason") else FinishReason.STOP,
        prompt_tokens=_number(row.get("prompt_tokens") or 0),
        completion_tokens=_number(row.get("completion_tokens") or 0),
        latency_s=float(row.get("latency_s") or 0.0),
        thought=str(row.get("thought") or ""),
    )
