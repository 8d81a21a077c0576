"""`scenarios check|new`, `list scenarios`: a set of tool-use scenarios proven sound, a file to start one's own from."""

from __future__ import annotations

import asyncio
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from stackbench.benchmarks.tooluse.benchmark import published_scenarios
from stackbench.benchmarks.tooluse.scenario.expansion import PUBLISHED_SEED, ToolTask, load_tasks, set_hash
from stackbench.benchmarks.tooluse.validation.published import published_problems
from stackbench.benchmarks.tooluse.validation.soundness import Finding, check_set, check_task
from stackbench.cli.console import notice, out, print_json, print_table, shown
from stackbench.cli.streams import displays_stream
from stackbench.config import load_settings
from stackbench.engine.sandbox_care import make_sandboxes
from stackbench.errors import UsageError

__all__ = ["check", "list_scenarios", "new"]

SANDBOXES = 8
SHOWN = ("task_id", "category", "subcategory", "difficulty")


def list_scenarios(folder: Path | None, *, as_json: bool) -> None:
    """Prints every task with what it is."""
    tasks = load_tasks(folder or published_scenarios())
    rows = [
        {
            "task_id": task.task_id,
            "category": task.category,
            "subcategory": task.spec.subcategory,
            "difficulty": task.spec.difficulty,
            "tools": list(task.spec.tools),
            "prompt": " ".join(task.spec.prompt.split()),
        }
        for task in tasks
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        [*SHOWN, "prompt"],
        [(*(r[name] for name in SHOWN), str(r["prompt"])[:90]) for r in rows],
        right=["difficulty"],
    )


def check(
    folder: Path | None, *, only: str, sample: int | None, seed: int, sandboxes: int | None, as_json: bool
) -> int:
    """Proves scenarios sound; 1 when something is wrong with one."""
    started = time.perf_counter()
    where = folder or published_scenarios()
    tasks = load_tasks(where, seed)
    findings = check_set(tasks, seed)
    if folder is None and seed == PUBLISHED_SEED:
        findings += [Finding("the published set", problem) for problem in published_problems(tasks, where)]
    chosen = _chosen(tasks, only, sample)
    if only:
        named = {task.task_id for task in chosen}
        findings = [finding for finding in findings if finding.task_id in named]
    findings += asyncio.run(_play(chosen, sandboxes or SANDBOXES))
    findings.sort(key=lambda finding: finding.task_id)
    seconds = time.perf_counter() - started
    if as_json:
        print_json(
            {
                "tasks": len(tasks),
                "played": len(chosen),
                "templates": len({task.template for task in tasks}),
                "sha256": set_hash(tasks),
                "seed": seed,
                "seconds": round(seconds, 1),
                "findings": [asdict(finding) for finding in findings],
            }
        )
        return 1 if findings else 0
    for finding in findings:
        out().print(shown(f"{finding.task_id}: {finding.problem}"))
    counts = Counter(task.category for task in tasks)
    out().print(
        f"{len(tasks)} tasks of {len({task.template for task in tasks})} templates "
        f"({', '.join(f'{count} {name}' for name, count in sorted(counts.items()))}), sha256 {set_hash(tasks)}"
    )
    wrong = len({finding.task_id for finding in findings})
    verdict = "clean" if not findings else f"{len(findings)} problems with {wrong} tasks"
    out().print(f"{len(chosen)} played in {seconds:.0f} s: {verdict}")
    return 1 if findings else 0


def _chosen(tasks: Sequence[ToolTask], only: str, sample: int | None) -> list[ToolTask]:
    if only:
        wanted = [name.strip() for name in only.split(",") if name.strip()]
        chosen = [task for task in tasks if task.task_id in wanted or task.template in wanted]
        unknown = [name for name in wanted if name not in {n for t in chosen for n in (t.task_id, t.template)}]
        if unknown:
            raise UsageError(f'there is no scenario "{unknown[0]}"; "stackbench list scenarios" shows them')
        return chosen
    if sample is not None and sample < len(tasks):
        return random.Random(0).sample(list(tasks), sample)
    return list(tasks)


def _kind(task: ToolTask) -> tuple[str, ...]:
    """Tasks of one template with the same other solutions: its twins have others."""
    return task.template, *(play.why for play in task.spec.solutions)


async def _play(tasks: Sequence[ToolTask], sandboxes: int) -> list[Finding]:
    size = min(sandboxes, max(1, len(tasks)))
    settings = load_settings({"sandboxes": size}).settings
    sandbox = make_sandboxes(settings, "scenarios", notice)
    findings: list[Finding] = []
    queue = iter(tasks)
    firsts = {task.task_id for task in {_kind(task): task for task in reversed(tasks)}.values()}
    done = 0

    async def worker() -> None:
        nonlocal done
        for task in queue:
            findings.extend(await check_task(task, sandbox.lease, looking=task.task_id in firsts))
            done += 1
            if sys.stderr.isatty():
                displays_stream().write(f"\r{done}/{len(tasks)} played, {len(findings)} problems ")
                displays_stream().flush()
            elif done % 100 == 0:
                notice(f"{done}/{len(tasks)} played, {len(findings)} problems")

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(size):
                group.create_task(worker())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        if sys.stderr.isatty():
            displays_stream().write("\r\x1b[K")
        await sandbox.close()
    return findings


def new(name: str, to: Path) -> None:
    """Writes a scenario to start from, which is sound as it is, and says what to do with it. Raises UsageError."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise UsageError(f'"{name}" is no id of a scenario: small letters and digits, with single hyphens between')
    path = to / f"{name}.yaml"
    if path.exists():
        raise UsageError(f"{path} is there already; name another")
    try:
        to.mkdir(parents=True, exist_ok=True)
        path.write_text(STARTER.replace("NAME", name), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    notice(f"wrote {path}; prove it with: stackbench scenarios check {to}")


STARTER = """\
# A template: with each seed its parameters are drawn anew. docs/scenarios.md explains every field.
id: NAME
category: files            # files, system, api, workflow or recovery
subcategory: count
difficulty: 2              # 1 to 5
tasks: 2                   # drawn from this template, 8 at most

parameters:
  service: {word: service}
  errors: {integer: [3, 9]}
  lines:
    list: {count: 40, of: {choice: [INFO request served, WARN slow answer, INFO cache filled]}}

prompt: |
  How many lines of logs/{{ service }}.log are errors (they begin with ERROR)? Write the number, and nothing else,
  to errors.txt, and tell me as well.

setup:
  files:
    "logs/{{ service }}.log": |
      {% for line in lines %}
      {{ line }}
      {% if loop.index <= errors %}
      ERROR {{ service }} did not answer
      {% endif %}
      {% endfor %}

tools: [read, write, exec]

checks:
  - {file: errors.txt, number: "{{ errors }}"}
  - {answer: {number: "{{ errors }}"}}

expected:
  - {id: look, call: [read, exec], with: {path: "logs/{{ service }}.log"}}
  - {id: note, call: [write, exec], with: {path: errors.txt}, after: look}

oracle:
  - read: {path: "logs/{{ service }}.log"}
  - write: {path: errors.txt, content: "{{ errors }}\\n"}
answer: "There are {{ errors }} errors."

wrong:                     # what looks like a solution and must fail
  - why: warnings were counted as well
    calls:
      - exec: {command: "grep -c -E 'ERROR|WARN' logs/{{ service }}.log > errors.txt"}
    answer: "There are {{ errors + 100 }} errors."
"""
