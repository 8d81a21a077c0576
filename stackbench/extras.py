"""The distribution's name on the package index, and the commands that install its optional parts."""

from __future__ import annotations

__all__ = ["DISTRIBUTION", "install_command"]

DISTRIBUTION = "stackbench-eval"
"""The index's `stackbench` is another project; the program and the package keep the short name."""


def install_command(extra: str) -> str:
    """What installs an extra beside this program; run by the pip of the environment that stackbench is in."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
