"""MBPP+ or HumanEval+ beside EvalPlus 0.3.1 on the same samples: the same verdict on each, and how long each takes.

Usage: python -m perf.agreement_evalplus [VARIANTS [humanevalplus]]  Of each task the reference and VARIANTS (3) changed
ones are scored by both: results of another type, a little off, out of order, right on the base inputs only; where the
verdicts differ, by EvalPlus again with more time. Then the references alone are timed, ground truth cached on both
sides.
"""

from __future__ import annotations

import gzip
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.peers import data_dir, peer, stackbench, timed

TIMES = 3
PATIENT_S = 30
"""What is left of a difference when time limits no longer tell."""
CHANGES = {
    "list for tuple": "list(r) if isinstance(r, tuple) else tuple(r) if isinstance(r, list) else r",
    "1e-8 off": "r + 1e-8 if isinstance(r, float) else r",
    "none": "None",
    "1e-3 off": "r + 1e-3 if isinstance(r, (int, float)) and not isinstance(r, bool) else r",
    "sorted": "sorted(r) if isinstance(r, (list, tuple)) else r",
    "as set": "set(r) if isinstance(r, (list, tuple)) and all(isinstance(i, (int, str)) for i in r) else r",
    "truth value": "bool(r)",
    "text": "str(r)",
    "1e-7 of it off": "r * (1 + 5e-8) if isinstance(r, float) else r",
    "zero": "0",
    "first calls only": "r if len(seen) <= 3 else None",
    "reversed": "r[::-1] if isinstance(r, (list, tuple, str)) else r",
}


@dataclass(frozen=True)
class Benchmark:
    """One of the two, as this project and EvalPlus name it."""

    name: str
    file: str
    evalplus_name: str
    override: str


BENCHMARKS = {
    "mbppplus": Benchmark("mbppplus", "MbppPlus-v0.1.0.jsonl.gz", "mbpp", "MBPP_OVERRIDE_PATH"),
    "humanevalplus": Benchmark(
        "humanevalplus", "HumanEvalPlus-v0.1.10.jsonl.gz", "humaneval", "HUMANEVAL_OVERRIDE_PATH"
    ),
}


def main() -> None:
    variants = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    benchmark = BENCHMARKS[sys.argv[2] if len(sys.argv) > 2 else "mbppplus"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tasks = read_tasks(folder, benchmark)
        references = [{"task_id": t["task_id"], "solution": t["prompt"] + t["canonical_solution"]} for t in tasks]
        changed = [row for number in range(variants) for row in change(tasks, number)]
        compare(folder, benchmark, references, changed)
        speed(folder, benchmark, references)


def read_tasks(folder: Path, benchmark: Benchmark) -> list[dict[str, Any]]:
    """The tasks; also unpacked for EvalPlus."""
    with gzip.open(data_dir() / benchmark.name / benchmark.file, "rt") as file:
        text = file.read()
    (folder / "tasks.jsonl").write_text(text)
    return [json.loads(line) for line in text.splitlines()]


def change(tasks: list[dict[str, Any]], number: int) -> list[dict[str, str]]:
    """One variant of each task's reference, another change for each task."""
    made: list[dict[str, str]] = []
    names = list(CHANGES)
    for index, task in enumerate(tasks):
        change = CHANGES[names[(index + 5 * number) % len(names)]]
        entry = task["entry_point"]
        code = (
            f"{task['prompt']}{task['canonical_solution']}\n\n_right = {entry}\nseen = []\n\n"
            f"def {entry}(*a):\n    seen.append(1)\n    r = _right(*a)\n    return {change}\n"
        )
        made.append({"task_id": task["task_id"], "solution": code})
    return made


def compare(
    folder: Path, benchmark: Benchmark, references: list[dict[str, str]], changed: list[dict[str, str]]
) -> None:
    rows = [*references, *changed]
    ours, _ = score_ours(folder, benchmark, rows)
    theirs, _ = score_theirs(folder, benchmark, rows)
    differ = [index for index in range(len(rows)) if ours[index] != theirs[index]]
    passed = sum(plus for _, plus in theirs)
    agreed = f"{len(rows) - len(differ)} of {len(rows)}"
    print(f"agreement: {agreed} verdicts are the same (base and plus; EvalPlus passes {passed})")
    if not differ:
        return
    # EvalPlus wants every task in a file of samples.
    again = score_theirs(folder, benchmark, [*references, *(rows[i] for i in differ)], PATIENT_S)[0][len(references) :]
    for index, patient in zip(differ, again, strict=True):
        (base, plus), other = ours[index], theirs[index]
        print(
            f"{rows[index]['task_id']}: stackbench base {base} plus {plus}, EvalPlus base {other[0]} plus {other[1]}, "
            f"with more time base {patient[0]} plus {patient[1]}: {rows[index]['solution'].splitlines()[-1].strip()}"
        )
    same = len(rows) - sum(ours[i] != patient for i, patient in zip(differ, again, strict=True))
    print(f"with at least {PATIENT_S} s for the inputs of a sample in place of 1: {same} of {len(rows)}")


def speed(folder: Path, benchmark: Benchmark, rows: list[dict[str, str]]) -> None:
    ratios: list[float] = []
    for _ in range(TIMES):
        ours, theirs = score_ours(folder, benchmark, rows)[1], score_theirs(folder, benchmark, rows)[1]
        ratios.append(theirs / ours)
        print(f"{len(rows)} references: stackbench {ours:.1f} s, EvalPlus {theirs:.1f} s, ratio {ratios[-1]:.2f}")
    print(f"median ratio {statistics.median(ratios):.2f} (asked: 2.5)")


def score_ours(folder: Path, benchmark: Benchmark, rows: list[dict[str, str]]) -> tuple[list[tuple[bool, bool]], float]:
    path = folder / "ours.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = timed(stackbench("score", str(path), "-b", benchmark.name, "--json", "--home", str(folder / "home")))
    run_id = json.loads(done.stdout)["run_id"]
    sql = (
        "SELECT task_id, attempt, CAST(metrics->>'base_passed' AS BOOLEAN) AS base, "
        "metrics->>'plus' = 'passed' AS plus "
        f"FROM attempts WHERE run_id = '{run_id}'"
    )
    answer = timed(stackbench("query", sql, "--format", "json", "--home", str(folder / "home")))
    found = {(r["task_id"], r["attempt"]): (r["base"], r["base"] and r["plus"]) for r in json.loads(answer.stdout)}
    return [found[key] for key in attempts(rows)], done.wall_s


def score_theirs(
    folder: Path, benchmark: Benchmark, rows: list[dict[str, str]], least_limit_s: int | None = None
) -> tuple[list[tuple[bool, bool]], float]:
    python = peer("evalplus==0.3.1")
    path = folder / "theirs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = folder / "theirs_eval_results.json"
    results.unlink(missing_ok=True)
    environment = {benchmark.override: str(folder / "tasks.jsonl"), "XDG_CACHE_HOME": str(folder / "cache")}
    command = [
        str(python),
        "-m",
        "evalplus.evaluate",
        "--dataset",
        benchmark.evalplus_name,
        "--samples",
        str(path),
        "--i_just_wanna_run",
        *(["--min_time_limit", str(least_limit_s)] if least_limit_s else []),
    ]
    done = timed(command, environment=environment)
    found = json.loads(results.read_text())["eval"]
    verdicts: list[tuple[bool, bool]] = []
    for task_id, attempt in attempts(rows):
        entry = found[task_id][attempt]
        assert entry["solution"].strip() == solution(rows, task_id, attempt).strip()
        base = entry["base_status"] == "pass"
        verdicts.append((base, base and entry["plus_status"] == "pass"))
    return verdicts, done.wall_s


def attempts(rows: list[dict[str, str]]) -> list[tuple[str, int]]:
    """Task and number of each row."""
    counts: dict[str, int] = {}
    keys: list[tuple[str, int]] = []
    for row in rows:
        keys.append((row["task_id"], counts.setdefault(row["task_id"], 0)))
        counts[row["task_id"]] += 1
    return keys


def solution(rows: list[dict[str, str]], task_id: str, attempt: int) -> str:
    return [row["solution"] for row in rows if row["task_id"] == task_id][attempt]


if __name__ == "__main__":
    main()
