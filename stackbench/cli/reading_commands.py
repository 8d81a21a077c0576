"""Commands that read what was recorded or what there is. Bodies load the module that does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stackbench.cli import completion
from stackbench.cli.options import EvaluatorKind, HomeOption, JsonOption, RegressionGate, ReportFormat, TableFormat

__all__ = [
    "catalogue",
    "compare",
    "config",
    "export",
    "publish",
    "query",
    "report",
    "resend",
    "runs",
    "runs_merge",
    "runs_rm",
    "runs_tag",
    "show",
    "verify",
]

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id or the start of it, its name or tag, or last.",
        autocompletion=completion.run_ids,
    ),
]


def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="The newest N.", min=1)] = 20,
    tag: Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Only runs with this tag.")] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """The runs so far, the newest first."""
    if context.invoked_subcommand is not None:
        return
    from stackbench.cli import history

    history.runs(home, limit, tag, as_json=as_json)


def runs_rm(
    names: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="Runs' ids, names or tags.", autocompletion=completion.run_ids),
    ],
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    home: HomeOption = None,
) -> int:
    """Remove runs for good, with all attempts and files."""
    from stackbench.cli import manage_runs

    return manage_runs.remove(home, names, yes=yes)


def runs_merge(
    homes: Annotated[list[Path], typer.Argument(metavar="HOME", help="Homes that the shards were run in.")],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """Make one run of the shards of a run (`--shard I/N`): each attempt once, however often they are merged."""
    from stackbench.cli import manage_runs

    return manage_runs.merge(home, homes, as_json=as_json)


def runs_tag(
    run: RunArgument,
    tags: Annotated[list[str] | None, typer.Argument(metavar="TAG", help="Tags to give it.")] = None,
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
    sample: Annotated[str | None, typer.Argument(metavar="SAMPLE", help="A task's id: its attempts.")] = None,
    failures: Annotated[
        int, typer.Option("--failures", metavar="N", help="Name N tasks for each reason of a failure.", min=0)
    ] = 5,
    format: Annotated[
        ReportFormat, typer.Option("--format", help="text, or the scores alone as a table in Markdown or LaTeX.")
    ] = ReportFormat.TEXT,
    request: Annotated[
        bool, typer.Option("--request", help="Print what the attempts at a task asked the model, as JSON.")
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """One run, or the attempts at one of its tasks with their transcripts."""
    from stackbench.cli import show as work

    if request:
        from stackbench.cli import requests

        return requests.print_requests(home, run, sample)
    return work.show(home, run, sample, failures=failures, format=format.value, as_json=as_json)


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
        str,
        typer.Argument(
            metavar="RUN",
            help="A run's id or the start of it, its name or tag, or last.",
            autocompletion=completion.run_ids,
        ),
    ],
    second: Annotated[
        str, typer.Argument(metavar="RUN", help="Another, named in the same ways.", autocompletion=completion.run_ids)
    ],
    tasks: Annotated[int, typer.Option("--tasks", metavar="N", help="List N differing tasks; 0: all.", min=0)] = 20,
    gate: Annotated[
        RegressionGate | None,
        typer.Option("--gate", help="Fail where the second is worse: by the paired interval, or by the values alone."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option("--margin", metavar="POINTS", help="By how much it may be worse [2].", min=0, max=99),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """Paired differences of two runs, or of a run and a model's published results."""
    from stackbench.cli import compare as work

    return work.compare(home, first, second, tasks, gate.value if gate else None, margin, as_json=as_json)


def verify(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN|BUNDLE",
            help="A run, named as everywhere, or a bundle's folder or archive.",
            autocompletion=completion.run_ids,
        ),
    ],
    tasks: Annotated[
        int, typer.Option("--tasks", metavar="N", help="Tasks of each benchmark to execute again; 0: none.", min=0)
    ] = 20,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Draws these tasks [a random one, which is told].", min=0)
    ] = None,
    head: Annotated[
        str, typer.Option("--head", metavar="SHA256", help="The chain's last hash, as noted when the run ended.")
    ] = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """Verify a run or its bundle: exit code 1 where anything is other than published."""
    from stackbench.cli import verify as work

    return work.verify(home, name, tasks, seed, head, as_json=as_json)


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
        typer.Option(
            "--format",
            metavar="NAME",
            help="jsonl, csv, parquet, xlsx, samples, plots, swebench, atif [these]; bundle; repeatable.",
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Write a run's attempts, events, tool calls and metrics to files."""
    from stackbench.cli import history
    from stackbench.config import Home

    history.export_run(Home.find(home, to_write=False), run, to, format)


def report(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="Runs' ids, names or tags, or last.", autocompletion=completion.run_ids),
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder for the files.")],
    format: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="NAME", help="markdown, html, pdf, xlsx, plots [all]; repeatable."),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Write a run's results as documents: Markdown, PDF, HTML, a spreadsheet, plots."""
    from stackbench.cli import report as work

    work.report(home, runs, to, format or (), as_json=as_json)


def publish(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN", help="Runs of one model: ids, names or tags, or last.", autocompletion=completion.run_ids
        ),
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A new folder for the package.")],
    author: Annotated[
        list[str] | None,
        typer.Option("--author", metavar="NAME", help='Who publishes: "Family, Given" or an organisation; repeatable.'),
    ] = None,
    model_id: Annotated[
        str | None,
        typer.Option("--model-id", metavar="ORG/NAME", help="The model's name on the hub [from the run's model]."),
    ] = None,
    evaluator: Annotated[
        EvaluatorKind,
        typer.Option("--evaluator", help="How who publishes stands to who made the model."),
    ] = EvaluatorKind.THIRD_PARTY,
    source_url: Annotated[
        str | None, typer.Option("--source-url", metavar="URL", help="Where the results will be found.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", metavar="SPDX", help="Licence of the results, such as CC-BY-4.0.")
    ] = None,
    upload: Annotated[
        bool,
        typer.Option("--upload", help="Send the results to the model's repository as a pull request; needs HF_TOKEN."),
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Write the files that hubs, archives and papers ask for; nothing is sent without --upload."""
    from stackbench.cli import publish as work

    work.publish(
        home,
        runs,
        to,
        model_id=model_id,
        authors=author or (),
        evaluator=evaluator.value,
        source_url=source_url,
        licence=licence,
        upload=upload,
        as_json=as_json,
    )


def catalogue(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="baselines, benchmarks, models, scenarios, suites or tools.",
            autocompletion=completion.list_names,
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """What can be named: published baselines, benchmarks, models, scenarios, suites, tools."""
    if what == "scenarios":
        from stackbench.cli import scenarios

        return scenarios.list_scenarios(None, as_json=as_json)
    from stackbench.cli import catalogue as work

    return work.show_list(what, as_json=as_json)


def config(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """The settings in force, and where each came from."""
    from stackbench.cli import catalogue as work

    work.config(home, as_json=as_json)
