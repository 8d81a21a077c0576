"""Where SWE-bench's rows come from: a file, a task repository, STACKBENCH_DATA, or the hub."""

# the hub's client has partial types.
# pyright: reportUnknownVariableType=false
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackbench import nesting
from stackbench.bounded_files import bounded_lines
from stackbench.datasets import DatasetStore
from stackbench.datasets.parquet import join_parquet, read_parquet
from stackbench.errors import DataCorruptError, DataNotAvailableError, UsageError, one_line
from stackbench.extras import install_command
from stackbench.fetch import sha256_of
from stackbench.suggestions import did_you_mean

__all__ = ["HUB", "Rows", "read_rows"]

HUB = {
    "lite": "SWE-bench/SWE-bench_Lite",
    "verified": "SWE-bench/SWE-bench_Verified",
    "full": "SWE-bench/SWE-bench",
    "multilingual": "SWE-bench/SWE-bench_Multilingual",
    "live": "SWE-bench-Live/SWE-bench-Live",
    "pro": "ScaleAI/SWE-bench_Pro",
}
"""Data sets by the names that `dataset` takes, and where the hub has them."""
ENDINGS = (".jsonl", ".json", ".parquet")
OWN = "instances"
"""The file of STACKBENCH_DATA's folder that is taken where no data set is named."""
TASK_FILES = {
    "patch": "gold.patch",
    "test_patch": "test.patch",
    "eval_script": "eval.sh",
    "problem_statement": "problem_statement.md",
}
"""Columns of a task repository (swebench 5.0.2, `swebench.task.repo`) that are files of their own."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as they were read."""

    source: str
    """What they are, for messages and the record."""
    rows: tuple[Mapping[str, Any], ...]
    hashes: Mapping[str, str]
    """sha256 of the file, by its name; of a task repository none."""


def read_rows(named: str | None, task_repo: Path | None, data: DatasetStore) -> Rows:
    """The rows of a data set (a name of `HUB`, a file's path, or a file of STACKBENCH_DATA's folder `swebench`).

    Raises:
        UsageError: there is no such data set or folder.
        DataNotAvailableError: no source has it.
        DataCorruptError: a file cannot be read.
    """
    if task_repo is not None:
        return _task_repository(task_repo)
    if named is not None and (named.endswith(ENDINGS) or "/" in named):
        path = Path(named).expanduser()
        if not path.is_file():
            raise UsageError(f"there is no file {named} with instances of SWE-bench")
        return _file(path)
    folders = [folder / "swebench" for folder in (data.extra, data.own, data.cache) if folder is not None]
    for path in (folder / f"{named or OWN}{ending}" for folder in folders for ending in ENDINGS):
        if path.is_file():
            return _file(path)
    name = named or "verified"
    if name not in HUB:
        raise UsageError(
            f'no data set "{name}"{did_you_mean(name, HUB)}; known: {", ".join(HUB)}, or name a .jsonl, .json or '
            ".parquet file"
        )
    return _file(_from_hub(name, data))


def _file(path: Path) -> Rows:
    try:
        rows = read_parquet(path) if path.suffix == ".parquet" else _json(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataCorruptError(f"{path} cannot be read: {one_line(error)}") from error
    return Rows(path.name, tuple(rows), {path.name: sha256_of(path)})


def _json(path: Path) -> list[Mapping[str, Any]]:
    rows: list[Any] = []
    if path.suffix == ".json":
        try:
            found = nesting.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataCorruptError(f"{path} is not JSON: {one_line(error)}") from error
        rows = found if nesting.is_array(found) else [found]
    else:
        for number, line in bounded_lines(path):
            try:
                rows.append(nesting.loads(line.decode()))
            except ValueError as error:
                raise DataCorruptError(f"{path} line {number} is not JSON: {nesting.fault_in_line(error)}") from error
    for number, row in enumerate(rows, 1):
        if not nesting.is_object(row):
            raise DataCorruptError(f"{path} row {number} is not an object")
    return rows


def _from_hub(name: str, data: DatasetStore) -> Path:
    """Fetches the test split into the cache, as one parquet file."""
    folder = data.cache / "swebench"
    extra = f"{data.extra_fault}; " if data.extra_fault else ""
    target = folder / f"{name}.parquet"
    try:
        from huggingface_hub import hf_hub_download, list_repo_files
    except ImportError as error:
        raise DataNotAvailableError(
            f"data not available ({extra}SWE-bench {name} comes from the hub; run: {install_command('local')}, or put "
            f"swebench/{name}.jsonl into the folder that STACKBENCH_DATA names)"
        ) from error
    try:
        listed = [path for path in list_repo_files(HUB[name], repo_type="dataset") if path.endswith(".parquet")]
        test = [path for path in listed if "/test" in path] or listed
        parts = [hf_hub_download(HUB[name], path, repo_type="dataset") for path in test]
    except Exception as error:  # the hub's client raises errors of its HTTP library as well as its own
        raise DataNotAvailableError(
            f"data not available ({extra}SWE-bench {name}, {HUB[name]} on the hub: {one_line(error, 160)}; put "
            f"swebench/{name}.jsonl or .parquet into the folder that STACKBENCH_DATA names)"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    join_parquet([str(part) for part in parts], target)
    return target


def _task_repository(folder: Path) -> Rows:
    tasks = folder / "tasks"
    if not tasks.is_dir():
        raise UsageError(f"{folder} is no task repository: it has no folder tasks")
    rows = [_task(task) for task in sorted(tasks.iterdir()) if (task / "task.yaml").is_file()]
    return Rows(f"the task repository {folder.name}", tuple(rows), {})


def _task(folder: Path) -> Mapping[str, Any]:
    import yaml

    try:
        row: dict[str, Any] = dict(yaml.safe_load((folder / "task.yaml").read_text(encoding="utf-8")) or {})
        row |= {column: _verbatim(folder / name) for column, name in TASK_FILES.items()}
        row["hints_text"] = _verbatim(folder / "hints.md") if (folder / "hints.md").is_file() else ""
        row |= json.loads((folder / "tests.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise DataCorruptError(f"{folder} is no task of a task repository: {one_line(error)}") from error
    row.setdefault("instance_id", folder.name)
    return row


def _verbatim(path: Path) -> str:
    """Text with its line ends as they are: a patch may have CRLF."""
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()
