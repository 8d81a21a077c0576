"""The agent: a model that is asked, calls tools and is asked again, on LangChain's loop."""

# create_agent of langchain has more type variables than a caller can name.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from stackbench.agents.base import AgentLimits, AgentResult, Backend, Ending, Script
from stackbench.agents.operator import Operator
from stackbench.agents.session import AgentEndedError, AgentSession
from stackbench.agents.tools import TOOLS, Workspace, tool_schema
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
) -> AgentResult:
    """Runs an agent at a task until it answers without a call, a limit is reached or the operator stops it.

    Args:
        task: the user's message.
        workspace: the sandbox that the tools work in.
        tools: names of the tools that it has.
        system: the system message.
        sampling: of each turn; `max_tokens` is a turn's limit.
        script: what the oracle is to do.

    Raises:
        GenerationError: the model gave no answer (a chat over its window is cut first).
        SandboxError: the container died.
    """
    from langchain.agents import create_agent
    from langchain_core.messages import HumanMessage

    from stackbench.agents.chat_model import BridgedChatModel
    from stackbench.agents.middleware import CallsInOrder, ContextWindow, CutTurns, Limits, OperatorControls, ToolRunner

    workspace.background = "process" in tools
    session = AgentSession(backend, workspace, tool_specs(tools), sampling, limits, parser, operator, script)
    controls = [OperatorControls(session, operator)] if operator is not None else []
    middleware: list[Any] = [
        CutTurns(session), Limits(session), CallsInOrder(session), *controls, ContextWindow(session),
        ToolRunner(session),
    ]  # fmt: skip
    agent = create_agent(
        BridgedChatModel(session=session), tools=_for_langchain(tools), system_prompt=system, middleware=middleware
    )
    backend.log("agent_start", {"system": system, "task": task, "tools": list(tools), "parser": parser})
    ending: Ending = "answered"
    time_left: asyncio.Timeout | None = None
    try:
        async with backend.clock.limit(limits.seconds) as time_left:
            await agent.ainvoke({"messages": [HumanMessage(task)]}, config={"recursion_limit": 10 * limits.steps + 100})
    except AgentEndedError as ended:
        ending = ended.ending
    except TimeoutError:
        if time_left is None or not time_left.expired():
            raise
        ending = "seconds"
    backend.log("agent_end", {"ending": ending, "answer": session.answer, "steps": session.step})
    return session.result(ending)


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
