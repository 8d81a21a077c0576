"""Programs on the terminal of the screens, which step aside meanwhile: the user's editor, a shell in a sandbox."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from textual.app import App, SuspendNotSupported

from stackbench.errors import UsageError

__all__ = ["edit", "editor_command", "run_in_terminal"]

FALLBACKS = ("sensible-editor", "nano", "vi")


def edit(app: App[int], text: str, suffix: str) -> None:
    """Waits until the editor is left; what is changed there stays there.

    Raises:
        UsageError: there is no editor, or no terminal to give it.
    """
    command = editor_command(os.environ)
    with tempfile.TemporaryDirectory(prefix="stackbench-") as folder:
        path = Path(folder) / f"text{suffix}"
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        run_in_terminal(app, [*command, str(path)], "an editor", "set EDITOR")


def run_in_terminal(app: App[int], command: Sequence[str], what: str, fix: str, says: str = "") -> None:
    """Runs a program on the terminal of the screens, and waits until it is left; `says` stands above it.

    Raises:
        UsageError: there is no terminal, or no such program: `fix` says what to do about that.
    """
    try:
        with app.suspend():
            if says:
                sys.stdout.write(f"{says}\n")
                sys.stdout.flush()
            subprocess.run(command, check=False)
    except SuspendNotSupported as error:
        raise UsageError(f"{what} needs a terminal of its own: this screen is shown elsewhere") from error
    except OSError as error:
        raise UsageError(f"{command[0]} cannot be started ({error.strerror}); {fix}") from error


def editor_command(environment: Mapping[str, str]) -> list[str]:
    """VISUAL, else EDITOR, else what the machine has. Raises UsageError where there is none."""
    for name in ("VISUAL", "EDITOR"):
        words = shlex.split(environment.get(name, ""))
        if words:
            return words
    found = next((name for name in FALLBACKS if shutil.which(name, path=environment.get("PATH"))), None)
    if found is None:
        raise UsageError("no editor is found; set EDITOR to the one you use")
    return [found]
