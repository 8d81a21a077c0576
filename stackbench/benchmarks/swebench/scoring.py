"""What an attempt's row and its events say of a solution and its verdict."""

from __future__ import annotations

from typing import Any

from stackbench.benchmarks.swebench.instances import Instance
from stackbench.benchmarks.swebench.similarity import closeness, same_changes
from stackbench.benchmarks.swebench.solving import Solution
from stackbench.benchmarks.swebench.verdicts import Verdict
from stackbench.sandbox.recipe import ReadyImage

__all__ = ["attempt_metrics", "image_event", "scored_reason", "verdict_event"]

MOST_LOG = 400_000
"""Characters of a test log in the database; the middle of a longer one is left out."""


def attempt_metrics(
    instance: Instance, solution: Solution, verdict: Verdict, gold_passes: bool | None
) -> dict[str, Any]:
    """The metrics of one attempt; what does not apply is None."""
    empty = not solution.patch.strip()
    near = closeness(solution.patch, instance.gold_patch)
    (passed, needed), (kept, all_kept) = verdict.fail_to_pass, verdict.pass_to_pass
    gold = verdict.resolved if same_changes(solution.patch, instance.gold_patch) else gold_passes
    return {
        "resolved": float(verdict.resolved),
        "gold_passes": None if gold is None else float(gold),
        "fail_to_pass_rate": passed / needed,
        "pass_to_pass_rate": kept / all_kept if all_kept else None,
        "test_pass_rate": (passed + kept) / (needed + all_kept),
        "edit_similarity": 0.0 if empty else near.edit_similarity,
        "file_precision": near.file_precision,
        "file_recall": near.file_recall,
        "patch_applies": None if empty else float(verdict.applied),
        "empty_patch": float(empty),
        "environment_failure": float(verdict.kind == "environment"),
        "ambiguous_failure": float(verdict.kind == "ambiguous"),
        "failure": verdict.kind or None,
        "steps": solution.steps or None,
        "tokens": solution.prompt_tokens + solution.completion_tokens if solution.steps else None,
        "seconds": round(solution.model_s, 3) if solution.steps else None,
        "ending": solution.ending or None,
        "resumed_at_step": solution.resumed_at,
        "test_seconds": round(verdict.test_s, 3) if verdict.log else None,
        "grading_overhead_s": None if verdict.cached else round(verdict.total_s - verdict.test_s, 3),
        "cached_verdict": verdict.cached,
        "image": verdict.image,
        "limits": dict(verdict.limits),
        "oom_kills": verdict.oom_kills,
    }


def scored_reason(solution: Solution, verdict: Verdict, gold_passes: bool | None) -> str:
    """One line: the verdict, and what of the solution did not count."""
    if verdict.resolved:
        return verdict.reason
    if solution.refused and not solution.patch.strip():
        return f"failed: {solution.refused[-1].reason}"
    if not solution.patch.strip():
        return "failed: the patch is empty"
    if verdict.kind == "ambiguous" and gold_passes is False:
        return (
            f"{verdict.reason}; the reference patch does not pass here either, so it may be the environment's failure"
        )
    return verdict.reason


def image_event(image: ReadyImage) -> dict[str, Any]:
    """Which image an attempt had, and how it differs from the specification."""
    return {"name": image.name, "digest": image.digest, "python": image.python, "notes": list(image.notes)}


def verdict_event(verdict: Verdict) -> dict[str, Any]:
    """The event that `show` and the exports read."""
    log = verdict.log
    if len(log) > MOST_LOG:
        half = MOST_LOG // 2
        log = f"{log[:half]}\n[{len(log) - MOST_LOG:,} characters left out]\n{log[-half:]}"
    return {
        "resolved": verdict.resolved,
        "failure": verdict.kind,
        "reason": verdict.reason,
        "applied": verdict.applied,
        "timed_out": verdict.timed_out,
        "signature": verdict.signature,
        "report": dict(verdict.report),
        "test_output": log,
        "apply_output": verdict.apply_log,
        "limits": dict(verdict.limits),
        "oom_kills": verdict.oom_kills,
        "image": verdict.image,
        "cached": verdict.cached,
    }
