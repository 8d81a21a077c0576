"""The labels that say whose a container is."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import psutil

__all__ = ["LABEL", "owner_alive", "owner_labels"]

LABEL = "stackbench"


def owner_labels() -> dict[str, str]:
    """Labels naming this process as owner; a process id alone could be reused, so its start time counts."""
    process = psutil.Process()
    return {
        LABEL: "sandbox",
        "stackbench.host": socket.gethostname(),
        "stackbench.pid": str(process.pid),
        "stackbench.started": f"{process.create_time():.2f}",
    }


def owner_alive(labels: Mapping[str, str]) -> bool:
    """Whether the process that the labels name still runs."""
    if labels.get("stackbench.host") != socket.gethostname():
        return True  # another machine's run on a shared engine: not ours to judge
    try:
        process = psutil.Process(int(labels["stackbench.pid"]))
        return abs(process.create_time() - float(labels["stackbench.started"])) < 1.0
    except (KeyError, ValueError, psutil.NoSuchProcess):
        return False
