"""Plays the scripted solution through the agent's loop, with values from earlier results filled into later calls."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from stackbench.active_clock import ActiveClock
from stackbench.agents import AgentLimits, AgentResult, CallMade, Script, run_agent
from stackbench.agents.tools import Workspace
from stackbench.benchmarks.tooluse.scenario.scenario import OracleCall, Scenario
from stackbench.nesting import is_array, is_object
from stackbench.token_estimate import TokenEstimator
from stackbench.types import Generation, Request, Sampling, TokenCount, ToolCall, ToolCallRecord

__all__ = ["looks", "play_script", "script_of"]

TEXTS = ("content", "oldText", "newText", "command", "path", "url", "body", "data", "text")
LOOKED_AT = 3
PLACE = re.compile(r"\$\{(\w+)\}")


LOOK_AROUND = """\
ls -laR . | head -n 200; for f in *; do if [ -f "$f" ]; then head -c 300 "$f"; fi; done
find . -name '*.txt' -exec cat {} + | wc -c; ps -eo pid,args > /dev/null; ls > /dev/null
for d in .git */.git; do if [ -d "$d" ]; then git -C "${d%.git}" status; git -C "${d%.git}" log --oneline; fi; done
python3 -c 'import pathlib; print(len([p.read_bytes() for p in pathlib.Path(".").iterdir() if p.is_file()]))' || true
"""


def looks(spec: Scenario) -> list[OracleCall]:
    """Calls that look at everything and change nothing, with the tools that a task offers."""
    if "exec" in spec.tools:
        return [OracleCall(tool="exec", arguments={"command": LOOK_AROUND})]
    found = [OracleCall(tool="ls", arguments={})] if "ls" in spec.tools else []
    if "read" in spec.tools:
        texts = [path for path, file in spec.setup.files.items() if file.content is not None][:LOOKED_AT]
        found += [OracleCall(tool="read", arguments={"path": path}) for path in texts]
    return found


def script_of(calls: Sequence[OracleCall], answer: str) -> Script:
    """What the oracle says and calls next, after the calls made so far."""

    def turn(made: Sequence[CallMade]) -> tuple[str, Sequence[ToolCall]]:
        saved: dict[str, str] = {}
        for call, result in zip(calls, made, strict=False):
            for name, pattern in call.save.items():
                found = re.search(pattern, result.text, re.MULTILINE)
                saved[name] = found.group(1) if found else ""
        left = calls[len(made) :]
        if not left:
            return _filled(answer, saved), ()
        together = [left[0]]
        for call in left[1:]:
            if not call.together:
                break
            together.append(call)
        first = len(made)
        return "", [
            ToolCall(f"oracle_{first + index}", call.tool, json.dumps(_filled(_typed(call.arguments), saved)))
            for index, call in enumerate(together)
        ]

    return turn


def _typed(arguments: dict[str, Any]) -> dict[str, Any]:
    """Numbers that expressions gave, as text where the parameter takes text."""
    return {
        name: str(value) if name in TEXTS and isinstance(value, int | float) else value
        for name, value in arguments.items()
    }


def _filled(value: Any, saved: dict[str, str]) -> Any:
    if isinstance(value, str):
        return PLACE.sub(lambda match: saved.get(match[1], match[0]), value)
    if is_object(value):
        return {name: _filled(one, saved) for name, one in value.items()}
    if is_array(value):
        return [_filled(one, saved) for one in value]
    return value


class ReferenceModel:
    """Implements `Backend`: plays the script, counts nothing, logs nothing."""

    native_tools = True
    window: int | None = None

    def __init__(self) -> None:
        self.clock = ActiveClock()

    async def generate(self, request: Request) -> Generation:
        return Generation(request.reference, tool_calls=request.reference_calls)

    async def count_tokens(self, request: Request) -> TokenCount:
        return TokenEstimator().count(request)

    def log(self, kind: str, payload: Any) -> None:
        """Nobody reads it."""

    def call_started(self, step: int, call: ToolCall) -> None:
        """Nobody watches."""

    def command_output(self, session_id: str, text: str) -> None:
        """Nobody watches."""

    def log_call(self, call: ToolCallRecord) -> None:
        """Nobody reads it."""


async def play_script(spec: Scenario, workspace: Workspace, calls: Sequence[OracleCall], answer: str) -> AgentResult:
    """Plays a script in a world that was set up, through the same loop as a model. Raises SandboxError."""
    return await run_agent(
        spec.prompt,
        backend=ReferenceModel(),
        workspace=workspace,
        tools=spec.tools,
        system="",
        sampling=Sampling(),
        limits=AgentLimits(steps=spec.limits.steps, seconds=spec.limits.seconds),
        script=script_of(calls, answer),
    )
