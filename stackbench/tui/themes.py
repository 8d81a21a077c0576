"""The colours: dark, light, and one whose pairs stay apart for colour-blind eyes. No screen tells by colour alone."""

from __future__ import annotations

from textual.theme import Theme

__all__ = ["DEFAULT_THEME", "THEMES"]

DEFAULT_THEME = "stackbench-dark"

THEMES = (
    Theme(
        name=DEFAULT_THEME,
        primary="#4f9dde",
        secondary="#7a8ca3",
        accent="#e5b567",
        success="#6cc070",
        warning="#e0a94a",
        error="#e0626a",
        foreground="#d8dde5",
        background="#10141a",
        surface="#171c24",
        panel="#222a35",
        dark=True,
    ),
    Theme(
        name="stackbench-light",
        primary="#1f5f99",
        secondary="#5a6673",
        accent="#8a5a00",
        success="#1d6b2a",
        warning="#8a5a00",
        error="#a3222b",
        foreground="#1b1f24",
        background="#fafbfc",
        surface="#f0f2f5",
        panel="#e1e5ea",
        dark=False,
    ),
    # Okabe and Ito, "Color Universal Design" (2008): blue, orange, sky blue and vermilion stay apart for all common
    # kinds of colour blindness.
    Theme(
        name="stackbench-colour-blind",
        primary="#56b4e9",
        secondary="#999999",
        accent="#f0e442",
        success="#56b4e9",
        warning="#f0e442",
        error="#e69f00",
        foreground="#e6e6e6",
        background="#101010",
        surface="#1a1a1a",
        panel="#2a2a2a",
        dark=True,
    ),
)
