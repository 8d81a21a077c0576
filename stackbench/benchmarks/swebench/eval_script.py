"""The script that applies an instance's tests and runs them, in the form of swebench's evaluation scripts."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stackbench.benchmarks.swebench.drawn_failures import failing_lines
from stackbench.benchmarks.swebench.environments import REPOSITORY
from stackbench.benchmarks.swebench.instances import Instance
from stackbench.benchmarks.swebench.patches import is_test_file, patched_files, split_patch
from stackbench.benchmarks.swebench.spec_tables import SpecTables

__all__ = [
    "END",
    "EXIT_CODE",
    "START",
    "Canary",
    "EvalScript",
    "canary_lines",
    "eval_script",
    "original_tests",
    "with_canary",
]

START = ">>>>> Start Test Output"
END = ">>>>> End Test Output"
EXIT_CODE = ">>>>> Test Exit Code"
HEREDOC = "EOF_114329324912"
STATUS_VARIABLE = "STACKBENCH_TEST_STATUS"
TOX = re.compile(r"^tox --current-env -epy\d+ -v --$")
DJANGO = "parse_log_django"
PACKAGING = ("setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in")
COMPILED_ENDINGS = (".pyx", ".pxd", ".c", ".cpp", ".h", ".rs")
OFFLINE_PIP = (
    "export PIP_NO_INDEX=1 PIP_NO_DEPS=1 PIP_NO_BUILD_ISOLATION=0 PIP_DISABLE_PIP_VERSION_CHECK=1 "
    "PIP_CONFIG_SETTINGS=editable_mode=compat"
)
"""The environment holds what is needed already, and a grading container has no network."""
CANARY_TEXT = """import unittest


class {name}(unittest.TestCase):
    def test_{nonce}(self):
        {in_class}


def test_{nonce}():
    {alone}
"""
WRITTEN_AT = "2024-01-01"
"""When test files say that they were written: which of them came first tells nothing."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A test that fails. Where it is not reported as failed, what was reported is not what ran."""

    path: str
    nonce: str
    """Its name without `test_`; nothing else in the log is called so."""
    text: str = ""
    """The file."""

    @classmethod
    def drawn(cls, path: str, nonce: str) -> Canary:
        """With a file whose tests fail like those of a control run."""
        name = f"Test{nonce.title().replace('_', '')}"
        in_class, alone = "\n        ".join(failing_lines()), "\n    ".join(failing_lines())
        return cls(path, nonce, CANARY_TEXT.format(name=name, nonce=nonce, in_class=in_class, alone=alone))


@dataclass(frozen=True, slots=True)
class EvalScript:
    """Commands up to the tests, the tests, and how their output is read."""

    lines: tuple[str, ...]
    """Without `#!` and `set`; with the two markers."""
    directives: tuple[str, ...]
    """The test files as the test command names them."""
    log_parser: str
    eval_type: str
    cpus: float = 0.0
    """Processors that the specification asks for; 0: all."""
    canary: Canary | None = None

    @property
    def text(self) -> str:
        """The program for bash. It ends with the status of the test command."""
        lines: list[str] = []
        for line in self.lines:
            if END in line:
                lines.append(f"{STATUS_VARIABLE}=$?")
            lines.append(line)
        return "\n".join(["#!/bin/bash", "set -uxo pipefail", *lines, f"exit ${{{STATUS_VARIABLE}:-255}}"]) + "\n"


def eval_script(
    instance: Instance, tables: SpecTables | None, parsers: Mapping[str, str], patch: str, *, any_python: bool
) -> EvalScript:
    """The script of a row that has one, else the one that swebench 4.1.0 made of the tables.

    `parsers` names the log parser of each repository; `patch` says whether the project has to be installed again.
    """
    if instance.eval_script:
        lines = [
            line
            for line in instance.eval_script.strip().split("\n")
            if line not in ("#!/bin/bash", "set -uxo pipefail")
        ]
        directives = _named_for(patched_files(instance.test_patch), django=instance.log_parser == DJANGO)
        return EvalScript((OFFLINE_PIP, *lines), directives, instance.log_parser, instance.eval_type or "pass_and_fail")
    assert tables is not None, "rows without a script need the tables"
    spec = tables.spec(instance.repo, instance.version) or {}
    directives = _directives(instance, tables.non_test_endings)
    return EvalScript(
        lines=tuple(_lines(instance, spec, directives, patch, any_python=any_python)),
        directives=directives,
        log_parser=parsers.get(instance.repo, "parse_log_pytest"),
        eval_type="fail_only" if instance.repo in tables.fail_only else "pass_and_fail",
        cpus=float(spec.get("nano_cpus", 0)) / 1e9,
    )


def with_canary(script: EvalScript, nonce: str) -> EvalScript:
    """The script with one more test, beside the last test file; as it was where the test command names no such file."""
    named = [(one, _file_of(one, script)) for one in script.directives]
    files = [(one, file) for one, file in named if file]
    if not files:
        return script
    directive, file = ([pair for pair in files if is_test_file(posixpath.basename(pair[1]))] or files)[-1]
    name = f"test_{nonce}.py"
    path = posixpath.join(posixpath.dirname(file), name)
    added = path if directive == file else ".".join([*directive.split(".")[:-1], f"test_{nonce}"])
    canary = Canary.drawn(path, nonce)
    written = " ".join(shlex.quote(one) for one in dict.fromkeys([*(file for _, file in files), path]))
    lines: list[str] = []
    inside = appended = False
    for line in script.lines:
        if START in line:
            lines += [*canary_lines(canary), f"touch -c -d {WRITTEN_AT} -- {written}"]
            inside = True
        elif END in line:
            inside = False
        elif inside and not appended and directive in line.split():
            line, appended = f"{line} {added}", True
        lines.append(line)
    return replace(script, lines=tuple(lines), canary=canary) if appended else script


def canary_lines(canary: Canary) -> list[str]:
    """The commands that write its file."""
    return [f"cat > {shlex.quote(canary.path)} <<'{HEREDOC}'", *canary.text.rstrip("\n").split("\n"), HEREDOC]


def _file_of(directive: str, script: EvalScript) -> str:
    """The file that a directive names: itself, or a module of Django's below `tests`; empty for none."""
    if directive.endswith(".py"):
        return directive
    if script.log_parser == DJANGO and re.fullmatch(r"\w+(\.\w+)+", directive):
        return f"tests/{directive.replace('.', '/')}.py"
    return ""


def _lines(
    instance: Instance, spec: Mapping[str, Any], directives: Sequence[str], patch: str, *, any_python: bool
) -> list[str]:
    reset, clear = original_tests(instance)
    install = str(spec.get("install") or "")
    commands = _test_commands(spec, any_python=any_python)
    return [
        "source /opt/miniconda3/bin/activate",
        "conda activate testbed",
        OFFLINE_PIP,
        f"cd {REPOSITORY}",
        *map(str, spec.get("eval_commands") or ()),
        f"git config --global --add safe.directory {REPOSITORY}",
        *([install] if install and _changes_packaging(patch) else []),
        *reset,
        *clear,
        f"git apply -v - <<'{HEREDOC}'\n{instance.test_patch}\n{HEREDOC}",
        f": '{START}'",
        *(commands[:-1]),
        " ".join([commands[-1], *directives]),
        f": '{END}'",
        *reset,
    ]


def original_tests(instance: Instance) -> tuple[list[str], list[str]]:
    """Commands that take back what was done to the instance's test files, and that remove those it brings along, which
    a patch may have put there; none where there are no such files."""
    files = split_patch(instance.test_patch)
    existing = [shlex.quote(file.old_path) for file in files if not file.created]
    created = [shlex.quote(file.path) for file in files if file.created]
    reset = f"git checkout {instance.base_commit} {' '.join(existing)}"
    clear = f"rm -f -- {' '.join(created)}"
    return [reset] if existing else [], [clear] if created else []


def _test_commands(spec: Mapping[str, Any], *, any_python: bool) -> list[str]:
    command = spec.get("test_cmd") or "pytest -rA"
    listed = [command] if isinstance(command, str) else [str(one) for one in command]
    # tox runs in an environment of the Python that it names, which is not there
    return ["python -m pytest -rA" if any_python and TOX.match(one) else one for one in listed]


def _changes_packaging(patch: str) -> bool:
    """Whether a patch changes how the project is installed or what is compiled."""
    return any(
        posixpath.basename(path) in PACKAGING or path.endswith(COMPILED_ENDINGS) for path in patched_files(patch)
    )


def _directives(instance: Instance, non_test_endings: Sequence[str]) -> tuple[str, ...]:
    """The test files of the test patch, as swebench 4.1.0's `get_test_directives` names them."""
    files = [file.path for file in split_patch(instance.test_patch)]
    files = [path for path in files if not path.endswith(tuple(non_test_endings))]
    return _named_for(files, django=instance.repo == "django/django")


def _named_for(files: Sequence[str], *, django: bool) -> tuple[str, ...]:
    """Files as a test command names them: Django's runner takes modules below `tests`."""
    if django:
        return tuple(path.removesuffix(".py").removeprefix("tests/").replace("/", ".") for path in files)
    return tuple(files)
