"""Commands that run something or operate what runs. Bodies load the module that does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from stackbench.cli import completion
from stackbench.cli.options import HomeOption, JsonOption, QuietOption

__all__ = ["acp", "attach", "batch", "ctl", "engine", "evaluate", "rerun", "score", "serve", "tui", "web"]


def evaluate(
    benchmarks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BENCHMARK",
            help="What to run (`stackbench list benchmarks`), or a .yaml file of your own.",
            autocompletion=completion.benchmark_names,
        ),
    ] = None,
    **flags: Any,
) -> int:
    from stackbench.cli import evaluate as work

    return work.evaluate(benchmarks or [], flags)


def batch(
    suite: Annotated[
        str | None,
        typer.Argument(
            metavar="SUITE",
            help="quickstart, smoke, core, full or a .toml file [full].",
            autocompletion=completion.suite_names,
        ),
    ] = None,
    **flags: Any,
) -> int:
    from stackbench.cli import evaluate as work

    return work.batch(suite or "", flags)


def score(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="One sample a line; .gz is read too. SWE-bench: predictions, .json as well."
        ),
    ],
    benchmark: Annotated[
        str,
        typer.Option(
            "-b",
            "--benchmark",
            metavar="BENCHMARK",
            help="What the samples are of.",
            autocompletion=completion.benchmark_names,
        ),
    ],
    **flags: Any,
) -> int:
    from stackbench.cli.score import score as work

    return work(file, benchmark, flags)


def rerun(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run's id or the start of it, its name or tag, or last.",
            autocompletion=completion.run_ids,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "-m", "--model", metavar="MODEL", help="Ask this model [the run's].", autocompletion=completion.model_names
        ),
    ] = None,
    tasks: Annotated[int, typer.Option("--tasks", metavar="N", help="List N differences; 0: all.", min=0)] = 20,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = None,
) -> int:
    from stackbench.cli import rerun as work

    return work.rerun(home, run, model, tasks, as_json=as_json, quiet=quiet)


def serve(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name from models list, a hub id or a folder.")],
    port: Annotated[int | None, typer.Option("--port", metavar="N", help="Where it listens [a free port].")] = None,
    **flags: Any,
) -> int:
    from stackbench.cli import serve as work

    return work.serve(model, port, flags)


def attach(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run's id or the start of it, its name or tag [the live run].")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    home: HomeOption = None,
) -> int:
    from stackbench.cli import driving

    return driving.attach(home, run, as_json=as_json, quiet=quiet)


def acp(
    model: Annotated[
        str | None, typer.Option("-m", "--model", metavar="MODEL", help="Whom to talk with [the embedded model].")
    ] = None,
    attach: Annotated[
        bool, typer.Option("--attach", help="Attach to the agent at work in the live run [begin a chat].")
    ] = False,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="TASK", help="Attach to this one, as ctl agents lists it.")
    ] = None,
    approve_calls: Annotated[
        str,
        typer.Option(
            "--approve-calls",
            metavar="WHICH",
            help="Which calls of a chat the editor asks you about: never, risky or always.",
        ),
    ] = "risky",
    home: HomeOption = None,
) -> int:
    from stackbench.cli.acp_server import serve_editor

    return serve_editor(home, model=model, attach=attach, agent=agent, policy=approve_calls)


def tui(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Open this run: an id or the start of it.")] = None,
    home: HomeOption = None,
) -> int:
    from stackbench.cli.screens import open_screens

    return open_screens(home, run)


def web(
    port: Annotated[
        int, typer.Option("--port", metavar="P", help="Port of 127.0.0.1; 0: any that is free.", min=0, max=65535)
    ] = 8742,
    home: HomeOption = None,
) -> int:
    from stackbench.cli.web_screens import serve_screens

    return serve_screens(home, port)


def ctl(
    verb: Annotated[
        str, typer.Argument(metavar="VERB", help="What to do; listed below.", autocompletion=completion.verbs)
    ],
    words: Annotated[list[str] | None, typer.Argument(metavar="ARGUMENT", help="As the verb takes them.")] = None,
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
