"""A run beside its repetition: the attempts whose verdict or answer differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stackbench.store import Reader
from stackbench.types import AttemptKey, AttemptSummary

__all__ = ["RepeatedAttempt", "Repetition", "compare_repetition"]


@dataclass(frozen=True, slots=True)
class RepeatedAttempt:
    """An attempt of both runs that is not the same in both; None where a run did not complete it."""

    key: AttemptKey
    first: AttemptSummary | None
    second: AttemptSummary | None
    same_answer: bool

    @property
    def same_verdict(self) -> bool:
        return _verdict(self.first) == _verdict(self.second)


@dataclass(frozen=True, slots=True)
class Repetition:
    """What a repetition came to."""

    attempts: int
    """Of both runs together, each counted once."""
    differing: tuple[RepeatedAttempt, ...]

    @property
    def other_verdicts(self) -> tuple[RepeatedAttempt, ...]:
        return tuple(one for one in self.differing if not one.same_verdict)

    @property
    def same_answers(self) -> int:
        return self.attempts - sum(not one.same_answer for one in self.differing)


def compare_repetition(reader: Reader, first: str, second: str, benchmarks: Sequence[str]) -> Repetition:
    """Attempt by attempt, of two runs named by their ids."""
    answers = [{one.key: one.completion for one in reader.answers(run_id)} for run_id in (first, second)]
    attempts, differing = 0, list[RepeatedAttempt]()
    for name in benchmarks:
        before, after = ({one.key: one for one in reader.summaries(run_id, name)} for run_id in (first, second))
        for key in dict.fromkeys((*before, *after)):
            attempts += 1
            same = answers[0].get(key) == answers[1].get(key)
            one = RepeatedAttempt(key, before.get(key), after.get(key), same)
            if not (same and one.same_verdict):
                differing.append(one)
    return Repetition(attempts, tuple(differing))


def _verdict(attempt: AttemptSummary | None) -> tuple[object, ...] | None:
    return None if attempt is None else (attempt.status, attempt.passed, attempt.score)
