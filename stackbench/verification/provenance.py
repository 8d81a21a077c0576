"""What a run says it was made of, beside what is here: data, model, code, environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stackbench import __version__
from stackbench.config import Home
from stackbench.datasets import DatasetStore
from stackbench.engine.environment import git_commit, machine_environment, source_sha256
from stackbench.errors import DataCorruptError, StackbenchError
from stackbench.fetch import sha256_of
from stackbench.models.loaded_files import FileHashes
from stackbench.nesting import is_object
from stackbench.store import PlannedBenchmark, RunInfo
from stackbench.verification.verdicts import Check

__all__ = ["check_provenance"]

MACHINE = ("python", "os", "machine", "cpu", "packages")


def check_provenance(run: RunInfo, planned: list[PlannedBenchmark], home: Home) -> list[Check]:
    """A check for each hash that the run recorded."""
    environment = run.environment
    return [*_data(planned, home), *_model(environment, home), *_code(run), *_machine(environment)]


def _data(planned: list[PlannedBenchmark], home: Home) -> Iterator[Check]:
    """Files of the manifest must have the hash that it promises, and the rows that are here must be those."""
    store = DatasetStore.of_home(home)
    promised = {
        file.path: (name, file.sha256) for name, files in store.manifest.datasets.items() for file in files.values()
    }
    for benchmark in planned:
        for path, digest in benchmark.datasets.items():
            known = promised.get(path)
            if known is None:
                yield Check(
                    "data", f"{benchmark.benchmark} {path}", "unchecked", f"{digest[:12]}: no file of the manifest"
                )
            elif known[1] != digest:
                why = f"the run recorded {digest[:12]}, the manifest of this version promises {known[1][:12]}"
                yield Check("data", f"{benchmark.benchmark} {path}", "failed", why)
            else:
                yield _here(store, known[0], benchmark.benchmark, path, digest)


def _here(store: DatasetStore, dataset: str, benchmark: str, path: str, digest: str) -> Check:
    name = f"{benchmark} {path}"
    try:
        state = next(one for one in store.states(dataset, verify=True) if one.file.path == path)
    except (DataCorruptError, StackbenchError) as error:
        return Check("data", name, "failed", str(error))
    if state.problem:
        return Check("data", name, "failed", state.problem)
    where = "its rows are here" if state.path is not None else "as the manifest promises; its rows are not here"
    return Check("data", name, "ok", f"{digest[:12]}: {where}")


def _model(environment: Mapping[str, Any], home: Home) -> Iterator[Check]:
    """The hash over the model's files must be that of the hashes of each, and files that are here must have theirs."""
    model = environment.get("model")
    if not is_object(model) or not is_object(model.get("files")):
        yield Check("model", "files", "unchecked", "the run recorded no files: an endpoint tells none")
        return
    files = {str(name): str(digest) for name, digest in model["files"].items()}
    digest = FileHashes(files).sha256
    if digest == model.get("sha256"):
        yield Check("model", "files", "ok", f"{digest[:12]} over {len(files)} files")
    else:
        yield Check(
            "model", "files", "failed", f"recorded as {str(model.get('sha256'))[:12]}, its files give {digest[:12]}"
        )
    yield _files_here(str(model.get("target", "")), files, home)


def _files_here(target: str, recorded: Mapping[str, str], home: Home) -> Check:
    """Reads every byte of the model again: a cache of hashes may be its publisher's."""
    name = "bytes on this machine"
    place = next((one for one in (home.models / target, Path(target).expanduser()) if target and one.exists()), None)
    if place is None:
        return Check("model", name, "unchecked", f"{target or 'the model'} is not here: stackbench models pull")
    folder = place if place.is_dir() else place.parent
    try:
        found = {one: sha256_of(folder / one) for one in recorded if (folder / one).is_file()}
    except OSError as error:
        return Check("model", name, "unchecked", f"{error.filename} cannot be read: {error.strerror}")
    other = FileHashes(found).differences(recorded)
    if other:
        return Check("model", name, "failed", f"{folder} has not the run's bytes: {', '.join(other)}")
    return Check("model", name, "ok", f"{len(found)} files as the run loaded them")


def _code(run: RunInfo) -> Iterator[Check]:
    version = run.environment.get("stackbench")
    if run.git_commit is not None and not run.git_commit.endswith("-dirty"):
        mine = git_commit()
        outcome = "ok" if mine == run.git_commit else "differs"
        yield Check("code", "commit", outcome, f"the run's {run.git_commit[:12]}, here {(mine or 'unknown')[:18]}")
    elif recorded := run.environment.get("source_sha256"):
        mine = source_sha256()
        outcome = "ok" if mine == recorded else "differs"
        yield Check("code", "source files", outcome, f"the run's {str(recorded)[:12]}, here {mine[:12]}")
    else:
        yield Check("code", "commit", "unchecked", "the run recorded neither commit nor hash of its code")
    outcome = "ok" if version == __version__ else "differs"
    yield Check("code", "version", outcome, f"the run's {version}, here {__version__}")


def _machine(environment: Mapping[str, Any]) -> Iterator[Check]:
    mine = machine_environment()
    for name in MACHINE:
        old, new = environment.get(name), mine.get(name)
        if old is None:
            yield Check("environment", name, "unchecked", "not recorded")
        elif old == new:
            yield Check("environment", name, "ok", "" if is_object(old) else str(old))
        else:
            yield Check("environment", name, "differs", _difference(old, new))


def _difference(old: Any, new: Any) -> str:
    if is_object(old) and is_object(new):
        names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        return ", ".join(f"{name} {old.get(name)} (here {new.get(name)})" for name in names)
    return f"{old} (here {new})"
