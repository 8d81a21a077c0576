"""Settings of sandboxes and of agents, each declared once with its option, help and unit."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from stackbench.config.setting import Concern, Setting
from stackbench.types import ApprovalPolicy, ToolParser

__all__ = ["AgentSettings", "SandboxSettings"]


class SandboxSettings(Concern):
    """The containers that code and tools run in."""

    title: ClassVar[str] = "Sandbox"

    sandboxes: Annotated[
        int | None,
        Field(ge=1),
        Setting("Containers at once.", "N", unset="one per processor", basic=True, changeable=True, scores=True),
    ] = None
    sandbox_scope: Annotated[
        Literal["container", "sample"],
        Setting(
            "Samples share a container, each a process of its own (container), or have a new one each (sample).",
            "SCOPE",
            scores=True,
        ),
    ] = "container"
    sandbox_runtime: Annotated[
        str | None,
        Setting("The OCI runtime, such as runsc (gVisor).", "NAME", unset="the Docker engine's default", scores=True),
    ] = None
    sandbox_image: Annotated[
        str | None,
        Setting("The image.", "IMAGE", unset="what `stackbench sandbox build` makes", scores=True),
    ] = None
    sandbox_memory_mib: Annotated[
        int,
        Field(ge=256),
        Setting("Memory of a container for samples.", "MIB", flag="--sandbox-memory", unit="MiB", scores=True),
    ] = 4096
    agent_memory_mib: Annotated[
        int,
        Field(ge=256),
        Setting("Memory of a container for an agent.", "MIB", flag="--agent-memory", unit="MiB"),
    ] = 2048
    sandbox_budget_mib: Annotated[
        int | None,
        Field(ge=256),
        Setting(
            "Memory of all containers together.",
            "MIB",
            flag="--sandbox-budget",
            unset="the machine's",
            unit="MiB",
            changeable=True,
            scores=True,
        ),
    ] = None


def _policy_of_switch(value: object) -> object:
    """It was a switch once: runs recorded then, and files, have true or false."""
    return {True: "always", False: "never"}[value] if isinstance(value, bool) else value


class AgentSettings(Concern):
    """How models use tools."""

    title: ClassVar[str] = "Agent"

    tool_parser: Annotated[
        ToolParser,
        Setting(
            "Whether tool calls written into the text count too (auto), or only those made as calls (strict).",
            "HOW",
            asked=True,
        ),
    ] = "auto"
    approve_calls: Annotated[
        ApprovalPolicy,
        BeforeValidator(_policy_of_switch),
        Setting(
            "Which tool calls wait for the operator (`stackbench ctl approve`, `reject` or `edit`): none, those that "
            "may change something, or all.",
            "WHICH",
            changeable=True,
        ),
    ] = "never"
