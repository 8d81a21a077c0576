"""Key names, as tmux's send-keys has them, turned into what a terminal sends."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stackbench.agents.tools.base import ToolRefusedError

__all__ = ["encode_keys"]

# ECMA-48 and xterm's control sequences.
NAMED = {
    "Enter": "\r", "Return": "\r", "Tab": "\t", "BTab": "\x1b[Z", "Escape": "\x1b", "Space": " ", "BSpace": "\x7f",
    "Backspace": "\x7f", "Up": "\x1b[A", "Down": "\x1b[B", "Right": "\x1b[C", "Left": "\x1b[D", "Home": "\x1b[H",
    "End": "\x1b[F", "Insert": "\x1b[2~", "Delete": "\x1b[3~", "DC": "\x1b[3~", "PageUp": "\x1b[5~",
    "PgUp": "\x1b[5~", "PageDown": "\x1b[6~", "PgDn": "\x1b[6~", "F1": "\x1bOP", "F2": "\x1bOQ", "F3": "\x1bOR",
    "F4": "\x1bOS", "F5": "\x1b[15~", "F6": "\x1b[17~", "F7": "\x1b[18~", "F8": "\x1b[19~", "F9": "\x1b[20~",
    "F10": "\x1b[21~", "F11": "\x1b[23~", "F12": "\x1b[24~",
}  # fmt: skip
LONGEST_NAME = 32
"""Of a key; longer text is text."""
BY_LOWER = {name.lower(): sent for name, sent in NAMED.items()}
MODIFIED = re.compile(r"(?P<modifiers>(?:[CM]-)+)(?P<key>.+)", re.IGNORECASE)


def encode_keys(keys: Sequence[str]) -> bytes:
    """The bytes of keys: a name (Enter, Up, F5), one with modifiers (C-c, M-x), else the text itself.

    Raises:
        ToolRefusedError: a modified key that does not exist.
    """
    return "".join(_encode(key) for key in keys).encode()


def _encode(key: str) -> str:
    if len(key) > LONGEST_NAME:
        return key
    if key.lower() in BY_LOWER:
        return BY_LOWER[key.lower()]
    match = MODIFIED.fullmatch(key)
    if match is None:
        return key
    sent = BY_LOWER.get(match["key"].lower(), match["key"])
    modifiers = match["modifiers"].upper()
    if "C-" in modifiers:
        if len(sent) != 1 or not ("@" <= sent.upper() <= "_" or sent in " ?"):
            raise ToolRefusedError(f'there is no key "{key}"')
        sent = "\x7f" if sent == "?" else "\0" if sent == " " else chr(ord(sent.upper()) & 0x1F)
    return f"\x1b{sent}" if "M-" in modifiers else sent
