"""Peers to be measured beside, each in an environment of its own outside the checkout, and small tools for measuring."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

__all__ = ["Timed", "data_dir", "peer", "stackbench", "timed"]

PEERS = user_cache_path("stackbench", appauthor=False) / "peers"


@dataclass(frozen=True)
class Timed:
    """One finished command: wall and processor seconds (its children included), peak memory of its largest process."""

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
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )
    out, err = process.communicate()
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}:\n{err[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timed(wall, cpu, after.ru_maxrss / 1024, out)
