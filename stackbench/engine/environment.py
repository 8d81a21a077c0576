"""The record of where a run happened: machine, versions, commit."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import psutil

from stackbench import __version__
from stackbench.extras import DISTRIBUTION
from stackbench.models.hardware import cuda_version, list_gpus
from stackbench.nesting import is_object

__all__ = ["git_commit", "machine_environment", "source_sha256"]

PACKAGE = Path(__file__).resolve().parents[1]
COMPILED = (".pyc", ".pyo")
RECORDED = ("torch", "transformers", "accelerate", "gguf", "xllamacpp", "vllm", "duckdb", "aiohttp", "docker", "numpy")


def machine_environment() -> dict[str, Any]:
    """Operating system, processor, memory, GPUs, versions. JSON values, no secrets."""
    return {
        "stackbench": __version__,
        "python": sys.version.split()[0],
        "os": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "cpus": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": list_gpus(),
        "cuda": cuda_version() or None,
        "packages": {name: found for name in RECORDED if (found := _version(name))},
    }


def git_commit(package: Path = PACKAGE) -> str | None:
    """The commit of stackbench itself, with `-dirty` for uncommitted changes; None where it is not known.

    That of the checkout that the package lies in, else the one that pip installed it from.
    """
    checkout = package.parent
    if not (checkout / ".git").exists():  # of an environment inside somebody's repository the commit is not ours
        return _installed_commit()
    try:
        found = subprocess.run(
            ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


def source_sha256(package: Path = PACKAGE) -> str:
    """Of stackbench's own files, for those that no commit tells: sha256 over lines of hash, two spaces and path below
    the package, sorted by path (as `sha256sum` writes)."""
    lines: list[str] = []
    for path in sorted(package.rglob("*"), key=lambda path: path.relative_to(package).as_posix()):
        if path.is_file() and path.suffix not in COMPILED:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lines.append(f"{digest}  {path.relative_to(package).as_posix()}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _installed_commit() -> str | None:
    """What pip recorded of a distribution installed from a repository (PEP 610)."""
    try:
        recorded = json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, OSError, ValueError):
        return None
    return recorded.get("vcs_info", {}).get("commit_id") if is_object(recorded) else None


def _cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return platform.processor()


def _version(name: str) -> str:
    """Of an installed package; its first lines are enough (`importlib.metadata.version` parses the whole README)."""
    try:
        head = (distribution(name).read_text("METADATA") or "").partition("\n\n")[0]
    except PackageNotFoundError:
        return ""
    return next((line[9:].strip() for line in head.splitlines() if line.startswith("Version: ")), "")
