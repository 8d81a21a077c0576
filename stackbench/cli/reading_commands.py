"""Commands that read what was recorded or what there is. Bodies load the module that does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stackbench.cli import completion
from stackbench.cli.options import HomeOption, JsonOption, TableFormat

__all__ = ["catalogue", "compare", "config", "export", "query", "resend", "runs", "show"]

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, the start of it, or last.", autocompletion=completion.run_ids)
]


def runs(
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="The newest N.", min=1)] = 20,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """The runs so far, the newest first."""
    from stackbench.cli import history

    history.runs(home, limit, as_json=as_json)


def show(
    run: RunArgument,
    sample: Annotated[str | None, typer.Argument(metavar="SAMPLE", help="A task's id: its attempts.")] = None,
    failures: Annotated[int, typer.Option("--failures", metavar="N", help="List N failed attempts.", min=0)] = 10,
    request: Annotated[
        bool, typer.Option("--request", help="Print what the attempts at a task asked the model, as JSON.")
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """One run, or the attempts at one of its tasks with their transcripts."""
    from stackbench.cli import history

    if request:
        from stackbench.cli import requests

        return requests.print_requests(home, run, sample)
    return history.show(home, run, sample, failures=failures, as_json=as_json)


def resend(
    run: RunArgument,
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task's id, or benchmark/task id.")],
    attempt: Annotated[int | None, typer.Option("--attempt", metavar="N", help="Only this attempt.", min=0)] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Only attempts of this seed.")] = None,
    call: Annotated[
        int | None, typer.Option("--call", metavar="N", help="Only each attempt's Nth request.", min=1)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Ask this model [the run's, as the run had it].",
            autocompletion=completion.model_names,
        ),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """Send recorded requests to the model again and compare the answers: exit code 1 where one differs."""
    from stackbench.cli import requests

    return requests.send_again(home, run, task, attempt=attempt, seed=seed, call=call, model=model, as_json=as_json)


def compare(
    first: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id, or the start of it.", autocompletion=completion.run_ids)
    ],
    second: Annotated[str, typer.Argument(metavar="RUN", help="Another's.", autocompletion=completion.run_ids)],
    tasks: Annotated[int, typer.Option("--tasks", metavar="N", help="List N differing tasks; 0: all.", min=0)] = 20,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Paired differences of two runs, with intervals and a p-value."""
    from stackbench.cli import compare as work

    work.compare(home, first, second, tasks, as_json=as_json)


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One read-only statement.")],
    format: Annotated[
        TableFormat, typer.Option("--format", metavar="NAME", help="table, json, csv or parquet.")
    ] = TableFormat.TABLE,
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

    history.export_run(Home.find(home, to_write=False), run, to, format)


def catalogue(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="benchmarks, models, scenarios, suites or tools.",
            autocompletion=completion.list_names,
        ),
    ],
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
