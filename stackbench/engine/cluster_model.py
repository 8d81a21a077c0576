"""Stands in the engine's process for the models and sandboxes that the nodes of a cluster hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from stackbench.engine.node import NodeFacts
from stackbench.errors import ModelError, UsageError
from stackbench.token_estimate import TokenEstimator
from stackbench.types import Generation, Request, TokenCount

__all__ = ["ClusterModel", "ClusterSandboxes"]


class ClusterModel:
    """Implements `Model` as far as the engine asks one that it does not hold: what it is, what keeps it busy."""

    def __init__(self, name: str, close: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self.chat = True
        self.plain_prompts = True
        self.scores_choices = False
        self.native_tools = True
        self.window: int | None = None
        self.concurrency = 1
        self.gpus = 0
        self.has_speed = True
        self.chat_templates: Sequence[str] = ()
        self._described: Mapping[str, Any] = {}
        self._hosts: Sequence[str] = ()
        self._close = close

    def learn(self, nodes: Sequence[NodeFacts]) -> None:
        """Takes what the nodes tell of theirs; at least one."""
        first = nodes[0]
        for name, value in first.traits.items():
            setattr(self, name, value)
        self.window = first.window
        self.has_speed = first.has_speed
        self.chat_templates = first.chat_templates
        self.gpus = sum(node.gpus for node in nodes)
        self.concurrency = sum(node.slots for node in nodes)
        self._described = first.model
        self._hosts = sorted(node.host for node in nodes)

    async def start(self, say: Callable[[str], None]) -> None:
        """The nodes start theirs."""

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        raise ModelError("the models of a cluster are asked on its nodes")

    async def count_tokens(self, request: Request) -> TokenCount:
        return TokenEstimator().count(request)

    def describe(self) -> Mapping[str, Any]:
        return {**self._described, "nodes": list(self._hosts)}

    async def close(self) -> None:
        await self._close()


class ClusterSandboxes:
    """Implements `RunSandboxes`: each node looks after its own."""

    def __init__(self) -> None:
        self.described: Mapping[str, str] = {}

    def describe(self) -> Mapping[str, str]:
        return self.described

    def resize(self, size: int) -> None:
        raise UsageError("the nodes of a cluster keep as many sandboxes as the run began with")

    async def engine_answers(self) -> bool:
        return True

    def begin_closing(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.close())

    async def close(self) -> None:
        """They end with their nodes."""
