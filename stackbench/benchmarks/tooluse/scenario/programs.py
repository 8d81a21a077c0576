"""The programs that tasks need in the sandbox image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackbench.errors import SandboxError

if TYPE_CHECKING:
    from stackbench.sandbox.session import Session

__all__ = ["program_versions"]

NEEDED = (
    "/bin/bash", "/bin/sh", "/bin/sleep", "/usr/bin/python3", "awk", "curl", "cut", "du", "find", "git", "grep", "gzip",
    "pgrep", "pkill", "ps", "sed", "sha256sum", "sort", "tar", "tr",
)  # fmt: skip
TOLD = ("python3", "git", "curl", "bash")
"""Programs whose version is told: what they do differs from one to another."""
VERSIONS = "; ".join(f"{name} --version 2>&1 | head -n 1" for name in TOLD)


async def program_versions(session: Session) -> list[str]:
    """The first line of what the programs say of their version.

    Raises:
        SandboxError: the image lacks programs; the message names them.
    """
    look = f"for p in {' '.join(NEEDED)}; do command -v $p > /dev/null || echo $p; done"
    done = await session.run(look)
    missing = done.stdout.decode(errors="replace").split()
    if missing:
        raise SandboxError(
            f"the sandbox image lacks {', '.join(missing)}, which tool-use tasks need; "
            'use the image that "stackbench sandbox build" makes (without --sandbox-image and --base)'
        )
    told = await session.run(VERSIONS)
    return [line.partition(" (")[0].strip() for line in told.stdout.decode(errors="replace").splitlines()]
