"""The fields of a scenario's initial state: files, commands, processes, the HTTP service."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from stackbench.benchmarks.tooluse.scenario.fields import Part, Text

__all__ = ["Fault", "Pages", "Rate", "Route", "Setup", "SetupFile", "SetupProcess", "Store"]

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


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

    status: int = Field(default=503, ge=100, le=599)
    headers: dict[str, Text] = {}
    body: Text = ""
    delay_s: float = Field(default=0.0, ge=0, le=3600)
    keep: int | None = Field(default=None, ge=0)
    """Only so many bytes are sent, under the whole length."""
    times: int = Field(default=1, ge=1, le=1_000_000)


class Rate(Part):
    requests: int = Field(ge=1, le=1_000_000)
    per_s: float = Field(gt=0, le=86_400)


class Pages(Part):
    items: list[Any]
    size: int = Field(ge=1, le=1_000_000)
    style: Literal["number", "cursor"] = "number"


class Store(Part):
    """What a `STORE` route keeps and changes: items of a collection, or one document."""

    items: list[dict[str, Any]] = []
    document: dict[str, Any] | None = None
    key: str = "id"
    """The member by which an item is found at its path."""
    methods: tuple[Method, ...] = ("GET", "POST", "PUT", "PATCH", "DELETE")
    schema_of: dict[str, Any] | None = Field(default=None, alias="schema")
    """What a body must be: a subset of JSON Schema. Others are refused with 422."""
    ids: list[Any] = []
    """Of the items that are added, in order; then numbers."""
    adds: dict[str, Any] = {}
    """Members that every added item gets."""

    @model_validator(mode="after")
    def _one_kind(self) -> Store:
        if self.document is not None and self.items:
            raise ValueError("a store has items or a document")
        return self


class Route(Part):
    """What the HTTP service answers at one address."""

    status: int = Field(default=200, ge=100, le=599)
    headers: dict[str, Text] = {}
    body: Text | None = None
    json_body: Any = Field(default=None, alias="json")
    """A body as JSON, with its content type."""
    html: Text | None = None
    delay_s: float = Field(default=0.0, ge=0, le=3600)
    faults: list[Fault] = []
    auth: str = Field(default="", pattern=r"^$|^(Bearer|Basic) .+")
    rate: Rate | None = None
    pages: Pages | None = None
    etag: bool = False
    store: Store | None = None
    """For `STORE /items`."""


class SetupProcess(Part):
    """A command that runs as the agent's user when the agent starts, under a name of its own."""

    name: str = Field(pattern=r"^[\w.-]+$")
    command: str | None = None
    """A command line; unset: it sleeps."""
    ready: str | None = None
    """A file that is there once it has started."""
    pid_files: dict[str, Text] = {}
    """Files that are written once it has started; PID in their content becomes its process id."""

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
    """By method and path, `GET /v1/items/{id}`, on port 8080 of the sandbox; `STORE /v1/items` keeps its items."""

    @model_validator(mode="after")
    def _stores(self) -> Setup:
        for name, route in self.http.items():
            if name.startswith("STORE ") != (route.store is not None):
                raise ValueError(f"http: {name}: STORE and store belong together")
        return self

    @property
    def changing_requests(self) -> dict[str, int]:
        """Requests that change something, `POST /v1/items`, with the status that they are answered with."""
        found: dict[str, int] = {}
        for name, route in self.http.items():
            method, _, path = name.partition(" ")
            if route.store is None:
                if method not in ("GET", "HEAD", "OPTIONS"):
                    found[name] = route.status
                continue
            one = path if route.store.document is not None else f"{path}/{{id}}"
            for changing in set(route.store.methods) - {"GET"}:
                if changing == "POST" and route.store.document is None:
                    found[f"POST {path}"] = 201
                elif changing != "POST":
                    found[f"{changing} {one}"] = 204 if changing == "DELETE" else 200
        return found
