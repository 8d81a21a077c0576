"""What `--help` prints: options in groups, summaries in full, and no command or option broken over two lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

__all__ = ["CommandPage", "GroupPage", "as_typed", "option_panels"]

CODE = re.compile(r"`([^`]+)`|(?<![\w`-])(--?[a-z][\w-]*(?:=\S+)?)")
"""Code in backticks, and options outside of them."""
KEPT = str.maketrans({" ": "\u00a0", "-": "\u2011"})
"""While text is wrapped, these stand where a line must not end."""
BACK = str.maketrans({"\u00a0": " ", "\u2011": "-"})
RANGE = re.compile(r"\s*\[x>=\d+\]|; x>=\d+(?=\])")
"""What typer says of the least value; that a count is none below 0 goes without saying."""
WIDEST = 120


def as_typed(text: str) -> str:
    """Names commands as users write them: `--batch` is a command inside the program only."""
    return text.replace("stackbench batch", "stackbench --batch")


class CommandPage(TyperCommand):
    """A command whose options are listed under the panels that they name."""

    def __init__(self, name: str | None, **settings: Any) -> None:
        super().__init__(name, **_with_width(settings))
        _keep_whole(self)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        arguments = [one for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return ["[OPTIONS]", *(_usage_piece(argument) for argument in arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _format_options(self, ctx, formatter)

    def get_help(self, ctx: Any) -> str:
        return as_typed(super().get_help(ctx).translate(BACK))

    def get_short_help_str(self, limit: int = 45) -> str:
        return _summary(self.help)


class GroupPage(TyperGroup):
    """A group of commands, each with its whole summary."""

    def __init__(self, **settings: Any) -> None:
        own = _with_width(settings)
        own["suggest_commands"] = False  # `usage_fault` does that
        super().__init__(**own)
        _keep_whole(self)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _format_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, _whole(one.get_short_help_str())) for name, one in commands if one is not None and not one.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def get_help(self, ctx: Any) -> str:
        return super().get_help(ctx).translate(BACK)

    def get_short_help_str(self, limit: int = 45) -> str:
        return _summary(self.help)


def _usage_piece(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return f"{name if argument.required else f'[{name}]'}{'...' if argument.nargs == -1 else ''}"


def _with_width(settings: dict[str, Any]) -> dict[str, Any]:
    context = dict(settings.pop("context_settings", None) or {})
    return {**settings, "context_settings": {"max_content_width": WIDEST, **context}}


def _keep_whole(command: Any) -> None:
    """Marks the command's texts so that wrapping leaves code whole."""
    command.help = _whole(command.help)
    command.epilog = _whole(command.epilog)
    for parameter in command.params:
        parameter.help = _whole(parameter.help)


def _whole(text: str | None) -> str:
    return CODE.sub(lambda match: (match[1] or match[2]).translate(KEPT), text or "")


def _summary(text: str | None) -> str:
    """The first paragraph."""
    return " ".join((text or "").split("\n\n")[0].split(" ")).translate(BACK).strip()


def option_panels(command: Any, ctx: Any) -> tuple[list[tuple[str, str]], dict[str, list[tuple[str, str]]]]:
    """A command's arguments, and its options by panel, "Options" first: each with the name and the help."""
    arguments: list[tuple[str, str]] = []
    panels: dict[str, list[tuple[str, str]]] = {"Options": []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        if parameter.param_type_name == "argument":
            arguments.append((parameter.metavar or parameter.name, parameter.help or ""))
        else:
            panels.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append(
                (record[0], RANGE.sub("", record[1]))
            )
    return arguments, panels


def _format_options(command: Any, ctx: Any, formatter: Any) -> None:
    arguments, panels = option_panels(command, ctx)
    _write(formatter, "Arguments", arguments)
    for panel, rows in panels.items():
        _write(formatter, panel, rows)


def _write(formatter: Any, heading: str, rows: Iterable[tuple[str, str]]) -> None:
    rows = list(rows)
    if rows:
        with formatter.section(heading):
            formatter.write_dl(rows)
