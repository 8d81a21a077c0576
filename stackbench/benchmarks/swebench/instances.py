"""The rows of SWE-bench as tasks: both kinds of rows, every field checked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from stackbench import nesting
from stackbench.errors import DataCorruptError
from stackbench.types import Task

__all__ = ["Instance", "read_instances"]

TEXTS = ("instance_id", "repo", "base_commit", "patch", "test_patch", "problem_statement")
SCRIPTED = ("eval_script", "log_parser")
"""Fields that rows of swebench 5 have beyond the twelve older ones."""
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+")
COMMIT = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True)
class Instance(Task):
    """An issue of a repository, with the patch that closed it and the tests that prove it."""

    repo: str = ""
    """`owner/name`."""
    version: str = ""
    base_commit: str = ""
    environment_commit: str = ""
    """Whose requirement files say what is installed."""
    problem: str = ""
    """The issue's text."""
    hints: str = ""
    """What was said under the issue before the fix."""
    gold_patch: str = ""
    test_patch: str = ""
    fail_to_pass: tuple[str, ...] = ()
    pass_to_pass: tuple[str, ...] = ()
    image: str = ""
    """Of a row of swebench 5."""
    eval_script: str = ""
    """Of a row of swebench 5; empty where it is made from the tables of 4.1.0."""
    log_parser: str = ""
    eval_type: str = ""
    digest: str = ""
    """sha256 of the whole row."""

    @property
    def required(self) -> tuple[str, ...]:
        """Every test that has to pass."""
        return (*self.fail_to_pass, *self.pass_to_pass)


def read_instances(rows: Sequence[Mapping[str, Any]], source: str) -> list[Instance]:
    """The rows as instances.

    Raises:
        DataCorruptError: a field is missing or of the wrong kind, or two rows have the same id; names the row.
    """
    found: list[Instance] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        instance = _instance(row, f"{source} row {number}")
        if instance.task_id in seen:
            raise DataCorruptError(
                f"{source} row {number} has the instance_id {instance.task_id} of row {seen[instance.task_id]}; "
                "each instance may be there once"
            )
        seen[instance.task_id] = number
        found.append(instance)
    if not found:
        raise DataCorruptError(f"{source} has no rows")
    return found


def _instance(row: Mapping[str, Any], where: str) -> Instance:
    texts = {name: _text(row, name, where) for name in TEXTS}
    for name in ("instance_id", "repo", "base_commit", "test_patch"):
        if not texts[name].strip():
            raise DataCorruptError(f"{where}: {name} is empty")
    where = f"{where} ({texts['instance_id'][:100]})"
    for name, shape in (("instance_id", ID), ("repo", REPO), ("base_commit", COMMIT)):
        if not shape.fullmatch(texts[name]):
            raise DataCorruptError(f"{where}: {name} {texts[name][:100]!r} is not written as SWE-bench writes it")
    scripted = any(row.get(name) for name in SCRIPTED)
    if scripted:
        for name in SCRIPTED:
            if not _text(row, name, where).strip():
                raise DataCorruptError(f"{where}: a row with an evaluation script needs {name} too")
    fail_to_pass = _names(row, "FAIL_TO_PASS", where)
    if not fail_to_pass:
        raise DataCorruptError(f"{where}: FAIL_TO_PASS is empty, so that nothing could prove a fix")
    version = row.get("version")
    if not scripted and not version:
        raise DataCorruptError(f"{where} lacks version, which says how it is installed")
    setup = str(row.get("environment_setup_commit") or texts["base_commit"])
    if not COMMIT.fullmatch(setup):
        raise DataCorruptError(f"{where}: environment_setup_commit {setup[:100]!r} is no commit")
    return Instance(
        texts["instance_id"],
        texts["repo"],
        repo=texts["repo"],
        version=str(version or ""),
        base_commit=texts["base_commit"],
        environment_commit=setup,
        problem=texts["problem_statement"],
        hints=str(row.get("hints_text") or ""),
        gold_patch=texts["patch"],
        test_patch=texts["test_patch"],
        fail_to_pass=fail_to_pass,
        pass_to_pass=_names(row, "PASS_TO_PASS", where),
        image=str(row.get("image") or "") if scripted else "",
        eval_script=str(row["eval_script"]) if scripted else "",
        log_parser=str(row["log_parser"]) if scripted else "",
        eval_type=str(row.get("eval_type") or "pass_and_fail") if scripted else "",
        digest=hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest(),
    )


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    if name not in row:
        raise DataCorruptError(f"{where} lacks {name}")
    value = row[name]
    if not isinstance(value, str):
        raise DataCorruptError(f"{where}: {name} is not text")
    return value


def _names(row: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    """Test names: a list, or a list written as JSON, as the hub's rows have it."""
    if name not in row:
        raise DataCorruptError(f"{where} lacks {name}")
    value: Any = row[name]
    if isinstance(value, str):
        try:
            value = nesting.loads(value)
        except ValueError as error:
            raise DataCorruptError(f"{where}: {name} is no list of test names") from error
    listed = cast("list[Any]", value) if isinstance(value, list | tuple) else None
    if listed is None or not all(isinstance(one, str) for one in listed):
        raise DataCorruptError(f"{where}: {name} is no list of test names")
    return tuple(listed)
