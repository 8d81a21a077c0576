"""Whether a task was completed: looks at what the agent left behind and holds it against the scenario's checks."""

from __future__ import annotations

import asyncio
import csv
import fnmatch
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from stackbench.benchmarks.tooluse.matchers import call_fits
from stackbench.benchmarks.tooluse.scenario import (
    AnswerCheck,
    Check,
    CommandCheck,
    FileCheck,
    FolderCheck,
    ForbiddenCall,
    ProcessCheck,
    RequestCheck,
    Scenario,
)
from stackbench.benchmarks.tooluse.values import at_path, cell_equal, json_equal, mentions, numbers_in, without_markup
from stackbench.errors import ToolError
from stackbench.sandbox.records import Entry, HttpRequest, ProcessInfo, Snapshot, compare

if TYPE_CHECKING:
    from stackbench.agents import CallMade
    from stackbench.sandbox.session import Session

__all__ = ["CheckResult", "Observation", "evaluate", "observe"]

TRACES = [
    "**/__pycache__/*", "**/__pycache__", "__pycache__/*", "__pycache__", ".cache", ".cache/*", ".*_history",
    ".lesshst", ".viminfo", ".gitconfig", ".config", ".config/*",
]  # fmt: skip
"""What programs leave in a home folder; nobody means anything by it."""
COMMAND_S = 30.0
SETTLE_POLL_S = 0.05
SETTLE_TRIES = 10
READ_LIMIT = 16 << 20


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What became of one check."""

    name: str
    passed: bool
    why: str = ""
    """What was found instead."""


@dataclass(slots=True)
class Observation:
    """What the agent left behind."""

    session: Session
    before: Snapshot
    after: Snapshot
    processes: Sequence[ProcessInfo]
    requests: Sequence[HttpRequest]
    answer: str
    calls: Sequence[CallMade]
    contents: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """Of files read so far."""

    def entry(self, path: str) -> Entry | None:
        return self.after.entries.get(_relative(path))

    async def content(self, path: str) -> bytes:
        """Raises ToolError."""
        if path not in self.contents:
            where: dict[str, Any] = {"root": "/"} if path.startswith("/") else {}
            found = await self.session.read(path, size=READ_LIMIT, privileged=True, **where)
            self.contents[path] = found.data
        return self.contents[path]

    async def text(self, path: str) -> str:
        """Raises ToolError, also for what is no text."""
        try:
            return (await self.content(path)).decode()
        except UnicodeDecodeError as error:
            raise ToolError("it is not UTF-8 text") from error


async def observe(
    scenario: Scenario, session: Session, before: Snapshot, answer: str, calls: Sequence[CallMade]
) -> Observation:
    """Looks at the container as it is now. A process that was told to end or to start gets a moment to do it, and what
    is watched must be seen twice alike.

    Raises SandboxError.
    """
    seen = Observation(session, before, before, (), (), answer, calls)
    watched = [check for check in scenario.checks if isinstance(check, ProcessCheck)]
    for _ in range(SETTLE_TRIES):
        before_that = {one.pid for one in seen.processes}
        seen.processes = [one for one in await session.processes() if one.user == "agent" and one.state != "Z"]
        alike = before_that == {one.pid for one in seen.processes}
        if not watched or (alike and not any(_process(check, seen) for check in watched)):
            break
        await asyncio.sleep(SETTLE_POLL_S)
    seen.after, seen.requests = await session.snapshot(), await session.http_log()
    return seen


async def evaluate(scenario: Scenario, seen: Observation) -> list[CheckResult]:
    """Every check of the scenario, then that nothing else has changed and nothing forbidden happened.

    Raises:
        SandboxError: the container died.
    """
    results: list[CheckResult] = []
    times: Counter[str] = Counter()
    for check in scenario.checks:
        name = _name(check)
        times[name] += 1
        why = await _problem(check, seen)
        results.append(CheckResult(name if times[name] == 1 else f"{name} ({times[name]})", not why, why))
    others = _other_changes(scenario, seen)
    results.append(CheckResult("nothing else changed", not others, _listed(others)))
    if scenario.forbidden:
        done = _forbidden(scenario, seen)
        results.append(CheckResult("nothing forbidden", not done, _listed(done)))
    return results


def _name(check: Check) -> str:
    kind = next(kind for kind in ("file", "folder", "process", "request", "answer", "command") if hasattr(check, kind))
    return "answer" if kind == "answer" else f"{kind} {getattr(check, kind)}"


def _listed(found: Sequence[str]) -> str:
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(found[:5]) + more


async def _problem(check: Check, seen: Observation) -> str:
    """What is wrong; empty for nothing."""
    try:
        match check:
            case FileCheck():
                return await _file(check, seen)
            case FolderCheck():
                return _folder(check, seen)
            case ProcessCheck():
                return _process(check, seen)
            case RequestCheck():
                return _request(check, seen)
            case AnswerCheck():
                return _answer(check, seen.answer)
            case CommandCheck():
                return await _command(check, seen)
    except ToolError as error:
        return str(error)


# -- files


async def _file(check: FileCheck, seen: Observation) -> str:
    entry = seen.entry(check.file)
    if not check.exists:
        return "" if entry is None else "it is still there"
    if check.file.startswith("/"):
        entry = await seen.session.status(check.file, follow=False, root="/", privileged=True)
    if entry is None:
        return "it is not there"
    if check.link is not None:
        return "" if entry.target == check.link else f"it points to {entry.target or 'nothing: it is no link'}"
    if entry.kind not in ("file", "link"):
        return f"it is a {entry.kind}"
    if check.mode is not None and entry.mode != int(check.mode, 8):
        return f"its mode is {entry.mode:04o}"
    if check.same or check.same_as is not None:
        old = seen.before.entries.get(_relative(check.same_as or check.file))
        if old is None or (entry.sha256, entry.size) != (old.sha256, old.size):
            return "it was changed"
        if check.same and entry.mode != old.mode:
            return f"its mode was changed to {entry.mode:04o}"
    if check.newer_than is not None:
        other = seen.entry(check.newer_than)
        if other is None or entry.mtime_ns <= other.mtime_ns:
            return f"it is not newer than {check.newer_than}"
    needs_text = (
        check.equals is not None
        or check.contains
        or check.lacks
        or check.matches is not None
        or check.json_values is not None
        or check.csv is not None
        or check.columns is not None
        or check.lines is not None
        or check.number is not None
    )
    return _text(check, await seen.text(check.file)) if needs_text else ""


def _text(check: FileCheck, text: str) -> str:
    if check.equals is not None and text.rstrip("\n") != check.equals.rstrip("\n"):
        return f"it holds {_shown(text)}"
    for wanted in check.contains:
        if wanted not in text:
            return f"it does not hold {_shown(wanted)}"
    for unwanted in check.lacks:
        if unwanted in text:
            return f"it holds {_shown(unwanted)}"
    if check.matches is not None and not re.search(check.matches, text, re.MULTILINE):
        return f"it does not match {check.matches}"
    if check.number is not None:
        try:
            found = float(text.strip().replace(",", ""))
        except ValueError:
            return f"it is no number: {_shown(text)}"
        if not math.isclose(found, check.number, rel_tol=1e-9, abs_tol=1e-9):
            return f"it holds {found:g}, not {check.number:g}"
    if check.lines is not None:
        problem = _lines(check.lines, text, any_order=check.any_order)
        if problem:
            return problem
    if check.json_values is not None:
        problem = _json_values(check.json_values, text)
        if problem:
            return problem
    if check.csv is not None or check.columns is not None:
        return _csv(check, text)
    return ""


def _lines(wanted: Sequence[str], text: str, *, any_order: bool) -> str:
    found = [line.rstrip() for line in text.rstrip("\n").split("\n")] if text.strip() else []
    expected = [line.rstrip() for line in wanted]
    if any_order:
        found, expected = sorted(found), sorted(expected)
    if found == expected:
        return ""
    for number, (have, want) in enumerate(zip(found, expected, strict=False), 1):
        if have != want:
            return f"line {number} is {_shown(have)}, not {_shown(want)}"
    return f"it has {len(found)} lines, not {len(expected)}"


def _json_values(wanted: Mapping[str, Any], text: str) -> str:
    try:
        document = json.loads(text)
    except ValueError as error:
        return f"it is no JSON: {error}"
    for path, value in wanted.items():
        try:
            found = at_path(document, path)
        except LookupError:
            return f"it has no {path}"
        if not json_equal(found, value):
            return f"{path} is {_shown(json.dumps(found))}, not {_shown(json.dumps(value))}"
    return ""


def _csv(check: FileCheck, text: str) -> str:
    rows = list(csv.DictReader(io.StringIO(text)))
    header = next(csv.reader(io.StringIO(text)), [])
    if check.columns is not None and header != check.columns:
        return f"its columns are {', '.join(header)}"
    if check.csv is None:
        return ""
    wanted = check.csv
    if wanted and check.columns is None and set(header) != set(wanted[0]):
        return f"its columns are {', '.join(header)}, not {', '.join(wanted[0])}"
    if len(rows) != len(wanted):
        return f"it has {len(rows)} rows, not {len(wanted)}"
    left = list(rows)
    for number, want in enumerate(wanted, 1):
        candidates = left if check.any_order else left[:1]
        fit = next((row for row in candidates if _row_equal(want, row)), None)
        if fit is None:
            return f"row {number} is missing or different: {_shown(json.dumps(want, ensure_ascii=False))}"
        left.remove(fit)
    return ""


def _row_equal(wanted: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return all(isinstance(row.get(name), str) and cell_equal(value, row[name]) for name, value in wanted.items())


def _shown(text: str) -> str:
    flat = " ".join(text.split())
    return f'"{flat[:77]}..."' if len(flat) > 80 else f'"{flat}"'


def _folder(check: FolderCheck, seen: Observation) -> str:
    path = _relative(check.folder)
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
        return f"it lacks {_listed(missing)}"
    return f"it also holds {_listed(others)}" if others else ""


# -- processes, requests, the answer, commands


def _process(check: ProcessCheck, seen: Observation) -> str:
    found = [one for one in seen.processes if re.search(check.process, " ".join(one.command))]
    if check.count is not None:
        return "" if len(found) == check.count else f"{len(found)} run, not {check.count}"
    if check.alive:
        return "" if found else "it does not run"
    return f"it still runs (pid {found[0].pid})" if found else ""


def _request(check: RequestCheck, seen: Observation) -> str:
    method, _, path = check.request.partition(" ")
    at_address = [one for one in seen.requests if one.method == method and one.path == path]
    if check.same_header is not None:
        values = {_header(one, check.same_header) for one in at_address}
        if len(values) > 1 or values == {None}:
            return f"{check.same_header} was not one and the same on every try"
    good = [one for one in at_address if (one.status == check.status if check.status else 200 <= one.status < 300)]
    found = [one for one in good if _request_fits(check, one)]
    if check.times is not None and len(found) != check.times:
        return f"it was made {len(found)} times, not {check.times} ({len(at_address)} requests came there)"
    if check.times is None and not found:
        return f"it was not made ({len(at_address)} requests came there, none of them fits)"
    if check.after is not None and found:
        first = seen.requests.index(found[0])
        earlier, _, where = check.after.partition(" ")
        if not any(one.method == earlier and one.path == where for one in seen.requests[:first]):
            return f"it came before {check.after}"
    return ""


def _request_fits(check: RequestCheck, request: HttpRequest) -> bool:
    body = request.body.decode(errors="replace")
    if check.json_equals is not None or check.json_has:
        try:
            document = json.loads(body)
        except ValueError:
            return False
        if check.json_equals is not None and not json_equal(document, check.json_equals):
            return False
        for where, value in check.json_has.items():
            try:
                if not json_equal(at_path(document, where), value):
                    return False
            except LookupError:
                return False
    if check.body_matches is not None and not re.search(check.body_matches, body):
        return False
    asked = {name: values[-1] for name, values in parse_qs(request.query, keep_blank_values=True).items()}
    if any(asked.get(name) != value for name, value in check.query.items()):
        return False
    return all(re.search(wanted, _header(request, name) or "") for name, wanted in check.header.items())


def _header(request: HttpRequest, name: str) -> str | None:
    return next((value for header, value in request.headers.items() if header.lower() == name.lower()), None)


def _answer(check: AnswerCheck, answer: str) -> str:
    shown = _shown(answer)
    if check.exact is not None and not mentions(answer, check.exact):
        return f"it does not say {check.exact}: {shown}"
    if check.number is not None and not any(
        math.isclose(one, check.number, rel_tol=1e-9, abs_tol=check.tolerance + 1e-9) for one in numbers_in(answer)
    ):
        return f"it does not say {check.number:g}: {shown}"
    for wanted in check.all_of or ():
        if not mentions(answer, wanted):
            return f"it does not say {wanted}: {shown}"
    for unwanted in check.none_of or ():
        if mentions(answer, unwanted):
            return f"it says {unwanted}: {shown}"
    text = without_markup(answer)
    if check.regex is not None and not re.search(check.regex, text, re.IGNORECASE | re.DOTALL):
        return f"it does not match {check.regex}: {shown}"
    if check.lacks is not None and re.search(check.lacks, text, re.IGNORECASE | re.DOTALL):
        return f"it matches {check.lacks}: {shown}"
    return ""


async def _command(check: CommandCheck, seen: Observation) -> str:
    # What an agent may have left in a home folder must not say what is found: no git or Python settings of its own.
    alone = {"GIT_CONFIG_GLOBAL": "/dev/null", "PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1", "HOME": "/tmp"}
    done = await seen.session.run(check.command, env=alone, timeout_s=COMMAND_S)
    out = done.stdout.decode(errors="replace")
    if done.exit_code != check.exit:
        said = done.stderr.decode(errors="replace").strip()
        return f"it ended with code {done.exit_code}: {_shown(said or out)}"
    if check.stdout is not None and out.rstrip() != check.stdout.rstrip():
        return f"it printed {_shown(out)}"
    if check.matches is not None and not re.search(check.matches, out, re.MULTILINE):
        return f"it printed {_shown(out)}"
    if check.lines is not None:
        problem = _lines(check.lines, out, any_order=check.any_order)
        if problem:
            return problem
    if check.json_equals is not None:
        return _json_values({"$": check.json_equals}, out)
    return ""


# -- everything else


def _other_changes(scenario: Scenario, seen: Observation) -> list[str]:
    changes = compare(seen.before, seen.after)
    allowed = allowed_paths(scenario)
    return [
        path
        for path in sorted({*changes.added, *changes.removed, *changes.changed})
        if not _allowed(path, allowed, scenario, made=path in changes.added)
    ]


def allowed_paths(scenario: Scenario) -> set[str]:
    """The paths that checks name as outcomes."""
    found: set[str] = set()
    for check in scenario.checks:
        if isinstance(check, FileCheck) and not check.same:
            found.add(_relative(check.file))
        elif isinstance(check, FolderCheck):
            found.add(_relative(check.folder))
    return found


def _allowed(path: str, allowed: set[str], scenario: Scenario, *, made: bool) -> bool:
    if path in allowed or any(fnmatch.fnmatch(path, pattern) for pattern in [*scenario.changes, *TRACES]):
        return True
    if made and any(one.startswith(f"{path}/") for one in (*allowed, *scenario.changes)):
        return True  # a parent of an outcome
    gone = [check.folder for check in scenario.checks if isinstance(check, FolderCheck) and not check.exists]
    return any(path.startswith(f"{_relative(folder)}/") for folder in gone)


def _forbidden(scenario: Scenario, seen: Observation) -> list[str]:
    found: list[str] = []
    for rule in scenario.forbidden:
        if isinstance(rule, ForbiddenCall):
            found += [f"a call of {call.tool}" for call in seen.calls if call_fits(rule, call)]
        else:
            method, _, pattern = rule.request.partition(" ")
            found += [
                f"{one.method} {one.path}"
                for one in seen.requests
                if method in ("*", one.method) and re.fullmatch(pattern, one.path)
            ]
    return found


def _relative(path: str) -> str:
    return "" if path in (".", "/workspace") else path.removeprefix("/workspace/").removeprefix("./")


def forbidden_found(results: Iterable[CheckResult]) -> bool:
    """Whether something forbidden happened."""
    return any(one.name == "nothing forbidden" and not one.passed for one in results)
