"""A run of SWE-bench as the leaderboard takes submissions, and its summary as swebench writes it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from stackbench.plurals import number_of
from stackbench.report.atif import TimedEvent, iso_time, trajectory
from stackbench.store import Queries, Reader

__all__ = ["BENCHMARK", "leaderboard_files", "run_report"]

BENCHMARK = "swebench"
ATTEMPTS = """
SELECT task_id, attempt, seed, status, passed, program, completion, prompt, reason, metrics FROM attempts
WHERE run_id = ? AND benchmark = ? ORDER BY task_id, seed, attempt
"""
EVENTS = """
SELECT seq, ts, kind, payload FROM events
WHERE run_id = ? AND benchmark = ? AND task_id = ? AND attempt = ? AND seed = ? ORDER BY seq
"""
TURNS = ("agent_start", "model_call", "tool_result", "agent_end")
README = """# {model}

SWE-bench, {tasks}: {resolved} of {asked} instances resolved ({share:.1%}).

Made by stackbench in run {run_id}; see metadata.yaml{and_logs}.

{how}
"""
SOLVED_HERE = """- Each instance was attempted once: {once}
- Hints were shown: {hints}
- The model had a network: no
- The repository's history was sealed while the model worked: yes"""
GRADED_ONLY = """The predictions were made elsewhere and graded here. Attempts for each instance, hints, and what
the model could reach are not known to stackbench: whoever made them has to say so. In all_preds.jsonl the model stands
as the file that was graded."""
GRADED_FILE = "file:"
"""What the model of a run is called whose answers are those of a file."""


@dataclass(frozen=True, slots=True)
class Graded:
    """One attempt with what its events say of the grading."""

    task_id: str
    status: str
    patch: str
    reason: str
    metrics: Mapping[str, Any]
    grading: Mapping[str, Any]
    attempt: int = 0
    seed: int = 0
    events: Sequence[TimedEvent] = ()

    @property
    def key(self) -> tuple[str, str, int, int]:
        """Benchmark, task, attempt and seed."""
        return (BENCHMARK, self.task_id, self.attempt, self.seed)

    @property
    def empty(self) -> bool:
        return not self.patch.strip()

    @property
    def completed(self) -> bool:
        """Whether swebench would have written a report: the patch applied, and the tests ended in time."""
        return bool(self.grading) and bool(self.grading["applied"]) and not self.grading["timed_out"]


def leaderboard_files(queries: Queries, run_id: str) -> Iterator[tuple[str, bytes]]:
    """Names below the export's folder, and contents; none for a run that has no attempt at SWE-bench."""
    attempts = list(_graded(queries, run_id))
    if not attempts:
        return
    each = max(Counter(one.task_id for one in attempts).values())
    firsts: dict[str, Graded] = {}
    for one in attempts:
        firsts.setdefault(one.task_id, one)
    graded = list(firsts.values())
    reader = Reader(queries)
    run = reader.run(run_id)
    model = run.model
    predictions = [
        {"instance_id": one.task_id, "model_name_or_path": model, "model_patch": one.patch} for one in graded
    ]
    yield "all_preds.jsonl", "".join(json.dumps(row) + "\n" for row in predictions).encode()
    for one in graded:
        yield f"logs/{one.task_id}/patch.diff", one.patch.encode("utf-8", "surrogateescape")
        if one.grading:
            yield f"logs/{one.task_id}/test_output.txt", str(one.grading["test_output"]).encode()
        if one.completed and not one.empty:
            yield f"logs/{one.task_id}/report.json", _json({one.task_id: one.grading["report"]})
        if one.events:
            yield f"trajs/{one.task_id}.json", _json(trajectory(run_id, one.key, model, one.events))
    planned = next((b for b in reader.results(run_id) if b.benchmark == BENCHMARK), None)
    asked = planned.planned.tasks_planned if planned is not None and planned.planned is not None else len(graded)
    report = run_report(graded, asked, reader.task_ids(run_id).get(BENCHMARK, ()))
    yield "report.json", _json(report)
    graded_only = model.startswith(GRADED_FILE)
    yield "metadata.yaml", _metadata(model, run_id, report, each, graded_only=graded_only)
    once = "yes" if each == 1 else f"no, {each} times; what stands here is of the first attempt at each"
    hints = "yes" if any(one.metrics.get("hints") for one in graded) else "no"
    resolved = report["resolved_instances"]
    readme = README.format(
        model=model,
        tasks=number_of(len(graded), "prediction"),
        resolved=resolved,
        asked=asked,
        share=resolved / asked,
        run_id=run_id,
        and_logs=" and logs/" if graded_only else ", logs/ and trajs/",
        how=GRADED_ONLY if graded_only else SOLVED_HERE.format(once=once, hints=hints),
    )
    yield "README.md", readme.encode()


def run_report(graded: Sequence[Graded], total: int, asked: Sequence[str] = ()) -> dict[str, Any]:
    """The summary that `swebench.harness.reporting.make_run_report` (5.0.2, schema version 2) writes without a Docker
    client, of one attempt at each instance; `total` counts the instances asked, with those that have no prediction,
    and `asked` names them where that is recorded."""
    submitted = {one.task_id for one in graded}
    empty = {one.task_id for one in graded if one.empty}
    completed = {one.task_id for one in graded if one.completed and not one.empty}
    resolved = {one.task_id for one in graded if one.task_id in completed and one.grading["resolved"]}
    errors = submitted - empty - completed
    failures = {one.task_id: one for one in graded if one.task_id in (completed - resolved) | errors}
    reasons = {task: found for task, one in sorted(failures.items()) if (found := _signature(one)) is not None}
    infrastructure = sorted(task for task, (_, tier) in reasons.items() if tier == "environment")
    ambiguous = sorted(task for task, (_, tier) in reasons.items() if tier == "ambiguous")
    return {
        "total_instances": total,
        "submitted_instances": len(submitted),
        "completed_instances": len(completed),
        "resolved_instances": len(resolved),
        "unresolved_instances": len(completed - resolved),
        "infra_failure_instances": len(infrastructure),
        "ambiguous_failure_instances": len(ambiguous),
        "empty_patch_instances": len(empty),
        "error_instances": len(errors),
        "completed_ids": sorted(completed),
        "incomplete_ids": sorted(set(asked) - submitted),
        "empty_patch_ids": sorted(empty),
        "submitted_ids": sorted(submitted),
        "resolved_ids": sorted(resolved),
        "unresolved_ids": sorted(completed - resolved),
        "infra_failure_ids": infrastructure,
        "ambiguous_failure_ids": ambiguous,
        "failure_reasons": {task: reason for task, (reason, _) in reasons.items()},
        "error_ids": sorted(errors),
        "schema_version": 2,
    }


def _signature(one: Graded) -> tuple[str, str] | None:
    found = one.grading.get("signature") if one.grading else None
    return (str(found[0]), str(found[1])) if found else None


def _graded(queries: Queries, run_id: str) -> Iterator[Graded]:
    for task_id, attempt, seed, status, _, program, _, _, reason, metrics in queries.rows(
        ATTEMPTS, [run_id, BENCHMARK]
    ):
        rows = queries.rows(EVENTS, [run_id, BENCHMARK, task_id, attempt, seed])
        events: list[TimedEvent] = [(kind, iso_time(ts), json.loads(payload)) for _, ts, kind, payload in rows]
        last = {kind: payload for kind, _, payload in events}
        grading, solution = last.get("grading", {}), last.get("solution", {})
        yield Graded(
            task_id=task_id,
            status=status,
            patch=program or solution.get("patch", ""),
            reason=reason or "",
            metrics=json.loads(metrics or "{}"),
            grading=grading,
            attempt=attempt,
            seed=seed,
            events=[event for event in events if event[0] in TURNS],
        )


def _metadata(model: str, run_id: str, report: Mapping[str, Any], attempts: int, *, graded_only: bool) -> bytes:
    """The fields that the leaderboard shows; what only the submitter knows is left empty."""
    found = {
        "info": {"name": model, "logo": "", "site": "", "report": "", "authors": ""},
        "tags": {
            "checked": False,
            "model": [model],
            "org": "",
            "os_model": None,
            "os_system": None if graded_only else True,
            "system": {"attempts": "" if graded_only else str(attempts)},
        },
        "stackbench": {"run": run_id, "resolved": report["resolved_instances"], "asked": report["total_instances"]},
    }
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True).encode()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=4, ensure_ascii=False) + "\n").encode("utf-8", "replace")
