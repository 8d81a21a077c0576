"""Copying: the platform's tool, else OSC 52 through whatever stands between (ssh, tmux), else a file with its path."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["LARGEST_SEQUENCE", "copy", "osc52"]

LARGEST_SEQUENCE = 100_000
"""Bytes of base64 that terminals take in one OSC 52 sequence (xterm's and tmux's limits are above it)."""
TOOL_WITHIN_S = 3.0


def copy(text: str, write: Callable[[str], None], folder: Path, environment: Mapping[str, str] = os.environ) -> str:
    """Copies, and returns a line that says where the text is now.

    `write` sends a control sequence to the terminal. `folder` takes the text where neither a tool nor the terminal can.
    """
    tool = _tool(environment)
    if tool is not None and _give(tool, text):
        return f"copied with {Path(tool[0]).name}"
    sequence = osc52(text, environment)
    if len(sequence) <= LARGEST_SEQUENCE:
        write(sequence)
        return "copied through the terminal (OSC 52)"
    path = folder / f"copied-{secrets.token_hex(4)}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        return f"not copied: {path} cannot be written ({error.strerror})"
    return f"too long for the terminal's clipboard; written to {path}"


def osc52(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The sequence that asks a terminal to take a text into its clipboard, wrapped for tmux and screen where it runs in
    one (tmux passes it on with `allow-passthrough on`, and takes it itself with `set-clipboard on`)."""
    encoded = base64.b64encode(text.encode("utf-8", "backslashreplace")).decode()
    sequence = f"\x1b]52;c;{encoded}\x07"
    if environment.get("TMUX"):
        doubled = sequence.replace("\x1b", "\x1b\x1b")
        return f"{sequence}\x1bPtmux;{doubled}\x1b\\"
    if environment.get("STY"):
        return f"\x1bP{sequence}\x1b\\"
    return sequence


def _tool(environment: Mapping[str, str]) -> Sequence[str] | None:
    """A program that owns this machine's clipboard; none over ssh, where it would be the other machine's."""
    if environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"):
        return None
    candidates: list[Sequence[str]] = [["pbcopy"]]
    if environment.get("WAYLAND_DISPLAY"):
        candidates.append(["wl-copy"])
    if environment.get("DISPLAY"):
        candidates += [["xclip", "-selection", "clipboard"], ["xsel", "--clipboard", "--input"]]
    candidates.append(["clip.exe"])
    for name, *arguments in candidates:
        path = shutil.which(name, path=environment.get("PATH"))
        if path is not None:
            return [path, *arguments]
    return None


def _give(tool: Sequence[str], text: str) -> bool:
    try:
        done = subprocess.run(
            tool,
            input=text.encode("utf-8", "backslashreplace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TOOL_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
