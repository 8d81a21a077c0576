"""Agents' transcripts as ATIF documents: Harbor's Agent Trajectory Interchange Format, version 1.7.

The format: https://harborframework.com/docs/trajectory-format. One document for each attempt that an agent made; what
the format has no field for stands in its `extra`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackbench import __version__, nesting
from stackbench.store import Queries

__all__ = ["ATIF_VERSION", "TimedEvent", "iso_time", "trajectories", "trajectory"]

ATIF_VERSION = "ATIF-v1.7"
AGENTS = """
SELECT DISTINCT benchmark, task_id, attempt, seed FROM events WHERE run_id = ? AND kind = 'agent_start'
ORDER BY benchmark, task_id, seed, attempt
"""
EVENTS = """
SELECT kind, ts, payload FROM events
WHERE run_id = ? AND benchmark = ? AND task_id = ? AND attempt = ? AND seed = ? ORDER BY seq
"""
ATTEMPT = """
SELECT status, score, passed, coalesce(reason, error), metrics FROM attempts
WHERE run_id = ? AND benchmark = ? AND task_id = ? AND attempt = ? AND seed = ?
"""
MODEL = "SELECT model FROM runs WHERE run_id = ?"
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST_NAME = 150

TimedEvent = tuple[str, str, Mapping[str, Any]]
"""Kind, time (ISO 8601, UTC), payload."""


def trajectories(queries: Queries, run_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A file name and a document for each attempt of the run that an agent made."""
    found = queries.rows(MODEL, [run_id])
    model = str(found[0][0]) if found else ""
    taken: set[str] = set()
    for key in queries.rows(AGENTS, [run_id]):
        events = [
            (kind, iso_time(ts), json.loads(payload or "{}"))
            for kind, ts, payload in queries.rows(EVENTS, [run_id, *key])
        ]
        outcome: dict[str, Any] = {}
        for status, score, passed, reason, metrics in queries.rows(ATTEMPT, [run_id, *key]):
            outcome = {"status": status, "score": score, "passed": passed, "reason": reason}
            outcome["metrics"] = json.loads(metrics or "{}")
        yield _file_name(key, taken), trajectory(run_id, key, model, events, outcome)


def trajectory(
    run_id: str,
    key: Sequence[Any],
    model: str,
    events: Sequence[TimedEvent],
    outcome: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One attempt's document; `key` is benchmark, task, attempt and seed."""
    benchmark, task, attempt, seed = key
    steps = _Steps()
    for kind, ts, payload in events:
        steps.take(kind, ts, payload)
    start = next((payload for kind, _, payload in events if kind == "agent_start"), dict[str, Any]())
    calls = [payload for kind, _, payload in events if kind == "model_call"]
    verdict = next((dict(payload) for kind, _, payload in events if kind == "verdict"), None)
    ending = next((payload.get("ending") for kind, _, payload in events if kind == "agent_end"), None)
    named = {"benchmark": benchmark, "task_id": task, "attempt": attempt, "seed": seed}
    return {
        "schema_version": ATIF_VERSION,
        "session_id": run_id,
        "trajectory_id": f"{run_id}/{benchmark}/{task}#{attempt}/{seed}",
        "agent": {
            "name": "stackbench",
            "version": __version__,
            "model_name": model,
            "tool_definitions": _definitions(start.get("tools") or ()),
        },
        "steps": steps.found,
        "final_metrics": {
            "total_prompt_tokens": sum(call.get("prompt_tokens") or 0 for call in calls),
            "total_completion_tokens": sum(call.get("completion_tokens") or 0 for call in calls),
            "total_steps": len(steps.found),
        },
        "extra": {
            **named,
            **(outcome or {}),
            "ending": ending,
            **({"verdict": verdict} if verdict is not None else {}),
        },
    }


@dataclass(slots=True)
class _Steps:
    """The document's steps: messages of system and user, turns of the agent with their calls and results."""

    found: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _taken: set[str] = field(default_factory=set[str])

    def take(self, kind: str, ts: str, payload: Mapping[str, Any]) -> None:
        if kind == "agent_start":
            self._add(ts, "system", str(payload.get("system") or ""))
            if payload.get("task"):
                self._add(ts, "user", str(payload["task"]))
        elif kind == "model_call":
            self._add_turn(ts, payload)
        elif kind == "model_call_failed":
            self._add(ts, "system", f"the model gave no answer: {payload.get('error')}", {"event": kind})
        elif kind == "tool_result":
            self._add_call(ts, payload)
        elif kind == "operator" and payload.get("action") == "message":
            self._add(ts, "user", str(payload.get("text") or ""), {"operator": True})
        elif kind == "operator":
            self._add(ts, "system", f"operator: {payload.get('action')}", {"operator": dict(payload)})
        elif kind in ("context_trimmed", "calls_cut", "repair"):
            self._add(ts, "system", kind, {"event": kind, **payload})

    def _add(self, ts: str, source: str, message: str, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
        step: dict[str, Any] = {"step_id": len(self.found) + 1, "timestamp": ts, "source": source, "message": message}
        if extra:
            step["extra"] = dict(extra)
        self.found.append(step)
        return step

    def _add_turn(self, ts: str, payload: Mapping[str, Any]) -> None:
        step = self._add(ts, "agent", str(payload.get("text") or ""))
        if payload.get("thought"):
            step["reasoning_content"] = str(payload["thought"])
        times = {name: payload[name] for name in ("latency_s", "ttft_s") if payload.get(name) is not None}
        step["metrics"] = {
            "prompt_tokens": payload.get("prompt_tokens"),
            "completion_tokens": payload.get("completion_tokens"),
            "extra": {**times, "finish_reason": payload.get("finish_reason")},
        }
        step["llm_call_count"] = 1

    def _add_call(self, ts: str, payload: Mapping[str, Any]) -> None:
        """A call and its result belong to the agent's last turn."""
        step = next((one for one in reversed(self.found) if one["source"] == "agent"), None)
        if step is None:
            step = self._add(ts, "agent", "")
        written = str(payload.get("arguments") or "")
        arguments = _arguments(written)
        name = self._unique(str(payload.get("call") or ""))
        call: dict[str, Any] = {
            "tool_call_id": name,
            "function_name": str(payload.get("tool")),
            "arguments": arguments or {},
        }
        if arguments is None:
            call["extra"] = {"arguments_as_written": written}
        told = {
            key: payload[key] for key in ("valid", "failed", "repaired", "duration_ms", "details") if key in payload
        }
        result = {"source_call_id": name, "content": str(payload.get("text") or ""), "extra": told}
        step.setdefault("tool_calls", []).append(call)
        step.setdefault("observation", {"results": []})["results"].append(result)

    def _unique(self, name: str) -> str:
        made, number = name or "call", 2
        while made in self._taken:
            made, number = f"{name or 'call'}-{number}", number + 1
        self._taken.add(made)
        return made


def _arguments(written: str) -> dict[str, Any] | None:
    """The object that a call's arguments are; None for what is none, and for numbers that JSON does not have."""
    found = nesting.object_of(written)
    try:
        json.dumps(found, allow_nan=False)
    except ValueError:
        return None
    return found


def _definitions(names: Sequence[str]) -> list[dict[str, Any]]:
    """The tools that the agent was offered, as this version of stackbench describes them."""
    from stackbench.agents.tools import TOOLS
    from stackbench.agents.tools.base import tool_schema

    return [tool_schema(TOOLS[name]) for name in names if name in TOOLS]


def iso_time(ts: Any) -> str:
    """ISO 8601 with its zone; the database holds UTC."""
    text = ts if isinstance(ts, str) else ts.isoformat()
    return f"{text.replace(' ', 'T').removesuffix('Z')}Z"


def _file_name(key: Sequence[Any], taken: set[str]) -> str:
    benchmark, task, attempt, seed = key
    stem = UNSAFE.sub("_", f"{benchmark}-{task}").strip("._-")[:LONGEST_NAME] or "attempt"
    name, number = f"{stem}-{attempt}-{seed}.json", 2
    while name.lower() in taken:
        name, number = f"{stem}-{attempt}-{seed}-{number}.json", number + 1
    taken.add(name.lower())
    return name
