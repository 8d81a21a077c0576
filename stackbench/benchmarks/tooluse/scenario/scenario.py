"""The fields of a scenario after its parameters are drawn: one tool-use task."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from stackbench.benchmarks.tooluse.scenario.check_fields import Check
from stackbench.benchmarks.tooluse.scenario.fields import Part, Text, kind_among
from stackbench.benchmarks.tooluse.scenario.patterns import Pattern, refuse_pattern, refuse_patterns
from stackbench.benchmarks.tooluse.scenario.setup_fields import Setup, SetupFile
from stackbench.nesting import is_object

__all__ = ["LONG", "Category", "ExpectedCall", "ForbiddenCall", "ForbiddenRequest", "OracleCall", "Play", "Scenario"]

Category = Literal["files", "system", "api", "workflow", "recovery"]
ToolName = Literal[
    "ls", "read", "write", "edit", "apply_patch", "exec", "process", "web_fetch", "http_request", "ask_user"
]


LONG = 15
"""From so many calls of its solution on, a task is a long one."""
EVERY_TOOL: tuple[ToolName, ...] = get_args(ToolName)


class ExpectedCall(Part):
    """A call that a good solution makes."""

    id: str = ""
    call: tuple[ToolName, ...]
    """The tool, or several that do as well."""
    where: dict[str, Any] = Field(default_factory=dict[str, Any], alias="with")
    """Matchers by parameter; those that the called tool has not are left aside."""
    after: tuple[str, ...] = ()
    """Calls that come before it, by id."""
    repeat: bool = False
    """It may be made in several calls: a page at a time, a file at a time."""
    optional: bool = False
    """A good solution may do without it: in a completed task it is not missed."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if is_object(value):
            value = dict(value)
            for name in ("call", "after"):
                if isinstance(value.get(name), str):
                    value[name] = [value[name]]
        return value

    @model_validator(mode="after")
    def _readable(self) -> ExpectedCall:
        refuse_patterns(self.where)
        return self


class ForbiddenCall(Part):
    """A call that spoils the task."""

    call: ToolName
    where: dict[str, Any] = Field(default_factory=dict[str, Any], alias="with")

    @model_validator(mode="after")
    def _readable(self) -> ForbiddenCall:
        refuse_patterns(self.where)
        return self


class ForbiddenRequest(Part):
    """A request that spoils the task, whatever it was answered: method and a regular expression on the path."""

    request: str = Field(pattern=r"^([A-Z]+|\*) \S+$")

    @model_validator(mode="after")
    def _readable(self) -> ForbiddenRequest:
        refuse_pattern(self.request.partition(" ")[2])
        return self


Forbidden = Annotated[
    Annotated[ForbiddenCall, Tag("call")] | Annotated[ForbiddenRequest, Tag("request")],
    Discriminator(
        kind_among("call", "request"),
        custom_error_type="forbidden",
        custom_error_message="forbidden is a call or a request",
    ),
]


class OracleCall(Part):
    """A call of a scripted solution."""

    tool: str
    arguments: dict[str, Any] = {}
    save: dict[str, str] = {}
    """Names for what a regular expression's first group finds in the result; later calls write `${name}`."""
    together: bool = False
    """In one turn with the call before."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if is_object(value) and "tool" not in value:
            known = {"save", "together"}
            tools = [key for key in value if key not in known]
            if len(tools) == 1:
                rest = {key: one for key, one in value.items() if key in known}
                return {"tool": tools[0], "arguments": value[tools[0]] or {}, **rest}
        return value


class Play(Part):
    """A scripted run: another solution, or one that must not count as a solution."""

    why: str
    calls: list[OracleCall] = []
    answer: Text = ""


class Reply(Part):
    """What the scripted user answers to a question."""

    asked: Pattern = ""
    """A regular expression on the question with its options, upper and lower case alike."""
    says: Text


class Limits(Part):
    steps: int = Field(default=25, ge=1, le=1000)
    seconds: float = Field(default=300, gt=0, le=86_400)


class Scenario(Part):
    """One task, ready to be set up."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    category: Category
    subcategory: str
    difficulty: int = Field(ge=1, le=5)
    prompt: Text = Field(min_length=20)
    setup: Setup = Setup()
    distractors: dict[str, SetupFile] = {}
    """Files that look as if they mattered."""
    tools: tuple[ToolName, ...] = Field(default=EVERY_TOOL, min_length=1)
    """Those on offer: all, some of which do not help, unless a task is to go without one."""
    user: list[Reply] = []
    """Answers to `ask_user`: the first that fits and was not given yet, else the last that fits."""
    limits: Limits = Limits()
    checks: list[Check] = []
    changes: list[str] = []
    """Paths (globs) that may change beside those that checks name; `repository/.git/refs/heads/main`, `.../index` and
    so on are paths as well."""
    meanwhile: list[str] = []
    """Paths (globs) that may change on the way and must be as they were in the end."""
    requests: list[Pattern] = []
    """Requests that may succeed beside those that checks name: regular expressions on `POST /v1/tickets`."""
    processes: list[Pattern] = []
    """Processes that may start or end beside those that checks name: regular expressions on their command line."""
    expected: list[ExpectedCall] = []
    alternatives: list[list[ExpectedCall]] = []
    """Other ways that are as good."""
    forbidden: list[Forbidden] = []
    oracle: list[OracleCall] = []
    answer: Text = "Done."
    """The oracle's final answer."""
    solutions: list[Play] = []
    """Other right ways, which must complete it with nothing wrong."""
    wrong: list[Play] = []
    """What looks like a solution and is none."""
    idle: bool = False
    """The right move is to do nothing: an agent that does and says nothing completes it."""
    refuse: bool = False
    """The right move is to refuse, to ask, or to stop."""

    @property
    def is_long(self) -> bool:
        """Whether its solution takes as many calls as that of a long task."""
        return len(self.oracle) >= LONG

    @model_validator(mode="after")
    def _consistent(self) -> Scenario:
        if not self.checks and not self.idle:
            raise ValueError("checks: a task without checks is completed by anything")
        return self
