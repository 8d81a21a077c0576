"""The control of a grading: the same tests, made to fail, must be reported as failed by whatever the patch has changed.

A patch can change what a test runner reports without knowing a test (wrap pytest's reports, say). So before a patch
counts as resolved, its tests run once more in a fresh container, each with a drawn statement that fails in an ordinary
way, at a drawn place. Where a required test is still reported as passed, the reports are not the tests'.
"""

from __future__ import annotations

import ast
import posixpath
import re
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from stackbench.benchmarks.swebench.drawn_failures import failing_lines
from stackbench.benchmarks.swebench.eval_script import START, EvalScript, canary_lines, original_tests
from stackbench.benchmarks.swebench.instances import Instance
from stackbench.benchmarks.swebench.patches import split_patch

__all__ = ["Control", "make_control", "python_tests", "reading_script", "with_files"]

TEST = re.compile(r"test\w*")
EXPECTED = re.compile(r"xfail|expectedfailure", re.IGNORECASE)
Function = ast.FunctionDef | ast.AsyncFunctionDef
Insertion = tuple[int, int, tuple[str, ...]]
"""The number of lines above, the blanks before, and the names that have values there."""
PLACE = re.compile(r"\((?P<place>[\w.]+)\)\s*$")


@dataclass(frozen=True, slots=True)
class Control:
    """Test files whose tests fail, and the tests in them."""

    files: Mapping[str, str]
    """By path in the repository."""
    functions: Mapping[str, frozenset[str]]
    """By path: `test_a`, `TestB.test_c`. Tests that are expected to fail are not among them."""

    def made_to_fail(self, required: Sequence[str]) -> list[str]:
        """Those of the required tests whose function is among the changed ones."""
        return [name for name in required if self._holds(name)]

    def _holds(self, name: str) -> bool:
        """`tests/test_a.py::TestB::test_c[1]`, `test_c (a.tests.B)`, or the function alone."""
        path, mark, rest = name.partition("::")
        if mark:
            return rest.partition("[")[0].strip().replace("::", ".") in self.functions.get(path, ())
        found = TEST.match(name.strip())
        if found is None:
            return False
        place = PLACE.search(name)
        if place is None:
            return any(found[0] in names for names in self.functions.values())
        module = place["place"].removesuffix(f".{found[0]}").split(".")
        return any(
            test.rpartition(".")[2] == found[0] and _is_named(module, path, test.split(".")[:-1])
            for path, names in self.functions.items()
            for test in names
        )


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
    """The script with the files of `folder` put over the test files, before the test that always fails is written."""
    take = f"cp -R {folder}/. {repository}/ && rm -rf {folder}"
    lines = list(script.lines)
    canary = None if script.canary is None else canary_lines(script.canary)[0]
    place = next((number for number, line in enumerate(lines) if line == canary or START in line), len(lines))
    return replace(script, lines=(*lines[:place], take, *lines[place:]))


def _failing(text: str) -> tuple[str, frozenset[str]]:
    lines = text.split("\n")
    found = list(_tests(ast.parse(text), ""))
    changed: set[str] = set()
    left: set[str] = set()
    for name, node in sorted(found, key=lambda one: one[1].lineno, reverse=True):
        places = [place for place in _insertions(node) if _begins_line(place, lines, node)]
        if not places:
            left.add(name)
            continue
        line, indent, bound = secrets.choice(places)
        lines[line:line] = [f"{' ' * indent}{statement}" for statement in failing_lines(bound)]
        (left if _expected_to_fail(node) else changed).add(name)
    return "\n".join(lines), frozenset(changed - left)


def _tests(node: ast.AST, within: str) -> Iterator[tuple[str, Function]]:
    """The test functions of a module and of its classes, by `Class.test`; none that stand in a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if TEST.fullmatch(child.name):
                yield f"{within}{child.name}", child
        elif isinstance(child, ast.ClassDef):
            yield from _tests(child, f"{within}{child.name}.")
        else:
            yield from _tests(child, within)


def _insertions(node: Function) -> Iterator[Insertion]:
    """Before each statement of a test's own, up to the first that may end it early; after a docstring that is all."""
    body = node.body
    documented = ast.get_docstring(node, clean=False) is not None
    bound = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    if documented and len(body) == 1:
        yield body[0].end_lineno or body[0].lineno, body[0].col_offset, tuple(bound)
    for statement in body[1:] if documented else body:
        first = min([statement.lineno, *(one.lineno for one in getattr(statement, "decorator_list", ()))])
        yield first - 1, statement.col_offset, tuple(bound)
        if any(isinstance(inner, ast.Return | ast.Yield | ast.YieldFrom) for inner in ast.walk(statement)):
            return
        if isinstance(statement, ast.Assign):
            bound += [target.id for target in statement.targets if isinstance(target, ast.Name)]
        elif any(isinstance(inner, ast.Delete) for inner in ast.walk(statement)):
            bound = []


def _begins_line(place: Insertion, lines: Sequence[str], node: Function) -> bool:
    """Whether a statement stands at the beginning of a line of its own, below the line of its `def`."""
    line, indent, _ = place
    before = lines[line][:indent] if line < len(lines) else ""
    return line + 1 > node.lineno and not before.strip() and (line == 0 or not lines[line - 1].rstrip().endswith("\\"))


def _expected_to_fail(node: Function) -> bool:
    return any(EXPECTED.search(ast.unparse(one)) for one in node.decorator_list)


def _is_named(named: Sequence[str], path: str, classes: Sequence[str]) -> bool:
    """Whether `tests.test_a.TestB` names that class of the file `lib/tests/test_a.py`; without a class its module."""
    whole = [*posixpath.splitext(path)[0].split("/"), *classes]
    return whole[-len(named) :] == list(named) and len(named) > len(classes)
