"""Carries out the operator's verbs on the engine's runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from stackbench import nesting
from stackbench.control.messages import Command, OperatorAction
from stackbench.control.verbs import arguments_of, check_setting
from stackbench.engine.agent_operations import CHANGES, LOOKS, change_agent, look_at_agents
from stackbench.engine.deletion import remove_files
from stackbench.engine.plan import RunPlan
from stackbench.errors import UsageError, one_line
from stackbench.store import label_run
from stackbench.suggestions import did_you_mean

if TYPE_CHECKING:
    from stackbench.engine.attempts import AttemptRunner
    from stackbench.engine.run import RunExecution
    from stackbench.engine.service import EngineService, SubmittedRun
    from stackbench.engine.work import AttemptSpec

__all__ = ["Operations"]

Change = tuple[Any, Any, Callable[[], Any]]
"""The old value, the new one, and what makes the change."""


class Operations:
    """`carry_out` answers a verb with a JSON value. Verbs are idempotent: said twice, the second changes nothing."""

    def __init__(self, service: EngineService) -> None:
        self._service = service

    async def carry_out(self, command: Command) -> Any:
        """Raises UsageError for a verb that is not there, arguments that do not fit, or a run that has ended."""
        if command.verb == "submit":
            return await self._submit(command.arguments)
        if command.verb == "delete":
            return await self._delete(str(command.arguments.get("run", "")))
        if command.verb == "label":
            return await self._label(command.arguments)
        if command.verb == "record_voice":
            return self._record_voice(command)
        given = dict(command.arguments)
        named = given.pop("run", None)
        arguments = arguments_of(command.verb, given)
        if command.verb == "runs":
            return self._runs()
        if command.verb == "status":
            return self._status(content=bool(arguments.get("content")))
        if command.verb == "why":
            if named is not None and self._service.live is not self._service.find(str(named)):
                raise UsageError(f"run {named} waits in the queue: nothing of it is under way")
            return self._why()
        if command.verb in LOOKS:
            return await look_at_agents(command.verb, arguments, self._execution().controls.seats)
        if named is not None and self._service.find(str(named)) is not self._service.live:
            return self._drop(command, self._service.find(str(named)))
        execution = self._execution()
        old, new, change = self._change(command.verb, arguments, execution)
        answer = {
            "verb": command.verb, "run_id": execution.run_id, "old": old, "new": new, "changed": old != new,
            "dry_run": command.dry_run,
        }  # fmt: skip
        if command.dry_run or old == new:
            return answer
        done = change()
        result = await done if done is not None else None
        if result is not None:
            answer["result"] = result
        action = OperatorAction(verb=command.verb, who=command.who, arguments=arguments, old=old, new=new)
        self._service.publish(execution.run_id, action)
        execution.record("operator", action.model_dump(exclude={"kind"}))
        return answer

    def trace(self) -> dict[str, Any]:
        """For the trace file; called from its thread."""
        service = self._service
        live = service.live
        execution = live.execution if live is not None else None
        return {
            "home": str(service.home.path),
            "run_id": live.run_id if live is not None else None,
            "phase": execution.controls.phase if execution is not None else "idle",
            "waiting_for": execution.waiting_for if execution is not None else "",
            "queued": [run.run_id for run in list(service.queue)],
            "attempts": execution.tracker.describe() if execution is not None else [],
        }

    # -- looking

    def _runs(self) -> list[dict[str, Any]]:
        service = self._service
        found = [] if service.live is None else [_describe(service.live, "running")]
        return found + [
            {**_describe(run, "queued"), "position": position} for position, run in enumerate(service.queue)
        ]

    def _status(self, *, content: bool) -> dict[str, Any]:
        execution = self._execution()
        controls = execution.controls
        return {
            "run_id": execution.run_id,
            "suite": execution.plan.suite,
            "model": execution.plan.settings.model,
            "phase": controls.phase,
            "waiting_for": controls.outage.waiting_for,
            "benchmarks": [
                {
                    "benchmark": name,
                    "total": runner.progress.total,
                    "before": runner.progress.before,
                    "done": runner.progress.done,
                    "passed": runner.progress.passed,
                    "tokens": runner.progress.tokens,
                    "queued": runner.queued,
                    "running": len(runner.under_way),
                    "errors": runner.progress.errors,
                    "cancelled": len(runner.cancelled),
                }
                for name, runner in execution.runners.items()
            ],
            "settings": _settings(execution),
            "slots": {"size": controls.slots.size, "taken": controls.slots.taken},
            "last_error": execution.counts.last_error,
            "calls_to_approve": execution.controls.seats.pending(content=content),
            "next_seq": self._service.stream.next_seq,
        }

    def _why(self) -> dict[str, Any]:
        live = self._service.live
        if live is None or live.execution is None:
            return {"run_id": None, "phase": "idle", "waiting_for": "", "attempts": []}
        execution = live.execution
        return {
            "run_id": execution.run_id,
            "phase": execution.controls.phase,
            "waiting_for": execution.waiting_for,
            "attempts": execution.tracker.describe(),
        }

    # -- changing

    def _change(self, verb: str, arguments: Mapping[str, Any], execution: RunExecution) -> Change:
        controls = execution.controls
        if verb in CHANGES or (verb in ("pause", "resume") and arguments.get("target")):
            return change_agent(verb, arguments, controls.seats)
        if verb == "pause":
            now = bool(arguments.get("now"))
            new = controls.phase if controls.ending else "held" if now or controls.held else "paused"
            return controls.phase, new, lambda: controls.pause(now=now)
        if verb == "resume":
            return controls.phase, controls.phase if controls.ending else "running", controls.resume
        if verb == "drain":
            new = "stopping" if controls.phase == "stopping" else "draining"
            return controls.phase, new, controls.drain
        if verb == "stop":
            return controls.phase, "stopping", controls.stop
        if verb == "set":
            return _set(execution, str(arguments["name"]), arguments["value"])
        if verb == "cancel":
            return _cancel(execution, str(arguments["target"]))
        assert verb == "requeue"
        return _requeue(execution, arguments)

    def _execution(self) -> RunExecution:
        live = self._service.live
        if live is None or live.execution is None:
            raise UsageError('no run is live; "stackbench runs" lists those that ended')
        return live.execution

    def _drop(self, command: Command, run: SubmittedRun) -> dict[str, Any]:
        """A run that waits can only be taken out of the queue."""
        if command.verb != "stop":
            raise UsageError(f'run {run.run_id} waits in the queue; it can be stopped, not "{command.verb}"')
        if not command.dry_run:
            self._service.drop(run)
        return {
            "verb": "stop", "run_id": run.run_id, "old": "queued", "new": "dropped", "changed": True,
            "dry_run": command.dry_run,
        }  # fmt: skip

    async def _label(self, arguments: Mapping[str, Any]) -> None:
        """A run's name and tags."""
        change = partial(
            label_run,
            run_id=str(arguments["run"]),
            name=arguments.get("name"),
            tags=arguments.get("tags") or (),
            without=arguments.get("without") or (),
        )
        await asyncio.to_thread(self._service.writer.change, change)

    def _record_voice(self, command: Command) -> dict[str, Any]:
        """A turn that somebody said, among the live run's events."""
        turn = command.arguments.get("turn")
        if not nesting.is_object(turn):
            raise UsageError("record_voice takes a turn, a JSON object")
        execution = self._execution()
        if not execution.recorded:
            raise UsageError(f"run {execution.run_id} is not recorded yet; try again")
        execution.record("voice", {"who": command.who, **turn})
        return {"run_id": execution.run_id}

    async def _submit(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A run of another process's, into the queue."""
        try:
            plan = RunPlan.model_validate(arguments.get("plan"))
        except ValidationError as error:
            raise UsageError(
                f"not a plan of this version of stackbench: {one_line(error.errors()[0]['msg'])}"
            ) from error
        run = await self._service.submit_plan(plan, run_id=arguments.get("run_id"), resume=arguments.get("resume"))
        waiting = self._service.queue
        return {"run_id": run.run_id, "position": waiting.index(run) if run in waiting else 0}

    async def _delete(self, run_id: str) -> dict[str, Any]:
        """Takes a run that has ended out of the database. Said twice, it changes nothing."""
        service = self._service
        if any(run.run_id == run_id for run in (*([service.live] if service.live else []), *service.queue)):
            raise UsageError(f"run {run_id} is live or queued; stop it before it is deleted")
        await asyncio.to_thread(service.writer.delete_run, run_id)
        await asyncio.to_thread(remove_files, service.home, run_id)
        return {"verb": "delete", "run_id": run_id}


def _describe(run: SubmittedRun, state: str) -> dict[str, Any]:
    plan = run.order.plan
    phase = run.execution.controls.phase if run.execution is not None else state
    return {
        "run_id": run.run_id,
        "state": state,
        "phase": phase,
        "suite": plan.suite,
        "model": plan.settings.model,
        "benchmarks": [part.name for part in plan.benchmarks],
        "name": plan.name,
        "tags": list(plan.tags),
    }


def _settings(execution: RunExecution) -> dict[str, Any]:
    controls = execution.controls
    return {
        "concurrency": controls.slots.size,
        "sandboxes": controls.sandboxes,
        "timeout": controls.timeout_s,
        "max-hours": controls.max_hours,
    }


def _set(execution: RunExecution, name: str, value: str | float) -> Change:
    controls = execution.controls
    setting, number = check_setting(name, value)
    old = _settings(execution)[setting]
    if setting == "concurrency":
        return old, int(number), lambda: execution.set_concurrency(int(number))
    if setting == "sandboxes":

        def resize_sandboxes() -> None:
            controls.resize_sandboxes(int(number))
            controls.sandboxes = int(number)

        return old, int(number), resize_sandboxes
    new = number or None
    if setting == "timeout":

        def set_timeout() -> None:
            controls.timeout_s = new

        return old, new, set_timeout
    return old, new, lambda: controls.set_max_hours(new)


def _targets(execution: RunExecution, target: str) -> list[tuple[AttemptRunner, str]]:
    """The benchmarks, with a task each or with none for all of it, that a target names. Raises UsageError for none."""
    planned = [part.name for part in execution.plan.benchmarks]
    if target in planned:
        runner = execution.runners.get(target)
        if runner is None:
            raise UsageError(f"{target} has not begun; wait until it has")
        return [(runner, "")]
    found: list[tuple[AttemptRunner, str]] = []
    for name, runner in execution.runners.items():
        for task in (target, target.removeprefix(f"{name}/")):
            if any(known.task_id == task for known in runner.item.tasks):
                found.append((runner, task))
                break
    if not found:
        tasks = (task.task_id for runner in execution.runners.values() for task in runner.item.tasks)
        raise UsageError(
            f'no benchmark and no task of this run is named "{target}"{did_you_mean(target, [*planned, *tasks])}; '
            f"its benchmarks: {', '.join(planned)}"
        )
    if len(found) > 1:
        names = ", ".join(f"{runner.item.plan.name}/{task}" for runner, task in found)
        raise UsageError(f'"{target}" names several tasks: {names}; say which')
    return found


def _cancel(execution: RunExecution, target: str) -> Change:
    controls = execution.controls
    ((runner, task),) = _targets(execution, target)
    name = runner.item.plan.name
    old = "cancelled" if controls.is_left_out(name, task) else "in the run"

    def leave_out() -> None:
        controls.cancel(name, task)
        runner.cancel(task)

    return old, "cancelled", leave_out


def _requeue(execution: RunExecution, arguments: Mapping[str, Any]) -> Change:
    target = arguments.get("target")
    if not target and not arguments.get("errors"):
        raise UsageError("say which: requeue TASK, or requeue --errors")
    places = _targets(execution, str(target)) if target else [(runner, "") for runner in execution.runners.values()]
    chosen: dict[str, list[AttemptSpec]] = {}
    for runner, task in places:
        works = [work for work in (*runner.failed.values(), *runner.cancelled) if not task or work.key.task_id == task]
        if arguments.get("errors"):
            works = [work for work in works if work.key in runner.failed]
        if works:
            chosen[runner.item.plan.name] = works
    count = sum(len(works) for works in chosen.values())
    if target and not count:
        raise UsageError(f"{target} has no attempt that ended in an error or was cancelled")
    if count and execution.controls.ending:
        raise UsageError('the run is ending; go on with "stackbench eval --resume", which makes its errors again')
    return 0, count, lambda: execution.requeue(chosen)
