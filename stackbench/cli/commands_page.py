"""docs/commands.md, written from the program's own commands, options and verbs.

Usage: python -m stackbench.cli.commands_page > docs/commands.md
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

import typer

from stackbench.cli.app import build_app
from stackbench.cli.help_page import as_typed, option_panels
from stackbench.control.verbs import VERBS

__all__ = ["commands_page"]

HEAD = """# Commands

<!-- Written by `python -m stackbench.cli.commands_page`; a test holds it against the program. -->

Every command with its arguments and options; `stackbench COMMAND --help` prints the same. Defaults stand in brackets.
`RUN` is a run's id or the start of it, its name, a tag that one run has, or `last`. `--debug`, anywhere on the command
line, shows the traceback behind an error. Options that are settings can stand in a file too:
[configuration.md](configuration.md). Exit codes: [ci.md](ci.md#exit-codes).
"""


Rows = list[tuple[str, str]]


def commands_page() -> str:
    """The page, as Markdown."""
    program: Any = typer.main.get_command(build_app())
    return "\n".join([HEAD, *_section(program, "stackbench", None, {})]).rstrip() + "\n"


def _section(command: Any, path: str, parent: Any, listed: dict[str, Rows]) -> Iterator[str]:
    """A command, then those below it. `listed`: groups of options that stand on the page, those of `eval` first."""
    context = command.context_class(command, info_name=path.split(" ")[-1], parent=parent)
    yield f"## {as_typed(path)}\n"
    yield f"{_plain(inspect.cleandoc(command.help or ''))}\n"
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"Usage: `{as_typed(usage)}`\n"
    arguments, panels = option_panels(command, context)
    yield from _table("argument", arguments)
    yield from _table("option", [row for row in panels.pop("Options") if "--help" not in row[0]])
    known = [panel for panel, rows in panels.items() if panel in listed and listed[panel] == rows]
    for panel in (panel for panel in panels if panel not in known):
        listed.setdefault(panel, panels[panel])
        yield from _table(panel, panels[panel])
    if known:
        yield f"And, as those of `stackbench eval`: {', '.join(known)}.\n"
    if path == "stackbench ctl":
        yield from _table("verb", [_verb_row(name) for name in VERBS])
    for name in getattr(command, "commands", {}):
        one = command.get_command(context, name)
        if not one.hidden or name == "batch":
            yield from _section(one, f"{path} {name}", context, listed)


def _table(heading: str, rows: Rows) -> Iterator[str]:
    if not rows:
        return
    yield f"| {_plain(heading)} | |\n| --- | --- |"
    for name, text in rows:
        yield f"| `{_cell(name)}` | {_cell(text)} |"
    yield ""


def _verb_row(name: str) -> tuple[str, str]:
    verb = VERBS[name]
    words = [
        f"[--{one.name}]" if one.flag else one.name.upper() if one.required else f"[{one.name.upper()}]"
        for one in verb.parameters
    ]
    details = [f"`{one.name}`: {one.help}" for one in verb.parameters]
    return " ".join([name, *words]), " ".join([verb.help, *details])


def _cell(text: str) -> str:
    return " ".join(_plain(text).split()).replace("|", "\\|")


def _plain(text: str) -> str:
    """Without the marks that keep code whole on a terminal."""
    return text.translate({0xA0: " ", 0x2011: "-"})


if __name__ == "__main__":
    sys.stdout.write(commands_page())
