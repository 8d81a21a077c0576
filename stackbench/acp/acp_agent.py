"""The agent's side of the protocol: sessions are begun, prompted and cancelled as an editor asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast, get_args

from acp import PROTOCOL_VERSION, RequestError, run_agent
from acp.schema import (
    AgentCapabilities,
    Implementation,
    InitializeResponse,
    NewSessionResponse,
    PromptCapabilities,
    PromptResponse,
    SetSessionModeResponse,
)

from stackbench import __version__
from stackbench.acp import updates
from stackbench.acp.acp_session import ENDED, AcpClient, AcpSession
from stackbench.config import Home
from stackbench.control.answers import AgentNow
from stackbench.errors import StackbenchError, UsageError
from stackbench.models import parse_model_name
from stackbench.tui.agent.agents_now import key_of, target_of
from stackbench.tui.agent.chat_run import chat_submission, default_chat_model
from stackbench.tui.engine_link import EngineLink
from stackbench.types import ApprovalPolicy

__all__ = ["serve_acp"]

POLICIES: tuple[ApprovalPolicy, ...] = get_args(ApprovalPolicy)


async def serve_acp(home: Home, *, model: str | None, agent: str | None, policy: ApprovalPolicy) -> None:
    """Speaks with the client at standard input and output until it leaves.

    Args:
        model: of the chats that are begun; unset: the one for a person who names none.
        agent: a task of the live run, whose agent sessions attach to in place of a chat; empty: the only one at work.
        policy: which calls of a chat wait for the user.

    Raises:
        UsageError: a model has no such name.
    """
    if model is not None:
        parse_model_name(model)
    link = EngineLink(home, "acp")
    served = AcpAgent(link, model, agent, policy)
    try:
        await run_agent(cast(Any, served))
    finally:
        await served.close()
        await link.close()


class AcpAgent:
    """Implements what it can of the package's `Agent`; the other methods are refused by the package."""

    def __init__(self, link: EngineLink, model: str | None, agent: str | None, policy: ApprovalPolicy) -> None:
        self._link = link
        self._model = model
        self._agent = agent
        self._policy: ApprovalPolicy = policy
        self._client: AcpClient | None = None
        self._sessions: dict[str, AcpSession] = {}
        self._following: set[asyncio.Task[None]] = set()

    def on_connect(self, conn: AcpClient) -> None:
        self._client = conn

    async def initialize(self, protocol_version: int, **kwargs: Any) -> InitializeResponse:
        return InitializeResponse(
            protocol_version=PROTOCOL_VERSION,
            agent_capabilities=AgentCapabilities(prompt_capabilities=PromptCapabilities(embedded_context=True)),
            agent_info=Implementation(name="stackbench", title="stackbench", version=__version__),
        )

    async def new_session(self, cwd: str, **kwargs: Any) -> NewSessionResponse:
        """A chat of its own, or the agent that sessions attach to. The client's folder is not the agent's: it works in
        a sandbox."""
        try:
            return await (self._begin() if self._agent is None else self._attach(self._agent))
        except StackbenchError as error:
            raise RequestError(ENDED, str(error)) from error

    async def _begin(self) -> NewSessionResponse:
        model = self._model or await asyncio.to_thread(default_chat_model)
        run_id = await self._link.submit(await chat_submission(model, approve_calls=self._policy))
        self._follow(AcpSession(run_id, run_id, self._link, self._connected, None), ())
        return NewSessionResponse(session_id=run_id, modes=updates.modes(self._policy))

    async def _attach(self, target: str) -> NewSessionResponse:
        found = [AgentNow.model_validate(one) for one in await self._link.command("agents", content=True)]
        fitting = [one for one in found if not target or target in (one.task_id, target_of(key_of(one)))]
        if len(fitting) != 1:
            at_work = ", ".join(target_of(key_of(one)) for one in found) or "none"
            wanted = f'on "{target}"' if target else "to attach to"
            raise UsageError(f"{len(fitting)} agents are at work {wanted}; name one with --agent, of: {at_work}")
        agent = fitting[0]
        run_id = (await self._link.status()).run_id
        session_id = f"{run_id}/{target_of(key_of(agent))}"
        if session_id in self._sessions:
            raise UsageError(f"a session with the agent at {agent.task_id} is open already")
        self._follow(AcpSession(session_id, run_id, self._link, self._connected, key_of(agent)), agent.calls)
        return NewSessionResponse(session_id=session_id, modes=updates.modes(agent.policy))

    def _follow(self, session: AcpSession, waiting: Sequence[Any]) -> None:
        self._sessions[session.session_id] = session
        task = asyncio.create_task(session.follow(tuple(waiting)))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def prompt(self, session_id: str, prompt: Sequence[Any], **kwargs: Any) -> PromptResponse:
        text = updates.prompt_text(prompt)
        if not text:
            raise RequestError(-32602, "the prompt holds no text")
        return PromptResponse(stop_reason=await self._session(session_id).prompt(text))

    async def cancel(self, session_id: str, **kwargs: Any) -> None:
        await self._session(session_id).cancel()

    async def set_session_mode(self, session_id: str, mode_id: str, **kwargs: Any) -> SetSessionModeResponse:
        if mode_id not in POLICIES:
            raise RequestError(-32602, f"there is no mode {mode_id!r}; there are: {', '.join(POLICIES)}")
        await self._session(session_id).set_policy(mode_id)
        return SetSessionModeResponse()

    async def close(self) -> None:
        """The client has left."""
        await asyncio.gather(*(session.close() for session in self._sessions.values()), return_exceptions=True)
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    def _session(self, session_id: str) -> AcpSession:
        session = self._sessions.get(session_id)
        if session is None:
            raise RequestError(-32602, f"there is no session {session_id!r}")
        return session

    @property
    def _connected(self) -> AcpClient:
        assert self._client is not None
        return self._client
