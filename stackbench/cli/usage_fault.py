"""What is wrong with a command line, in one line."""

from __future__ import annotations

from typing import Any

from stackbench.cli.help_page import as_typed
from stackbench.suggestions import did_you_mean

__all__ = ["usage_fault"]


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
    where = f'; see "{as_typed(context.command_path)} --help"' if context is not None else ""
    return f"{text[:1].lower()}{text[1:]}{did_you_mean(given, known)}{where}"
