"""Grades a patch: a fresh container, the patch, the instance's tests, and swebench's verdict on their output."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stackbench.benchmarks.swebench.control_run import make_control, with_files
from stackbench.benchmarks.swebench.drawn_failures import drawn_name
from stackbench.benchmarks.swebench.environments import REPOSITORY
from stackbench.benchmarks.swebench.eval_script import EvalScript, with_canary
from stackbench.benchmarks.swebench.grading_container import (
    CONTROL,
    TestRun,
    apply_patch,
    make_ready,
    read_tests,
    run_tests,
    seal_history,
    write_control,
)
from stackbench.benchmarks.swebench.instances import Instance
from stackbench.benchmarks.swebench.official import OfficialReport, classify, grade_log, parse_log
from stackbench.benchmarks.swebench.test_log import FAILING, LogFacts, read_log
from stackbench.benchmarks.swebench.verdicts import FailureKind, Verdict
from stackbench.errors import ToolError
from stackbench.sandbox import SandboxSpec
from stackbench.sandbox.recipe import ReadyImage

if TYPE_CHECKING:
    from stackbench.sandbox.session import Session

__all__ = ["GradingLimits", "container_spec", "grade"]

Lease = Callable[[SandboxSpec], AbstractAsyncContextManager["Session"]]
OUT_OF_MEMORY = "out_of_memory"
"""swebench's signature for it is a text that any program can print: the kernel's count is asked instead."""


@dataclass(frozen=True, slots=True)
class GradingLimits:
    """What a container may use."""

    timeout_s: float = 1800.0
    memory_mib: int = 4096
    disk_mib: int = 4096
    cpus: float = 0.0
    processes: int = 1024

    def recorded(self, cpus: float) -> Mapping[str, float]:
        """As a verdict records them."""
        return {
            "timeout_s": self.timeout_s,
            "memory_mib": self.memory_mib,
            "disk_mib": self.disk_mib,
            "cpus": self.cpus or cpus or float(os.cpu_count() or 1),
            "processes": self.processes,
        }


def container_spec(image: ReadyImage, limits: GradingLimits, cpus: float = 0.0) -> SandboxSpec:
    """A container of an instance's image: a root that can be written, no network."""
    return SandboxSpec(
        image.name,
        workdir=REPOSITORY,
        writable=True,
        memory_mib=limits.memory_mib,
        disk_mib=limits.disk_mib,
        cpus=limits.cpus or cpus,
        processes=limits.processes,
        files=400_000,
    )


async def grade(
    instance: Instance,
    patch: str,
    script: EvalScript,
    image: ReadyImage,
    lease: Lease,
    limits: GradingLimits,
    *,
    gold_passes: bool | None = None,
) -> Verdict:
    """The verdict on a patch. `gold_passes`: whether the reference patch is known to pass in this image.

    Raises:
        SandboxError: the container could not be had, or died.
    """
    began = time.monotonic()
    script = with_canary(script, _unused_name(instance, patch))
    base = Verdict(
        False,
        "model",
        "",
        applied=False,
        fail_to_pass=(0, len(instance.fail_to_pass)),
        pass_to_pass=(0, len(instance.pass_to_pass)),
        report=_empty_report(patch),
        limits=limits.recorded(script.cpus),
        image=image.digest,
    )
    try:
        async with lease(container_spec(image, limits, script.cpus)) as session:
            applied, said = await _put_in(session, patch)
            if not applied:
                reason = "failed: the patch does not apply"
                return replace(base, reason=reason, apply_log=said, total_s=time.monotonic() - began)
            run = await run_tests(session, script.text, limits.timeout_s)
    except ToolError as error:
        # the container's disk, memory or processes are used up by what the patch does
        return replace(base, reason=f"failed: {error}", applied=True, total_s=time.monotonic() - began)
    verdict = await asyncio.to_thread(_judge, instance, script, run, base, gold_passes)
    if verdict.resolved:
        deceived, seconds = await _control(instance, patch, script, image, lease, limits)
        verdict = replace(verdict, test_s=verdict.test_s + seconds)
        verdict = _not_resolved(verdict, instance, deceived) if deceived else verdict
    return replace(verdict, apply_log=said, total_s=time.monotonic() - began)


def _unused_name(instance: Instance, patch: str) -> str:
    """For the test that always fails: one that stands in no text of the instance's."""
    known = "\n".join([patch, instance.test_patch, *instance.required])
    while (name := drawn_name()) in known:
        pass
    return name


async def _put_in(session: Session, patch: str) -> tuple[bool, str]:
    """Makes a fresh container ready and puts the patch into it: whether it applies, and what was said of it."""
    await make_ready(session)
    await seal_history(session, keep_base=True)
    return await apply_patch(session, patch) if patch.strip() else (True, "")


async def _control(
    instance: Instance, patch: str, script: EvalScript, image: ReadyImage, lease: Lease, limits: GradingLimits
) -> tuple[str, float]:
    """Why a patch with which all required tests pass is not believed, empty where it is; and what its tests took."""
    try:
        async with lease(container_spec(image, limits, script.cpus)) as session:
            await _put_in(session, patch)
            control = make_control(await read_tests(session, instance))
            if not control.made_to_fail(instance.fail_to_pass):
                return "", 0.0
            await write_control(session, control)
            again = with_files(script, CONTROL, REPOSITORY)
            run = await run_tests(session, again.text, limits.timeout_s)
    except ToolError as error:
        return f"its tests, made to fail, could not be run: {error}", 0.0
    facts = read_log(run.log, run.exit_code, again.canary, instance.required, script.log_parser, script.eval_type)
    reported = await asyncio.to_thread(parse_log, script.log_parser, script.eval_type, facts.log)
    targets = control.made_to_fail(instance.fail_to_pass)
    statuses = {name: reported.get(facts.aliases.get(name, name), "") for name in targets}
    # an unexpected failure is no report of a pass, where a test expects one
    passed = next((name for name, status in statuses.items() if status == "PASSED"), None)
    if passed is not None:
        why = f"{passed} was reported as passed also where it was made to fail, so the output is not what it did"
        return why, run.seconds
    if not any(status in FAILING for status in statuses.values()):
        return "its tests, made to fail, were not reported as failed, so the output is not what they do", run.seconds
    return "", run.seconds


def _not_resolved(verdict: Verdict, instance: Instance, why: str) -> Verdict:
    """Nothing that such an output says counts."""
    return replace(
        verdict,
        resolved=False,
        kind="model",
        report={**verdict.report, "resolved": False},
        reason=f"failed: {why}",
        fail_to_pass=(0, len(instance.fail_to_pass)),
        pass_to_pass=(0, len(instance.pass_to_pass)),
    )


def _judge(instance: Instance, script: EvalScript, run: TestRun, base: Verdict, gold_passes: bool | None) -> Verdict:
    facts = read_log(run.log, run.exit_code, script.canary, instance.required, script.log_parser, script.eval_type)
    named = facts.aliases
    required = {
        "FAIL_TO_PASS": [named.get(name, name) for name in instance.fail_to_pass],
        "PASS_TO_PASS": [named.get(name, name) for name in instance.pass_to_pass],
    }
    official = grade_log(instance.task_id, required, script.log_parser, script.eval_type, facts.log)
    verdict = replace(
        base,
        applied=True,
        resolved=official.resolved,
        fail_to_pass=official.fail_to_pass,
        pass_to_pass=official.pass_to_pass,
        report=official.report,
        log=facts.log,
        test_s=run.seconds,
        oom_kills=run.oom_kills,
        timed_out=run.timed_out,
        signature=None if official.resolved else classify(facts.log),
    )
    forged = _forgery(facts, official)
    if forged:
        return _not_resolved(verdict, instance, forged)
    if official.resolved:
        return replace(verdict, kind="", reason="passed")
    kind, why = _failure(facts, official, run, gold_passes)
    return replace(verdict, kind=kind, reason=f"failed: {why}")


def _forgery(facts: LogFacts, official: OfficialReport) -> str:
    """Why the output is no account of the tests; empty where it is one."""
    passed = official.fail_to_pass[0] + official.pass_to_pass[0]
    if facts.canary_failed is False and official.parsed and passed:
        return "a test that always fails was not reported as failed, so the output is not what the tests did"
    if facts.contradicted:
        name = min(facts.contradicted)
        return f"{name} was reported as failed and afterwards as passed"
    return ""


def _failure(
    facts: LogFacts, official: OfficialReport, run: TestRun, gold_passes: bool | None
) -> tuple[FailureKind, str]:
    """Whose failure it is. Where the reference patch passes in the same image, the environment is not to blame."""
    if run.too_much_output:
        return "model", "the tests print without end"
    if facts.apply_error and not facts.complete:
        return "ambiguous", f"the tests could not be applied: {facts.apply_error}"
    if official.parsed:
        passed, needed = official.fail_to_pass
        kept, all_kept = official.pass_to_pass
        return "model", f"{passed} of {needed} FAIL_TO_PASS and {kept} of {all_kept} PASS_TO_PASS tests pass"
    proven = gold_passes is True
    if run.oom_kills:
        return "model" if proven else "environment", f"out of memory ({run.oom_kills} processes were ended)"
    found = classify(facts.log)
    if run.timed_out:
        return "model" if proven else "ambiguous", "the tests took longer than their time limit"
    if found is not None and found[0] != OUT_OF_MEMORY:
        reason, tier = found
        kind: FailureKind = "environment" if tier == "environment" else "ambiguous"
        return "model" if proven else kind, f"no test result could be read ({reason})"
    return "model" if proven else "ambiguous", "no test result could be read"


def _empty_report(patch: str) -> Mapping[str, object]:
    """swebench's report of an instance whose tests were not run."""
    return {
        "patch_is_None": False,
        "patch_exists": bool(patch),
        "patch_successfully_applied": False,
        "resolved": False,
        "infra_failure": False,
    }
