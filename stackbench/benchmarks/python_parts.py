"""The top-level statements of a Python text: what each defines, changes and needs."""

from __future__ import annotations

import ast
import symtable
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Budget", "Part", "parsed", "program_parts"]

Kind = Literal["future", "import", "function", "class", "assignment", "other"]

SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
QUIET = threading.Lock()
SETTERS = {"setrecursionlimit", "set_int_max_str_digits", "seed", "filterwarnings", "simplefilter"}
"""Functions of modules that are called for their effect on what follows."""


@dataclass(slots=True)
class Budget:
    """Characters that may still be read by parsers: reading an answer takes a bounded time, whatever it holds."""

    left: int = 400_000

    def take(self, size: int) -> bool:
        self.left -= size
        return self.left >= 0


@dataclass(frozen=True, slots=True)
class Part:
    """A statement at the top level of a program."""

    text: str
    kind: Kind
    binds: frozenset[str] = frozenset()
    """Names that it gives a value."""
    changes: frozenset[str] = frozenset()
    """Names whose values it changes: by item, by attribute, by a setting of a module."""
    calls_on: frozenset[str] = frozenset()
    """Names whose methods it calls, perhaps for their effect."""
    stub: bool = False
    """A function without a body to speak of."""
    methods: frozenset[str] = field(default=frozenset())
    """Of a class, its methods with a body."""
    modules: frozenset[str] = frozenset()
    """Of an import, the top-level modules."""
    star: bool = False
    guard: bool = False
    """Runs only as a script: `if __name__ == "__main__"`."""
    runs: frozenset[str] = frozenset()
    """Functions that it calls for their effect: as a statement, as decorators."""
    effects: frozenset[str] = frozenset()
    """Of a function, names of the module whose values it may change."""

    def uses(self) -> frozenset[str]:
        """The names of the module that it needs, at once or when it is called.

        Raises:
            SyntaxError, ValueError, RecursionError, MemoryError: it parses, but Python would refuse it.
        """
        with _quiet():
            scopes = [symtable.symtable(self.text, "answer", "exec")]
        found = {symbol.get_name() for symbol in scopes[0].get_symbols() if symbol.is_referenced()}
        while scopes:
            scope = scopes.pop()
            scopes += scope.get_children()
            if scope.get_type() != "module":
                found |= {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global()}
        return frozenset(found)


def program_parts(code: str, budget: Budget) -> list[Part] | None:
    """The statements of a text that is Python as a whole, in order; None for any other."""
    tree = parsed(code, budget)
    return None if tree is None else list(_parts(tree, code))


def parsed(code: str, budget: Budget) -> ast.Module | None:
    """The syntax tree of a text; None where it is no Python, is nested too deep or the budget is used up."""
    if not budget.take(len(code)):
        return None
    try:
        with _quiet():
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings about an answer's escapes and comparisons: a setting of the whole process, so one at a time."""
    with QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _parts(tree: ast.Module, code: str) -> Iterator[Part]:
    data = code.encode()
    starts = [0]
    for line in data.split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    for node in tree.body:
        begin = starts[node.lineno - 1] + node.col_offset
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.decorator_list:
            begin = starts[node.decorator_list[0].lineno - 1]
        assert node.end_lineno is not None and node.end_col_offset is not None
        text = data[begin : starts[node.end_lineno - 1] + node.end_col_offset].decode()
        yield _part(node, text)


def _part(node: ast.stmt, text: str) -> Part:
    binds = _bound(node)
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return Part(text, "future", binds)
    if isinstance(node, ast.Import):
        return Part(text, "import", binds, modules=frozenset(alias.name.split(".")[0] for alias in node.names))
    if isinstance(node, ast.ImportFrom):
        star = any(alias.name == "*" for alias in node.names)
        modules = frozenset([(node.module or "").split(".")[0]])
        return Part(text, "import", binds, modules=modules, star=star)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        changes, runs = _decorated(node)
        return Part(text, "function", binds, changes, stub=_is_stub(node), runs=runs, effects=_effects(node))
    if isinstance(node, ast.ClassDef):
        changes, runs = _decorated(node)
        changes |= {base.id for base in node.bases if isinstance(base, ast.Name)}  # which may list their subclasses
        functions = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
        methods = frozenset(one.name for one in functions if not _is_stub(one))
        return Part(text, "class", binds, changes, methods=methods, runs=runs)
    kind: Kind = "assignment" if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) else "other"
    changes, calls_on = _changed(node)
    runs = frozenset(
        [node.value.func.id]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name)
        else ()
    )
    return Part(text, kind, binds, changes, calls_on, guard=_is_guard(node), runs=runs)


def _decorated(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> tuple[frozenset[str], frozenset[str]]:
    """The names that decorators are attributes of (`@add.register`), and the decorators that are plain functions."""
    changes: set[str] = set()
    runs: set[str] = set()
    for decorator in node.decorator_list:
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(function, ast.Name):
            runs.add(function.id)
        else:
            changes.add(_base(function))
    return frozenset(changes - {""}), frozenset(runs)


def _effects(node: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    """Names that a function, or one within it, changes and does not give a value of its own."""
    changes, calls_on = _changed(node)
    if not changes and not calls_on and not any(isinstance(inner, ast.Global) for inner in ast.walk(node)):
        return frozenset()
    shared: set[str] = set()
    own: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Global):
            shared |= set(inner.names)
        elif isinstance(inner, ast.arg):
            own.add(inner.arg)
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            own.add(inner.id)
    return frozenset(((changes | calls_on) - own) | shared)


def _bound(node: ast.stmt) -> frozenset[str]:
    """The names that a statement gives a value in its module; what its functions and comprehensions bind is theirs."""
    found: set[str] = set()
    waiting: list[ast.AST] = [node]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(inner.name)
        elif isinstance(inner, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.split(".")[0] for alias in inner.names}
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            found.add(inner.id)
        elif not isinstance(inner, SCOPES):
            waiting += ast.iter_child_nodes(inner)
    return frozenset(found)


def _changed(node: ast.stmt) -> tuple[frozenset[str], frozenset[str]]:
    """The names whose values a statement changes, and those whose methods it calls without use of the result."""
    changes: set[str] = set()
    calls_on: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute | ast.Subscript) and isinstance(inner.ctx, ast.Store | ast.Del):
            changes.add(_base(inner.value))
        elif isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Call):
            function = inner.value.func
            if isinstance(function, ast.Attribute):
                (changes if function.attr in SETTERS else calls_on).add(_base(function.value))
            elif isinstance(function, ast.Name) and function.id in SETTERS:
                changes.add(function.id)
    return frozenset(changes - {""}), frozenset(calls_on - {""})


def _base(target: ast.expr) -> str:
    """The name that an attribute, an item or a call's result is of; empty where there is none."""
    while isinstance(target, ast.Attribute | ast.Subscript | ast.Call):
        target = target.func if isinstance(target, ast.Call) else target.value
    return target.id if isinstance(target, ast.Name) else ""


def _is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function's body is a docstring, `pass`, `...` or NotImplementedError, and no more."""
    for statement in node.body:
        if isinstance(statement, ast.Pass):
            continue
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        if isinstance(statement, ast.Raise) and statement.exc is not None:
            raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
            if isinstance(raised, ast.Name) and raised.id == "NotImplementedError":
                continue
        return False
    return True


def _is_guard(node: ast.stmt) -> bool:
    if not isinstance(node, ast.If):
        return False
    inside = list(ast.walk(node.test))
    named = any(isinstance(inner, ast.Name) and inner.id == "__name__" for inner in inside)
    return named and not any(isinstance(inner, ast.NotEq) for inner in inside)
