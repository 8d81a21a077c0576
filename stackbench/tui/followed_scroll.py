"""A scrolled pane whose text grows below, as `tail -f` shows it."""

from __future__ import annotations

from textual.containers import VerticalScroll

__all__ = ["FollowedScroll"]


class FollowedScroll(VerticalScroll):
    """Stays at its end while text is added or its own height changes, unless whoever reads has scrolled up.

    Whether it was at its end is kept as it is scrolled, not looked at when text comes: text that comes while the last
    step to the end is still due would be taken for a reader's scrolling.
    """

    at_end = True

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.at_end = new_value >= self.max_scroll_y

    def watch_virtual_size(self) -> None:
        self._stay()

    def on_resize(self) -> None:
        self._stay()

    def _stay(self) -> None:
        if self.at_end:
            self.scroll_end(animate=False, immediate=True)

    def follow(self) -> None:
        """Goes to the end and stays there."""
        self.at_end = True
        self.scroll_end(animate=False)
