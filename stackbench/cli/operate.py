"""`ctl`: the operator's verbs on a live engine, and `why` of one that no longer answers."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stackbench.cli.agent_views import AGENT_VIEWS, open_terminal, print_agent_view, print_shell
from stackbench.cli.console import out, print_json, print_table, shown
from stackbench.cli.ended_runs import ended_document, ended_line, find_ended
from stackbench.config import Home
from stackbench.control.client import connect
from stackbench.control.verbs import VERBS, change_line
from stackbench.engine.home_lock import holder_of
from stackbench.errors import EngineUnreachableError, UsageError
from stackbench.suggestions import did_you_mean

__all__ = ["ctl"]

WHY_SHOWN = 50
CONNECTS_WITHIN_S = 10.0
WAITS_WITH_TRACE_S = (1.0, 1.0)
"""How long the engine may take to accept a connection, and to answer, where its trace tells what is asked."""


def ctl(verb: str, words: Sequence[str], flags: Mapping[str, Any], *, home: Path | None, as_json: bool) -> int:
    """Carries a verb out on the home's engine and prints its answer.

    Raises:
        UsageError: there is no such verb, or its arguments do not fit.
        EngineUnreachableError: no engine is live.
    """
    arguments = _arguments(verb, words, flags)
    found = Home.find(home, to_write=False)
    name = arguments.get("run") if verb == "why" else None
    trace = _last_trace(found) if verb in ("why", "status") else None
    if name is not None and not (trace is not None and str(trace["run_id"]).startswith(name)):
        ended = find_ended(found, str(name))
        if ended is not None:
            print_json(ended_document(ended)) if as_json else out().print(
                shown(ended_line(ended, home), whole=True), crop=False
            )
            return 0
    in_trace = trace is not None and (verb == "why" or trace["engine"] == "hung")
    waits = WAITS_WITH_TRACE_S if in_trace else (CONNECTS_WITHIN_S, VERBS[verb].within_s)
    try:
        answer = asyncio.run(_ask(found, verb, arguments, waits, dry_run=bool(flags.get("dry_run"))))
    except EngineUnreachableError as error:
        if verb in ("why", "status"):
            trace = _last_trace(found)
        if trace is None:
            ended = None if holder_of(found.lock) is not None else find_ended(found, None)
            if ended is None:
                raise
            raise EngineUnreachableError(f"no engine is live; the newest {ended_line(ended, home)}") from error
        answer = trace
    if as_json:
        print_json(answer)
    else:
        _print(verb, arguments, answer)
    return 0


async def _ask(
    home: Home, verb: str, arguments: Mapping[str, Any], waits: tuple[float, float], *, dry_run: bool
) -> Any:
    client = await connect(home.socket, "ctl", within_s=waits[0])
    try:
        who = f"ctl ({getpass.getuser()})"
        return await client.command(verb, who=who, dry_run=dry_run, within_s=waits[1], **arguments)
    finally:
        await client.close()


def _arguments(verb: str, words: Sequence[str], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The verb's arguments from the words after it and the flags."""
    if verb not in VERBS:
        raise UsageError(f'there is no verb "{verb}"{did_you_mean(verb, VERBS)}; the verbs: {", ".join(VERBS)}')
    parameters = VERBS[verb].parameters
    places = [parameter.name for parameter in parameters if not parameter.flag]
    if len(words) > len(places):
        takes = " ".join(name.upper() for name in places) or "no arguments"
        raise UsageError(f"ctl {verb} takes {takes}, not {' '.join(words)}")
    arguments: dict[str, Any] = dict(zip(places, words, strict=False))
    known = {parameter.name for parameter in parameters if parameter.flag}
    for name in ("now", "errors", "content"):
        if flags.get(name):
            if name not in known and name != "content":
                raise UsageError(f"ctl {verb} takes no --{name}")
            if name in known:
                arguments[name] = True
    if flags.get("run"):
        arguments["run"] = flags["run"]
    return arguments


def _last_trace(home: Home) -> dict[str, Any] | None:
    """What the home's engine last wrote about itself; None where there is nothing of this engine."""
    from stackbench.engine.trace_file import read_trace

    trace = read_trace(home.trace)
    holder = holder_of(home.lock)
    if trace is None or (holder is not None and holder.pid != trace.pid):  # an engine that starts has written nothing
        return None
    if holder is None:
        state = "killed"
    elif holder.stopped:
        state = "stopped"
    elif trace.age_s > 10 or trace.loop_stalled_s > 5:
        state = "hung"
    else:
        state = "busy"
    return {
        **trace.content,
        "engine": state,
        "last_written_s_ago": round(trace.age_s, 1),
    }


def _print(verb: str, arguments: Mapping[str, Any], answer: Any) -> None:
    if verb == "runs":
        print_table(
            ("run", "state", "suite", "model", "benchmarks"),
            [(r["run_id"], r["phase"], r["suite"], r["model"], ", ".join(r["benchmarks"])) for r in answer],
            whole=("run",),
        )
    elif verb in AGENT_VIEWS:
        print_agent_view(verb, answer)
    elif "attempts" in answer:
        _print_why(answer)
    elif verb == "status":
        _print_status(answer)
    else:
        if not answer["changed"]:
            text = f"{verb}: nothing to change, it is {answer['new']} already"
        else:
            line = change_line(verb, arguments, answer["old"], answer["new"])
            text = f"{'would ' if answer['dry_run'] else ''}{line} (run {answer['run_id']})"
        out().print(shown(text))
        if verb == "shell" and "result" in answer:
            print_shell(answer["result"])
        elif verb == "terminal" and "result" in answer:
            open_terminal(answer["result"])


def _print_why(answer: Mapping[str, Any]) -> None:
    if "engine" in answer:
        words = {
            "killed": "the engine was killed",
            "stopped": "the engine is stopped (SIGSTOP)",
            "hung": f"the engine's event loop has stood still for {answer['loop_stalled_s']} s",
            "busy": "the engine does not answer",
        }
        line = (
            f"process {answer['pid']}: {words[answer['engine']]}; what it wrote {answer['last_written_s_ago']} s ago:"
        )
        out().print(shown(line))
    attempts = answer["attempts"]
    if answer["run_id"] is None:
        out().print("no run is live")
        return
    out().print(shown(f"run {answer['run_id']}: {_phase(answer)}, {len(attempts)} attempts under way"))
    print_table(
        ("benchmark", "task", "attempt", "waits for", "for", "runs since"),
        [
            (
                row["benchmark"],
                row["task_id"],
                row["attempt"],
                " ".join(filter(None, (row["waits_for"] or "nothing", row["detail"] and f"({row['detail']})"))),
                f"{row['for_s']} s",
                f"{row['running_s']} s",
            )
            for row in attempts[:WHY_SHOWN]
        ],
        right=("attempt", "for", "runs since"),
    )
    if len(attempts) > WHY_SHOWN:
        out().print(f"and {len(attempts) - WHY_SHOWN} more (--json lists all)")


def _phase(answer: Mapping[str, Any]) -> str:
    """The phase, with what the run waits for, where something does not answer."""
    waiting_for = answer.get("waiting_for", "")
    return f"{answer['phase']} ({waiting_for})" if waiting_for else str(answer["phase"])


def _print_status(answer: Mapping[str, Any]) -> None:
    slots = answer["slots"]
    settings = ", ".join(f"{name} {value}" for name, value in answer["settings"].items() if value is not None)
    head = (
        f"run {answer['run_id']} of {answer['model']}: {_phase(answer)}; {slots['taken']} of {slots['size']} requests"
    )
    out().print(shown(f"{head}; {settings}"))
    print_table(
        ("benchmark", "done", "passed", "errors", "running", "queued", "cancelled"),
        [
            (
                row["benchmark"],
                f"{row['before'] + row['done']}/{row['total']}",
                *(row[name] for name in ("passed", "errors", "running", "queued", "cancelled")),
            )
            for row in answer["benchmarks"]
        ],
        right=("done", "passed", "errors", "running", "queued", "cancelled"),
    )
    for call in answer["calls_to_approve"]:
        arguments = f" {call['arguments']}" if "arguments" in call else ""
        where = f"{call['benchmark']}/{call['task_id']}"
        out().print(shown(f"call {call['call']} waits: {call['tool']} of {where}{arguments}"))
