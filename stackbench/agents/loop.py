"""The agent: a model that is asked, calls tools and is asked again, on LangChain's loop."""

# create_agent of langchain has more type variables than a caller can name.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from importlib import import_module
from typing import Any

from stackbench.agents.base import AgentLimits, AgentResult, Backend, Ending, Script
from stackbench.agents.checkpoints import Chat, Checkpoints
from stackbench.agents.live_output import LiveOutput
from stackbench.agents.operator import Operator
from stackbench.agents.session import AgentEndedError, AgentSession
from stackbench.agents.tools import TOOL_SET, TOOLS, Workspace, tool_schema
from stackbench.types import Sampling, ToolParser, ToolSpec

__all__ = ["run_agent", "tool_specs"]


async def run_agent(
    task: str,
    *,
    backend: Backend,
    workspace: Workspace,
    tools: Sequence[str],
    system: str,
    sampling: Sampling,
    limits: AgentLimits,
    parser: ToolParser = "auto",
    operator: Operator | None = None,
    script: Script | None = None,
    converse: bool = False,
    checkpoints: Checkpoints | None = None,
) -> AgentResult:
    """Runs an agent at a task until it answers without a call, a limit is reached or the operator stops it.

    Args:
        task: the user's message; with `converse` it may be empty: the operator's first one is waited for.
        workspace: the sandbox that the tools work in.
        tools: names of the tools that it has.
        system: the system message.
        sampling: of each turn; `max_tokens` is a turn's limit.
        script: what the oracle is to do.
        converse: once it has answered, wait for the operator's next message and go on, until it is stopped.
        checkpoints: where its state is kept as it goes, and taken up from; not with `converse`.

    Raises:
        GenerationError: the model gave no answer (a chat over its window is cut first).
        SandboxError: the container died.
    """
    await asyncio.to_thread(import_module, "stackbench.agents.middleware")  # LangChain: a second, off the event loop
    from langchain.agents import create_agent

    from stackbench.agents.chat_model import BridgedChatModel
    from stackbench.agents.middleware import (
        CallsInOrder,
        Checkpointing,
        ContextWindow,
        CutTurns,
        Limits,
        OperatorControls,
        ToolRunner,
    )

    workspace.background = "process" in tools
    session = AgentSession(backend, workspace, tool_specs(tools), sampling, limits, parser, operator, script)
    controls = [OperatorControls(session, operator)] if operator is not None else []
    kept = [Checkpointing(session, checkpoints)] if checkpoints is not None else []
    middleware: list[Any] = [
        *kept, CutTurns(session), Limits(session), CallsInOrder(session), *controls, ContextWindow(session),
        ToolRunner(session),
    ]  # fmt: skip
    agent = create_agent(
        BridgedChatModel(session=session), tools=_for_langchain(tools), system_prompt=system, middleware=middleware
    )
    workspace.jobs.on_output = LiveOutput(backend.command_output).take
    if operator is not None:
        operator.converses, operator.at_work = converse, True
    told = {"system": system, "task": task, "tools": list(tools), "tool_set": TOOL_SET, "parser": parser}
    chat = await checkpoints.begin(session) if checkpoints is not None else ()
    if not chat:
        backend.log("agent_start", told)
    ending: Ending = "answered"
    time_left: asyncio.Timeout | None = None
    try:
        used_s = checkpoints.used_s if checkpoints is not None else 0.0
        async with backend.clock.limit(max(limits.seconds - used_s, 0.0)) as time_left:
            talk = _talk(agent, task, chat, backend, limits, operator if converse else None)
            await (talk if operator is None else _unless_stopped(talk, operator))
    except AgentEndedError as ended:
        ending = ended.ending
    except TimeoutError:
        if time_left is None or not time_left.expired():
            raise
        ending = "seconds"
    finally:
        if operator is not None:
            operator.at_work = False
    backend.log("agent_end", {"ending": ending, "answer": session.answer, "steps": session.step})
    return session.result(ending)


async def _talk(
    agent: Any, task: str, chat: Chat, backend: Backend, limits: AgentLimits, operator: Operator | None
) -> None:
    """The agent at its task, or at the chat of a checkpoint; with an operator, at one message after the other."""
    from langchain_core.messages import HumanMessage, messages_from_dict

    config = {"recursion_limit": 10 * limits.steps + 100}
    if chat:
        await agent.ainvoke({"messages": messages_from_dict(chat)}, config=config)
        return
    messages: list[Any] = []
    said: str | None = task
    while True:
        if operator is not None and not said:
            with backend.clock.waiting():
                said = await operator.message()
            if said is None:
                raise AgentEndedError("stopped")
            backend.log("operator", {"action": "message", "text": said})
        messages.append(HumanMessage(said or ""))
        state = await agent.ainvoke({"messages": messages}, config=config)
        if operator is None:
            return
        messages, said = list(state["messages"]), None


async def _unless_stopped(work: Coroutine[Any, Any, None], operator: Operator) -> None:
    """Gives the work up when the operator stops the agent. Raises AgentEndedError then."""
    task, stopped = asyncio.create_task(work), asyncio.create_task(operator.stopped.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise AgentEndedError("stopped")
        task.result()
    finally:
        for one in (task, stopped):
            one.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)


def tool_specs(tools: Sequence[str]) -> list[ToolSpec]:
    """The named tools as models are told of them."""
    found: list[ToolSpec] = []
    for name in tools:
        function = tool_schema(TOOLS[name])["function"]
        found.append(ToolSpec(name, function["description"], json.dumps(function["parameters"])))
    return found


def _for_langchain(tools: Sequence[str]) -> list[Any]:
    """The tools as LangChain lists them; the calls themselves are made by `ToolRunner`."""
    from langchain_core.tools import StructuredTool

    async def made_by_middleware(**arguments: Any) -> str:
        raise NotImplementedError

    return [
        StructuredTool(
            name=name,
            description=TOOLS[name].description,
            args_schema=tool_schema(TOOLS[name])["function"]["parameters"],
            coroutine=made_by_middleware,
        )
        for name in tools
    ]
