"""Checks of files and folders: content as text, lines, JSON, CSV, a number; modes, links, what stayed as it was."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
import json
import math
from collections.abc import Mapping
from typing import Any

from stackbench.benchmarks.tooluse.checks.equality import cell_equal
from stackbench.benchmarks.tooluse.checks.observation import Observation
from stackbench.benchmarks.tooluse.checks.texts import (
    json_problem,
    lines_problem,
    listed,
    relative,
    shown,
    yaml_problem,
)
from stackbench.benchmarks.tooluse.scenario.check_fields import FileCheck, FolderCheck
from stackbench.benchmarks.tooluse.scenario.patterns import MULTILINE
from stackbench.benchmarks.tooluse.scenario.patterns import found as found_in
from stackbench.sandbox.records import Entry

__all__ = ["file_problem", "folder_problem"]

TEXT_FIELDS = {
    "equals",
    "contains",
    "lacks",
    "matches",
    "json_values",
    "yaml_values",
    "decimals",
    "csv",
    "columns",
    "lines",
    "number",
}
BESIDE_CONTENT = {"file", "exists", "mode", "newer_than", "any_mode"}
"""Fields that say nothing of what the file holds."""


async def file_problem(check: FileCheck, seen: Observation) -> str:
    """The reason why a check of a file fails; empty where it passes. Raises ToolError for a file that is not text."""
    entry = seen.entry(check.file)
    if not check.exists:
        return "" if entry is None else "it is still there"
    if check.file.startswith("/"):
        entry = await seen.session.status(check.file, follow=False, root="/", privileged=True)
    if entry is None:
        return "it is not there"
    if check.link is not None:
        return (
            ""
            if entry.target.rstrip("/") == check.link.rstrip("/")
            else f"it points to {entry.target or 'nothing: it is no link'}"
        )
    if entry.kind not in ("file", "link"):
        return f"it is a {entry.kind}"
    if check.mode is not None and entry.mode != int(check.mode, 8):
        return f"its mode is {entry.mode:04o}"
    was = seen.before.entries.get(relative(check.file))
    if check.mode is None and not check.any_mode and not check.same:
        problem = _mode_problem(entry, was)
        if problem:
            return problem
    about_mode = check.mode is not None and BESIDE_CONTENT.issuperset(check.model_fields_set) and was is not None
    if check.same or check.same_as is not None or about_mode:
        old = seen.before.entries.get(relative(check.same_as or check.file))
        if old is None or (entry.sha256, entry.size) != (old.sha256, old.size):
            return "it was changed"
        if check.same and entry.mode != old.mode:
            return f"its mode was changed to {entry.mode:04o}"
    if check.newer_than is not None:
        other = seen.entry(check.newer_than)
        if other is None or entry.mtime_ns <= other.mtime_ns:
            return f"it is not newer than {check.newer_than}"
    needs_text = not TEXT_FIELDS.isdisjoint(check.model_fields_set)
    return await asyncio.to_thread(_text, check, await seen.text(check.file)) if needs_text else ""


def _mode_problem(entry: Entry, was: Entry | None) -> str:
    """A file that was there has another mode, a new one can be written by everybody; of links nothing is asked."""
    if entry.kind != "file":
        return ""
    if was is not None and was.kind == "file" and entry.mode != was.mode:
        return f"its mode was changed to {entry.mode:04o}"
    return f"everybody may write it: its mode is {entry.mode:04o}" if was is None and entry.mode & 0o002 else ""


def _text(check: FileCheck, text: str) -> str:
    if check.equals is not None and text.rstrip("\n") != check.equals.rstrip("\n"):
        return f"it holds {shown(text)}"
    for wanted in check.contains:
        if wanted not in text:
            return f"it does not hold {shown(wanted)}"
    for unwanted in check.lacks:
        if unwanted in text:
            return f"it holds {shown(unwanted)}"
    if check.matches is not None and not found_in(check.matches, text, MULTILINE):
        return f"it does not match {check.matches}"
    if check.number is not None:
        try:
            found = float(text.strip().replace(",", ""))
        except ValueError:
            return f"it is no number: {shown(text)}"
        if not math.isclose(found, check.number, rel_tol=1e-9, abs_tol=1e-9):
            return f"it holds {found:g}, not {check.number:g}"
    if check.lines is not None:
        problem = lines_problem(check.lines, text, any_order=check.any_order)
        if problem:
            return problem
    if check.json_values is not None:
        problem = json_problem(check.json_values, text, more=check.more)
        if problem:
            return problem
    if check.yaml_values is not None:
        problem = yaml_problem(check.yaml_values, text, more=check.more)
        if problem:
            return problem
    if check.csv is not None or check.columns is not None:
        return _csv(check, text) or _decimals(check, text)
    return ""


def _decimals(check: FileCheck, text: str) -> str:
    for row in csv.DictReader(io.StringIO(text)):
        for column, places in check.decimals.items():
            cell = (row.get(column) or "").strip()
            if len(cell.partition(".")[2]) != places:
                return f"{column} is {shown(cell)}, without {places} decimals"
    return ""


def _csv(check: FileCheck, text: str) -> str:
    try:
        header = next(csv.reader(io.StringIO(text)), list[str]())
        reader = csv.DictReader(io.StringIO(text))
        rows = list(itertools.islice(reader, len(check.csv or ()) + 1))
        others = len(rows) > len(check.csv or ()) and sum(1 for _ in reader)
    except csv.Error as error:
        return f"it is no CSV: {error}"
    if check.columns is not None and header != check.columns:
        return f"its columns are {', '.join(header)}"
    if check.csv is None:
        return ""
    wanted = check.csv
    if wanted and check.columns is None and set(header) != set(wanted[0]):
        return f"its columns are {', '.join(header)}, not {', '.join(wanted[0])}"
    if len(rows) != len(wanted):
        return f"it has {len(rows) + others} rows, not {len(wanted)}"
    if not check.more and any(None in row for row in rows):
        return "it has rows with more cells than columns"
    left = list(rows)
    for number, want in enumerate(wanted, 1):
        candidates = left if check.any_order else left[:1]
        fit = next((row for row in candidates if _row_equal(want, row)), None)
        if fit is None:
            return f"row {number} is missing or different: {shown(json.dumps(want, ensure_ascii=False))}"
        left.remove(fit)
    return ""


def _row_equal(wanted: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return all(isinstance(row.get(name), str) and cell_equal(value, row[name]) for name, value in wanted.items())


def folder_problem(check: FolderCheck, seen: Observation) -> str:
    """The reason why a check of a folder fails; empty where it passes."""
    path = relative(check.folder)
    entry = seen.after.entries.get(path)
    if path and not check.exists:
        return "" if entry is None else "it is still there"
    if path and (entry is None or entry.kind != "directory"):
        return "it is not there" if entry is None else f"it is a {entry.kind}"
    if check.mode is not None and entry is not None and entry.mode != int(check.mode, 8):
        return f"its mode is {entry.mode:04o}"
    if check.entries is None:
        return ""
    prefix = f"{path}/" if path else ""
    below = {name.removeprefix(prefix): one for name, one in seen.after.entries.items() if name.startswith(prefix)}
    if check.recursive:
        found = {name for name, one in below.items() if one.kind != "directory"}
    else:
        found = {name for name in below if "/" not in name}
    missing, others = sorted(set(check.entries) - found), sorted(found - set(check.entries))
    if missing:
        return f"it lacks {listed(missing)}"
    return f"it also holds {listed(others)}" if others else ""
