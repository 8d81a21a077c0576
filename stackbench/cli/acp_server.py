"""`stackbench acp`: agents for editors that speak the Agent Client Protocol, over standard input and output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import TextIO, cast, get_args

from stackbench.config import Home
from stackbench.errors import UsageError
from stackbench.extras import install_command
from stackbench.suggestions import did_you_mean
from stackbench.types import ApprovalPolicy

__all__ = ["serve_editor"]


def serve_editor(home: Path | None, *, model: str | None, attach: bool, agent: str | None, policy: str) -> int:
    """Serves until the editor leaves. Returns the exit code.

    Raises:
        UsageError: the extra is missing, nobody is at the other end, or an option does not fit.
    """
    known: tuple[str, ...] = get_args(ApprovalPolicy)
    if policy not in known:
        raise UsageError(f'--approve-calls is one of {", ".join(known)}, not "{policy}"{did_you_mean(policy, known)}')
    attach = attach or agent is not None
    if attach and model is not None:
        raise UsageError("--model is of a chat that is begun; with --attach or --agent the agent has its model already")
    try:
        from stackbench.acp.acp_agent import serve_acp
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != "acp":
            raise
        raise UsageError(f"acp needs the Agent Client Protocol's package; {install_command('acp')}") from error
    if not (_is_pipe(sys.stdin) and _is_pipe(sys.stdout)):
        raise UsageError("acp speaks with an editor, which starts it itself: docs/acp.md has what to write where")
    serving = serve_acp(
        Home.find(home), model=model, agent=(agent or "") if attach else None, policy=cast(ApprovalPolicy, policy)
    )
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(serving)
    return 0


def _is_pipe(stream: TextIO | None) -> bool:
    """Whether another program can be at its other end."""
    if stream is None:
        return False
    mode = os.fstat(stream.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
