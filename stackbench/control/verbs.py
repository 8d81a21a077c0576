"""The operator's verbs, defined once; `stackbench ctl`, the TUI's keys and the voice grammar are ways to say them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stackbench.errors import UsageError
from stackbench.suggestions import did_you_mean

__all__ = ["SETTABLE", "VERBS", "Parameter", "Verb", "arguments_of", "change_line", "check_setting"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a verb."""

    name: str
    help: str
    required: bool = False
    flag: bool = False
    """`--name` without a value."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that an operator may ask of a live engine."""

    name: str
    help: str
    parameters: tuple[Parameter, ...] = ()
    changes: bool = True
    """Whether it changes something: it is then recorded as an event of kind `operator`, and `--dry-run` applies."""
    within_s: float = 30.0
    """An engine that has not answered after so long is taken for hung."""


_TARGET = "A benchmark, a task, or BENCHMARK/TASK where several benchmarks name a task so."
_AGENT = "The agent's task, as `agents` lists it; unset: the only one at work."
_CONTENT = Parameter("content", "Also what models and tools wrote.", flag=True)
_CALL = "The call's id, as `status` and the events tell it; unset: the only one that waits."

VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("runs", "The live run and those queued behind it.", changes=False),
        Verb(
            "status",
            "Progress of the live run: benchmarks, attempts, settings in force.",
            (_CONTENT,),
            changes=False,
        ),
        Verb(
            "why",
            "What each running attempt waits for, and how long; of a run that has ended, how it did.",
            (Parameter("run", "A run's id, name or tag; unset: the live one."),),
            changes=False,
        ),
        Verb(
            "pause",
            "Start no further attempt; those under way go on. With a target: hold that agent alone.",
            (
                Parameter("target", "An agent's task: it is held before its next turn or call."),
                Parameter("now", "Hold those under way too, each before its next call of the model.", flag=True),
            ),
        ),
        Verb(
            "resume",
            "Go on after a pause. With a target: let that agent go on.",
            (Parameter("target", "The task of an agent that is held."),),
        ),
        Verb("drain", "Start no further attempt, let those under way end, then end the run; it can be resumed."),
        Verb("stop", "End the run now; it can be resumed."),
        Verb(
            "cancel",
            "Leave out what is left of a benchmark or a task; attempts under way are given up.",
            (Parameter("target", _TARGET, required=True),),
        ),
        Verb(
            "requeue",
            "Make attempts that ended in errors, or were cancelled, again.",
            (
                Parameter("target", _TARGET),
                Parameter("errors", "Every attempt of the run that ended in an error.", flag=True),
            ),
        ),
        Verb(
            "set",
            "Change a setting of the live run: concurrency, sandboxes, timeout (seconds) or max-hours.",
            (
                Parameter("name", "Which setting.", required=True),
                Parameter("value", "Its new value; 0 takes a timeout or max-hours away.", required=True),
            ),
        ),
        Verb("approve", "Let a tool call that waits for the operator pass.", (Parameter("call", _CALL),)),
        Verb(
            "reject",
            "Refuse a tool call that waits for the operator.",
            (Parameter("call", _CALL), Parameter("reason", "What the model is told.")),
        ),
        Verb(
            "edit",
            "Let a tool call pass with other arguments.",
            (Parameter("arguments", "The arguments, a JSON object.", required=True), Parameter("call", _CALL)),
        ),
        Verb(
            "message",
            "Put a message before the next turn of an agent.",
            (
                Parameter("text", "The message.", required=True),
                Parameter("target", _AGENT),
            ),
        ),
        Verb("agents", "The agents at work, with the calls that wait for you.", (_CONTENT,), changes=False),
        Verb(
            "transcript",
            "What an agent at work did so far.",
            (
                Parameter("target", _AGENT),
                Parameter("since", "Only from this event on, counted from 0."),
                _CONTENT,
            ),
            changes=False,
        ),
        Verb(
            "policy",
            "Which tool calls wait for you: never, risky (those that may change something) or always.",
            (
                Parameter("policy", "never, risky or always.", required=True),
                Parameter("target", "An agent's task; unset: all agents of the run, those to come included."),
            ),
        ),
        Verb("step", "Hold an agent, and let one turn or call of it pass.", (Parameter("target", _AGENT),)),
        Verb(
            "interrupt",
            "End what the agent of a chat is at: its turn and calls are given up, and it waits for the next message.",
            (Parameter("target", _AGENT),),
        ),
        Verb(
            "abort",
            "End an agent now; what it did is kept, and scored where it is an attempt at a task.",
            (Parameter("target", _AGENT),),
        ),
        Verb(
            "files",
            "A folder of an agent's sandbox.",
            (Parameter("path", "The folder; unset: the workspace."), Parameter("target", _AGENT), _CONTENT),
            changes=False,
        ),
        Verb(
            "read",
            "A file of an agent's sandbox, its first MiB.",
            (Parameter("path", "The file.", required=True), Parameter("target", _AGENT), _CONTENT),
            changes=False,
        ),
        Verb(
            "shell",
            "Run a command line in an agent's sandbox, a minute at most; the transcript tells of it.",
            (
                Parameter("command", "The command line.", required=True),
                Parameter("target", _AGENT),
                Parameter("folder", "Where to run it; unset: the workspace."),
                _CONTENT,
            ),
            within_s=90.0,
        ),
        Verb(
            "terminal",
            "Open a shell with a terminal in an agent's sandbox, through this machine's docker command.",
            (Parameter("target", _AGENT),),
        ),
    )
}

SettingName = Literal["concurrency", "sandboxes", "timeout", "max-hours"]
SETTABLE: tuple[SettingName, ...] = ("concurrency", "sandboxes", "timeout", "max-hours")
MOST_AT_ONCE = 100_000


def arguments_of(verb: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The verb's arguments, checked by name. Raises UsageError for a verb or an argument that is not there."""
    if verb not in VERBS:
        raise UsageError(f'there is no verb "{verb}"{did_you_mean(verb, VERBS)}; the verbs: {", ".join(VERBS)}')
    parameters = {parameter.name: parameter for parameter in VERBS[verb].parameters}
    unknown = sorted(set(given) - set(parameters))
    if unknown:
        near, takes = did_you_mean(unknown[0], parameters), ", ".join(parameters) or "nothing"
        raise UsageError(f'{verb} takes no "{unknown[0]}"{near}; it takes: {takes}')
    found = {name: value for name, value in given.items() if value is not None and value is not False}
    missing = [name for name, parameter in parameters.items() if parameter.required and name not in found]
    if missing:
        raise UsageError(f"{verb} needs {_listed(missing)}")
    for name, value in found.items():
        if parameters[name].flag and value is not True:
            raise UsageError(f"{verb}: --{name} takes no value")
        if not parameters[name].flag and not isinstance(value, str | int | float):
            raise UsageError(f"{verb}: {name} is a text or a number, not {type(value).__name__}")
    return found


def check_setting(name: str, value: str | float) -> tuple[SettingName, float]:
    """A setting that a live run may change, and its value. Raises UsageError."""
    for known in SETTABLE:
        if name.replace("_", "-") in (known, f"{known}-s"):
            break
    else:
        near = did_you_mean(name, SETTABLE)
        raise UsageError(f'"{name}" cannot be set on a live run{near}; what can: {", ".join(SETTABLE)}')
    try:
        number = float(value)
    except ValueError as error:
        raise UsageError(f"{known} takes a number, not {value!r}") from error
    whole = known in ("concurrency", "sandboxes")
    if not math.isfinite(number) or number < 0 or (whole and (number < 1 or number != int(number))):
        raise UsageError(f"{known} takes {'a whole number from 1' if whole else 'a number from 0'}, not {value}")
    if number > MOST_AT_ONCE:
        raise UsageError(f"{known} takes at most {MOST_AT_ONCE}, not {value}")
    return known, number


def change_line(verb: str, arguments: Mapping[str, Any], old: Any, new: Any) -> str:
    """What a verb changed, in one line: `set concurrency: 4 -> 8`, `set timeout: not set -> 7.0`."""
    named = str(arguments.get("name") or arguments.get("target") or "")
    words = f"{verb} {named}".rstrip()
    if new is None and old is None:
        return words
    return f"{words}: {'not set' if old is None else old} -> {'not set' if new is None else new}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(name.upper() for name in names)
