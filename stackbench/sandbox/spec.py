"""What a container is made of and what it may use, as whoever leases one asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stackbench.config import SandboxSettings

__all__ = ["SandboxSpec", "agent_spec", "sample_spec"]


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What one container is made of, and what may be used in it by all its processes together."""

    image: str | None = None
    """None: the run's own image."""
    workdir: str = "/workspace"
    """The agent's folder: empty at first, or what the image has there where the root is writable."""
    writable: bool = False
    """Whether the root file system can be written. What is written is kept in memory: see `writable_root`."""
    memory_mib: int = 4096
    """Programs and written files together; so much is taken from the budget while the container exists."""
    cpus: float = 0.0
    """Processors; 0 means all of the machine's."""
    network: bool = False
    """Whether it is connected to the Docker engine's default network; otherwise it has a loopback alone."""
    processes: int = 1024
    disk_mib: int = 512
    """Of each writable file system; less where that would leave no memory for programs."""
    files: int = 65536
    """Files, directories and links in each writable file system."""
    runtime: str = ""
    """The OCI runtime (`runsc` for gVisor); empty: the engine's own default."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str], compare=False)


def sample_spec(settings: SandboxSettings, image: str, run_id: str = "") -> SandboxSpec:
    """The containers in which samples run."""
    return SandboxSpec(
        image,
        labels={"stackbench.run": run_id} if run_id else {},
        runtime=settings.sandbox_runtime or "",
        memory_mib=settings.sandbox_memory_mib,
    )


def agent_spec(settings: SandboxSettings) -> SandboxSpec:
    """The containers in which agents work, where their benchmark asks for nothing else."""
    return SandboxSpec(memory_mib=settings.agent_memory_mib)
