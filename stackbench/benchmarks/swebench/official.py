"""Grading and log parsers of swebench (5.0.2 or later), imported when they are first needed.

`swebench.harness` imports Docker, Modal and datasets, and reads a `.env` file into this process; its grading needs
none of that. So the modules of grading are imported without their package's own code.
"""

# swebench carries no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingImports=false
from __future__ import annotations

import importlib
import sys
import tempfile
import threading
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stackbench.errors import DataNotAvailableError, UsageError
from stackbench.extras import install_command

__all__ = ["OfficialReport", "classify", "grade_log", "harness_version", "parse_log", "parsers_of_repositories"]

LEAST = (5, 0, 2)
GUARD = threading.Lock()


@dataclass(frozen=True, slots=True)
class OfficialReport:
    """What swebench makes of a log."""

    report: Mapping[str, Any]
    """One instance's part of `report.json`."""
    resolved: bool
    parsed: bool
    """Whether the log could be read at all."""
    fail_to_pass: tuple[int, int] = (0, 0)
    """Passed, and all."""
    pass_to_pass: tuple[int, int] = (0, 0)
    statuses: Mapping[str, str] = field(default_factory=dict[str, str])
    """By test name, as the log has them."""


def grade_log(
    instance_id: str, required: Mapping[str, Sequence[str]], log_parser: str, eval_type: str, log: str
) -> OfficialReport:
    """The verdict of `swebench.harness.grading.get_eval_report` on a log.

    Raises:
        UsageError: swebench does not know the log parser.
    """
    grading = _module("grading")
    spec = _spec(instance_id, required, log_parser, eval_type)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8", errors="replace") as file:
        file.write(log)
        file.flush()
        prediction = {"instance_id": instance_id, "model_name_or_path": "", "model_patch": "x"}
        found = grading.get_eval_report(spec, prediction, file.name, include_tests_status=True)[instance_id]
        statuses, parsed = grading.get_logs_eval(spec, file.name)
    tests: Mapping[str, Mapping[str, Sequence[str]]] = found.get("tests_status", {})
    return OfficialReport(
        report=found,
        resolved=bool(found["resolved"]),
        parsed=parsed,
        fail_to_pass=_share(tests.get("FAIL_TO_PASS"), required["FAIL_TO_PASS"]),
        pass_to_pass=_share(tests.get("PASS_TO_PASS"), required["PASS_TO_PASS"]),
        statuses=dict(statuses),
    )


def parse_log(log_parser: str, eval_type: str, log: str) -> dict[str, str]:
    """Status by test name."""
    parser = _parser(log_parser)
    return dict(parser(log, _spec("", {"FAIL_TO_PASS": (), "PASS_TO_PASS": ()}, log_parser, eval_type)))


def classify(log: str) -> tuple[str, str] | None:
    """swebench's signature of a failure that may not be the patch's: its reason, and `environment` or `ambiguous`."""
    found = _module("infra_failure").classify_text(log)
    return None if found is None else (str(found[0]), str(found[1]))


@cache
def parsers_of_repositories() -> Mapping[str, str]:
    """The name of the log parser of each Python repository that swebench knows."""
    _module("grading")
    parsers = importlib.import_module("swebench.harness.log_parsers.python")
    return {
        repo: f"parse_log_{_suffix(parsers, repo, parser)}" for repo, parser in parsers.MAP_REPO_TO_PARSER_PY.items()
    }


def harness_version() -> str:
    """The version of swebench.

    Raises:
        DataNotAvailableError: it is not installed, or too old; a suite goes on without the benchmark.
    """
    try:
        found = version("swebench")
    except PackageNotFoundError as error:
        raise DataNotAvailableError(
            f"SWE-bench is graded by swebench, which is not installed; run: {install_command('swe')}"
        ) from error
    numbers = tuple(int(part) for part in found.split(".")[:3] if part.isdigit())
    if numbers < LEAST:
        raise DataNotAvailableError(
            f"SWE-bench is graded by swebench 5.0.2 or later, and {found} is installed; run: {install_command('swe')}"
        )
    return found


def _suffix(parsers: types.ModuleType, repo: str, parser: object) -> str:
    """Several names stand for one function: the one that is named after the repository, where there is one."""
    project = repo.split("/")[1].split("-")[0].lower()
    if getattr(parsers, f"parse_log_{project}", None) is parser:
        return project
    return str(getattr(parser, "__name__", "")).removeprefix("parse_log_")


def _share(found: Mapping[str, Sequence[str]] | None, required: Sequence[str]) -> tuple[int, int]:
    return (len(found["success"]) if found else 0, len(required))


def _spec(instance_id: str, required: Mapping[str, Sequence[str]], log_parser: str, eval_type: str) -> Any:
    _parser(log_parser)
    kinds = importlib.import_module("swebench.types")
    return kinds.TestSpec(
        instance_id=instance_id,
        image="",
        eval_script_list=[],
        repo="",
        version="",
        FAIL_TO_PASS=list(required["FAIL_TO_PASS"]),
        PASS_TO_PASS=list(required["PASS_TO_PASS"]),
        log_parser=log_parser,
        eval_type=eval_type,
    )


def _parser(name: str) -> Any:
    registry: Mapping[str, Any] = _module("log_parsers").PARSER_REGISTRY
    if name not in registry:
        raise UsageError(f"swebench {harness_version()} has no log parser {name!r}; a later version may have it")
    return registry[name]


@cache
def _module(name: str) -> Any:
    harness_version()
    with GUARD:
        where = find_spec("swebench")
        assert where is not None and where.submodule_search_locations, "swebench is installed"
        package = types.ModuleType("swebench.harness")
        package.__path__ = [str(Path(where.submodule_search_locations[0], "harness"))]
        before = sys.modules.get("swebench.harness")
        sys.modules["swebench.harness"] = before or package
        try:
            return importlib.import_module(f"swebench.harness.{name}")
        finally:
            if before is None:
                del sys.modules["swebench.harness"]
