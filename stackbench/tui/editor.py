"""Opens a text in the user's editor, while the screens step aside."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from textual.app import App, SuspendNotSupported

from stackbench.errors import UsageError

__all__ = ["edit", "editor_command"]

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
        try:
            with app.suspend():
                subprocess.run([*command, str(path)], check=False)
        except SuspendNotSupported as error:
            raise UsageError("an editor needs a terminal of its own: this screen is shown elsewhere") from error
        except OSError as error:
            raise UsageError(f"{command[0]} cannot be started ({error.strerror}); set EDITOR") from error


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
