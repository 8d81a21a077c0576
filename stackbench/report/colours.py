"""The colours of plots."""

from __future__ import annotations

__all__ = ["COLOURS"]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Told apart by colour-blind readers (Okabe and Ito 2008)."""
