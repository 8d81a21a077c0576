"""The commands and their options. Bodies load the module that does the work, so that `--help` stays quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from stackbench.cli.options import (
    HomeOption,
    JsonOption,
    ReportFormat,
    TableFormat,
    with_loading_options,
    with_run_options,
)
from stackbench.control.verbs import VERBS

__all__ = ["build_app"]

EPILOG = (
    "stackbench --batch [SUITE] runs a whole suite without a screen; its options are those of eval. "
    "Exit codes: 0 done, 1 a gate failed, 2 usage, 3 the run failed, 130 interrupted (resumable)."
)
CONTEXT = {"help_option_names": ["-h", "--help"]}
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id or the start of it, its name or tag, or last.")
]


def build_app() -> typer.Typer:
    """The program's commands."""
    app = typer.Typer(
        help="Evaluate code language models: real sandboxes, real intervals, everything in DuckDB.",
        epilog=EPILOG,
        context_settings=CONTEXT,
        add_completion=False,
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(root)
    app.command("eval", help="Run named benchmarks.")(with_run_options(evaluate))
    app.command("batch", hidden=True, help="Run a suite.")(with_run_options(batch))
    app.command("score", help="Score existing samples: human-eval or EvalPlus .jsonl.")(with_run_options(score))
    app.command("serve", help="A managed vLLM server, OpenAI-compatible, in the foreground.")(
        with_loading_options(serve)
    )
    app.command("attach", help="Follow a live or queued run from this terminal; Ctrl-C leaves it alone.")(attach)
    app.command("tui", help="The screens on this terminal, as stackbench without a command opens them.")(tui)
    app.command("ctl", help="Operate a live engine: " + ", ".join(VERBS) + ".", epilog=_verbs_help())(ctl)
    app.command("engine", hidden=True, help="Carry out the orders of a file.")(engine)
    for command in (show, compare, query, export, catalogue, config, doctor):
        app.command(command.__name__ if command is not catalogue else "list")(command)
    managed = _group("runs", runs.__doc__ or "", {"rm": runs_rm, "tag": runs_tag}, invoke_without_command=True)
    managed.callback()(runs)
    app.add_typer(managed)
    app.add_typer(_group("models", "Models that are fetched by name.", {"list": models_list, "pull": models_pull}))
    app.add_typer(
        _group("data", "Datasets.", {"list": data_list, "pull": data_pull, "verify": data_verify}),
    )
    app.add_typer(
        _group(
            "sandbox",
            "Sandbox image and containers.",
            {"build": sandbox_build, "status": sandbox_status, "clean": sandbox_clean, "shell": sandbox_shell},
        )
    )
    app.add_typer(_group("scenarios", "Tool-use scenarios.", {"check": scenarios_check, "new": scenarios_new}))
    return app


def _group(name: str, text: str, commands: dict[str, Any], *, invoke_without_command: bool = False) -> typer.Typer:
    group = typer.Typer(
        name=name,
        help=text,
        no_args_is_help=not invoke_without_command,
        invoke_without_command=invoke_without_command,
        context_settings=CONTEXT,
        rich_markup_mode=None,
    )
    for command, function in commands.items():
        group.command(command)(function)
    return group


def _print_version(wanted: bool) -> None:
    if wanted:
        from stackbench import __version__

        typer.echo(f"stackbench {__version__}")
        raise typer.Exit


def root(
    context: typer.Context,
    suite: Annotated[
        str | None, typer.Option("--batch", metavar="[SUITE]", help="Run a suite: smoke, core, full or a .toml file.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program itself; `--batch` and `--debug` are taken before typer reads the line.

    Without a command: the screens on a terminal, elsewhere the help.
    """
    if context.invoked_subcommand is not None:
        return
    if sys.stdin.isatty() and sys.stdout.isatty():
        raise typer.Exit(tui())
    typer.echo(context.get_help())


# -- running


def evaluate(
    benchmarks: Annotated[list[str] | None, typer.Argument(metavar="BENCHMARK...", help="What to run.")] = None,
    **flags: Any,
) -> int:
    from stackbench.cli import evaluate as work

    return work.evaluate(benchmarks or [], flags)


def batch(
    suite: Annotated[
        str | None, typer.Argument(metavar="[SUITE]", help="smoke, core, full or a .toml file [full].")
    ] = None,
    **flags: Any,
) -> int:
    from stackbench.cli import evaluate as work

    return work.batch(suite or "", flags)


def score(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One sample a line; .gz is read too.")],
    benchmark: Annotated[str, typer.Option("-b", "--benchmark", metavar="BENCHMARK", help="What the samples are of.")],
    **flags: Any,
) -> int:
    from stackbench.cli.score import score as work

    return work(file, benchmark, flags)


def serve(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name from models list, a hub id or a folder.")],
    port: Annotated[int | None, typer.Option("--port", metavar="N", help="Where it listens [a free port].")] = None,
    **flags: Any,
) -> int:
    from stackbench.cli import serve as work

    return work.serve(model, port, flags)


def attach(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's id or the start of it [the live run].")
    ] = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
    home: HomeOption = None,
) -> int:
    from stackbench.cli import evaluate as work

    return work.attach(home, run, as_json=as_json, quiet=quiet)


def tui(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Open this run: an id or the start of it.")] = None,
    home: HomeOption = None,
) -> int:
    from stackbench.cli.screens import open_screens

    return open_screens(home, run)


def ctl(
    verb: Annotated[str, typer.Argument(metavar="VERB", help="What to do; listed below.")],
    words: Annotated[list[str] | None, typer.Argument(metavar="[ARGUMENT]...", help="As the verb takes them.")] = None,
    now: Annotated[bool, typer.Option("--now", help="pause: hold attempts under way too.")] = False,
    errors: Annotated[bool, typer.Option("--errors", help="requeue: all that ended in errors.")] = False,
    content: Annotated[bool, typer.Option("--content", help="Also what models and tools wrote.")] = False,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="A queued run, for stop.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    from stackbench.cli import operate

    flags = {"now": now, "errors": errors, "content": content, "run": run, "dry_run": dry_run}
    return operate.ctl(verb, words or [], flags, home=home, as_json=as_json)


def engine(orders: Annotated[Path, typer.Argument(metavar="FILE")], home: HomeOption = None) -> int:
    from stackbench.cli import detach
    from stackbench.config import Home

    return detach.run_engine(Home.find(home), orders)


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


# -- history


def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="The newest N.", min=1)] = 20,
    tag: Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Only runs with this tag.")] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """The runs so far, the newest first; runs rm, runs tag: remove, name and tag them."""
    if context.invoked_subcommand is not None:
        return
    from stackbench.cli import history

    history.runs(home, limit, tag, as_json=as_json)


def runs_rm(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs' ids, names or tags.")],
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    home: HomeOption = None,
) -> int:
    """Remove runs for good, with all attempts and files."""
    from stackbench.cli import manage_runs

    return manage_runs.remove(home, names, yes=yes)


def runs_tag(
    run: RunArgument,
    tags: Annotated[list[str] | None, typer.Argument(metavar="[TAG]...", help="Tags to give it.")] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Its name, which no other run has; empty: none.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="TAG", help="A tag to take away; repeatable.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Name and tag a run; both can stand where a run's id is asked for."""
    from stackbench.cli import manage_runs

    manage_runs.tag(home, run, tags or [], name=name, without=remove or [], as_json=as_json)


def show(
    run: RunArgument,
    sample: Annotated[str | None, typer.Argument(metavar="[SAMPLE]", help="A task's id: its attempts.")] = None,
    failures: Annotated[
        int, typer.Option("--failures", metavar="N", help="Name N tasks for each reason of a failure.", min=0)
    ] = 5,
    format: Annotated[
        ReportFormat, typer.Option("--format", help="text, or the scores alone as a table in Markdown or LaTeX.")
    ] = ReportFormat.TEXT,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """One run, or the attempts at one of its tasks with their transcripts."""
    from stackbench.cli import show as work

    work.show(home, run, sample, failures=failures, format=format.value, as_json=as_json)


def compare(
    first: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the start of it.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="Another's.")],
    tasks: Annotated[int, typer.Option("--tasks", metavar="N", help="List N differing tasks; 0: all.", min=0)] = 20,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Paired differences of two runs, with intervals and a p-value."""
    from stackbench.cli import compare as work

    work.compare(home, first, second, tasks, as_json=as_json)


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One read-only statement.")],
    format: Annotated[TableFormat, typer.Option("--format", help="How to print rows.")] = TableFormat.TABLE,
    home: HomeOption = None,
) -> None:
    """Read the database with SQL, also while a run is live."""
    from stackbench.cli import history

    history.query(home, sql, format.value)


def export(
    run: RunArgument,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder for the files.")],
    format: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="NAME", help="jsonl, csv, parquet, xlsx, samples, plots [all]; repeatable."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Write a run's attempts, events, tool calls and metrics to files."""
    from stackbench.cli import history
    from stackbench.config import Home

    history.export_run(Home.find(home), run, to, format)


# -- what there is


def catalogue(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="benchmarks, models, scenarios, suites or tools.")],
    as_json: JsonOption = False,
) -> None:
    """What can be named: benchmarks, models, scenarios, suites, tools."""
    if what == "scenarios":
        from stackbench.cli import scenarios

        return scenarios.list_scenarios(None, as_json=as_json)
    from stackbench.cli import catalogue as work

    return work.show_list(what, as_json=as_json)


def config(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """The settings in force, and where each came from."""
    from stackbench.cli import catalogue as work

    work.config(home, as_json=as_json)


def doctor(
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="M", help="Whether this model fits, and quantised how.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """What works on this machine, what does not, and the command that repairs it."""
    from stackbench.cli import doctor as work

    if model is not None:
        return work.doctor_model(model, as_json=as_json)
    return work.doctor(home, as_json=as_json)


# -- models, data, sandbox


def models_list(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Models by name, and which are on this machine."""
    from stackbench.cli import machine

    machine.models_list(home, as_json=as_json)


def models_pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="As models list names them.")],
    home: HomeOption = None,
) -> None:
    """Fetch models and make them ready; what an interrupted fetch got is kept."""
    from stackbench.cli import machine

    machine.models_pull(home, names)


def data_list(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Datasets, and where each file is."""
    from stackbench.cli import machine

    machine.data_list(home, verify=False, as_json=as_json)


def data_pull(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Datasets [all].")] = None,
    home: HomeOption = None,
) -> None:
    """Fetch datasets and check every row."""
    from stackbench.cli import machine

    machine.data_pull(home, names or [])


def data_verify(as_json: JsonOption = False, home: HomeOption = None) -> int:
    """Check every dataset file on this machine: hash, rows, fields."""
    from stackbench.cli import machine

    return machine.data_list(home, verify=True, as_json=as_json)


def scenarios_check(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A folder of scenario files, or one [the published].")
    ] = None,
    only: Annotated[str, typer.Option("--only", metavar="A,B", help="Play only these tasks or templates.")] = "",
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", help="Play only N tasks, always the same.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="SEED", help="Draw the parameters from this seed.")] = 29,
    sandboxes: Annotated[
        int | None, typer.Option("--sandboxes", metavar="N", help="Containers at once [8].", min=1)
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Prove scenarios sound: solved by their solution, not by nothing, not with an effect undone."""
    from stackbench.cli import scenarios

    return scenarios.check(folder, only=only, sample=sample, seed=seed, sandboxes=sandboxes, as_json=as_json)


def scenarios_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The id: small letters, digits, hyphens.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder for the file.")] = Path("scenarios"),
) -> None:
    """Write a scenario to start from."""
    from stackbench.cli import scenarios

    scenarios.new(name, to)


def sandbox_build(
    base: Annotated[str | None, typer.Option("--base", metavar="IMAGE", help="Make it from this image.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also when it is there.")] = False,
) -> None:
    """Make the sandbox image: pulled, or debootstrapped where no registry answers."""
    from stackbench.cli import machine

    machine.sandbox_build(base, again=again)


def sandbox_status(as_json: JsonOption = False) -> None:
    """Sandbox containers, and whether the run that owns them lives."""
    from stackbench.cli import machine

    machine.sandbox_status(as_json=as_json)


def sandbox_clean(
    everything: Annotated[bool, typer.Option("--all", help="Also those of live runs.")] = False,
) -> None:
    """Remove containers that killed runs left."""
    from stackbench.cli import machine

    machine.sandbox_clean(everything=everything)


def sandbox_shell(home: HomeOption = None) -> int:
    """A shell in a container locked down like those of a run."""
    from stackbench.cli import machine

    return machine.sandbox_shell(home)
