"""The verbs on a run's screen: each asks where it ends something, and is answered with what changed."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from typing import Any

from stackbench.control.verbs import SETTABLE, change_line
from stackbench.tui.dialogs import AskScreen, ChooseScreen, ConfirmScreen
from stackbench.tui.live.live_run import LiveRun
from stackbench.tui.live.verb_keys import VERB_KEYS
from stackbench.tui.room_screen import RoomScreen

__all__ = ["Operating"]

STEP_ABOVE = 10
"""From so many requests at once on, a step is a tenth of them."""


VERB_ACTIONS = frozenset(one.action.partition("(")[0] for one in VERB_KEYS)


class Operating(RoomScreen):
    """The keys' actions. Those that the run does not take in its state are neither listed nor obeyed."""

    live: LiveRun
    run_id: str

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in VERB_ACTIONS and not self._takes(action):
            return False
        return super().check_action(action, parameters)

    def _takes(self, action: str) -> bool:
        """Of a run that no engine has, the rest can be made; one that waits in the queue can be taken out of it: the
        other verbs are the live run's."""
        if self.live.ended:
            return action == "resume" and self.live.phase != "completed"
        if self.live.phase == "queued":
            return action == "stop"
        return bool(self.live.phase)

    def operate(self, verb: str, **arguments: Any) -> None:
        """Carries a verb out and tells what it changed."""
        if self.live.ended:
            self.tell(f"run {self.run_id} is {self.live.phase}: no engine has it; r resumes what can be resumed")
            return

        async def carry_out() -> None:
            answer = await self.link.command(verb, **arguments)
            if answer["changed"]:
                self.tell(change_line(verb, arguments, answer["old"], answer["new"]))
            else:
                self.tell(f"{verb}: nothing to change, it is {answer['new']} already")

        self.attempt(carry_out, group="verb")

    def action_pause(self) -> None:
        self.operate("pause")

    def action_pause_now(self) -> None:
        self.operate("pause", now=True)

    def action_resume(self) -> None:
        """After a pause; of a run that no engine has, the rest of it."""
        if not self.live.ended:
            self.operate("resume")
            return

        async def go_on() -> None:
            from stackbench.store import Reader
            from stackbench.tui.starting import resumed

            self.tell(f"resuming {self.run_id} ...")
            found = await self.link.read(lambda queries: Reader(queries).run(self.run_id))
            await self.link.submit(await resumed(found))

        self.attempt(go_on, group="verb")

    def action_drain(self) -> None:
        self._confirm("Drain: end the run once the attempts under way have ended? It can be resumed.", "drain")

    def action_stop(self) -> None:
        self._confirm("Stop the run now? It can be resumed.", "stop")

    def action_requeue_errors(self) -> None:
        self.operate("requeue", errors=True)

    def action_cancel(self) -> None:
        names = [one.benchmark for one in self.live.benchmarks.values() if one.finished < one.total]
        if not names or self.live.ended:
            self.tell("no benchmark of this run goes on")
            return

        def chosen(place: int | None) -> None:
            if place is not None:
                self.operate("cancel", target=names[place])

        self.app.push_screen(ChooseScreen("Leave out what is left of which benchmark?", names), chosen)

    def action_concurrency(self, by: int) -> None:
        size = self.live.slots
        if not size:
            self.tell("no engine has this run")
            return
        step = max(1, size // 10) if size >= STEP_ABOVE else 1
        self.operate("set", name="concurrency", value=max(1, size + by * step))
        self.live.slots = max(1, size + by * step)

    def action_set(self) -> None:
        settings = self.live.settings
        shown = [
            f"{name}  ({settings.get(name) if settings.get(name) is not None else 'not set'})" for name in SETTABLE
        ]

        def chosen(place: int | None) -> None:
            if place is not None:
                self._ask_value(SETTABLE[place])

        self.app.push_screen(ChooseScreen("Change which setting of the live run?", shown), chosen)

    def _ask_value(self, name: str) -> None:
        def entered(value: str | None) -> None:
            if value is not None:
                self.operate("set", name=name, value=value)

        now = self.live.settings.get(name)
        hint = "0 takes a timeout or max-hours away" if name in ("timeout", "max-hours") else ""
        self.app.push_screen(AskScreen(f"{name}:", "" if now is None else str(now), hint), entered)

    def _confirm(self, question: str, verb: str) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.operate(verb, run=self.run_id)

        self.app.push_screen(ConfirmScreen(question), answered)
