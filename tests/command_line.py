"""The program as a user calls it."""

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["help_of", "said_by"]


def help_of(*command: str, width: int) -> str:
    """The page that `--help` prints on a terminal of so many columns."""
    code, out, err = said_by(*command, "--help", COLUMNS=str(width))
    assert (code, err) == (0, "")
    return out


def said_by(*arguments: str, folder: Path | None = None, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command, run in a folder."""
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "stackbench", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr
