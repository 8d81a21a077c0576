"""The screens that can be gone to by name: `:` completes these, the command palette lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stackbench.tui.room_screen import RoomScreen

__all__ = ["ROOMS", "Room"]


@dataclass(frozen=True, slots=True)
class Room:
    """A screen; `make` loads its module when it is first gone to."""

    help: str
    make: Callable[[], RoomScreen]


def _home() -> RoomScreen:
    from stackbench.tui.home.home_screen import HomeScreen

    return HomeScreen()


def _new() -> RoomScreen:
    from stackbench.tui.new_run.new_screen import NewScreen

    return NewScreen()


def _agents() -> RoomScreen:
    from stackbench.tui.agent.agent_screen import AgentScreen

    return AgentScreen()


def _sql() -> RoomScreen:
    from stackbench.tui.sql.sql_screen import SqlScreen

    return SqlScreen()


def _compare() -> RoomScreen:
    from stackbench.tui.compare.compare_screen import CompareScreen

    return CompareScreen()


def _voice() -> RoomScreen:
    from stackbench.tui.voice.voice_screen import VoiceScreen

    return VoiceScreen()


ROOMS: Mapping[str, Room] = {
    "home": Room("All runs: search, attach, resume, compare, report, delete", _home),
    "new": Room("A new run: benchmarks, model, settings, estimate, command line", _new),
    "agents": Room("Agents at work: follow, approve, steer, their sandboxes; chats", _agents),
    "sql": Room("Ask the database: completion, saved queries, plots, export", _sql),
    "compare": Room("Two runs: paired differences, flips, the two answers side by side", _compare),
    "voice": Room("Operate runs by speech: push-to-talk or an open microphone", _voice),
}
