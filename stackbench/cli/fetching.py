"""`models` and `data`: what is on this machine, and fetching what it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from stackbench.cli.console import err, notice, print_json, print_line, print_table
from stackbench.config import Home
from stackbench.datasets import DatasetStore
from stackbench.engine.model_files import fetch_model, list_models, list_recognizers
from stackbench.errors import DataError, DataNotAvailableError
from stackbench.fetch import Progress as FetchProgress
from stackbench.fetch import say_parts
from stackbench.visible_text import in_one_line

__all__ = ["count_of", "data_list", "data_pull", "models_list", "models_pull"]


def models_list(home: Path | None, *, as_json: bool) -> None:
    """Prints the manifest's models."""
    place = Home.find(home, to_write=False)
    listed = [*list_models(place), *list_recognizers(place)]
    if as_json:
        print_json([asdict(model) for model in listed])
        return
    print_table(
        ["model", "title", "parameters", "context", "size", "pulled", "licence"],
        [
            (
                one.model, one.title, count_of(one.parameters), f"{one.context:,}", _size(one.bytes),
                "yes" if one.pulled else "no", one.licence,
            )
            for one in listed
        ],
        whole=["model"],
        right=["parameters", "context", "size"],
        or_list=True,
        spare=["title", "licence"],
    )  # fmt: skip


def count_of(number: int) -> str:
    """A number of parameters as people say it."""
    return f"{number / 1e9:.1f} B" if number >= 1e9 else f"{number / 1e6:.0f} M"


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def models_pull(home: Path | None, names: Sequence[str]) -> None:
    """Fetches models."""
    place = Home.find(home, to_write=False)
    for name in names:
        with _transfer() as progress:
            path = fetch_model(name, place, notice, progress)
        print_line(path)


def data_list(home: Path | None, *, verify: bool, as_json: bool) -> int:
    """Prints where each dataset file is; with `verify`, 1 when one is not what it should be."""
    store = DatasetStore.of_home(Home.find(home, to_write=False))
    states = [state for name in store.manifest.datasets for state in store.states(name, verify=verify)]
    rows = [
        {
            "dataset": state.dataset,
            "file": state.file.path,
            "rows": state.file.rows,
            "licence": state.file.licence,
            "origin": state.file.origin,
            "path": str(state.path) if state.path else None,
            "state": state.problem or ("missing" if state.path is None else "verified" if verify else "present"),
        }
        for state in states
    ]
    if as_json:
        print_json(rows)
    else:
        columns = ["dataset", "file", "rows", "licence", "state", "path"]
        print_table(columns, [[row[column] for column in columns] for row in rows], right=["rows"], or_list=True)
    return 1 if any(state.problem for state in states) else 0


def data_pull(home: Path | None, names: Sequence[str]) -> None:
    """Fetches datasets; tries all of them before it complains.

    Raises:
        DataError: some could not be had.
    """
    store = DatasetStore.of_home(Home.find(home, to_write=False))
    wanted = list(names or store.manifest.datasets)
    lacking: list[str] = []
    damaged: list[str] = []
    for name in wanted:
        try:
            with _transfer() as progress:
                paths = store.pull(name, progress)
            store.check(name)
        except DataNotAvailableError as error:
            notice(f"{name}: {error.why}")
            lacking.append(name)
        except DataError as error:
            damaged.append(str(error))
        else:
            for path in paths:
                print_line(path)
    if lacking:
        damaged.append(
            f"{', '.join(lacking)} cannot be fetched ({len(lacking)} of {len(wanted)} datasets); put the files into "
            "the folder that STACKBENCH_DATA names"
        )
    if damaged:
        raise DataError("; ".join(damaged))


@contextmanager
def _transfer() -> Iterator[FetchProgress | None]:
    """A progress bar on a terminal, a line every tenth elsewhere."""
    console = err()
    if not console.is_terminal:
        yield say_parts(notice, 10)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as display:
        tasks: dict[str, object] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = display.add_task(in_one_line(what), total=total or None)
            display.update(tasks[what], completed=done, total=total or None)  # type: ignore[arg-type]

        yield show
