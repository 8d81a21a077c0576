"""Checks this machine for what a run needs, and names the command that fixes each problem."""

# docker has partial types.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

import psutil

from stackbench.config import DEFAULT_MODEL, Home
from stackbench.datasets import DatasetStore
from stackbench.errors import StackbenchError
from stackbench.extras import DISTRIBUTION, install_command
from stackbench.models.hardware import list_gpus
from stackbench.models.interactive import interactive_model
from stackbench.models.pull import pulled
from stackbench.plurals import number_of

__all__ = ["Check", "examine"]

EXTRA = re.compile(r"^(?P<name>[A-Za-z0-9._-]+).*\bextra == ['\"](?P<extra>[\w-]+)['\"]")
EXTRAS_ELSEWHERE = {"local", "gguf", "vllm", "dev"}
LEAST_DISK_GIB = 5
LEAST_MEMORY_GIB = 4


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `state` is ok, missing (optional or made when needed) or broken (a run would fail)."""

    name: str
    state: str
    found: str
    fix: str = ""


def examine(home: Home) -> list[Check]:
    """Every check, in the order in which things build on each other. Takes a second or two; changes nothing."""
    checks: list[Callable[[Home], Check]] = [
        _python,
        _home,
        _disk,
        _memory,
        _gpu,
        _database,
        _docker,
        _isolation,
        _image,
        _local,
        _llama,
        _model,
        _vllm,
    ]
    return [check(home) for check in checks] + _extras() + [*_voice(home), _extra_data(home), *_data(home)]


def _python(home: Home) -> Check:
    return Check("Python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def _home(home: Home) -> Check:
    parts = {"database": home.database, "models": home.models, "data": home.data}
    lacking = [name for name, path in parts.items() if not path.exists()]
    lacks = f"; not there yet: {', '.join(lacking)} (made when needed)" if lacking else ""
    return Check("home", "ok", f"{home.path} ({home.source}){lacks}")


def _disk(home: Home) -> Check:
    there = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    free = shutil.disk_usage(there).free / 2**30
    if not os.access(there, os.W_OK):
        return Check("disk", "broken", f"{there} cannot be written: runs can be read, not made", "use --home")
    state = "ok" if free >= LEAST_DISK_GIB else "broken"
    return Check("disk", state, f"{free:.0f} GiB free at {home.path}", f"free {LEAST_DISK_GIB} GiB, or use --home")


def _memory(home: Home) -> Check:
    total = psutil.virtual_memory().total / 2**30
    state = "ok" if total >= LEAST_MEMORY_GIB else "broken"
    return Check(
        "memory", state, f"{total:.0f} GiB, {os.cpu_count()} processors", f"use a machine with {LEAST_MEMORY_GIB} GiB"
    )


def _gpu(home: Home) -> Check:
    gpus = list_gpus()
    found = ", ".join(f"{gpu['name']} ({gpu['memory']}, driver {gpu['driver']})" for gpu in gpus)
    return Check("GPU", "ok" if gpus else "missing", found or "none: hf: models run on the CPU")


def _database(home: Home) -> Check:
    from stackbench.store import Reader, open_queries

    if not home.database.exists():
        return Check("database", "missing", f"{home.database} (the first run makes it)")
    try:
        queries = open_queries(home.database, home.socket)
        try:
            count = len(Reader(queries).runs(10_000))
        finally:
            queries.close()
    except StackbenchError as error:
        return Check("database", "broken", str(error), "wait for the other process, or use --home")
    return Check("database", "ok", f"{home.database}, {number_of(count, 'run')}")


def _docker(home: Home) -> Check:
    from stackbench.sandbox.docker import connect

    try:
        with closing(connect()) as client:
            about = client.version()
            runtimes = sorted(client.info().get("Runtimes", {}))
    except StackbenchError as error:
        return Check("Docker", "broken", str(error), "./scripts/ensure-docker")
    return Check(
        "Docker", "ok", f"engine {about.get('Version')}, API {about.get('ApiVersion')}; runtimes {', '.join(runtimes)}"
    )


def _isolation(home: Home) -> Check:
    from stackbench.sandbox.docker import runtimes

    try:
        found = runtimes()
    except StackbenchError:
        return Check("sandbox isolation", "missing", "not known without Docker")
    stronger = "runsc (gVisor) with --sandbox-runtime runsc" if "runsc" in found else "gVisor (runsc) is not installed"
    return Check("sandbox isolation", "ok", f"scopes container and sample; {stronger}")


def _image(home: Home) -> Check:
    from stackbench.sandbox.image import find_image, image_tag

    try:
        found = find_image()
    except StackbenchError:
        return Check("sandbox image", "missing", "not known without Docker")
    if found:
        return Check("sandbox image", "ok", found)
    return Check("sandbox image", "missing", f"{image_tag()} (the first run makes it)", "stackbench sandbox build")


def _local(home: Home) -> Check:
    missing = [name for name in ("torch", "transformers", "accelerate", "gguf") if find_spec(name) is None]
    if missing:
        return Check("hf: models", "missing", f"{', '.join(missing)} not installed", install_command("local"))
    return Check("hf: models", "ok", f"torch {_version('torch')}, transformers {_version('transformers')}")


def _llama(home: Home) -> Check:
    if find_spec("xllamacpp") is None:
        return Check("gguf: models", "missing", "xllamacpp not installed (optional)", install_command("gguf"))
    return Check("gguf: models", "ok", f"xllamacpp {_version('xllamacpp')}; interactive use: {interactive_model()}")


def _model(home: Home) -> Check:
    name = DEFAULT_MODEL.removeprefix("hf:")
    found = pulled(name, home.models, home.own_models)
    if found is not None:
        return Check("embedded model", "ok", str(found))
    return Check("embedded model", "missing", f"{name} (the first run fetches it)", f"stackbench models pull {name}")


def _vllm(home: Home) -> Check:
    from stackbench.models import ModelOptions
    from stackbench.models.vllm.command import find_vllm

    try:
        return Check("vllm: models", "ok", " ".join(find_vllm(ModelOptions())))
    except StackbenchError:
        found = "vLLM is not installed here; --vllm-bin and --vllm-image name one that is elsewhere"
        return Check("vllm: models", "missing", found, install_command("vllm"))


def _extras() -> list[Check]:
    """The extras of this distribution, beside those of models that have rows of their own."""
    try:
        listed = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return []
    extras: dict[str, list[str]] = {}
    for requirement in listed:
        found = EXTRA.search(requirement)
        if found is not None and found["extra"] not in EXTRAS_ELSEWHERE:
            extras.setdefault(found["extra"], []).append(found["name"])
    return [_extra(name, distributions) for name, distributions in extras.items()]


def _extra(name: str, distributions: list[str]) -> Check:
    title = name if name == "voice" else f"extra {name}"
    lacking = [one for one in distributions if _version(one) == "?"]
    if lacking:
        return Check(title, "missing", f"{', '.join(lacking)} not installed", install_command(name))
    return Check(title, "ok", ", ".join(f"{one} {_version(one)}" for one in distributions))


def _voice(home: Home) -> list[Check]:
    """What speech needs beside its packages: PortAudio with a microphone, and a recogniser's weights."""
    if find_spec("sounddevice") is None or find_spec("faster_whisper") is None:
        return []
    from stackbench.voice.devices import PortAudio
    from stackbench.voice.weights import find_weights, known_weights

    there: list[str] = []
    for name in known_weights():
        with suppress(StackbenchError):
            there.append(find_weights(name, home.models).name)
    try:
        devices = [device.name for device in PortAudio().devices()]
        microphone = Check("microphone", "ok", ", ".join(devices))
        if not devices:
            microphone = Check("microphone", "missing", "no device to record from (optional)", "connect a microphone")
    except StackbenchError as error:
        microphone = Check("microphone", "missing", str(error), "apt-get install -y libportaudio2")
    fetch = "stackbench models pull whisper-base"
    weights = Check("recogniser", "ok" if there else "missing", ", ".join(there) or "none fetched (optional)", fetch)
    return [microphone, weights]


def _extra_data(home: Home) -> Check:
    """What the folder that STACKBENCH_DATA names has of the datasets."""
    folder = home.data_extra
    if folder is None:
        return Check("STACKBENCH_DATA", "missing", "not set: no folder of datasets beside the home's")
    if not folder.is_dir():
        return Check("STACKBENCH_DATA", "broken", f"{folder} is no folder", "name one, or unset STACKBENCH_DATA")
    manifest = DatasetStore(home.data, folder).manifest
    files = [file.path for name in manifest.datasets for file in manifest.files(name).values()]
    lacking = [path for path in files if not (folder / path).is_file()]
    has = f"{folder} has {len(files) - len(lacking)} of {len(files)} files"
    lacks = f"; it lacks {', '.join(lacking)}" if lacking else ""
    return Check("STACKBENCH_DATA", "ok" if len(lacking) < len(files) else "missing", f"{has}{lacks}")


def _data(home: Home) -> list[Check]:
    store = DatasetStore.of_home(home)
    checks: list[Check] = []
    for name in store.manifest.datasets:
        states = store.states(name, verify=True)
        problem = next((state.problem for state in states if state.problem), "")
        absent = [state.file.path for state in states if state.path is None]
        if problem:
            checks.append(Check(f"data {name}", "broken", problem))
        elif absent:
            checks.append(Check(f"data {name}", "missing", f"{', '.join(absent)}", f"stackbench data pull {name}"))
        else:
            rows = sum(state.file.rows for state in states)
            where = states[0].path.parent if states[0].path else ""
            checks.append(Check(f"data {name}", "ok", f"{rows} rows checked at {where}"))
    return checks


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"
