"""The control of a grading: the same tests, made to fail, must be reported as failed by whatever the patch has changed.

A patch can change what a test runner reports without knowing a test (wrap pytest's reports, say). So before a patch
counts as resolved, its tests run once more in a fresh container, each with a first statement that fails in an ordinary
way, with numbers that are drawn. Where a required test is still reported as passed, the reports are not the tests'.
"""

from __future__ import annotations

import ast
import posixpath
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stackbench.benchmarks.swebench.eval_script import START, EvalScript, original_tests
from stackbench.benchmarks.swebench.instances import Instance
from stackbench.benchmarks.swebench.patches import split_patch

__all__ = ["Control", "make_control", "python_tests", "reading_script", "with_files"]

TEST = re.compile(r"test\w*")
PLACE = re.compile(r"\((?P<place>[\w.]+)\)\s*$")
SPREAD = 9000


@dataclass(frozen=True, slots=True)
class Control:
    """Test files whose tests fail, and the names of the functions in them."""

    files: Mapping[str, str]
    """By path in the repository."""
    functions: Mapping[str, frozenset[str]]

    def made_to_fail(self, required: Sequence[str]) -> list[str]:
        """Those of the required tests whose function is among the changed ones."""
        return [name for name in required if self._holds(name)]

    def _holds(self, name: str) -> bool:
        """`tests/test_a.py::TestB::test_c[1]`, `test_c (a.tests.B)`, or the function alone."""
        path, mark, rest = name.partition("::")
        function = rest.rpartition("::")[2] if mark else name
        found = TEST.match(function.strip())
        if found is None:
            return False
        places = [file for file, names in self.functions.items() if found[0] in names]
        if mark:
            return path in places
        place = PLACE.search(name)
        if place is None:
            return bool(places)
        module = place["place"].split(".")
        return any(_is_in(module, posixpath.splitext(file)[0].split("/")) for file in places)


def python_tests(instance: Instance) -> list[str]:
    """The Python files that the instance's tests bring or change."""
    return [file.path for file in split_patch(instance.test_patch) if file.path.endswith(".py") and not file.deleted]


def reading_script(instance: Instance, patch_path: str) -> str:
    """A program for bash that puts the test files into the work tree, as the grading does."""
    reset, clear = original_tests(instance)
    return " && ".join([*reset, *clear, f"git apply {shlex.quote(patch_path)}"])


def make_control(sources: Mapping[str, str]) -> Control:
    """From the test files' texts; a file that cannot be read as Python is left out."""
    files: dict[str, str] = {}
    functions: dict[str, frozenset[str]] = {}
    for path, text in sources.items():
        try:
            changed, names = _failing(text)
        except (SyntaxError, ValueError, RecursionError):
            continue
        if names:
            files[path], functions[path] = changed, names
    return Control(files, functions)


def with_files(script: EvalScript, folder: str, repository: str) -> EvalScript:
    """The script with the files of `folder` put over the test files before the tests begin; nothing tells of it."""
    take = f"cp -R {folder}/. {repository}/ && rm -rf {folder}"
    lines: list[str] = []
    for line in script.lines:
        if START in line:
            lines.append(take)
        lines.append(line)
    return replace(script, lines=tuple(lines))


def _failing(text: str) -> tuple[str, frozenset[str]]:
    lines = text.split("\n")
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and TEST.match(node.name)
    ]
    names: set[str] = set()
    for node in sorted(found, key=lambda node: node.lineno, reverse=True):
        documented = ast.get_docstring(node, clean=False) is not None
        body = node.body[1:] if documented else node.body
        if documented and not body:
            after = node.body[0].end_lineno or node.body[0].lineno
            lines.insert(after, f"{' ' * node.body[0].col_offset}{_statement()}")
        elif body[0].lineno > node.lineno and not lines[body[0].lineno - 1][: body[0].col_offset].strip():
            first = min([body[0].lineno, *(one.lineno for one in getattr(body[0], "decorator_list", ()))])
            indent = lines[body[0].lineno - 1][: body[0].col_offset]
            lines.insert(first - 1, f"{indent}{_statement()}")
        else:  # on the line of its `def`
            continue
        names.add(node.name)
    return "\n".join(lines), frozenset(names)


def _statement() -> str:
    """One that fails as a test does whose program is wrong."""
    first = 1000 + secrets.randbelow(SPREAD)
    second = first + 1 + secrets.randbelow(SPREAD)
    forms = (
        f"assert {first} == {second}",
        f"assert [{first}, {second}] == [{second}, {first}]",
        f"assert len(str({first})) == {second}",
        f"assert {{'value': {first}}} == {{'value': {second}}}",
    )
    return secrets.choice(forms)


def _is_in(module: Sequence[str], path: Sequence[str]) -> bool:
    """Whether a dotted name (its class at the end, perhaps) lies in a file of the path."""
    for end in range(len(module), 0, -1):
        part = list(module[:end])
        if list(path[-len(part) :]) == part:
            return True
    return False
