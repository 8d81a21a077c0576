"""The compute hardware of this machine: GPUs and processor features."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

__all__ = ["cpu_flags", "cpu_has_bfloat16", "cuda_version", "device_memory", "list_gpus"]

ANSWERS_WITHIN_S = 20


def list_gpus() -> list[dict[str, str]]:
    """GPU names, memory and driver as nvidia-smi tells them; empty where it is not there."""
    text = _nvidia_smi("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    rows = [line.split(", ") for line in text.splitlines()]
    return [{"name": row[0], "memory": row[1], "driver": row[2]} for row in rows if len(row) == 3]


def device_memory() -> tuple[str, int]:
    """What a model would run on, and its memory in bytes: the largest GPU, else this machine."""
    gpus = list_gpus()
    sizes = [int(gpu["memory"].split()[0]) << 20 for gpu in gpus]  # nvidia-smi tells MiB
    if sizes:
        return gpus[sizes.index(max(sizes))]["name"], max(sizes)
    import psutil

    return "no GPU; this machine's memory", psutil.virtual_memory().total


def cuda_version() -> str:
    """The newest CUDA that the driver supports; empty without one."""
    found = re.search(r"CUDA Version:\s*([\d.]+)", _nvidia_smi())
    return found.group(1) if found else ""


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; where it does not, float32 is four times as fast."""
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(cpu_flags())


def cpu_flags() -> list[str]:
    """The processor's extensions, as Linux names them; empty where it does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return []
    return next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "").split()


def _nvidia_smi(*arguments: str) -> str:
    try:
        found = subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, text=True, timeout=ANSWERS_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout if found.returncode == 0 else ""
