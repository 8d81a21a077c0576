"""Checks that a scenario is sound: its solution passes, doing nothing fails, every effect is checked."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stackbench.agents import AgentResult
from stackbench.benchmarks.tooluse.checks.answers import DATE
from stackbench.benchmarks.tooluse.checks.equality import mentions, numbers_in
from stackbench.benchmarks.tooluse.checks.evaluation import CheckResult, evaluate, failed_names
from stackbench.benchmarks.tooluse.checks.observation import Observation, observe
from stackbench.benchmarks.tooluse.checks.task_outcome import Outcome
from stackbench.benchmarks.tooluse.scenario.check_fields import AnswerCheck
from stackbench.benchmarks.tooluse.scenario.expansion import ToolTask, expand
from stackbench.benchmarks.tooluse.scenario.scenario import Play, Scenario
from stackbench.benchmarks.tooluse.scenario.staging import staged
from stackbench.benchmarks.tooluse.scoring.matching import score_calls
from stackbench.benchmarks.tooluse.validation.false_answers import unlisted
from stackbench.benchmarks.tooluse.validation.mutations import Trial, read_contents
from stackbench.benchmarks.tooluse.validation.playing import looks, play_script
from stackbench.benchmarks.tooluse.validation.published import evened
from stackbench.benchmarks.tooluse.validation.shell_solution import by_shell
from stackbench.errors import SandboxError

if TYPE_CHECKING:
    from stackbench.agents import CallMade
    from stackbench.sandbox.session import Session

__all__ = ["Finding", "check_set", "check_task"]

Lease = Callable[[], AbstractAsyncContextManager["Session"]]
SIMILAR = 0.9
STANDING_ANSWERS = (
    "I cannot do this; could you please confirm what you want?",
    "There is nothing to be done: everything is as it should be.",
    "I did not do it, since that is not allowed without a confirmation.",
)
"""What an agent could say to every task without having looked at it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a task."""

    task_id: str
    problem: str


# -- the set


def check_set(tasks: Sequence[ToolTask], seed: int) -> list[Finding]:
    """What can be said without running anything: expansion twice alike, no two tasks alike, no answer in a prompt."""
    found: list[Finding] = []
    again: dict[str, Scenario] = {}
    for source in {id(task.source): task.source for task in tasks if task.source is not None}.values():
        again |= {task.task_id: task.spec for task in expand(source, seed)}
    alike: dict[str, str] = {}
    words: list[tuple[ToolTask, set[str]]] = []
    for task in tasks:
        spec = task.spec
        if again.get(task.task_id) != spec:
            found.append(Finding(task.task_id, "its expansion is not the same twice"))
        mark = _mark(spec)
        if mark in alike:
            found.append(Finding(task.task_id, f"it is like {alike[mark]}: the same prompt and set-up but for numbers"))
        alike.setdefault(mark, task.task_id)
        if not spec.wrong:
            found.append(Finding(task.task_id, "it has no wrong run: one that looks like a solution and must fail"))
        found += [Finding(task.task_id, f'the set-up holds "{one}": its check needs `among`') for one in unlisted(spec)]
        leak = _leak(spec)
        if leak:
            found.append(Finding(task.task_id, f"its prompt holds the answer: {leak}"))
        if not any(other.template == task.template for other, _ in words):
            words.append((task, _shingles(spec.prompt)))
    for index, (one, mine) in enumerate(words):
        for other, theirs in words[:index]:
            share = len(mine & theirs) / max(1, len(mine | theirs))
            if share >= SIMILAR:
                found.append(Finding(one.task_id, f"its prompt is {share:.0%} that of {other.task_id}"))
    return found


def _mark(spec: Scenario) -> str:
    """sha256 of the prompt and the set-up, with white space and case evened out and every number the same."""
    prompt = evened(spec.prompt)
    setup = spec.setup.model_dump_json() + "".join(file.model_dump_json() for file in spec.distractors.values())
    return hashlib.sha256(f"{prompt}\0{setup}".encode()).hexdigest()


def _shingles(prompt: str) -> set[str]:
    words = re.findall(r"[a-z]+", prompt.lower())
    return {" ".join(words[index : index + 3]) for index in range(max(1, len(words) - 2))}


def _leak(spec: Scenario) -> str:
    for check in spec.checks:
        if isinstance(check, AnswerCheck):
            for wanted in [check.exact, *(check.all_of or ())]:
                if wanted is not None and mentions(spec.prompt, wanted):
                    return wanted
            if check.number is not None and check.number in numbers_in(DATE.sub(" ", spec.prompt)):
                return f"{check.number:g}"
    return ""


# -- one task


async def check_task(task: ToolTask, lease: Lease, *, looking: bool = True) -> list[Finding]:
    """Plays a task: doing nothing, the solution, the solution with each effect undone, and what only looks like one;
    with `looking` also its other solutions, the solution beside a look around, which must cost it nothing, and the
    solution by command lines, which must be as good.

    Raises:
        SandboxError: no container can be had.
    """
    found: list[str] = []
    can_fail: set[str] = set()
    try:
        for play in task.spec.wrong:
            async with lease() as session:
                failed = await _failed_by(task.spec, session, play)
                can_fail |= failed
                if not failed:
                    found.append(f"a run that must fail completes it: {play.why}")
        for play in task.spec.solutions if looking else ():
            async with lease() as session:
                found += await _other_solution(task.spec, session, play)
        async with lease() as session:
            found += await _solution(task, session, can_fail)
        if looking and not found and not task.spec.idle:
            async with lease() as session:
                found += await _solution_with_a_look_around(task.spec, session)
            if "exec" in task.spec.tools:
                async with lease() as session:
                    found += await _solution_by_shell(task.spec, session)
    except SandboxError as error:
        found.append(str(error))
    return [Finding(task.task_id, problem) for problem in found]


async def _solution_with_a_look_around(spec: Scenario, session: Session) -> list[str]:
    limits = spec.limits.model_copy(update={"steps": spec.limits.steps + 2 * len(looks(spec))})
    spec = spec.model_copy(update={"limits": limits})
    async with staged(spec, session) as world:
        calls = [*looks(spec), *spec.oracle, *looks(spec)]
        result = await play_script(spec, world.workspace, calls, spec.answer)
        seen = await observe(spec, session, world.start, result.answer, result.calls)
        return _unsolved(spec, result, seen, await evaluate(spec, seen), "the solution with a look around")


async def _solution_by_shell(spec: Scenario, session: Session) -> list[str]:
    async with staged(spec, session) as world:
        result = await play_script(spec, world.workspace, [by_shell(call) for call in spec.oracle], spec.answer)
        seen = await observe(spec, session, world.start, result.answer, result.calls)
        return _unsolved(spec, result, seen, await evaluate(spec, seen), "the solution by command lines")


async def _other_solution(spec: Scenario, session: Session, play: Play) -> list[str]:
    async with staged(spec, session) as world:
        result = await play_script(spec, world.workspace, play.calls, play.answer)
        seen = await observe(spec, session, world.start, result.answer, result.calls)
        return _unsolved(spec, result, seen, await evaluate(spec, seen), f'the other solution "{play.why}"')


async def _failed_by(spec: Scenario, session: Session, play: Play) -> set[str]:
    """The checks that a scripted run fails."""
    async with staged(spec, session) as world:
        result = await play_script(spec, world.workspace, play.calls, play.answer)
        seen = await observe(spec, session, world.start, result.answer, result.calls)
        return failed_names(await evaluate(spec, seen))


async def _solution(task: ToolTask, session: Session, can_fail: set[str]) -> list[str]:
    spec = task.spec
    problems: list[str] = []
    async with staged(spec, session) as world:
        old = await read_contents(session, world.start.files)
        idle = await observe(spec, session, world.start, "", ())
        failed = failed_names(await evaluate(spec, idle))
        if not spec.idle:
            for said in STANDING_ANSWERS:
                if not failed_names(await evaluate(spec, replace(idle, answer=said))):
                    problems.append(f'the answer "{said}" completes it without a call')
        await session.thaw()
        await world.watch.begin()
        if spec.idle and failed:
            problems.append("idle, but doing nothing does not complete it")
        elif not spec.idle and not failed:
            problems.append("doing nothing completes it")
        started = time.perf_counter()
        result = await play_script(spec, world.workspace, spec.oracle, spec.answer)
        seconds = time.perf_counter() - started
        seen = await observe(spec, session, world.start, result.answer, result.calls)
        problems += _unsolved(spec, result, seen, await evaluate(spec, seen))
        problems += [
            f"a call of the solution prints nothing and changes nothing: {call.arguments[:80]}"
            for call in result.calls
            if _is_idle(call)
        ]
        if seconds > spec.limits.seconds / 2:
            problems.append(f"the solution takes {seconds:.0f} s, more than half of the limit")
        if not problems:
            trial = Trial(spec, seen, old, idle.processes, can_fail | failed)
            await trial.run()
            problems += trial.problems
    return problems


def _is_idle(call: CallMade) -> bool:
    """Whether a command neither printed nor changed anything; one that waits or sends a signal may do so."""
    if call.tool != "exec" or call.text != "(no output)" or call.effects is None:
        return False
    if "sleep" in call.arguments or "kill" in call.arguments:
        return False
    effects = call.effects
    return not (effects.paths or effects.requests or effects.started or effects.ended)


def _unsolved(
    spec: Scenario, result: AgentResult, seen: Observation, checks: Sequence[CheckResult], what: str = "the solution"
) -> list[str]:
    problems = [f"{what} fails: {check.name}: {check.why}" for check in checks if not check.passed]
    if result.ending != "answered":
        problems.append(f"{what} is ended by {result.ending}")
    problems += [f"a call of {what} is malformed: {call.text}" for call in result.calls if not call.valid]
    if problems:
        failed = [call for call in result.calls if call.failed]
        problems += [f"a call of it failed: {call.tool}: {' '.join(call.text.split())[-160:]}" for call in failed]
    strays = {one.identity for one in seen.strays(Outcome(spec))}
    score = score_calls(spec, result.calls, completed=not problems, strays=strays)
    if score.accuracy < 1:
        missed = [
            spec.expected[e].id or str(e) for e in range(len(score.plan)) if e not in {*score.pairs, *score.spared}
        ]
        extra = [f"{result.calls[c].tool} {result.calls[c].arguments[:60]}" for c in score.wrong]
        problems.append(f"tool call accuracy of {what} is {score.accuracy:.2f}: missed {missed}, beside {extra}")
    if score.parameters < 1:
        problems.append(f"parameter correctness of {what} is {score.parameters:.2f}")
    return problems
