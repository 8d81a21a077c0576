"""Peers to be measured beside, each in an environment of its own outside the checkout, and what times a command."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

__all__ = ["Timed", "data_dir", "peer", "served", "stackbench", "timed"]

PEERS = user_cache_path("stackbench", appauthor=False) / "peers"


@dataclass(frozen=True)
class Timed:
    """One finished command: wall and processor seconds (children that it waited for included), peak memory."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    stdout: str


def peer(requirement: str, *first: str, more: tuple[str, ...] = ()) -> Path:
    """The Python of an environment with a peer, made when it is not there. `first` is installed before it."""
    folder = PEERS / requirement.replace("==", "-").split("[")[0]
    if "[" in requirement:
        folder = PEERS / (requirement.split("[")[0] + "-" + requirement.split("==")[1])
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"making an environment with {requirement}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        for wanted in (first, (requirement, *more)):
            if wanted:
                subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True)
        (folder / "ready").touch()
    return python


def stackbench(*arguments: str) -> list[str]:
    """The command line of the program under test."""
    return [sys.executable, "-m", "stackbench", *arguments]


def data_dir() -> Path:
    """STACKBENCH_DATA, without which there is nothing to measure on."""
    named = os.environ.get("STACKBENCH_DATA")
    if not named:
        raise SystemExit("set STACKBENCH_DATA to a folder with the datasets")
    return Path(named).absolute()


def timed(command: list[str], *, environment: dict[str, str] | None = None, cwd: Path | None = None) -> Timed:
    """Runs a command to its end; a command that fails ends the measurement with what it said."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        merged = {**os.environ, **(environment or {})}
        merged.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program and its peers have their files compiled
        process = subprocess.Popen(command, stdout=out, stderr=err, text=True, cwd=cwd, env=merged)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed with {process.returncode}:\n{err.read()[-2000:]}")
        return Timed(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out.read())


@contextmanager
def served(module: str, *arguments: str) -> Iterator[str]:
    """The address of a server in a process of its own: `python -m module PORT arguments`, which lists its models."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", module, str(port), *arguments])
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{url}/models").read()
                break
            except OSError:
                time.sleep(0.05)
        else:
            raise SystemExit("the server did not start")
        yield url
    finally:
        process.kill()
        process.wait()
