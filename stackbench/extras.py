"""The distribution's name on the package index, and the commands that install its optional parts."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

__all__ = ["DISTRIBUTION", "install_command"]

DISTRIBUTION = "stackbench-eval"
"""The index's `stackbench` is another project; the program and the package keep the short name."""


def install_command(extra: str) -> str:
    """What installs an extra into the environment of this program, also where another `pip` comes first in PATH."""
    pip = shutil.which("pip")
    own = pip is not None and Path(pip).parent == Path(sys.executable).parent
    return f"{'pip' if own else f'{shlex.quote(sys.executable)} -m pip'} install '{DISTRIBUTION}[{extra}]'"
