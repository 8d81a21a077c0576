"""Matches an agent's calls to the expected ones: the best matching that respects their partial order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackbench.benchmarks.tooluse.checks.matchers import parameter_score
from stackbench.benchmarks.tooluse.scenario.scenario import ExpectedCall, Scenario
from stackbench.benchmarks.tooluse.scoring.harmless import is_harmless

if TYPE_CHECKING:
    from stackbench.agents import CallMade

__all__ = ["CallScore", "match_calls", "score_calls"]


@dataclass(frozen=True, slots=True)
class CallScore:
    """How an agent's calls stand against one plan of expected calls."""

    pairs: Mapping[int, int]
    """Index of an expected call -> index of the call that it was."""
    plan: Sequence[ExpectedCall]
    unexpected: Sequence[int]
    """Indices of calls that were not expected and not harmless either."""
    correct: int
    counted: int
    """Parameters of matched calls: correct ones, all that count."""

    @property
    def accuracy(self) -> float:
        """Matched / (expected + unmatched calls that were not harmless); 1 where nothing was expected nor done."""
        whole = len(self.plan) + len(self.unexpected)
        return len(self.pairs) / whole if whole else 1.0

    @property
    def parameters(self) -> float:
        """Correct / counted parameters of the matched calls; where none matched, 1 if none was expected, else 0."""
        if self.counted:
            return self.correct / self.counted
        return float(not self.plan or bool(self.pairs))

    @property
    def whole(self) -> bool:
        """Whether every expected call was made, in order."""
        return len(self.pairs) == len(self.plan)


def score_calls(scenario: Scenario, calls: Sequence[CallMade], *, completed: bool) -> CallScore:
    """The best score over the scenario's plans."""
    plans = [scenario.expected, *scenario.alternatives]
    scores = [_score(scenario, plan, calls, completed) for plan in plans]
    return max(scores, key=lambda score: (score.accuracy, score.parameters))


def _score(scenario: Scenario, plan: Sequence[ExpectedCall], calls: Sequence[CallMade], completed: bool) -> CallScore:
    parameters = {
        (e, c): parameter_score(expected, call, completed=completed)
        for e, expected in enumerate(plan)
        for c, call in enumerate(calls)
        if call.valid and call.tool in expected.call
    }
    pairs = match_calls(
        plan, calls, {pair: right / all_ if all_ else 1.0 for pair, (right, all_) in parameters.items()}
    )
    matched = set(pairs.values())
    unexpected = [c for c, call in enumerate(calls) if c not in matched and not is_harmless(scenario, call)]
    scores = [parameters[pair] for pair in pairs.items()]
    return CallScore(pairs, plan, unexpected, sum(right for right, _ in scores), sum(n for _, n in scores))


def match_calls(
    plan: Sequence[ExpectedCall], calls: Sequence[CallMade], fits: Mapping[tuple[int, int], float]
) -> dict[int, int]:
    """A maximum bipartite matching of expected calls with calls made, which respects the plan's partial order.

    If a comes before b in the plan and both are matched, the call of a was made before that of b. Among the largest
    matchings it is one with the largest sum of `fits` (the share of right parameters, by pair that may match).

    The calls are gone through in the order they were made; a state is the set of expected calls matched so far, so
    that the order is kept by never matching an expected call of which a successor is in the set. That takes
    O(calls * 2^plan * plan) steps.
    """
    successors = _successors(plan)
    # By set of matched expected calls: (sum of fits, the pairs), the best way there.
    states: dict[int, tuple[float, tuple[tuple[int, int], ...]]] = {0: (0.0, ())}
    for c in range(len(calls)):
        for matched, (total, pairs) in list(states.items()):
            for e in range(len(plan)):
                if (e, c) not in fits or matched >> e & 1 or matched & successors[e]:
                    continue
                reached = matched | 1 << e
                better = total + fits[e, c]
                if reached not in states or better > states[reached][0] + 1e-12:
                    states[reached] = (better, (*pairs, (e, c)))
    best = max(states.items(), key=lambda item: (item[0].bit_count(), item[1][0]))
    return dict(best[1][1])


def _successors(plan: Sequence[ExpectedCall]) -> list[int]:
    """For each expected call the set (as bits) of those that come after it, directly or not."""
    number = {call.id: index for index, call in enumerate(plan) if call.id}
    before = [sum(1 << number[name] for name in call.after) for call in plan]
    changed = True
    while changed:
        changed = False
        for index, mask in enumerate(before):
            wider = mask
            for other in range(len(plan)):
                if mask >> other & 1:
                    wider |= before[other]
            changed = changed or wider != mask
            before[index] = wider
    return [sum(1 << later for later, mask in enumerate(before) if mask >> index & 1) for index in range(len(plan))]
