"""The machines that a run is planned for: this one as it is, or some that one only thinks of."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from stackbench.errors import UsageError
from stackbench.models.hardware import cpu_flags, list_gpus

__all__ = ["Device", "Fleet", "assumed_fleet", "this_machine"]

WRITTEN = re.compile(r"(\d{1,5})x(\d{1,5})(?:x(\d{1,5}))?")
GIB = 1 << 30
CORES_PER_GPU = 12
MEMORY_PER_GPU = 128 * GIB
USUAL_GPU_GIB = 80
MOST_GPUS = 1_000_000


@dataclass(frozen=True, slots=True)
class Device:
    """What a model runs on. Peak rates as its maker publishes them, dense 16-bit arithmetic."""

    name: str
    flops: float
    """Per second."""
    bytes_per_s: float
    """Of its memory."""


# Makers' data sheets: NVIDIA H100 SXM, H200, A100 80GB SXM, L40S, L4, GeForce RTX 4090.
DEVICES = (
    ("H200", Device("H200", 989e12, 4.8e12)),
    ("H100", Device("H100", 989e12, 3.35e12)),
    ("A100", Device("A100", 312e12, 2.0e12)),
    ("L40S", Device("L40S", 362e12, 0.864e12)),
    ("4090", Device("RTX 4090", 165e12, 1.0e12)),
    ("L4", Device("L4", 121e12, 0.3e12)),
)
OTHER = Device("an unknown GPU, taken for half an A100", 156e12, 1.0e12)
# Of one core; docs/performance.md: 112 GFLOP/s on two cores without AVX-512, 1,015 on two with AMX, where a step that
# reads 0.94 GB of weights takes 66 ms.
PLAIN_CORE = (50e9, 5e9)
AVX512_CORE = (200e9, 12e9)
AMX_CORE = (500e9, 12e9)


@dataclass(frozen=True, slots=True)
class Fleet:
    """One or more equal machines; bytes."""

    nodes: int
    gpus: int
    """Of each machine."""
    gpu_bytes: int
    device: Device
    cores: int
    """Of each machine."""
    memory_bytes: int
    """Of each machine."""
    disk_free: int | None
    """None where it is not known."""
    assumed: bool = False

    @property
    def total_gpus(self) -> int:
        return self.nodes * self.gpus

    @property
    def total_cores(self) -> int:
        return self.nodes * self.cores

    def describe(self) -> str:
        """For people."""
        machines = "this machine" if not self.assumed else f"{self.nodes} machine{'s' if self.nodes > 1 else ''}"
        gpus = f"{self.gpus} x {self.device.name} {self.gpu_bytes / GIB:.0f} GiB" if self.gpus else "no GPU"
        each = " each" if self.nodes > 1 else ""
        return f"{machines}: {gpus}, {self.cores} cores, {self.memory_bytes / GIB:.0f} GiB of memory{each}"


def this_machine(home: Path, gpus: str | None) -> Fleet:
    """This machine as it is now; `gpus` as the setting has it. Runs nvidia-smi; blocks."""
    found = list_gpus()
    named = gpus if gpus is not None else os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        names = [name for name in named.split(",") if name]
        chosen = [found[int(name)] for name in names if name.isdecimal() and int(name) < len(found)]
        found = chosen if all(name.isdecimal() for name in names) else found[: len(names)]  # or their UUIDs
    cores, memory = os.cpu_count() or 1, psutil.virtual_memory().total
    device = (
        next((known for part, known in DEVICES if part in found[0]["name"]), OTHER) if found else _processors(cores)
    )
    size = int(found[0]["memory"].split()[0]) << 20 if found else 0
    existing = next(folder for folder in (home, *home.parents) if folder.is_dir())
    return Fleet(1, len(found), size, device, cores, memory, shutil.disk_usage(existing).free)


def _processors(cores: int) -> Device:
    flags = cpu_flags()
    known = {"amx_bf16": AMX_CORE, "avx512_bf16": AVX512_CORE}
    flops, bytes_per_s = next((core for flag, core in known.items() if flag in flags), PLAIN_CORE)
    return Device("its processors", cores * flops, cores * bytes_per_s)


def assumed_fleet(written: str) -> Fleet:
    """`20x64`: 20 machines of 64 GPUs; `20x64x80`: of 80 GiB each.

    A GPU is taken for an H100, with 12 cores and 128 GiB of memory in its machine. Raises UsageError.
    """
    found = WRITTEN.fullmatch(written.strip())
    numbers = [int(part) for part in found.groups() if part] if found else []
    if not numbers or 0 in numbers or numbers[0] * numbers[1] > MOST_GPUS:
        raise UsageError(
            f'--machines "{written}": write machines x GPUs of each, such as 20x64, or 20x64x80 for GPUs of 80 GiB'
        )
    nodes, gpus = numbers[:2]
    size = (numbers[2] if len(numbers) > 2 else USUAL_GPU_GIB) * GIB
    return Fleet(nodes, gpus, size, DEVICES[1][1], gpus * CORES_PER_GPU, gpus * MEMORY_PER_GPU, None, assumed=True)
