"""An attempt of an agent in the Agent Trajectory Interchange Format (ATIF v1.4, Harbor's RFC 0001)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import stackbench
from stackbench import nesting

__all__ = ["SCHEMA", "Event", "trajectory"]

SCHEMA = "ATIF-v1.4"
Event = tuple[Any, str, Mapping[str, Any]]


def trajectory(session_id: str, model: str, events: Sequence[Event]) -> dict[str, Any]:
    """The turns of an attempt: what it was asked, each answer with its calls, and what the calls gave.

    Args:
        events: time, kind and payload of `agent_start`, `model_call`, `tool_result` and `agent_end`, in order.
    """
    steps: list[dict[str, Any]] = []
    totals = [0, 0]
    for ts, kind, payload in events:
        if kind == "agent_start":
            steps.append(_step(ts, "system", str(payload["system"])))
            steps.append(_step(ts, "user", str(payload["task"])))
        elif kind == "model_call":
            totals[0] += payload.get("prompt_tokens") or 0
            totals[1] += payload.get("completion_tokens") or 0
            steps.append(_answer(ts, model, payload))
        elif kind == "tool_result" and steps:
            _observe(steps[-1], payload)
    for number, step in enumerate(steps, 1):
        step["step_id"] = number
    return {
        "schema_version": SCHEMA,
        "session_id": session_id,
        "agent": {"name": "stackbench", "version": stackbench.__version__, "model_name": model},
        "steps": steps,
        "final_metrics": {
            "total_prompt_tokens": totals[0],
            "total_completion_tokens": totals[1],
            "total_steps": len(steps),
        },
    }


def _step(ts: Any, source: str, message: str) -> dict[str, Any]:
    when = ts.isoformat() + "Z" if isinstance(ts, datetime) else str(ts)
    return {"step_id": 0, "timestamp": when, "source": source, "message": message}


def _answer(ts: Any, model: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    step = _step(ts, "agent", str(payload.get("text", ""))) | {"model_name": model}
    if payload.get("thought"):
        step["reasoning_content"] = payload["thought"]
    step["metrics"] = {
        "prompt_tokens": payload.get("prompt_tokens") or 0,
        "completion_tokens": payload.get("completion_tokens") or 0,
    }
    return step


def _observe(step: dict[str, Any], payload: Mapping[str, Any]) -> None:
    """Adds a call that the last answer made, with its result."""
    call = {
        "tool_call_id": str(payload["call"]),
        "function_name": str(payload["tool"]),
        "arguments": nesting.object_of(str(payload["arguments"])) or {"text": str(payload["arguments"])},
    }
    step.setdefault("tool_calls", []).append(call)
    results = step.setdefault("observation", {"results": []})["results"]
    results.append({"source_call_id": call["tool_call_id"], "content": str(payload["text"])})
