"""Checks of processes, of requests to the HTTP service, of the final answer, and by a command."""

from __future__ import annotations

import asyncio
import posixpath
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from stackbench import nesting
from stackbench.benchmarks.tooluse.checks.answers import settles_on, settles_on_number
from stackbench.benchmarks.tooluse.checks.equality import at_path, json_equal, mentions, without_markup
from stackbench.benchmarks.tooluse.checks.texts import json_problem, lines_problem, relative, sequence_problem, shown
from stackbench.benchmarks.tooluse.scenario.check_fields import (
    AnswerCheck,
    AskedCheck,
    CommandCheck,
    LookedCheck,
    ProcessCheck,
    RequestCheck,
)
from stackbench.benchmarks.tooluse.scenario.patterns import DOTALL, IGNORECASE, MULTILINE
from stackbench.benchmarks.tooluse.scenario.patterns import found as is_found
from stackbench.sandbox.records import HttpRequest

if TYPE_CHECKING:
    from stackbench.benchmarks.tooluse.checks.observation import Observation

__all__ = [
    "answer_problem",
    "asked_problem",
    "command_problem",
    "looked_problem",
    "named_problem",
    "process_problem",
    "request_fits",
    "request_problem",
]

COMMAND_S = 30.0
LONGEST_ANSWER = 1 << 20
LONGEST_NAMED = 1000
LONGEST_NUMBER = 16
PROCESSES = "processes"
SILENT = "(no output)"


def process_problem(check: ProcessCheck, seen: Observation) -> str:
    """The reason why a check of processes fails; empty where it passes."""
    found = [one for one in seen.processes if is_found(check.process, " ".join(one.command))]
    if check.count is not None:
        return "" if len(found) == check.count else f"{len(found)} run, not {check.count}"
    if check.alive:
        return "" if found else "it does not run"
    return f"it still runs (pid {found[0].pid})" if found else ""


def request_problem(check: RequestCheck, seen: Observation) -> str:
    """Which request is missing, or too many; empty for none."""
    at_address = [one for one in seen.requests if check.names(one.method, one.path)]
    if check.same_header is not None:
        values = {_header(one, check.same_header) for one in at_address}
        if len(values) > 1 or values == {None}:
            return f"{check.same_header} was not one and the same on every try"
    good = [one for one in at_address if (one.status == check.status if check.status else 200 <= one.status < 300)]
    found = [one for one in good if request_fits(check, one)]
    if check.times is not None and len(found) != check.times:
        return f"it was made {len(found)} times, not {check.times} ({len(at_address)} requests came there)"
    if check.times is None and not found:
        return f"it was not made ({len(at_address)} requests came there, none of them fits)"
    if check.sequence is not None:
        problem = sequence_problem(check.sequence, [one.body.decode(errors="replace") for one in good])
        if problem:
            return problem
    if check.after is not None and found:
        first = seen.requests.index(found[0])
        earlier, _, where = check.after.partition(" ")
        if not any(one.method == earlier and one.path == where for one in seen.requests[:first]):
            return f"it came before {check.after}"
    return ""


def request_fits(check: RequestCheck, request: HttpRequest) -> bool:
    """Whether a request has the body, the query and the headers that a check asks for."""
    body = request.body.decode(errors="replace")
    if check.json_equals is not None or check.json_has:
        try:
            document = nesting.loads(body)
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
    if check.body_matches is not None and not is_found(check.body_matches, body):
        return False
    asked = {name: values[-1] for name, values in parse_qs(request.query, keep_blank_values=True).items()}
    if any(asked.get(name) != value for name, value in check.query.items()):
        return False
    return all(is_found(wanted, _header(request, name) or "") for name, wanted in check.header.items())


def _header(request: HttpRequest, name: str) -> str | None:
    return next((value for header, value in request.headers.items() if header.lower() == name.lower()), None)


def answer_problem(check: AnswerCheck, answer: str) -> str:
    """The reason why a check of the answer fails; empty where it passes."""
    said = shown(answer)
    if len(answer) > LONGEST_ANSWER:
        return f"its {len(answer)} characters are more than is looked at ({LONGEST_ANSWER})"
    if check.exact is not None and not mentions(answer, check.exact):
        return f"it does not say {check.exact}: {said}"
    if check.number is not None and not settles_on_number(answer, check.number, check.tolerance):
        return f"it does not say {check.number:g}, and that alone: {said}"
    if check.exact is not None and not settles_on(answer, check.exact, check.among or ()):
        return f"it does not settle on {check.exact}: {said}"
    for wanted in check.all_of or ():
        if not mentions(answer, wanted):
            return f"it does not say {wanted}: {said}"
    for unwanted in check.none_of or ():
        if mentions(answer, unwanted):
            return f"it says {unwanted}: {said}"
    text = without_markup(answer)
    if check.regex is not None and not is_found(check.regex, text, IGNORECASE | DOTALL):
        return f"it does not match {check.regex}: {said}"
    if check.lacks is not None and is_found(check.lacks, text, IGNORECASE | DOTALL):
        return f"it matches {check.lacks}: {said}"
    return ""


async def named_problem(check: AnswerCheck, seen: Observation) -> str:
    """Whether the answer lacks what a file holds or a command prints; empty where it does not. Raises SandboxError,
    ToolError."""
    wanted: list[str] = []
    if check.file is not None:
        wanted.append((await seen.text(check.file)).strip())
    if check.output is not None:
        done = await seen.session.check(check.output, timeout_s=COMMAND_S)
        wanted.append(done.stdout.decode(errors="replace").strip())
    for text in wanted:
        if not text or len(text) > LONGEST_NAMED or not _names(seen.answer, text):
            return f"it does not say {shown(text)}: {shown(seen.answer)}"
    return ""


def _names(answer: str, text: str) -> bool:
    """Whether an answer says a text: a number (a process id) as its own, anything else somewhere in it."""
    if text.isdecimal() and len(text) < LONGEST_NUMBER:
        return settles_on_number(answer, float(text))
    return mentions(answer, text)


def looked_problem(check: LookedCheck, seen: Observation) -> str:
    """Whether no call read a file; empty where one did."""
    path = relative(check.looked)
    for call in seen.calls:
        if check.looked == PROCESSES:
            if call.tool == "exec" and call.effects is not None and call.text not in ("", SILENT):
                return ""
            continue
        if call.tool in ("read", "ls") and not call.failed:
            given = nesting.object_of(call.arguments) or {}
            if relative(posixpath.normpath(str(given.get("path", ".")))) == path:
                return ""
        effects = call.effects
        if effects is None:
            continue
        if effects.files.read is None:
            if posixpath.basename(path) in call.arguments:
                return ""
        elif path in effects.files.read:
            return ""
    return "no call looked at it"


def asked_problem(check: AskedCheck, seen: Observation) -> str:
    """Whether no question to the user fits; empty where one does."""
    asked = [call.arguments for call in seen.calls if call.tool == "ask_user" and not call.failed]
    if any(is_found(check.asked, text, IGNORECASE | DOTALL) for text in asked):
        return ""
    return "the user was not asked" if not asked else "the user was asked something else"


async def command_problem(check: CommandCheck, seen: Observation) -> str:
    """The reason why a check by a command fails; empty where it passes. Raises SandboxError."""
    done = await seen.session.check(check.command, timeout_s=COMMAND_S)
    out = done.stdout.decode(errors="replace")
    if done.reason != "ended":
        return f"it was ended: {done.reason}"
    if done.exit_code != check.exit:
        said = done.stderr.decode(errors="replace").strip()
        return f"it ended with code {done.exit_code}: {shown(said or out)}"
    if check.stdout is not None and out.rstrip() != check.stdout.rstrip():
        return f"it printed {shown(out)}"
    if check.matches is not None and not await asyncio.to_thread(is_found, check.matches, out, MULTILINE):
        return f"it printed {shown(out)}"
    if check.lines is not None:
        problem = lines_problem(check.lines, out, any_order=check.any_order)
        if problem:
            return problem
    if check.json_equals is not None:
        return json_problem({"$": check.json_equals}, out)
    return ""
