"""What is wrong with a command line, in one line."""

from __future__ import annotations

from typing import Any

from stackbench.cli.help_page import as_typed
from stackbench.errors import one_line
from stackbench.suggestions import did_you_mean
from stackbench.wrong_values import WORDS, fault_in_words

__all__ = ["usage_fault"]

SHOWN = 60
"""Characters of a wrong value."""


def usage_fault(error: Any) -> str:
    """The line for an error of typer's, with the name that was meant and where to read on."""
    context = getattr(error, "ctx", None)
    text = (error.format_message() if hasattr(error, "format_message") else str(error)).rstrip(".")
    known: list[str] = []
    given = getattr(error, "option_name", "")
    if type(error).__name__ == "NoSuchOption" and context is not None:
        text = f"there is no option {given}"
        known = [name for one in context.command.get_params(context) if not one.hidden for name in one.opts]
    elif text.startswith("No such command") and context is not None:
        given = text.partition("'")[2].rstrip("'")
        text = f'there is no command "{given}"'
        known = [name for name, command in context.command.commands.items() if not command.hidden]
    elif type(error).__name__ == "BadParameter" and getattr(error, "param", None) is not None:
        text = _wrong_value(error) or text
    where = f'; see "{as_typed(context.command_path)} --help"' if context is not None else ""
    return f"{text[:1].lower()}{text[1:]}{did_you_mean(given, known)}{where}"


def _wrong_value(error: Any) -> str:
    """`--limit: takes a whole number (got 'three')`; empty where typer says it plainly."""
    faults = getattr(error.__cause__, "errors", None)
    first = faults()[0] if faults is not None else None
    if first is None or first["type"] not in WORDS:
        return ""
    is_option = error.param.param_type_name == "option"
    name = max(error.param.opts, key=len) if is_option else error.param.human_readable_name
    return f"{name}: {fault_in_words(first)} (got {one_line(repr(first['input']), SHOWN)})"
