"""Commands about this machine: doctor, models, data, scenarios, sandboxes. Bodies load what does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stackbench.cli import completion
from stackbench.cli.options import HomeOption, JsonOption

__all__ = ["GROUPS", "doctor"]


def doctor(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Whether this model fits, and quantised how.",
            autocompletion=completion.manifest_names,
        ),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """What works on this machine, what does not, and the command that fixes it."""
    from stackbench.cli import machine

    if model is not None:
        return machine.doctor_model(model, as_json=as_json)
    return machine.doctor(home, as_json=as_json)


def models_list(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Models by name, and which are on this machine."""
    from stackbench.cli import fetching

    fetching.models_list(home, as_json=as_json)


def models_pull(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME", help="As `stackbench models list` names them.", autocompletion=completion.manifest_names
        ),
    ],
    home: HomeOption = None,
) -> None:
    """Fetch models and make them ready; what an interrupted fetch got is kept."""
    from stackbench.cli import fetching

    fetching.models_pull(home, names)


def data_list(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Datasets, and where each file is."""
    from stackbench.cli import fetching

    fetching.data_list(home, verify=False, as_json=as_json)


def data_pull(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Datasets [all].")] = None,
    home: HomeOption = None,
) -> None:
    """Fetch datasets and check every row."""
    from stackbench.cli import fetching

    fetching.data_pull(home, names or [])


def data_verify(as_json: JsonOption = False, home: HomeOption = None) -> int:
    """Check every dataset file on this machine: hash, rows, fields."""
    from stackbench.cli import fetching

    return fetching.data_list(home, verify=True, as_json=as_json)


def scenarios_check(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="A folder of scenario files, or one [the published].")
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
    from stackbench.cli import sandboxes

    sandboxes.build(base, again=again)


def sandbox_status(as_json: JsonOption = False) -> None:
    """Sandbox containers, and whether the run that owns them lives."""
    from stackbench.cli import sandboxes

    sandboxes.status(as_json=as_json)


def sandbox_clean(
    everything: Annotated[bool, typer.Option("--all", help="Also those of live runs.")] = False,
) -> None:
    """Remove containers that killed runs left."""
    from stackbench.cli import sandboxes

    sandboxes.clean(everything=everything)


def sandbox_shell() -> int:
    """A shell in a container locked down like those of a run."""
    from stackbench.cli import sandboxes

    return sandboxes.shell()


GROUPS = {
    "models": ("Models that are fetched by name.", {"list": models_list, "pull": models_pull}),
    "data": ("Datasets.", {"list": data_list, "pull": data_pull, "verify": data_verify}),
    "sandbox": (
        "Sandbox image and containers.",
        {"build": sandbox_build, "status": sandbox_status, "clean": sandbox_clean, "shell": sandbox_shell},
    ),
    "scenarios": ("Tool-use scenarios.", {"check": scenarios_check, "new": scenarios_new}),
}
"""Groups of commands, each with what it is about and its commands by name."""
