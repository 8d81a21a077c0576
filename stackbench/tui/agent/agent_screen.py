"""Screen 5: agents at work: followed as they think and act, steered call by call, with their sandboxes; and chats."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
from __future__ import annotations

import json
from typing import Any, ClassVar, cast, get_args

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from stackbench.control.answers import AgentNow, PendingCall, TerminalAccess
from stackbench.control.verbs import change_line
from stackbench.errors import StackbenchError, UsageError
from stackbench.tui.agent.agent_follower import follow_agents
from stackbench.tui.agent.agent_text import AGENT_COLUMNS, agent_cells, call_text, head_line, past_text, tail_text
from stackbench.tui.agent.agents_now import AgentsNow, key_of, target_of
from stackbench.tui.agent.call_dialog import ArgumentsScreen
from stackbench.tui.agent.chat_run import chat_models, chat_submission
from stackbench.tui.agent.sandbox_panes import FilesPane, ShellPane
from stackbench.tui.dialogs import AskScreen, ChooseScreen, ConfirmScreen
from stackbench.tui.editor import edit, run_in_terminal
from stackbench.tui.followed_scroll import FollowedScroll
from stackbench.tui.numbered_tabs import tabs_text
from stackbench.tui.room_screen import RoomScreen
from stackbench.tui.row_sources import ListRows
from stackbench.tui.tones import tones_of
from stackbench.tui.virtual_table import VirtualTable
from stackbench.types import ApprovalPolicy

__all__ = ["AgentScreen"]

PAINT_EVERY_S = 0.1
POLICIES: tuple[ApprovalPolicy, ...] = get_args(ApprovalPolicy)
POLICY_HELP = {
    "never": "no call waits",
    "risky": "calls that may change something wait: commands, writes, requests that send",
    "always": "every call waits",
}
PARTS = ("transcript", "files", "shell")
TERMINAL = "A shell in the agent's sandbox; exit leaves it. What programs write there reaches your terminal as it is."


class AgentScreen(RoomScreen):
    """The list says who is at work; the transcript of the one at the cursor grows beside it."""

    CSS_PATH = "agent_screen.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide"), (150, "-very-wide")]  # pyright: ignore[reportIncompatibleVariableOverride]
    ROOM = "agents"
    ABOUT = (
        "Agents at work in the live run, as they think and act. Calls wait for you as the policy says (o): never, for "
        "risky ones, always. n begins a chat with an agent outside any benchmark. What you do is recorded."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "approve", "Approve"),
        Binding("e", "edit_call", "Edit the call"),
        Binding("x", "reject", "Reject"),
        Binding("m,i", "message", "Message"),
        Binding("p", "hold", "Pause or go on"),
        Binding("s", "step", "Step"),
        Binding("c", "interrupt", "End the turn of a chat", show=False),
        Binding("X", "abort", "Abort"),
        Binding("o", "policy", "Which calls wait", show=False),
        Binding("n", "chat", "New chat"),
        Binding("1", "part('transcript')", "Transcript", show=False),
        Binding("2", "part('files')", "Files", show=False),
        Binding("3", "part('shell')", "Shell", show=False),
        Binding("T", "terminal", "Terminal in the sandbox", show=False),
        Binding("v", "attempt", "The attempt, once it has ended", show=False),
        Binding("E", "editor", "Transcript in the editor", show=False),
        Binding("y", "copy", "Copy", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.now = AgentsNow(lambda: 0.0)
        self._part = "transcript"
        self._painted = -1
        self._past: tuple[object, int, str] = (None, -1, "")
        self._shown: dict[str, Text] = {}
        self._listed: list[AgentNow] = []
        self._begun = False
        """Whether a chat was begun whose agent is not there yet."""
        self._first: list[str] = []
        """What is to be said to it."""

    def compose_room(self) -> ComposeResult:
        yield Static(id="agent-head", markup=False)
        yield Static(id="agent-parts", markup=False)
        with Horizontal(id="agents-body"):
            with Vertical(id="agents-list"):
                yield VirtualTable[AgentNow](
                    AGENT_COLUMNS, agent_cells(lambda: self.now), id="agents", empty="nobody is at work"
                )
            with Vertical(id="agent-view"):
                with FollowedScroll(id="transcript"):
                    yield Static(id="past", markup=False)
                    yield Static(id="tail", markup=False)
                yield FilesPane(self._ask)
                yield ShellPane(self._ask)
                yield Static(id="call", markup=False)
                with Horizontal(id="message-line"):
                    yield Static(Text(">"), markup=False)
                    yield Input(placeholder="m  a message to the agent", id="message", compact=True)

    def place(self) -> tuple[str, ...]:
        return (*((f"run {self.now.run_id}",) if self.now.run_id else ()), "agents")

    def on_mount(self) -> None:
        super().on_mount()
        self.now = AgentsNow(self.room_app.clock)
        self._table.focus()
        self.run_worker(self._follow, group="follow", exit_on_error=False)
        self.set_interval(PAINT_EVERY_S, self._paint)
        self._paint()

    @property
    def _table(self) -> VirtualTable[AgentNow]:
        return cast("VirtualTable[AgentNow]", self.query_one("#agents", VirtualTable))

    async def _follow(self) -> None:
        try:
            await follow_agents(self.link, self.now)
        except StackbenchError as error:
            self.now.detach(str(error))

    # -- painting

    def _paint(self) -> None:
        now = self.now
        if now.version == self._painted or not self.is_current:
            return
        self._painted = now.version
        tones = tones_of(self.app.current_theme)
        self.show_place()
        if self._begun and now.agent is not None and now.agent.chat:
            self._begun = False
            for text in self._first:
                self._operate("message", text=text)
            self._first.clear()
        self._update("#agent-head", head_line(now, tones))
        self._update("#agent-parts", tabs_text(PARTS, self._part, tones))
        rows = now.rows
        if rows != self._listed:
            self._listed = rows
            keys = [key_of(one) for one in rows]
            self._table.show(ListRows(rows), keys.index(now.chosen) if now.chosen in keys else 0)
        else:
            self._table.refresh()
        past = (now.chosen, len(now.events), self.app.theme)
        if past != self._past:
            if past[0] != self._past[0]:
                self._another()
            self._past = past
            self._update("#past", past_text(now, tones))
        self._update("#tail", tail_text(now.tail, tones, turns=now.turns))
        self._update("#call", call_text(now.calls, tones))
        self.set_class(bool(now.calls), "-asked")

    def _update(self, selector: str, text: Text) -> None:
        if self._shown.get(selector) != text:
            self._shown[selector] = text
            self.query_one(selector, Static).update(text)

    def _another(self) -> None:
        """Another agent has come into view: at its end."""
        self.query_one(FollowedScroll).follow()
        self.query_one(FilesPane).clear()
        self.query_one(ShellPane).clear()
        if self._part == "files" and self.now.agent is not None:
            self.query_one(FilesPane).show()

    @on(VirtualTable.Moved, "#agents")
    def _moved(self) -> None:
        row = self._table.row
        if row is not None and self._table.has_focus:
            self.now.choose(key_of(row))

    @on(VirtualTable.Chosen, "#agents")
    def _entered_row(self) -> None:
        self.query_one("#transcript").focus()

    @on(FilesPane.Told)
    def _told(self, message: FilesPane.Told) -> None:
        self.tell(message.text, bad=True)

    # -- verbs

    async def _ask(self, verb: str, **arguments: Any) -> Any:
        """A verb of the agent in view. Raises StackbenchError."""
        if self.now.agent is None or self.now.chosen is None:
            raise UsageError("no agent is at work here")
        return await self.link.command(verb, target=target_of(self.now.chosen), **arguments)

    def _operate(self, verb: str, **arguments: Any) -> None:
        """Carries a verb on the agent in view out; what it changed is told, but for what shows by itself."""

        async def carry_out() -> None:
            answer = await self._ask(verb, **arguments)
            if verb != "message":
                self.tell(change_line(verb, {}, answer["old"], answer["new"]))
            self.now.stale = True

        self.attempt(carry_out, group="verb")

    def _decide(self, verb: str, call: PendingCall, **arguments: Any) -> None:
        async def carry_out() -> None:
            await self.link.command(verb, call=call.call, **arguments)
            self.now.stale = True

        self.attempt(carry_out, group="verb")

    def _waiting(self) -> PendingCall | None:
        if not self.now.calls:
            self.tell("no call of this agent waits for you; o says which calls do")
            return None
        return self.now.calls[0]

    def action_approve(self) -> None:
        if (call := self._waiting()) is not None:
            self._decide("approve", call)

    def action_reject(self) -> None:
        if (call := self._waiting()) is None:
            return

        def entered(reason: str | None) -> None:
            if reason is not None:
                self._decide("reject", call, reason=reason)

        self.app.push_screen(AskScreen(f"Refuse the call of {call.tool}: what is the model told?"), entered)

    def action_edit_call(self) -> None:
        if (call := self._waiting()) is None:
            return

        def entered(arguments: str | None) -> None:
            if arguments is not None:
                self._decide("edit", call, arguments=arguments)

        self.app.push_screen(ArgumentsScreen(call.tool, call.arguments), entered)

    def action_message(self) -> None:
        self.query_one("#message", Input).focus()

    @on(Input.Submitted, "#message")
    def _said(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        if not text:
            return
        event.input.value = ""
        if self.now.agent is None and self._begun:
            self._first.append(text)
            self.tell("it is told once the agent is there")
        else:
            self._operate("message", text=text)

    def action_hold(self) -> None:
        agent = self.now.agent
        self._operate("resume" if agent is not None and agent.state == "paused" else "pause")

    def action_step(self) -> None:
        self._operate("step")

    def action_interrupt(self) -> None:
        self._operate("interrupt")

    def action_abort(self) -> None:
        agent = self.now.agent
        if agent is None:
            self.tell("no agent is at work here")
            return
        question = "End this chat? It is kept." if agent.chat else "End this agent now? What it did is kept and scored."

        def answered(yes: bool | None) -> None:
            if yes:
                self._operate("abort")

        self.app.push_screen(ConfirmScreen(question), answered)

    def action_policy(self) -> None:
        agent = self.now.agent
        scopes = [("this agent", True), ("all agents of the run", False)] if agent is not None else []
        choices: list[tuple[ApprovalPolicy, str, bool]] = [
            (policy, words, own) for words, own in scopes for policy in POLICIES
        ]
        if not choices:
            self.tell("no agent is at work here")
            return

        def chosen(place: int | None) -> None:
            if place is None:
                return
            policy, _, own = choices[place]
            if own:
                self._operate("policy", policy=policy)
            else:
                self.attempt(lambda: self._for_all(policy), group="verb")

        shown = [f"{policy:<7} {words}: {POLICY_HELP[policy]}" for policy, words, _ in choices]
        self.app.push_screen(ChooseScreen("Which tool calls wait for you?", shown), chosen)

    async def _for_all(self, policy: ApprovalPolicy) -> None:
        answer = await self.link.command("policy", policy=policy)
        self.tell(change_line("policy", {}, answer["old"], answer["new"]))
        self.now.stale = True

    # -- chats

    def action_chat(self) -> None:
        self.attempt(self._choose_model, group="chat")

    async def _choose_model(self) -> None:
        models = await chat_models(self.link.home)
        engine = await self.link.engine()
        question = "A chat with which model?"
        if engine.runs:
            question = f"Run {engine.runs[0].run_id} is live: a chat waits behind it. With which model?"

        def entered(model: str | None) -> None:
            if model and model.strip():
                self.query_one("#message", Input).focus()
                self.attempt(lambda: self._begin_chat(model.strip()), group="chat")

        def chosen(place: int | None) -> None:
            if place is not None and not models[place][0]:
                self.app.push_screen(AskScreen("The model:", "", "hf:NAME, gguf:NAME or openai:MODEL@URL"), entered)
            elif place is not None:
                entered(models[place][0])

        names = [f"{name}   {about}".strip() for name, about in models]
        self.app.push_screen(ChooseScreen(question, names), chosen)

    async def _begin_chat(self, model: str) -> None:
        self.tell(f"a chat with {model} begins; the first message may be written at once")
        self._begun = True
        try:
            await self.link.submit(await chat_submission(model))
        except StackbenchError:
            self._begun = False
            self._first.clear()
            raise

    # -- parts

    def action_part(self, name: str) -> None:
        self._part = name
        for one in PARTS:
            self.set_class(one == name, f"-at-{one}")
        self._update("#agent-parts", tabs_text(PARTS, name, tones_of(self.app.current_theme)))
        if name == "files":
            if self.now.agent is not None:
                self.query_one(FilesPane).show()
            self.query_one("#entries").focus()
        elif name == "shell":
            self.query_one(ShellPane).focus_input()
        else:
            self.query_one("#transcript").focus()

    def action_terminal(self) -> None:
        """The screens step aside for a shell in the sandbox, until it is left."""

        async def open_terminal() -> None:
            answer = await self._ask("terminal")
            command = TerminalAccess.model_validate(answer["result"]).command
            run_in_terminal(self.app, command, "a terminal", "install Docker's client", TERMINAL)

        self.attempt(open_terminal, group="edit")

    def action_back(self) -> None:
        """Out of a line of input to the list first."""
        if isinstance(self.focused, Input):
            self._table.focus()
        else:
            super().action_back()

    def action_attempt(self) -> None:
        from stackbench.store.attempt_pages import AttemptFilter
        from stackbench.types import AttemptKey

        if self.now.chosen is None or not self.now.settled:
            self.tell("an attempt opens once it has ended and is recorded")
            return
        self.room_app.open_attempt(self.now.run_id, AttemptKey(*self.now.chosen), AttemptFilter())

    def _whole(self) -> str:
        return json.dumps(
            [{"kind": kind, **payload} for kind, payload in self.now.events], indent=2, ensure_ascii=False
        )

    def action_editor(self) -> None:
        async def open_editor() -> None:
            edit(self.app, self._whole(), ".json")

        self.attempt(open_editor, group="edit")

    def action_copy(self) -> None:
        """The file in view, else the transcript."""
        files = self.query_one(FilesPane)
        self.room_app.copy(files.text if self._part == "files" and files.text else self._whole())
