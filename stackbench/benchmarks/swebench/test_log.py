"""Reads the output of a test run: its region between the markers, the canary, and names as the row writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stackbench.benchmarks.swebench.eval_script import END, EXIT_CODE, START, Canary
from stackbench.benchmarks.swebench.official import parse_log

__all__ = ["LogFacts", "read_log"]

FAILING = ("FAILED", "ERROR")
PASSING = ("PASSED", "XFAIL")
NEW_NAME = re.compile(r"^(?P<test>\w+) \((?P<place>[\w.]+)\.(?P=test)\)", re.MULTILINE)
"""unittest's from Python 3.11 on: `test_x (a.B.test_x)`."""
OLD_NAME = re.compile(r"^(?P<test>test\w*) \((?P<place>[\w.]+)\)", re.MULTILINE)
"""unittest's before: `test_x (a.B)`."""
APPLY_ERROR = re.compile(r"^error: (?P<what>.*(patch|already exists|No such file).*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What a log says, ready for swebench's grading."""

    log: str
    """With names as the row writes them, without the canary, with the test command's status after the end."""
    complete: bool
    """Whether both markers are there."""
    canary_failed: bool | None
    """Whether the test that always fails was reported as failed; None where there is none."""
    contradicted: frozenset[str]
    """Tests that were reported as failed and, later, as passed."""
    apply_error: str = ""
    """Why the tests could not be applied."""
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names of the row that the parser cuts at a blank, as it has them; the others are not in it."""


def read_log(
    raw: str, exit_code: int | None, canary: Canary | None, required: Sequence[str], log_parser: str, eval_type: str
) -> LogFacts:
    """The facts of what a test script printed; `exit_code` is the test command's."""
    if START not in raw or END not in raw.partition(START)[2]:
        # swebench looks for the markers in any order
        return LogFacts(raw.replace(START, ">>>>>"), False, None, frozenset(), _apply_error(raw))
    before, _, rest = raw.partition(START)
    # what is printed after the first end would be another run's
    region, _, after = rest.partition(END)
    region = _named_as(region, required)
    canary_failed = None
    if canary is not None:
        reported = parse_log(log_parser, eval_type, region)
        canary_failed = any(canary.nonce in name and status in FAILING for name, status in reported.items())
        region = "\n".join(line for line in region.split("\n") if canary.nonce not in line)
    if canary_failed and exit_code == 1:
        exit_code = 0  # the canary alone may have caused it; other failures are in the log
    code = "" if exit_code is None else f"{EXIT_CODE}: {exit_code}\n"
    # a status that the tests printed is no status
    before, region, after = (text.replace(EXIT_CODE, ">>>>>") for text in (before, region, after))
    log = f"{before}{START}{region}{END}\n{code}{after}"
    aliases = _aliases(region, required, log_parser, eval_type)
    named = [aliases.get(name, name) for name in required]
    contradicted = _contradicted(region, named, log_parser, eval_type)
    return LogFacts(log, True, canary_failed, contradicted, _apply_error(before), aliases)


def _named_as(region: str, required: Sequence[str]) -> str:
    """The region with unittest's names in the form of the row, where Python's version prints the other one."""
    new = [name for name in required if NEW_NAME.match(name)]
    old = [name for name in required if OLD_NAME.fullmatch(name) and not NEW_NAME.match(name)]
    if old and not new:
        return NEW_NAME.sub(r"\g<test> (\g<place>)", region)
    if new and not old and not NEW_NAME.search(region):
        return OLD_NAME.sub(r"\g<test> (\g<place>.\g<test>)", region)
    return region


def _aliases(region: str, required: Sequence[str], log_parser: str, eval_type: str) -> dict[str, str]:
    """Some rows have names whole that swebench's parser cuts at a blank: each is looked up as the parser cuts it."""
    reported = parse_log(log_parser, eval_type, region)
    found: dict[str, str] = {}
    for name in required:
        if " " in name and name not in reported:
            cut = next(iter(parse_log(log_parser, eval_type, f"PASSED {name}")), name)
            if cut != name and cut in reported:
                found[name] = cut
    return found


def _contradicted(region: str, required: Sequence[str], log_parser: str, eval_type: str) -> frozenset[str]:
    """A parser keeps the last report of a test. Read backwards it keeps the first: a runner reports no failure that it
    takes back later, but a program that prints in its place does."""
    last = parse_log(log_parser, eval_type, region)
    first = parse_log(log_parser, eval_type, "\n".join(reversed(region.split("\n"))))
    return frozenset(name for name in required if last.get(name) in PASSING and first.get(name) in FAILING)


def _apply_error(before: str) -> str:
    found = APPLY_ERROR.search(before)
    return found["what"] if found else ""
