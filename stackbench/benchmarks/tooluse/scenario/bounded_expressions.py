"""Jinja in its sandbox, with a budget: no template takes more time or memory than a scenario can need.

Jinja's sandbox keeps a template from Python's insides, not from `range(10 ** 11)`, from doubling a text in a loop, or
from a list of lists of one list. Here every turn of a loop, every character that is made and every element that a
filter is given is charged to a budget, before it is made wherever that can be told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from jinja2 import StrictUndefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.sandbox import SandboxedEnvironment

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = ["MOST_STEPS", "BoundedEnvironment", "BudgetError"]

MOST_STEPS = 5_000_000
"""Of one task: 1 for a character made, more for an element and a call; published ones take 640,000 at most."""
ELEMENT = 4
CALL = 40
MOST_BITS = 16_000
"""Of a whole number: Python writes out 4,300 digits and no more."""
MOST_WIDTH = 100_000
MOST_INDENTATION = 16
PADDED = ("center", "ljust", "rjust", "zfill", "expandtabs", "batch", "slice")
INDENTED = ("indent", "tojson", "json", "wordwrap")
FORMATS = ("format", "format_map")
WIDE_FORMAT = re.compile(r"%(?:\([^()%]*\))?[^%a-zA-Z]*(?:\*|\d{6})|\{[^{}:]*:[^{}]*(?:\{|\d{6})")
"""A width of six digits, or one that is an argument."""
SIZED = (str, bytes, list, tuple)


class BudgetError(ValueError):
    """A template asks for more than it may have."""


class BoundedEnvironment(SandboxedEnvironment):
    """Keeps the budget; `budget` opens one for all that is rendered within it."""

    intercepted_binops = frozenset(("+", "*", "%", "**"))
    code_generator_class: type[CodeGenerator]

    def __init__(self, **options: Any) -> None:
        self._left: int | None = None
        super().__init__(undefined=StrictUndefined, autoescape=False, finalize=self._finalized, **options)
        self.code_generator_class = ChargedCode
        self.globals.pop("lipsum", None)
        cast("dict[str, Any]", self.globals)["range"] = _range
        self.add_filters(dict(self.filters))

    def add_filters(self, filters: Mapping[str, Callable[..., Any]]) -> None:
        """Adds filters, each charged for its arguments and its result."""
        self.filters.update({name: self._charged(name, function) for name, function in filters.items()})

    @contextmanager
    def budget(self) -> Iterator[None]:
        """What is rendered within has one budget; within another one it shares that."""
        if self._left is not None:
            yield
            return
        self._left = MOST_STEPS
        try:
            yield
        finally:
            self._left = None

    def charge(self, steps: int = 1) -> None:
        """Raises BudgetError when the budget is used up."""
        if self._left is not None:
            self._left -= steps
            if self._left < 0:
                self._left = 0
                raise BudgetError(f"it takes more than {MOST_STEPS} steps and characters")

    def charge_for(self, value: Any, indentation: int = 0) -> None:
        """Charges a value's characters and elements, each as often as it is met, and what indents them.

        Raises BudgetError, for a value that holds itself as well.
        """
        steps, most = 0, MOST_STEPS if self._left is None else self._left
        left = [(value, 1)]
        while left and steps <= most:
            one, depth = left.pop()
            if isinstance(one, str | bytes):
                steps += len(one) + 1
            elif isinstance(one, Mapping):
                held = cast("Mapping[Any, Any]", one)
                steps += ELEMENT * (len(held) + 1) * (1 + depth * indentation)
                left += [(below, depth + 1) for pair in held.items() for below in pair]
            elif isinstance(one, list | tuple | set | frozenset):
                several = cast("list[Any]", one)
                steps += ELEMENT * (len(several) + 1) * (1 + depth * indentation)
                left += [(below, depth + 1) for below in several]
            elif isinstance(one, int) and one.bit_length() > MOST_BITS:
                raise BudgetError(f"a number of more than {MOST_BITS} bits")
            else:
                steps += 1
        self.charge(steps)

    # -- what a template can do

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """As in Python, within the budget. Raises BudgetError."""
        if isinstance(left, int) and isinstance(right, int):
            power = operator == "**"
            bits = left.bit_length() * max(right, 1) if power else left.bit_length() + right.bit_length()
            if bits > MOST_BITS:
                raise BudgetError(f"a number of more than {MOST_BITS} bits")
        elif operator == "*":
            for one, other in ((left, right), (right, left)):
                if _is_sized(one) and isinstance(other, int):
                    self.charge(len(one) * max(other, 0))
        elif operator == "+":
            self.charge(sum(len(one) for one in (left, right) if _is_sized(one)))
        elif operator == "%" and isinstance(left, str | bytes):
            _refuse_widths(str(left))
            self.charge_for((left, right))
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Calls what a template calls; methods that make long texts are charged first. Raises BudgetError."""
        self = __self
        method = getattr(__obj, "__wrapped__", __obj)
        owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        self.charge(CALL)
        if isinstance(owner, str | bytes):
            if name == "translate":
                raise BudgetError("translate is not to be had here")
            self._charge_making(name, (owner, *args), kwargs)
        elif isinstance(owner, list | dict):
            self.charge(len(cast("list[Any]", owner)))
        made = super().call(__context, __obj, *args, **kwargs)
        self._charge_made(made)
        return made

    def concat(self, parts: Iterable[str]) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Puts output together. Raises BudgetError."""
        texts: list[str] = []
        for part in parts:
            self.charge(len(part) + 1)
            texts.append(part)
        return "".join(texts)

    def join(self, parts: Iterable[Any]) -> str:
        """What `~` makes of its operands. Raises BudgetError."""
        return self.concat(str(self._finalized(part)) for part in parts)

    def turns(self, values: Iterable[Any]) -> Iterator[Any]:
        """The elements that a loop goes through, each charged. Raises BudgetError."""
        for value in values:
            self.charge(ELEMENT)
            yield value

    def _finalized(self, value: Any) -> Any:
        """A value that is about to become text."""
        if not isinstance(value, str):
            self.charge_for(value)
        return value

    def _charged(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        passed = hasattr(function, "jinja_pass_arg")

        @wraps(function)
        def charged(*args: Any, **kwargs: Any) -> Any:
            self._charge_making(name, args[1:] if passed else args, kwargs)
            made = function(*args, **kwargs)
            self._charge_made(made)
            return made

        return charged

    def _charge_making(self, name: str, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Charges what a filter, or a method of a text, is given and what it will make of that."""
        widths = [one for one in (*given[1:], *named.values()) if isinstance(one, int | float)]
        indentation = 0
        if name in PADDED and any(abs(width) > MOST_WIDTH for width in widths):
            raise BudgetError(f"a width of more than {MOST_WIDTH}")
        if name in INDENTED:
            widths += [len(one) for one in (*given[1:], *named.values()) if isinstance(one, str)]
            if name != "wordwrap" and any(abs(width) > MOST_INDENTATION for width in widths):
                raise BudgetError(f"an indentation of more than {MOST_INDENTATION}")
            indentation = MOST_INDENTATION if widths and name != "wordwrap" else 0
        if name in FORMATS:
            _refuse_widths(str(given[0]))
        texts = [one for one in (*given, *named.values()) if isinstance(one, str)]
        if name == "replace" and len(texts) > 2:
            self.charge((texts[0].count(texts[1]) if texts[1] else len(texts[0]) + 1) * len(texts[2]))
        for one in given:  # between or around elements: join, affixed; around lines: indent
            if name in ("join", "affixed") and isinstance(one, list | tuple):
                self.charge(len(cast("list[Any]", one)) * sum(map(len, texts)))
        if name in ("indent", "wordwrap") and texts:
            self.charge((texts[0].count("\n") + len(texts[0]) // 8 + 1) * (sum(map(len, texts[1:])) + 1))
        self.charge_for((given, dict(named)), indentation)

    def _charge_made(self, made: Any) -> None:
        if isinstance(made, (*SIZED, dict)):
            self.charge(len(cast("str", made)))


class ChargedCode(CodeGenerator):
    """Compiles loops and joined texts with a charge for each turn and character."""

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802
        """A loop goes through `environment.turns` of what it was to go through."""
        turns = nodes.EnvironmentAttribute("turns", lineno=node.lineno)
        node.iter = nodes.Call(turns, [node.iter], [], None, None, lineno=node.lineno)
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        """`~`, by `environment.join`."""
        self.write("environment.join((")
        for one in node.nodes:
            self.visit(one, frame)
            self.write(", ")
        self.write("))")


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > MOST_WIDTH:
        raise BudgetError(f"a range of more than {MOST_WIDTH}")
    return found


def _is_sized(value: object) -> TypeIs[str | bytes | list[Any] | tuple[Any, ...]]:
    return isinstance(value, SIZED)


def _refuse_widths(text: str) -> None:
    if WIDE_FORMAT.search(text):
        raise BudgetError(f"a format with a width of more than {MOST_WIDTH}, or with one that is an argument")
