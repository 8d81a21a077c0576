"""Jinja templates over the fields of one row, in Jinja's sandbox; a field that the row lacks is an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, UndefinedError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stackbench.errors import one_line
from stackbench.suggestions import did_you_mean

__all__ = ["refuse_bad_template", "render_row"]

ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)


def refuse_bad_template(template: str) -> None:
    """Raises ValueError for what is no template; names the line in it."""
    try:
        _compiled(template)
    except TemplateSyntaxError as error:
        raise ValueError(f"line {error.lineno} of the template: {one_line(error.message or error)}") from error
    except (RecursionError, SyntaxError, TemplateError) as error:
        raise ValueError(f"no template: {one_line(error)}") from error


def render_row(template: str, row: Mapping[str, Any]) -> str:
    """The text for one row. Raises ValueError, which names the field that the row lacks."""
    try:
        return _compiled(template).render(row)
    except UndefinedError as error:
        lacking = sorted(meta.find_undeclared_variables(ENVIRONMENT.parse(template)) - set(row))
        named = [name for name in lacking if f"'{name}'" in str(error)]
        if not named:
            raise ValueError(one_line(error)) from error
        near = did_you_mean(named[0], row)
        raise ValueError(f'the row has no field "{named[0]}"{near}; it has: {", ".join(row)}') from error
    except (
        TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError, MemoryError
    ) as error:  # fmt: skip
        raise ValueError(f"{type(error).__name__}: {one_line(error)}") from error


@lru_cache(maxsize=256)
def _compiled(template: str) -> Template:
    return ENVIRONMENT.from_string(template)
