"""How long OpenMP's threads wait for each other before they sleep."""

from __future__ import annotations

import os

__all__ = ["limit_spinning"]

SPINS = "1000"
"""Enough for the gaps within a decoding step; by default 300,000, in which other processes lose the processor."""


def limit_spinning() -> None:
    """Has GNU OpenMP, which PyTorch and llama.cpp compute with, spin briefly at the end of a parallel part.

    A decoding step consists of hundreds of such parts. Where another process has one of the processors, each of them
    otherwise spins for what that process's turn lasts: docs/performance.md has the figures. It takes effect where it is
    called before the library is loaded; what the user set (OMP_WAIT_POLICY, GOMP_SPINCOUNT) stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
