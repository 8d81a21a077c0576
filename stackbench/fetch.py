"""Bringing files from outside: distributions used as data (never installed or imported), URLs, the Hugging Face hub."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stackbench.errors import StackbenchError

__all__ = ["FetchError", "Progress", "download_distribution", "download_url", "open_member", "sha256_of"]

CHUNK = 1 << 20
CONNECT_TIMEOUT_S = 10

Progress = Callable[[str, int, int], None]
"""Called with what is being fetched, bytes done and bytes in all (0: not known)."""


class FetchError(StackbenchError):
    """Something could not be fetched from one source; the caller tries the next."""


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
    """Opens one member of a wheel or source archive for reading.

    Raises:
        FetchError: the archive is damaged or has no such member.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as package, package.open(member) as file:
                yield file
            return
        with tarfile.open(archive) as package:
            name = next((n for n in package.getnames() if n.endswith("/" + member)), None)
            file = package.extractfile(name) if name else None
            if file is None:
                raise FetchError(f"{archive.name} has no {member}")
            with file:
                yield file
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, OSError) as error:
        raise FetchError(f"{archive.name}: cannot read {member}: {error}") from error


def download_url(
    url: str, target: Path, *, headers: Mapping[str, str] | None = None, progress: Progress | None = None
) -> None:
    """Downloads a URL to a file, continuing a part that an earlier try left.

    Raises:
        FetchError: the server does not answer, refuses, or breaks off; what came is kept for the next try.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    ranged = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers={**(headers or {}), **ranged})
    total = 0
    try:
        with urllib.request.urlopen(request, timeout=CONNECT_TIMEOUT_S) as response:
            if response.status != 206:
                have = 0
            total = have + int(response.headers.get("Content-Length") or 0)
            with part.open("ab" if have else "wb") as file:
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    have += len(chunk)
                    if progress:
                        progress(target.name, have, total)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # the part is the whole already
            raise FetchError(f"{url}: {error}") from error
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise FetchError(f"{url}: {error}") from error
    if have < total:
        raise FetchError(f"{url} broke off after {have} of {total} bytes; run it again to go on from there")
    os.replace(part, target)
