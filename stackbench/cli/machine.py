"""`models`, `data`, `sandbox`: what this machine has, and bringing what it lacks."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from stackbench.cli.console import err, notice, out, print_json, print_line, print_table
from stackbench.cli.doctor import parameter_count
from stackbench.config import Home
from stackbench.datasets import DatasetStore
from stackbench.errors import DataError, UsageError
from stackbench.fetch import Progress as FetchProgress
from stackbench.visible_text import in_one_line

__all__ = [
    "data_list",
    "data_pull",
    "models_list",
    "models_pull",
    "sandbox_build",
    "sandbox_clean",
    "sandbox_shell",
    "sandbox_status",
]

# -- models


def models_list(home: Path | None, *, as_json: bool) -> None:
    """Prints the manifest's models."""
    from stackbench.models.manifest import load_manifest
    from stackbench.models.memory import weight_bytes
    from stackbench.models.pull import is_pulled

    folder = Home.find(home).models
    rows = [
        {
            "model": name,
            "title": entry.title,
            "parameters": entry.parameters,
            "context": entry.context,
            "bytes": entry.file_size or weight_bytes(entry),
            "licence": entry.licence,
            "pulled": is_pulled(name, folder),
        }
        for name, entry in load_manifest().items()
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["model", "title", "parameters", "context", "size", "pulled", "licence"],
        [
            (
                r["model"], r["title"], parameter_count(int(r["parameters"])), f"{r['context']:,}",
                _size(int(r["bytes"])), "yes" if r["pulled"] else "no", r["licence"],
            )
            for r in rows
        ],
        whole=["model"],
        right=["parameters", "context", "size"],
        or_list=True,
        spare=["title", "licence"],
    )  # fmt: skip


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def models_pull(home: Path | None, names: Sequence[str]) -> None:
    """Fetches models."""
    from stackbench.models.pull import pull

    folder = Home.find(home).models
    for name in names:
        with _transfer() as progress:
            path = pull(name, folder, notice, progress)
        print_line(path)


# -- data


def data_list(home: Path | None, *, verify: bool, as_json: bool) -> int:
    """Prints where each dataset file is; with `verify`, 1 when one is not what it should be."""
    place = Home.find(home)
    store = DatasetStore(place.data, place.data_extra)
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
    place = Home.find(home)
    store = DatasetStore(place.data, place.data_extra)
    failures: list[str] = []
    for name in names or store.manifest.datasets:
        try:
            with _transfer() as progress:
                paths = store.pull(name, progress)
            store.check(name)
        except DataError as error:
            failures.append(str(error))
        else:
            for path in paths:
                print_line(path)
    if failures:
        raise DataError("; ".join(failures))


@contextmanager
def _transfer() -> Iterator[FetchProgress | None]:
    """A progress bar on a terminal, a line every tenth elsewhere."""
    console = err()
    if not console.is_terminal:
        yield _plain_transfer()
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as display:
        tasks: dict[str, object] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = display.add_task(in_one_line(what), total=total or None)
            display.update(tasks[what], completed=done, total=total or None)  # type: ignore[arg-type]

        yield show


def _plain_transfer() -> FetchProgress:
    tenths: dict[str, int] = {}

    def show(what: str, done: int, total: int) -> None:
        tenth = 10 * done // total if total else 0
        if tenth > tenths.get(what, 0):
            tenths[what] = tenth
            notice(f"{what}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    return show


# -- the sandbox


def sandbox_build(base: str | None, *, again: bool) -> None:
    """Makes the image and prints its tag."""
    from stackbench.sandbox.image import build_image

    print_line(build_image(notice, base, again=again))


def sandbox_status(*, as_json: bool) -> None:
    """Prints image and containers."""
    from stackbench.sandbox.hygiene import list_containers
    from stackbench.sandbox.image import find_image, image_tag

    containers, image = list_containers(), find_image()
    if as_json:
        print_json({"image": image, "containers": [asdict(container) for container in containers]})
        return
    out().print(f"image {image}" if image else f'image {image_tag()} is not made yet; run "stackbench sandbox build"')
    if not containers:
        out().print("no sandbox containers")
        return
    print_table(
        ["container", "status", "image", "run", "owner", "owner lives"],
        [
            (c.container_id[:12], c.status, c.image, c.run_id, c.owner, "yes" if c.owner_alive else "no")
            for c in containers
        ],
        or_list=True,
    )


def sandbox_clean(*, everything: bool) -> None:
    """Removes leftovers and says how many."""
    from stackbench.sandbox.hygiene import remove_leftovers

    print_line(f"removed {remove_leftovers(everything=everything)} containers")


def sandbox_shell(home: Path | None) -> int:
    """An interactive shell, as a sample's user, in a container like those of a run; returns the shell's exit code."""
    from stackbench.config import load_settings
    from stackbench.sandbox.image import ensure_image
    from stackbench.sandbox.launch import FIRST_UID, container_spec
    from stackbench.sandbox.pool import SandboxPool

    if not sys.stdin.isatty():
        raise UsageError("sandbox shell needs a terminal")
    if shutil.which("docker") is None:
        raise UsageError("sandbox shell needs the docker command; install Docker's client")
    settings = load_settings().settings
    image = settings.sandbox_image or ensure_image(notice)

    async def use() -> int:
        pool = SandboxPool(container_spec(settings, image, "shell"), size=1)
        user = f"{FIRST_UID}:{FIRST_UID}"
        command = ["docker", "exec", "-it", "-u", user, "-w", "/tmp", "-e", "HOME=/tmp"]
        try:
            async with pool.lease() as session:
                command += [session.container.container.id or "", "sh"]
                return (await asyncio.to_thread(subprocess.run, command, check=False)).returncode
        finally:
            await pool.close()

    return asyncio.run(use())
