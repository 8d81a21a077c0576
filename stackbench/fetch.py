"""Downloads files: distributions used as data (never installed or imported), URLs, the Hugging Face hub."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from stackbench.errors import StackbenchError
from stackbench.placing import PlaceError, open_for_writing

__all__ = [
    "FetchError",
    "Progress",
    "copy_bounded",
    "download_distribution",
    "download_url",
    "open_member",
    "say_parts",
    "sha256_of",
]

CHUNK = 1 << 20
CONNECT_TIMEOUT_S = 10
MOST_UNANNOUNCED = 1 << 30
"""Limit in bytes for a file of unannounced size."""

Progress = Callable[[str, int, int], None]
"""Called with what is being fetched, bytes done and bytes in all (0: not known)."""


class FetchError(StackbenchError):
    """Something could not be fetched from one source; the caller tries the next."""

    unresolved = False
    """Whether the server's name has no address here: trying again does not help until there is a network."""


def sha256_of(path: Path) -> str:
    """The hash of a file, in lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download_distribution(name: str, version: str, folder: Path) -> Path:
    """The file of one distribution from the package index, kept in `folder`; at once when it is there already.

    Raises:
        FetchError: pip could not get it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = _kept(name, version, folder)
    if found is not None:
        return found
    partial = folder / f".{name}-{version}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--retries", "2", "--timeout", str(CONNECT_TIMEOUT_S), "--dest", str(partial)]
    done = subprocess.run([*command, f"{name}=={version}"], capture_output=True, text=True, check=False)
    files = list(partial.glob("*")) if partial.is_dir() else []
    if done.returncode or not files:
        lines = (
            [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines() or ["no file"]
        )
        shutil.rmtree(partial, ignore_errors=True)
        raise FetchError(f"pip could not download {name}=={version}: {lines[-1].strip()}")
    kept = folder / files[0].name
    os.replace(files[0], kept)
    shutil.rmtree(partial, ignore_errors=True)
    return kept


def _kept(name: str, version: str, folder: Path) -> Path | None:
    stem = f"{name.replace('-', '_')}-{version}"
    for path in folder.iterdir():
        if path.is_file() and path.name.replace("-", "_").startswith(stem.replace("-", "_")):
            return path
    return None


@contextmanager
def open_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """Opens one member of a wheel or source archive for reading; nothing is unpacked, and a link is no file.

    Raises:
        FetchError: the archive is damaged or has no such member.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as package:
                if stat.S_IFMT(package.getinfo(member).external_attr >> 16) not in (0, stat.S_IFREG):
                    raise FetchError(f"{archive.name}: {member} is no ordinary file")
                with package.open(member) as file:
                    yield file
            return
        with tarfile.open(archive) as package:
            found = next((one for one in package if one.name.endswith("/" + member)), None)
            if found is None:
                raise FetchError(f"{archive.name} has no {member}")
            file = package.extractfile(found) if found.isreg() else None
            if file is None:
                raise FetchError(f"{archive.name}: {member} is no ordinary file")
            with file:
                yield file
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise FetchError(f"{archive.name}: cannot read {member}: {error}") from error
    except (RuntimeError, NotImplementedError, ValueError) as error:  # encrypted, or packed in an unknown way
        raise FetchError(f"{archive.name}: cannot read {member}: {error}") from error


def say_parts(say: Callable[[str], None], parts: int) -> Progress:
    """A progress that says one line for each of so many equal parts of a transfer."""
    said: dict[str, int] = {}

    def show(what: str, done: int, total: int) -> None:
        part = parts * done // total if total else 0
        if part > said.get(what, 0):
            said[what] = part
            say(f"{what}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    return show


def copy_bounded(source: IO[bytes], target: IO[bytes], most: int, what: str) -> None:
    """Copies to the end. Raises FetchError when there are more than `most` bytes."""
    left = most
    while chunk := source.read(min(CHUNK, left + 1)):
        left -= len(chunk)
        if left < 0:
            raise FetchError(f"{what} holds more than the {most:,} bytes that were announced")
        target.write(chunk)


def download_url(
    url: str,
    target: Path,
    *,
    headers: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    size: int | None = None,
    most: int = MOST_UNANNOUNCED,
) -> None:
    """Downloads a URL to a file, continuing a part that an earlier try left.

    `size` is what was announced, to the byte; without it no more than `most` bytes are taken.

    Raises:
        FetchError: the server does not answer, refuses, breaks off, or sends more or less than was announced; what came
            of a transfer that broke off is kept for the next try.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(f"{url}: only http and https are followed")
    part = target.with_name(target.name + ".part")
    most = most if size is None else size
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        have = part.lstat().st_size if part.exists() else 0
        if have > most:
            part.unlink()
            have = 0
        total = _transfer(url, part, have, dict(headers or {}), progress, most, target.name)
        have = part.lstat().st_size
        if have < total:
            raise FetchError(f"{url} broke off after {have} of {total} bytes; run it again to go on from there")
        if size is not None and have != size:
            part.unlink()
            raise FetchError(f"{url} sent {have:,} bytes, and {size:,} were announced")
        os.replace(part, target)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        fault = FetchError(f"{url}: {_cause(error)}")
        fault.unresolved = isinstance(getattr(error, "reason", error), socket.gaierror)
        raise fault from error
    except PlaceError as error:
        raise FetchError(str(error)) from error


def _cause(error: BaseException) -> str:
    """What went wrong, without the words in which urllib wraps it."""
    reason = getattr(error, "reason", None) if type(error) is urllib.error.URLError else error
    return reason.strerror or str(reason) if isinstance(reason, OSError) else str(reason or error)


def _transfer(
    url: str, part: Path, have: int, headers: dict[str, str], progress: Progress | None, most: int, name: str
) -> int:
    """Adds to the part what it lacks; returns the size that the server tells, 0 where it tells none."""
    ranged = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers={**headers, **ranged})
    try:
        with urllib.request.build_opener(_WebOnly).open(request, timeout=CONNECT_TIMEOUT_S) as response:
            if response.status != 206:
                have = 0
            total = have + int(response.headers.get("Content-Length") or 0)
            if total > most:
                raise FetchError(f"{url} would send {total:,} bytes, more than the {most:,} that were announced")
            with open_for_writing(part, append=have > 0) as file:
                while chunk := response.read(CHUNK):
                    have += len(chunk)
                    if have > most:
                        part.unlink()
                        raise FetchError(f"{url} sends more than the {most:,} bytes that were announced")
                    file.write(chunk)
                    if progress:
                        progress(name, have, total)
            return total
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        return 0  # the part is the whole already


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to http and https alone; the default would follow one to ftp."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise FetchError(f"{newurl}: only http and https are followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
