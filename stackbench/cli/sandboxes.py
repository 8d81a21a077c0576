"""`sandbox`: the image, the containers that are there, a shell in one."""

from __future__ import annotations

import sys
from dataclasses import asdict

from stackbench.cli.console import notice, out, print_json, print_line, print_table
from stackbench.config import load_settings
from stackbench.engine.sandbox_care import build_sandbox_image, clean_sandboxes, open_sandbox_shell, sandbox_status
from stackbench.errors import UsageError

__all__ = ["build", "clean", "shell", "status"]


def build(base: str | None, *, again: bool) -> None:
    """Makes the image and prints its tag."""
    print_line(build_sandbox_image(notice, base, again=again))


def status(*, as_json: bool) -> None:
    """Prints image and containers."""
    found = sandbox_status()
    if as_json:
        print_json({"image": found.image, "containers": [asdict(container) for container in found.containers]})
        return
    missing = f'image {found.wanted_image} is not made yet; run "stackbench sandbox build"'
    out().print(f"image {found.image}" if found.image else missing)
    if not found.containers:
        out().print("no sandbox containers")
        return
    print_table(
        ["container", "status", "image", "run", "owner", "owner lives"],
        [
            (c.container_id[:12], c.status, c.image, c.run_id, c.owner, "yes" if c.owner_alive else "no")
            for c in found.containers
        ],
        or_list=True,
    )


def clean(*, everything: bool) -> None:
    """Removes leftovers and says how many."""
    print_line(f"removed {clean_sandboxes(everything=everything)} containers")


def shell() -> int:
    """An interactive shell in a container; returns the shell's exit code."""
    if not sys.stdin.isatty():
        raise UsageError("sandbox shell needs a terminal")
    return open_sandbox_shell(load_settings().settings, notice)
