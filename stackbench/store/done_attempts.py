"""Which attempts of a run have a final status, by task: a million of them are known as fast as a thousand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Set
from typing import Any

from stackbench.types import AttemptKey

__all__ = ["DONE", "DoneAttempts"]

# Attempts at a task are numbered from 0 without gaps, once all are made: then a range says it.
DONE = """
SELECT benchmark, task_id, seed, count(*), count(*) FILTER (WHERE passed), min(attempt), max(attempt),
    CASE WHEN count(*) = 1 + max(attempt) - min(attempt) THEN NULL ELSE list(attempt) END
FROM attempts WHERE run_id = ? AND status = 'completed' GROUP BY benchmark, task_id, seed
"""


class DoneAttempts(Set[AttemptKey]):
    """A set of the keys of attempts, from rows of `DONE`."""

    def __init__(self, rows: Iterable[tuple[Any, ...]] = ()) -> None:
        self.attempts: Counter[str] = Counter()
        """By benchmark."""
        self.passed: Counter[str] = Counter()
        """By benchmark."""
        self._numbers: dict[tuple[str, str, int], Collection[int]] = {}
        for benchmark, task_id, seed, count, passed, first, last, numbers in rows:
            self.attempts[benchmark] += count
            self.passed[benchmark] += passed
            found = range(first, last + 1) if numbers is None else frozenset(numbers)
            self._numbers[benchmark, task_id, seed] = found

    def of_task(self, benchmark: str, task_id: str, seed: int) -> Collection[int]:
        """The numbers of the attempts at a task with a seed."""
        return self._numbers.get((benchmark, task_id, seed), ())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, AttemptKey) and key.attempt in self.of_task(key.benchmark, key.task_id, key.seed)

    def __iter__(self) -> Iterator[AttemptKey]:
        for (benchmark, task_id, seed), numbers in self._numbers.items():
            for number in sorted(numbers):
                yield AttemptKey(benchmark, task_id, number, seed)

    def __len__(self) -> int:
        return self.attempts.total()
