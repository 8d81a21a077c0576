"""Which calls were wrong: by what they did, not by how they are written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stackbench.benchmarks.tooluse.checks.matchers import arguments_of, call_fits
from stackbench.benchmarks.tooluse.checks.task_outcome import LOOKING, Outcome
from stackbench.benchmarks.tooluse.scenario.scenario import ForbiddenCall, Scenario

if TYPE_CHECKING:
    from stackbench.agents import CallMade

__all__ = ["Fault", "faults"]

WRITERS = ("write", "edit", "apply_patch")
LOOKS_OF_PROCESS = ("list", "poll", "log")
TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a call is wrong."""

    why: str
    excused: bool = False
    """Whether it is no fault where the call was expected: it only failed."""


def faults(scenario: Scenario, calls: Sequence[CallMade], strays: Collection[tuple[int, int]]) -> dict[int, Fault]:
    """The calls that were wrong, by their index: malformed, refused, or with an effect outside the task's outcome.

    A call without an effect is a look, whatever its form; so is one whose effects are not known, since a limit cut it
    off or the machine was too slow to look. `strays` are the processes that should not run at the end.
    """
    outcome = Outcome(scenario)
    found: dict[int, Fault] = {}
    for index, call in enumerate(calls):
        fault = _fault(scenario, outcome, call, strays)
        if fault is not None:
            found[index] = fault
    return found


def _fault(scenario: Scenario, outcome: Outcome, call: CallMade, strays: Collection[tuple[int, int]]) -> Fault | None:
    if not call.valid:
        return Fault("malformed", excused=True)
    if any(isinstance(rule, ForbiddenCall) and call_fits(rule, call) for rule in scenario.forbidden):
        return Fault("forbidden")
    effects = call.effects
    if effects is not None and (beyond := outcome.beyond(effects, strays)):
        return Fault(f"changed what is no outcome: {', '.join(beyond[:3])}")
    if _was_refused(call):
        return Fault("refused", excused=True)
    if not _is_local(call):
        return Fault("asked a host outside the task")
    return None


def _was_refused(call: CallMade) -> bool:
    """Whether a tool, the operator or the service refused a change; that a service is busy or broken is no refusal."""
    if call.details.get("refused"):
        return True
    given = arguments_of(call)
    if call.tool in WRITERS:
        return call.failed
    if call.tool == "process":
        return call.failed and given.get("action") not in LOOKS_OF_PROCESS
    if call.tool == "http_request":
        return given.get("method") not in LOOKING and _is_refusal(call.details.get("status"))
    if call.effects is None:
        return False
    return any(one.method not in LOOKING and _is_refusal(one.status) for one in call.effects.requests)


def _is_refusal(status: Any) -> bool:
    return isinstance(status, int) and 400 <= status < 500 and status != TOO_MANY


def _is_local(call: CallMade) -> bool:
    if call.tool not in ("web_fetch", "http_request"):
        return True
    try:
        return urlsplit(str(arguments_of(call).get("url"))).hostname in ("localhost", "127.0.0.1")
    except ValueError:
        return False
