"""The command palette: every key of the screen in view, every screen, every theme."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider

from stackbench.tui.rooms import ROOMS
from stackbench.tui.themes import THEMES

if TYPE_CHECKING:
    from stackbench.tui.app import StackbenchApp

__all__ = ["Commands"]


class Commands(Provider):
    """Everything that can be done from here."""

    async def discover(self) -> Hits:
        for name, about, run in self._commands():
            yield DiscoveryHit(Text(name), run, text=name, help=about)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, about, run in self._commands():
            score = max(matcher.match(name), matcher.match(about) * 0.8)
            if score > 0:
                yield Hit(score, Text(name), run, text=name, help=about)

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], object]]]:
        app = cast("StackbenchApp", self.app)
        seen: set[str] = set()
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not binding.description or binding.system or binding.action in seen or not active.enabled:
                continue
            seen.add(binding.action)

            async def run(action: str = binding.action, node: object = active.node) -> None:
                await app.run_action(action, node)  # pyright: ignore[reportArgumentType]

            yield binding.description, f"key {app.get_key_display(binding)}", run
        for name, room in ROOMS.items():
            yield f"Go to {name}", room.help, lambda name=name: app.go_to(name)
        for theme in THEMES:
            yield (
                f"Theme {theme.name.removeprefix('stackbench-')}",
                "colours",
                lambda name=theme.name: app.set_theme(name),
            )
