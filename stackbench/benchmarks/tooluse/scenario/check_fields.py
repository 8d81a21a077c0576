"""The fields of a scenario's checks: conditions on the final state."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from stackbench.benchmarks.tooluse.scenario.fields import Part, Text, kind_among
from stackbench.benchmarks.tooluse.scenario.patterns import Pattern
from stackbench.nesting import is_object

__all__ = [
    "AnswerCheck",
    "AskedCheck",
    "Check",
    "CommandCheck",
    "FileCheck",
    "FolderCheck",
    "LookedCheck",
    "ProcessCheck",
    "RequestCheck",
    "check_kind",
]


class FileCheck(Part):
    """What a file must be afterwards."""

    file: str
    exists: bool = True
    equals: Text | None = None
    contains: list[Text] = []
    lacks: list[Text] = []
    matches: Pattern | None = None
    """A regular expression somewhere in it (multi-line)."""
    json_values: dict[str, Any] | None = Field(default=None, alias="json")
    """Values by path: `a.b[0]`; `$` is the whole document. An object of which members are named has no others."""
    csv: list[dict[str, Any]] | None = None
    """The rows, in order unless `any_order`; numbers equal as numbers."""
    any_order: bool = False
    columns: list[str] | None = None
    """The header of the CSV, exactly."""
    yaml_values: dict[str, Any] | None = Field(default=None, alias="yaml")
    """As `json`, of a YAML document; its scalars are compared as they are written."""
    decimals: dict[str, int] = {}
    """How many places the numbers in a column of the CSV have."""
    more: bool = False
    """A document of `json` or `yaml` may have members, a row of `csv` cells, that are not named."""
    lines: list[Text] | None = None
    """The lines, white space at their ends aside; in order unless `any_order`."""
    number: float | None = None
    """It holds this number alone."""
    mode: str | None = Field(default=None, pattern=r"^0?[0-7]{3,4}$")
    """Alone: its content is as it was. Unset: a file that was there keeps its mode, a new one is not open to all."""
    any_mode: bool = False
    """Its mode does not matter."""
    same: bool = False
    """As it was before."""
    newer_than: str | None = None
    """Its time of change lies after this file's."""
    link: str | None = None
    """It is a symbolic link to there; a slash at the end does not count."""
    same_as: str | None = None
    """It holds what this file held before the agent started."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        for name in ("contains", "lacks"):
            if is_object(value) and isinstance(value.get(name), str):
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

    process: Pattern
    alive: bool = True
    count: int | None = None


class RequestCheck(Part):
    """A request that the HTTP service must have had: method and path, `POST /v1/tickets`, or `GET|HEAD /v1/tickets`."""

    request: str = Field(pattern=r"^[A-Z]+(\|[A-Z]+)* /\S*$")
    times: int | None = None
    """So often exactly; unset: at least once."""
    status: int | None = None
    """Only those that it answered so; unset: those that it answered with success."""
    json_equals: Any = Field(default=None, alias="json")
    json_has: dict[str, Any] = {}
    """Values of the body by path."""
    body_matches: Pattern | None = None
    query: dict[str, Text] = {}
    header: dict[str, Pattern] = {}
    """Regular expressions by header."""
    same_header: str | None = None
    """All requests there, failed ones too, had one value of this header."""
    sequence: list[Any] | None = None
    """The JSON bodies of those that were answered so, exactly and in order."""
    after: str | None = None
    """A request that must have come before the first of these."""

    def names(self, method: str, path: str) -> bool:
        """Whether it is about requests of this method to this path."""
        methods, _, named = self.request.partition(" ")
        return path == named and method in methods.split("|")


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
    among: list[Text] | None = None
    """What `exact` is picked from: at most one other of them may be named, and neither before it nor more often."""
    file: str | None = None
    """It names what this file holds."""
    output: str | None = None
    """It names what this command prints; it runs as that of a `command` check does."""
    regex: Pattern | None = None
    """Somewhere in it, upper and lower case alike."""
    lacks: Pattern | None = None
    """A regular expression nowhere in it."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if is_object(value) and is_object(value.get("answer")):
            return {**value["answer"], "answer": "any"}
        return value


class CommandCheck(Part):
    """What a command says afterwards (git, sqlite through Python); it runs as the agent, in the workspace."""

    command: str
    exit: int = 0
    stdout: Text | None = None
    """Exactly, white space at the end aside."""
    matches: Pattern | None = None
    json_equals: Any = Field(default=None, alias="json")
    lines: list[Text] | None = None
    any_order: bool = False


class LookedCheck(Part):
    """A file that the agent must have read, or a folder that it must have listed, by whatever tool or program.
    `processes`: it has run a command, by which alone processes can be seen, and that printed something."""

    looked: str


class AskedCheck(Part):
    """A question that the agent must have put to the user, as a regular expression on it and its options."""

    asked: Pattern


# A check of the answer may have a file as well, so it is told first.
check_kind = kind_among("answer", "file", "folder", "process", "request", "command", "looked", "asked")

Check = Annotated[
    Annotated[FileCheck, Tag("file")]
    | Annotated[FolderCheck, Tag("folder")]
    | Annotated[ProcessCheck, Tag("process")]
    | Annotated[RequestCheck, Tag("request")]
    | Annotated[AnswerCheck, Tag("answer")]
    | Annotated[CommandCheck, Tag("command")]
    | Annotated[LookedCheck, Tag("looked")]
    | Annotated[AskedCheck, Tag("asked")],
    Discriminator(
        check_kind,
        custom_error_type="check",
        custom_error_message="a check has one of file, folder, process, request, answer, command, looked, asked",
    ),
]
