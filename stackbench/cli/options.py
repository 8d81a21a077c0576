"""Options that several commands share; those that are settings are made from the settings' declarations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stackbench.cli import completion
from stackbench.cli.swe_options import swe_options
from stackbench.nesting import is_array

if TYPE_CHECKING:
    from stackbench.config import SettingField

__all__ = [
    "EvaluatorKind",
    "HomeOption",
    "JsonOption",
    "QuietOption",
    "RegressionGate",
    "ReportFormat",
    "TableFormat",
    "given_settings",
    "with_run_options",
    "with_score_options",
    "with_serve_options",
    "without_options",
]

HomeOption = Annotated[
    Path | None, typer.Option("--home", metavar="DIR", help="Folder of database, runs and models [STACKBENCH_HOME].")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")]
OUTPUT, SELECTION, PLAN = "Output", "Tasks", "Plan"
TYPES: dict[str, type] = {"integer": int, "number": float, "text": str, "switch": bool, "object": str, "duration": str}
NOT_SERVED = {"max_batch"}
"""Settings of loading that do not concern a vLLM server."""


class RegressionGate(StrEnum):
    """How `compare` decides whether a run is worse."""

    PAIRED = "paired"
    POINT = "point"


class ReportFormat(StrEnum):
    """How `show` renders a run."""

    TEXT = "text"
    MARKDOWN = "md"
    LATEX = "latex"


class EvaluatorKind(StrEnum):
    """How who evaluates stands to who made the model, in Every Eval Ever's words."""

    FIRST_PARTY = "first_party"
    THIRD_PARTY = "third_party"
    COLLABORATIVE = "collaborative"
    OTHER = "other"


class TableFormat(StrEnum):
    """How `query` renders rows."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def _selection_options(
    sample_ids: Annotated[
        str | None,
        typer.Option("--sample-ids", metavar="A,B", help="Only these tasks.", rich_help_panel=SELECTION),
    ] = None,
    benchmark_options: Annotated[
        list[str] | None,
        typer.Option(
            "-T",
            "--option",
            metavar="NAME=VALUE",
            help="An option of the benchmark (`stackbench list benchmarks`), or BENCHMARK.NAME=VALUE; repeatable.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Only the I-th of N parts of the tasks; `stackbench runs merge` makes one run of them.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    scenarios: Annotated[
        Path | None,
        typer.Option(
            "--scenarios",
            metavar="DIR",
            help="Your own tool-use scenarios, in place of the published.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="[RUN]",
            help="Finish an interrupted run [the latest].",
            rich_help_panel=SELECTION,
            autocompletion=completion.run_ids,
        ),
    ] = None,
) -> None:
    """Options of a run that are no settings; only looked at."""


def _plan_options(
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only say what the run needs and how long it takes; start nothing.", rich_help_panel=PLAN
        ),
    ] = False,
    machines: Annotated[
        str | None,
        typer.Option(
            "--machines",
            metavar="NxGPUS[xGIB]",
            help="With --dry-run: plan for N machines of so many GPUs (20x64, 20x64x80) [this one].",
            rich_help_panel=PLAN,
        ),
    ] = None,
) -> None:
    """Options about the plan of a run; only looked at."""


def _output_options(
    run_name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="What to call the run; stands where its id does.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    run_tags: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="A tag of the run; repeatable.", rich_help_panel=OUTPUT),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Also write the run's exports there.", rich_help_panel=OUTPUT
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on standard output.", rich_help_panel=OUTPUT)
    ] = False,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach",
            help="In a process of its own; prints its run, pid and socket as JSON.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait", help="With --detach: wait, and print the results as a second line.", rich_help_panel=OUTPUT
        ),
    ] = False,
    no_queue: Annotated[
        bool,
        typer.Option(
            "--no-queue",
            help="Fail where another run is live, in place of waiting in its queue.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.", rich_help_panel=OUTPUT)] = False,
    home: Annotated[
        Path | None,
        typer.Option(
            "--home",
            metavar="DIR",
            help="Folder of database, runs and models [STACKBENCH_HOME].",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """What becomes of a run's results; only looked at."""


def with_run_options(command: Callable[..., int]) -> Callable[..., int]:
    """Adds every setting, and the options of a run, to a command that takes them as `**flags`."""
    from stackbench.config import list_settings

    return _with_options(
        command,
        [
            *_own(_selection_options),
            *_own(swe_options),
            *(_parameter(field) for field in list_settings()),
            *_own(_plan_options),
            *_own(_output_options),
        ],
    )


def with_score_options(command: Callable[..., int]) -> Callable[..., int]:
    """Adds the settings that apply where samples are scored and no model is asked."""
    from stackbench.config import list_settings

    options = [parameter for parameter in _own(_selection_options) if parameter.name == "benchmark_options"]
    settings = [_parameter(field) for field in list_settings() if field.scores]
    grading = [parameter for parameter in _own(swe_options) if parameter.name != "hints"]
    return _with_options(command, [*options, *grading, *settings, *_own(_output_options)])


def without_options(command: Callable[..., int]) -> Callable[..., int]:
    """The command without options made from settings, for a page that only names it: settings take time to load."""
    return _with_options(command, [])


def with_serve_options(command: Callable[..., int]) -> Callable[..., int]:
    """Adds the settings that say how a model is loaded and served."""
    from stackbench.config import list_settings

    fields = [
        field for field in list_settings() if field.concern in ("model", "server") and field.attribute not in NOT_SERVED
    ]
    home = [parameter for parameter in _own(_output_options) if parameter.name == "home"]
    return _with_options(command, [*(_parameter(field) for field in fields), *home])


def given_settings(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Those flags that are settings and were given, by the attributes of `Settings`."""
    from stackbench.config import Settings

    return {
        name: tuple(value) if is_array(value) else value
        for name, value in flags.items()
        if name in Settings.model_fields and value is not None and value != []
    }


def _parameter(field: SettingField) -> inspect.Parameter:
    """The option of a setting; None where it is not given, so that files and defaults apply."""
    from stackbench.config import CONCERNS

    kind: Any = TYPES[field.type]
    repeatable = field.repeatable or field.attribute == "model"  # a run for each
    names = [field.flag if field.type != "switch" else f"{field.flag}/--no-{field.flag.removeprefix('--')}"]
    text = f"{field.help.rstrip('.')}; repeatable." if repeatable else field.help
    option = typer.Option(
        *([field.short] if field.short else []),
        *names,
        help=f"{text.rstrip('.')} [{field.shown_default}]." if field.shown_default else text,
        metavar=field.metavar or None,
        rich_help_panel=CONCERNS[field.concern].title,
        show_default=False,
        autocompletion=_completion(field),
    )
    return inspect.Parameter(
        field.attribute,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[(list[kind] if repeatable else kind) | None, option],
    )


def _completion(field: SettingField) -> Callable[[str], list[str]] | None:
    if field.attribute == "model":
        return completion.model_names
    if not field.choices:
        return None

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in field.choices if choice.startswith(incomplete)]

    return complete


def _own(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function, eval_str=True).parameters.values())


def _with_options(command: Callable[..., int], shared: list[inspect.Parameter]) -> Callable[..., int]:
    """The same command with further options, which it gets as `**flags`."""

    @wraps(command)
    def extended(**flags: Any) -> int:
        return command(**flags)

    own = [p for p in _own(command) if p.kind is not p.VAR_KEYWORD]
    parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in (*own, *shared)]
    extended.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    extended.__annotations__ = {p.name: p.annotation for p in parameters}
    return extended
