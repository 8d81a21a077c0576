"""The theme's colours by what they mean, for texts that are made by hand."""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import Theme

from stackbench.tui.virtual_table import Tone

__all__ = ["Tones", "tones_of"]

Tones = Mapping[Tone, str]
"""A style for each meaning."""


def tones_of(theme: Theme) -> Tones:
    return {
        "": "",
        "good": theme.success or "green",
        "bad": theme.error or "red",
        "warn": theme.warning or "yellow",
        "accent": theme.primary,
        "dim": theme.secondary or "grey50",
        "strong": "bold",
    }
