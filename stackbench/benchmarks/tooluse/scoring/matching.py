"""Matches an agent's calls to the expected ones: the best matching that respects their partial order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stackbench.benchmarks.tooluse.checks.matchers import is_of_kind, parameter_score
from stackbench.benchmarks.tooluse.scenario.scenario import ExpectedCall, Scenario
from stackbench.benchmarks.tooluse.scoring.by_effect import MANY_IN_ONE, does, does_instead, is_traceless
from stackbench.benchmarks.tooluse.scoring.wrong_calls import Fault, faults

if TYPE_CHECKING:
    from stackbench.agents import CallMade

__all__ = ["CallScore", "match_calls", "score_calls"]


@dataclass(frozen=True, slots=True)
class CallScore:
    """How an agent's calls stand against one plan of expected calls."""

    pairs: Mapping[int, int]
    """Index of an expected call -> index of the call that did it."""
    plan: Sequence[ExpectedCall]
    wrong: Mapping[int, str]
    """Calls that were wrong, with the reason."""
    correct: int
    counted: int
    """Parameters of matched calls: correct ones, all that count."""
    repeats: Mapping[int, int] = field(default_factory=dict[int, int])
    """Index of a further call -> index of the expected call that may be made in several."""
    spared: frozenset[int] = frozenset()
    """Indices of expected calls that were not made and do not count: the task was completed without them, and they
    are optional or leave nothing by which they could be told."""

    @property
    def accuracy(self) -> float:
        """Matched / (expected + wrong calls); 1 where nothing was expected and nothing wrong was done."""
        whole = len(self.plan) - len(self.spared) + len(self.wrong)
        return len(self.pairs) / whole if whole else 1.0

    @property
    def parameters(self) -> float:
        """Correct / counted parameters of the matched calls; where none matched, 1 if none was expected, else 0."""
        if self.counted:
            return self.correct / self.counted
        return float(len(self.spared) == len(self.plan) or bool(self.pairs))

    @property
    def whole(self) -> bool:
        """Whether every expected call that counts was made, in order."""
        return len(self.pairs) + len(self.spared) == len(self.plan)


def score_calls(
    scenario: Scenario,
    calls: Sequence[CallMade],
    *,
    completed: bool,
    strays: Collection[tuple[int, int]] = (),
) -> CallScore:
    """The best score over the scenario's plans; `strays` are the processes that should not run at the end."""
    plans = [scenario.expected, *scenario.alternatives]
    wrong = faults(scenario, calls, strays)
    scores = [_score(plan, calls, completed, wrong) for plan in plans]
    return max(scores, key=lambda score: (score.accuracy, score.parameters))


def _score(
    plan: Sequence[ExpectedCall], calls: Sequence[CallMade], completed: bool, wrong: Mapping[int, Fault]
) -> CallScore:
    excused = {c for c, fault in wrong.items() if fault.excused}
    parameters = {
        (e, c): parameter_score(expected, call, completed=completed)
        for e, expected in enumerate(plan)
        for c, call in enumerate(calls)
        if call.valid and _may_be(expected, call, completed) and not (c in excused and not is_of_kind(expected, call))
    }
    fits = {pair: right / all_ if all_ else 1.0 for pair, (right, all_) in parameters.items()}
    pairs = match_calls(plan, calls, fits, excused=excused)
    repeats = _repeats(plan, calls, pairs, fits)
    expected = {*pairs.values(), *repeats}
    scores = [parameters[pair] for pair in [*pairs.items(), *((e, c) for c, e in repeats.items())]]
    return CallScore(
        pairs,
        plan,
        {c: fault.why for c, fault in wrong.items() if not (fault.excused and c in expected)},
        sum(right for right, _ in scores),
        sum(n for _, n in scores),
        repeats,
        frozenset(
            e
            for e, expected in enumerate(plan)
            if completed and e not in pairs and (expected.optional or is_traceless(expected))
        ),
    )


def _may_be(expected: ExpectedCall, call: CallMade, completed: bool) -> bool:
    """Whether a call may stand for an expected one: by its tool, where that does one thing, else by its effect."""
    if call.tool not in expected.call:
        return does_instead(expected, call)
    return call.tool not in MANY_IN_ONE or does(expected, call, completed=completed)


def _repeats(
    plan: Sequence[ExpectedCall],
    calls: Sequence[CallMade],
    pairs: Mapping[int, int],
    fits: Mapping[tuple[int, int], float],
) -> dict[int, int]:
    """Further calls by the expected call that may be made in several, of which each is the best fitting one. One whose
    path or address is another than asked for is none."""
    found: dict[int, int] = {}
    for e, c in sorted(fits, key=lambda pair: fits[pair]):
        if plan[e].repeat and e in pairs and c not in pairs.values() and is_of_kind(plan[e], calls[c]):
            found[c] = e
    return found


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to match some of the expected calls."""

    excused: int = 0
    """Matched calls that would count as wrong otherwise."""
    fit: float = 0.0
    pairs: tuple[tuple[int, int], ...] = ()

    def is_better(self, other: _Way) -> bool:
        return (self.excused, self.fit) > (other.excused, other.fit + 1e-12)


def match_calls(
    plan: Sequence[ExpectedCall],
    calls: Sequence[CallMade],
    fits: Mapping[tuple[int, int], float],
    *,
    excused: Collection[int] = (),
) -> dict[int, int]:
    """A maximum matching of expected calls with calls made, which respects the plan's partial order.

    A call stands for one expected call, a command line or a patch for any number of them. If a comes before b in the
    plan and both are matched, the call of a was made before that of b, or is the same one. Among the largest matchings
    it is one with most `excused` calls (which would count as wrong otherwise), among those one with the largest sum of
    `fits` (the share of right parameters, by pair that may match).

    The calls are gone through in the order they were made; a state is the set of expected calls matched so far, so
    that the order is kept by never matching an expected call of which a successor is in the set. That takes
    O(calls * 2^plan * plan) steps.
    """
    successors = _successors(plan)
    order = sorted(range(len(plan)), key=lambda e: -successors[e].bit_count())
    states: dict[int, _Way] = {0: _Way()}
    for c, call in enumerate(calls):
        reached = dict(states)
        for e in order:
            if (e, c) not in fits:
                continue
            for matched, way in list((reached if call.tool in MANY_IN_ONE else states).items()):
                if matched >> e & 1 or matched & successors[e]:
                    continue
                first = not any(pair[1] == c for pair in way.pairs)
                found = _Way(way.excused + (first and c in excused), way.fit + fits[e, c], (*way.pairs, (e, c)))
                place = matched | 1 << e
                if place not in reached or found.is_better(reached[place]):
                    reached[place] = found
        states = reached
    best = max(states.items(), key=lambda item: (item[0].bit_count(), item[1].excused, item[1].fit))
    return dict(best[1].pairs)


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
