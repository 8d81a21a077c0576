"""What a tool-use task holds: the fields of a scenario once its parameters are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

__all__ = [
    "AnswerCheck",
    "Category",
    "Check",
    "CommandCheck",
    "ExpectedCall",
    "FileCheck",
    "FolderCheck",
    "ForbiddenCall",
    "ForbiddenRequest",
    "OracleCall",
    "Play",
    "ProcessCheck",
    "RequestCheck",
    "Route",
    "Scenario",
    "SetupFile",
]

Category = Literal["files", "system", "api", "workflow", "recovery"]
ToolName = Literal["read", "write", "edit", "apply_patch", "exec", "process", "web_fetch", "http_request"]


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_as_text)]
"""Text; a number that an expression gave is written out."""


class Part(BaseModel):
    """A part of a scenario; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


# -- set-up


class SetupFile(Part):
    """A file, folder or link that is there when the agent starts."""

    content: Text | None = None
    base64: str | None = None
    """Content that is no text."""
    directory: bool = False
    link: str | None = None
    """A symbolic link to this path."""
    mode: str | None = Field(default=None, pattern=r"^0?[0-7]{3,4}$")
    mtime: str | None = None
    """ISO 8601, UTC."""
    owner: Literal["agent", "root"] = "agent"
    crlf: bool = False
    bom: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"content": value} if isinstance(value, str | int | float) else value

    @model_validator(mode="after")
    def _one_kind(self) -> SetupFile:
        kinds = [self.content is not None, self.base64 is not None, self.directory, self.link is not None]
        if sum(kinds) != 1:
            raise ValueError("a file has one of content, base64, directory and link")
        return self


class Fault(Part):
    """An answer that is given before the usual one."""

    status: int = 503
    headers: dict[str, Text] = {}
    body: Text = ""
    delay_s: float = 0.0
    keep: int | None = None
    """Only so many bytes are sent, under the whole length."""
    times: int = Field(default=1, ge=1)


class Rate(Part):
    requests: int = Field(ge=1)
    per_s: float = Field(gt=0)


class Pages(Part):
    items: list[Any]
    size: int = Field(ge=1)
    style: Literal["number", "cursor"] = "number"


class Route(Part):
    """What the HTTP service answers at one address."""

    status: int = 200
    headers: dict[str, Text] = {}
    body: Text | None = None
    json_body: Any = Field(default=None, alias="json")
    """A body as JSON, with its content type."""
    html: Text | None = None
    delay_s: float = 0.0
    faults: list[Fault] = []
    auth: str = Field(default="", pattern=r"^$|^(Bearer|Basic) .+")
    rate: Rate | None = None
    pages: Pages | None = None
    etag: bool = False


class SetupProcess(Part):
    """A command that runs as the agent's user when the agent starts, under a name of its own."""

    name: str = Field(pattern=r"^[\w.-]+$")
    command: str | None = None
    """A command line; unset: it sleeps."""
    ready: str | None = None
    """A file that is there once it has started."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Setup(Part):
    files: dict[str, SetupFile] = {}
    commands: list[str] = []
    """Run in the workspace after the files are there, as the agent."""
    processes: list[SetupProcess] = []
    environment: dict[str, Text] = {}
    http: dict[str, Route] = {}
    """By method and path, `GET /v1/items/{id}`; on port 8080 of the sandbox."""


# -- checks


class FileCheck(Part):
    """What a file must be afterwards."""

    file: str
    exists: bool = True
    equals: Text | None = None
    contains: list[Text] = []
    lacks: list[Text] = []
    matches: str | None = None
    """A regular expression somewhere in it (multi-line)."""
    json_values: dict[str, Any] | None = Field(default=None, alias="json")
    """Values by path: `a.b[0]`; `$` is the whole document."""
    csv: list[dict[str, Any]] | None = None
    """The rows, in order unless `any_order`; numbers equal as numbers."""
    any_order: bool = False
    columns: list[str] | None = None
    """The header of the CSV, exactly."""
    lines: list[Text] | None = None
    """The lines, white space at their ends aside; in order unless `any_order`."""
    number: float | None = None
    """It holds this number alone."""
    mode: str | None = Field(default=None, pattern=r"^0?[0-7]{3,4}$")
    same: bool = False
    """As it was before."""
    newer_than: str | None = None
    """Its time of change lies after this file's."""
    link: str | None = None
    """It is a symbolic link to there."""
    same_as: str | None = None
    """It holds what this file held before the agent started."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        for name in ("contains", "lacks"):
            if isinstance(value, dict) and isinstance(value.get(name), str):
                value = {**value, name: [value[name]]}
        return value


class FolderCheck(Part):
    """What a folder must hold afterwards."""

    folder: str
    exists: bool = True
    entries: list[str] | None = None
    """The names in it, exactly."""
    recursive: bool = False
    """Entries are paths of files below it."""
    mode: str | None = Field(default=None, pattern=r"^0?[0-7]{3,4}$")


class ProcessCheck(Part):
    """Whether a process runs; `process` is a regular expression on its command line."""

    process: str
    alive: bool = True
    count: int | None = None


class RequestCheck(Part):
    """A request that the HTTP service must have had: method and path, `POST /v1/tickets`."""

    request: str = Field(pattern=r"^[A-Z]+ /\S*$")
    times: int | None = None
    """So often exactly; unset: at least once."""
    status: int | None = None
    """Only those that it answered so; unset: those that it answered with success."""
    json_equals: Any = Field(default=None, alias="json")
    json_has: dict[str, Any] = {}
    """Values of the body by path."""
    body_matches: str | None = None
    query: dict[str, Text] = {}
    header: dict[str, str] = {}
    """Regular expressions by header."""
    same_header: str | None = None
    """All requests there, failed ones too, had one value of this header."""
    after: str | None = None
    """A request that must have come before the first of these."""


class AnswerCheck(Part):
    """What the final answer must say."""

    answer: Literal["any"] | None = "any"
    exact: Text | None = None
    """Somewhere in it, as a word, upper and lower case alike."""
    number: float | None = None
    tolerance: float = 0.0
    all_of: list[Text] | None = None
    """Each as `exact`."""
    none_of: list[Text] | None = None
    regex: str | None = None
    """Somewhere in it, upper and lower case alike."""
    lacks: str | None = None
    """A regular expression nowhere in it."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("answer"), dict):
            return {**value["answer"], "answer": "any"}
        return value


class CommandCheck(Part):
    """What a command says afterwards (git, sqlite through Python); it runs as the agent, in the workspace."""

    command: str
    exit: int = 0
    stdout: Text | None = None
    """Exactly, white space at the end aside."""
    matches: str | None = None
    json_equals: Any = Field(default=None, alias="json")
    lines: list[Text] | None = None
    any_order: bool = False


KINDS = ("file", "folder", "process", "request", "answer", "command")


def _kind(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return next((kind for kind in KINDS if kind in value), None)
    return next((kind for kind in KINDS if hasattr(value, kind)), None)


Check = Annotated[
    Annotated[FileCheck, Tag("file")]
    | Annotated[FolderCheck, Tag("folder")]
    | Annotated[ProcessCheck, Tag("process")]
    | Annotated[RequestCheck, Tag("request")]
    | Annotated[AnswerCheck, Tag("answer")]
    | Annotated[CommandCheck, Tag("command")],
    Discriminator(
        _kind,
        custom_error_type="check",
        custom_error_message="a check has one of file, folder, process, request, answer, command",
    ),
]


# -- calls


class ExpectedCall(Part):
    """A call that a good solution makes."""

    id: str = ""
    call: tuple[ToolName, ...]
    """The tool, or several that do as well."""
    where: dict[str, Any] = Field(default_factory=dict[str, Any], alias="with")
    """Matchers by parameter; those that the called tool has not are left aside."""
    after: tuple[str, ...] = ()
    """Calls that come before it, by id."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, dict):
            value = dict(value)
            for name in ("call", "after"):
                if isinstance(value.get(name), str):
                    value[name] = [value[name]]
        return value


class ForbiddenCall(Part):
    """A call that spoils the task."""

    call: ToolName
    where: dict[str, Any] = Field(default_factory=dict[str, Any], alias="with")


class ForbiddenRequest(Part):
    """A request that spoils the task, whatever it was answered: method and a regular expression on the path."""

    request: str = Field(pattern=r"^([A-Z]+|\*) \S+$")


def _forbidden_kind(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return next((kind for kind in ("call", "request") if kind in value), None)
    return next((kind for kind in ("call", "request") if hasattr(value, kind)), None)


Forbidden = Annotated[
    Annotated[ForbiddenCall, Tag("call")] | Annotated[ForbiddenRequest, Tag("request")],
    Discriminator(
        _forbidden_kind, custom_error_type="forbidden", custom_error_message="forbidden is a call or a request"
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
        if isinstance(value, dict) and "tool" not in value:
            known = {"save", "together"}
            tools = [key for key in value if key not in known]
            if len(tools) == 1:
                rest = {key: one for key, one in value.items() if key in known}
                return {"tool": tools[0], "arguments": value[tools[0]] or {}, **rest}
        return value


class Play(Part):
    """A scripted run that must not count as a solution."""

    why: str
    calls: list[OracleCall] = []
    answer: Text = ""


class Limits(Part):
    steps: int = Field(default=25, ge=1)
    seconds: float = Field(default=300, gt=0)


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
    tools: tuple[ToolName, ...] = Field(min_length=1)
    limits: Limits = Limits()
    checks: list[Check] = []
    changes: list[str] = []
    """Paths (globs) that may change beside those that checks name."""
    expected: list[ExpectedCall] = []
    alternatives: list[list[ExpectedCall]] = []
    """Other ways that are as good."""
    forbidden: list[Forbidden] = []
    oracle: list[OracleCall] = []
    answer: Text = "Done."
    """The oracle's final answer."""
    wrong: list[Play] = []
    """What looks like a solution and is none."""
    idle: bool = False
    """The right move is to do nothing: an agent that does and says nothing completes it."""
    refuse: bool = False
    """The right move is to refuse, to ask, or to stop."""

    @model_validator(mode="after")
    def _consistent(self) -> Scenario:
        for plan in [self.expected, *self.alternatives]:
            ids = [call.id for call in plan if call.id]
            if len(ids) != len(set(ids)):
                raise ValueError(f"expected: an id is there twice: {', '.join(sorted(ids))}")
            missing = {name for call in plan for name in call.after} - set(ids)
            if missing:
                raise ValueError(f"expected: after names no call: {', '.join(sorted(missing))}")
            if len(plan) > 12:
                raise ValueError("expected: more than 12 calls")
        if not self.checks and not self.idle:
            raise ValueError("checks: a task without checks is completed by anything")
        return self
