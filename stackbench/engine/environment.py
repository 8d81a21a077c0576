"""The record of where a run happened: machine, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from stackbench import __version__

__all__ = ["git_commit", "list_gpus", "machine_environment"]

RECORDED = ("torch", "transformers", "accelerate", "gguf", "vllm", "duckdb", "aiohttp", "docker", "numpy")


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
        "packages": {name: found for name in RECORDED if (found := _version(name))},
    }


def git_commit() -> str | None:
    """The commit of the working folder's repository, with `-dirty` for uncommitted changes; None outside one."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


def _cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return platform.processor()


def list_gpus() -> list[dict[str, str]]:
    """GPU names, memory and driver as nvidia-smi tells them; empty where it is not there."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split(", ") for line in found.stdout.splitlines()] if found.returncode == 0 else []
    return [{"name": row[0], "memory": row[1], "driver": row[2]} for row in rows if len(row) == 3]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
