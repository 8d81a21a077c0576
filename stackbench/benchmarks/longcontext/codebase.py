"""Questions about a generated Python package whose truth comes from running or parsing it."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from stackbench.benchmarks.longcontext.haystack import Haystack, Placed, Question, Text, fill
from stackbench.benchmarks.longcontext.prose import remarks
from stackbench.benchmarks.longcontext.variants import Order, Variant
from stackbench.benchmarks.longcontext.vocabulary import NameMaker, vocabulary

__all__ = ["CODEBASE", "PACKAGE", "files_of"]

FAMILY = "codebase"
PACKAGE = "workshop"
FUNCTION = re.compile(r"^def (\w+)", re.MULTILINE)
FILE = f"# File: {PACKAGE}/"
INTRO = "These are the files of a Python package. A question about the package comes afterwards.\n"
HOPS = 5
ARGUMENT = 3
CALLERS = 3
NUMBER = 'Reply with the number only, on a line that begins with "Answer:".'
NAMES = 'Reply with their names only, separated by commas, on a line that begins with "Answer:".'
COMPLETE = (
    "The body of the function {name} was lost. Write it so that every use of it in the package is right. Reply with "
    "the complete function in a single Python code block."
)
SHOWN = ((0, 0), (1, 0), (0, 1), (2, 3), (5, 1), (4, 7))
HELD_OUT = ((9, 2), (-3, 8), (11, -6), (100, 37))


class _Names:
    """Names of modules, functions, classes: invented words joined to usual ones, none twice."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._maker = NameMaker(rng)
        self._made: set[str] = set()

    def function(self) -> str:
        return self._fresh(lambda: f"{self._root().lower()}_{self._rng.choice(vocabulary().objects)}")

    def kind(self) -> str:
        return self._fresh(lambda: f"{self._root()}{self._rng.choice(vocabulary().objects).capitalize()}")

    def module(self) -> str:
        return self._fresh(lambda: f"{self._root().lower()}_{self._rng.choice(vocabulary().goods)}")

    def _root(self) -> str:
        return self._maker.root()

    def _fresh(self, make: Callable[[], str]) -> str:
        while True:
            name = make()
            if name not in self._made:
                self._made.add(name)
                return name


def _file(module: str, body: str, imports: Sequence[tuple[str, str]] = ()) -> str:
    """A module's text under its path; imports are of (module, name)."""
    lines = "".join(f"from {PACKAGE}.{source} import {name}\n" for source, name in imports)
    return f"{FILE}{module}.py\n{lines}{body}"


def _formula(rng: random.Random, inner: str) -> str:
    return rng.choice(
        (f"{inner} + {rng.randint(2, 9)}", f"{inner} * {rng.randint(2, 4)}", f"{inner} - {rng.randint(1, 9)}")
    )


def _filler(names: _Names, rng: random.Random) -> Iterator[str]:
    """Modules of functions and classes that nothing is asked about, without end; some import from others."""
    known: list[tuple[str, str]] = []
    while True:
        module, parts, imports = names.module(), list[str](), list[tuple[str, str]]()
        for _ in range(rng.randint(2, 3)):
            name, inner = names.function(), "value"
            if known and rng.random() < 0.5:
                source, used = rng.choice(known[-40:])
                if (source, used) not in imports and source != module:
                    imports.append((source, used))
                if (source, used) in imports:
                    inner = f"{used}(value)"
            parts.append(f"\n\ndef {name}(value):\n    return {_formula(rng, inner)}\n")
            known.append((module, name))
        if rng.random() < 0.3:
            parts.append(f"\n\nclass {names.kind()}:\n    def {rng.choice(vocabulary().verbs)}(self):\n"
                         f"        return {rng.randint(1, 99)}\n")  # fmt: skip
        yield _file(module, "".join(parts).removeprefix("\n"), imports)


def _package(order: Order, names: _Names, evidence: Sequence[str]) -> Text:
    """The whole package's text, with the evidence's files anywhere in it."""
    rng = order.rng
    placed = [Placed(text, rng.random()) for text in evidence]
    return fill(order.tokens, order.budget, placed, _filler(names, rng), order.spacers, rng)


def _returns(order: Order) -> Haystack:
    """What a function returns that goes through five modules."""
    rng = order.rng
    names, evidence, questions = _Names(rng), list[str](), list[Question]()
    for _ in order.depths:
        below: tuple[str, str] | None = None
        functions: list[str] = []
        for _ in range(HOPS):
            module, name = names.module(), names.function()
            inner = "value" if below is None else f"{below[1]}(value)"
            function = f"\ndef {name}(value):\n    return {_formula(rng, inner)}\n"
            evidence.append(_file(module, function, [] if below is None else [below]))
            functions.append(function)
            below = (module, name)
        assert below is not None
        returned = _run("".join(functions))[below[1]](ARGUMENT)
        questions.append(
            Question(
                f"What does {below[1]}({ARGUMENT}) of {PACKAGE}/{below[0]}.py return? {NUMBER}",
                (str(returned),),
                kind="number",
            )
        )
    return Haystack(_package(order, names, evidence), tuple(questions))


def _callers(order: Order) -> Haystack:
    """Which functions call one, found by parsing; others only import it."""
    rng = order.rng
    names, evidence, asked = _Names(rng), list[str](), list[str]()
    for _ in order.depths:
        module, name = names.module(), names.function()
        asked.append(name)
        evidence.append(_file(module, f"\ndef {name}(value):\n    return value * {rng.randint(2, 9)}\n"))
        for number in range(CALLERS + 1):
            calls = number < CALLERS
            body = f"return {name}(value) + {rng.randint(1, 9)}" if calls else "return value"
            function = f"\ndef {names.function()}(value):\n    {body}\n"
            evidence.append(_file(names.module(), function, [(module, name)]))
    text = _package(order, names, evidence)
    functions = _functions(text.text)
    callers = _callers_of(functions, asked)
    return Haystack(
        text,
        tuple(
            Question(
                f"Which functions call {name} directly? {NAMES}",
                tuple(sorted(callers[name])),
                candidates=tuple(functions),
            )
            for name in asked
        ),
    )


def _overrides(order: Order) -> Haystack:
    """Which subclasses override a method."""
    rng, words = order.rng, vocabulary()
    names, evidence, asked = _Names(rng), list[str](), list[tuple[str, str]]()
    for _ in order.depths:
        base, module = names.kind(), names.module()
        method, other = rng.sample(words.verbs, 2)
        asked.append((base, method))
        methods = "".join(f"    def {one}(self):\n        return {rng.randint(1, 99)}\n" for one in (method, other))
        evidence.append(_file(module, f"\nclass {base}:\n{methods}"))
        for number in range(4):
            replaced = method if number < 2 else other
            body = f"    def {replaced}(self):\n        return {rng.randint(1, 99)}\n"
            evidence.append(_file(names.module(), f"\nclass {names.kind()}({base}):\n{body}", [(module, base)]))
    text = _package(order, names, evidence)
    classes = [node for tree in _trees(text.text) for node in tree.body if isinstance(node, ast.ClassDef)]
    kinds = tuple(node.name for node in classes)
    return Haystack(
        text,
        tuple(
            Question(
                f"Which subclasses of {base} override its method {method}? {NAMES}",
                tuple(sorted(node.name for node in classes if _overriding(node, base, method))),
                candidates=kinds,
            )
            for base, method in asked
        ),
    )


def _breaks(order: Order) -> Haystack:
    """What fails when a parameter is taken out of a signature: found by running the callers with it taken out."""
    rng = order.rng
    names, evidence, questions = _Names(rng), list[str](), list[tuple[str, str, tuple[str, ...]]]()
    for _ in order.depths:
        module, name = names.module(), names.function()
        parameter = rng.choice(("scale", "offset", "limit", "depth"))
        before = f"\ndef {name}(value, {parameter}=1):\n    return value * 2 + {parameter}\n"
        after = f"\ndef {name}(value):\n    return value * 2\n"
        evidence.append(_file(module, before))
        callers: list[str] = []
        program = after
        for number in range(4):
            caller = names.function()
            given = (f", {parameter}={rng.randint(2, 9)}", f", {rng.randint(2, 9)}", "", "")[number]
            function = f"\ndef {caller}(value):\n    return {name}(value{given}) - {rng.randint(1, 9)}\n"
            evidence.append(_file(names.module(), function, [(module, name)]))
            callers.append(caller)
            program += function
        questions.append((name, parameter, tuple(sorted(_failing(program, callers)))))
    text = _package(order, names, evidence)
    candidates = tuple(FUNCTION.findall(text.text))
    return Haystack(
        text,
        tuple(
            Question(
                f"If the parameter {parameter} were removed from the signature of {name}, which functions would fail "
                f"with a TypeError when they are called? {NAMES}",
                failing,
                candidates=candidates,
            )
            for name, parameter, failing in questions
        ),
    )


def _complete(order: Order) -> Haystack:
    """A function without its body, to be written from its uses; the answer is executed."""
    rng = order.rng
    names, evidence, questions = _Names(rng), list[str](), list[Question]()
    for _ in order.depths:
        module, name = names.module(), names.function()
        factors = [rng.randint(2, 9) for _ in range(3)]
        solution = (
            f"def {name}(first, second):\n    return first * {factors[0]} + second * {factors[1]} + {factors[2]}\n"
        )
        function = _run(solution)[name]
        evidence.append(_file(module, f"\ndef {name}(first, second):\n    raise NotImplementedError\n"))
        for pair in SHOWN:
            use = f"\ndef {names.function()}():\n    assert {name}{pair} == {function(*pair)}\n"
            evidence.append(_file(names.module(), use, [(module, name)]))
        questions.append(
            Question(
                COMPLETE.format(name=name),
                (solution,),
                kind="code",
                checks=tuple(f"assert {name}{pair} == {function(*pair)}" for pair in (*SHOWN, *HELD_OUT)),
                setup=name,
            )
        )
    return Haystack(_package(order, names, evidence), tuple(questions))


# -- truth


def files_of(text: str) -> dict[str, str]:
    """The package's files by path, out of a haystack's text."""
    parts = text.split(FILE)
    found = dict(part.split("\n", 1) for part in parts[1:])
    return {f"{PACKAGE}/{path}": body for path, body in found.items()}


def _trees(text: str) -> list[ast.Module]:
    return [ast.parse(body) for body in files_of(text).values()]


def _functions(text: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for tree in _trees(text) for node in tree.body if isinstance(node, ast.FunctionDef)}


def _callers_of(functions: Mapping[str, ast.FunctionDef], asked: Sequence[str]) -> dict[str, list[str]]:
    """The functions that call each of those."""
    found: dict[str, list[str]] = {name: [] for name in asked}
    for caller, node in functions.items():
        for name in _called(node) & found.keys():
            found[name].append(caller)
    return found


def _called(function: ast.FunctionDef) -> set[str]:
    calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)}


def _overriding(node: ast.ClassDef, base: str, method: str) -> bool:
    bases = {one.id for one in node.bases if isinstance(one, ast.Name)}
    return base in bases and any(isinstance(one, ast.FunctionDef) and one.name == method for one in node.body)


def _failing(program: str, callers: Sequence[str]) -> list[str]:
    space = _run(program)
    found: list[str] = []
    for caller in callers:
        try:
            space[caller](ARGUMENT)
        except TypeError:
            found.append(caller)
    return found


def _run(program: str) -> dict[str, Any]:
    """What a program of ours defines: nothing that a model wrote is run here."""
    space: dict[str, Any] = {}
    exec(program, space)
    return space


def _spacers(rng: random.Random) -> list[str]:
    return remarks(rng, "# ")


CODEBASE = (
    Variant(FAMILY, "returns", INTRO, _returns, _spacers, has_depth=False),
    Variant(FAMILY, "callers", INTRO, _callers, _spacers, has_depth=False, answer_tokens=96),
    Variant(FAMILY, "overrides", INTRO, _overrides, _spacers, has_depth=False, answer_tokens=96),
    Variant(FAMILY, "breaks", INTRO, _breaks, _spacers, has_depth=False, answer_tokens=96),
    Variant(FAMILY, "complete", INTRO, _complete, _spacers, has_depth=False, answer_tokens=256, runs_code=True),
)
