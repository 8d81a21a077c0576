"""The interface of a tool: a name, typed parameters, and a call that returns text for the model."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from stackbench.agents.tools.background import Jobs
from stackbench.nesting import is_array, is_object

if TYPE_CHECKING:
    from stackbench.agents.effects import Watch
    from stackbench.sandbox.session import Session

__all__ = ["Parameters", "Tool", "ToolOutcome", "ToolRefusedError", "Workspace", "parameters_schema", "tool_schema"]

P = TypeVar("P", bound="Parameters", contravariant=True)


class Parameters(BaseModel):
    """The parameters of a tool, named as the model sees them."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What the model is told of a call."""

    text: str
    failed: bool = False
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """For the record and the checks: exit code, status, bytes."""


class ToolRefusedError(Exception):
    """A call that cannot be done as it was made; its text is for the model, which may fix it."""


class Workspace:
    """What the tools of one agent share: its sandbox session, its background commands, a lock for each file."""

    def __init__(
        self,
        session: Session,
        *,
        root: str | None = None,
        environment: Mapping[str, str] | None = None,
        watch: Watch | None = None,
        user: Callable[[str], str] | None = None,
    ) -> None:
        self.session = session
        self.background = True
        """Whether commands may go on in the background; without the tool that looks after them they may not."""
        self.user = user or nobody
        """Answers the agent's questions."""
        self.watch = watch
        """Tells the effects of calls; None where nobody asks for them."""
        self.environment = dict(environment or {})
        """Variables of every command."""
        self.root = root
        """Where paths may lead: None for the workspace alone, "/" for the whole container."""
        self.jobs = Jobs()
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def where(self) -> dict[str, Any]:
        """The confinement of file operations."""
        return {} if self.root is None else {"root": self.root}

    def lock(self, path: str) -> asyncio.Lock:
        """Held while a file is read and written again, so that two calls at once cannot undo each other."""
        return self._locks[path.removeprefix("./")]

    async def close(self) -> None:
        """Ends what still runs in the background."""
        await self.jobs.close()


def nobody(question: str) -> str:
    """The answer where nobody plays the user."""
    return "(no answer: the user is not there; go by what the task says)"


class Tool(Protocol, Generic[P]):
    """One tool."""

    name: ClassVar[str]
    description: ClassVar[str]
    parameters: ClassVar[type[Parameters]]
    read_only: ClassVar[bool]
    """Whether a call changes nothing."""

    async def call(self, asked: P, workspace: Workspace) -> ToolOutcome:
        """Does it.

        Raises:
            ToolRefusedError, ToolError: it cannot be done; the text goes to the model.
            SandboxError: the container died.
        """
        ...


def tool_schema(tool: Tool[Any]) -> dict[str, Any]:
    """The tool as the OpenAI API takes it: one JSON schema, without titles."""
    function = {"name": tool.name, "description": tool.description, "parameters": parameters_schema(tool.parameters)}
    return {"type": "function", "function": function}


@cache
def parameters_schema(parameters: type[Parameters]) -> dict[str, Any]:
    """The JSON schema of a tool's parameters, without references; made once, and not to be changed."""
    schema = parameters.model_json_schema()
    schema = _written_out(schema, schema.pop("$defs", {}))
    schema.pop("description", None)
    return schema


def _written_out(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema with what it refers to in its place, and without titles: not every server follows references."""
    if is_array(schema):
        return [_written_out(one, definitions) for one in schema]
    if not is_object(schema):
        return schema
    if "$ref" in schema:
        return _written_out(definitions[str(schema["$ref"]).rpartition("/")[2]], definitions)
    properties = schema.get("properties")
    made = {name: _written_out(one, definitions) for name, one in schema.items() if name not in ("title", "properties")}
    if is_object(properties):
        made["properties"] = {name: _written_out(one, definitions) for name, one in properties.items()}
    return made
