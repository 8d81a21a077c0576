"""Python's garbage collector: out of the way while a program loads, in short pauses once it works.

A collection stops every thread for as long as it takes to look at the objects that came since the last one: 250,000 of
them took a quarter of a second, which a key that is pressed, or a latency that is measured, would have waited for.
"""

from __future__ import annotations

import gc

__all__ = ["begin_loading", "end_loading"]

LOADING = (250_000, 20, 50)
"""Loading a program makes fewer objects: nothing is looked at that stays anyway."""
WORKING = (5_000, 5, 100)


def begin_loading() -> None:
    """For a program that was just started."""
    gc.set_threshold(*LOADING)


def end_loading() -> None:
    """From now on collections are short. What was loaded is not looked at again; nothing to do where loading was never
    begun, as in a test."""
    if gc.get_threshold() == LOADING:
        gc.freeze()
        gc.set_threshold(*WORKING)
