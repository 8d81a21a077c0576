"""Everything a watcher or an operator and the engine say to each other, as typed models told apart by `kind`.

Each message is one line of JSON. A client sends requests, each with an `id` of its own; the engine answers with the
same `id` and sends events to those who subscribed. docs/protocol.md is generated from these models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

__all__ = [
    "PROTOCOL",
    "Answer",
    "AttemptFinished",
    "AttemptQueued",
    "AttemptRef",
    "AttemptStarted",
    "AttemptText",
    "AttemptWaiting",
    "BenchmarkFinished",
    "BenchmarkSkipped",
    "BenchmarkStarted",
    "CallDecided",
    "CallWaiting",
    "Command",
    "CommandOutput",
    "Event",
    "EventKind",
    "Gauges",
    "Hello",
    "MetricValue",
    "Missed",
    "Notice",
    "OperatorAction",
    "Query",
    "Refusal",
    "Reply",
    "Request",
    "Rows",
    "RunFinished",
    "RunQueued",
    "RunStarted",
    "Subscribe",
    "ToolCallEnded",
    "ToolCallStarted",
    "WaitReason",
    "Welcome",
    "reply_adapter",
    "request_adapter",
]

PROTOCOL = 1
"""Raised by every change that an older client or engine would misread; new kinds and fields do not raise it."""

WaitReason = Literal["slot", "model", "retry", "container", "tests", "operator"]
"""What an attempt waits for: a free place at the model, the model's answer, another try of a request, a sandbox
container, the execution of its code, a decision of the operator."""


class _Message(BaseModel):
    """Fields that a newer peer adds are ignored."""

    # deferred: most programs speak of few kinds, and to build all takes a tenth of a short command
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


# -- what a client sends


class Hello(_Message):
    """The first message of a connection."""

    kind: Literal["hello"] = "hello"
    id: int = 0
    protocol: int = PROTOCOL
    client: str = ""
    """Name of the client program, for the operator's record."""


class Query(_Message):
    """A user's SQL statement; it only reads. The answer's body is the rendered result."""

    kind: Literal["query"] = "query"
    id: int
    sql: str
    format: str = "json"
    """`table`, `json`, `jsonl`, `csv` or `parquet`."""
    most_rows: int | None = None
    """Of a `table`: the query ends after so many rows."""


class Rows(_Message):
    """A typed read of stackbench's own with bound parameters. The answer's body is a JSON list of rows."""

    kind: Literal["rows"] = "rows"
    id: int
    sql: str
    parameters: tuple[Any, ...] = ()


class Subscribe(_Message):
    """Asks for events from a sequence number on."""

    kind: Literal["subscribe"] = "subscribe"
    id: int
    since: int | None = None
    """The first sequence number wanted; unset: only what happens from now on. Events that the engine no longer holds
    are reported as missed."""
    run_id: str | None = None
    """Only events of this run."""
    text: bool = True
    """Whether pieces of streamed text are wanted."""


class Command(_Message):
    """A verb of the operator's."""

    kind: Literal["command"] = "command"
    id: int
    verb: str
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any])
    dry_run: bool = False
    """Only tell what would change."""
    who: str = ""
    """Who asks, as recorded: `ctl`, `tui`, `voice`."""


# -- what the engine answers


class Welcome(_Message):
    """The answer to a hello."""

    kind: Literal["welcome"] = "welcome"
    id: int = 0
    protocol: int = PROTOCOL
    version: str
    """Of stackbench."""
    pid: int
    home: str
    started_at: str
    """UTC, ISO 8601."""
    seq: int
    """The next event's sequence number."""


class Answer(_Message):
    """A request was carried out. `size` bytes follow the line, where it is not 0."""

    kind: Literal["answer"] = "answer"
    id: int
    size: int = 0
    value: Any = None


class Refusal(_Message):
    """A request was not carried out."""

    kind: Literal["refusal"] = "refusal"
    id: int | None = None
    error: str
    """One line: what is wrong and what to do."""
    fault: Literal["usage", "store", "protocol"] = "usage"


class Missed(_Message):
    """Events that this subscriber did not get: it read too slowly, or asked for some that are no longer held."""

    kind: Literal["missed"] = "missed"
    count: int
    up_to: int
    """Sequence number of the last event that is accounted for."""


# -- what happens


class AttemptRef(_Message):
    """Names the attempt that an event belongs to."""

    benchmark: str
    task_id: str
    attempt: int
    seed: int


class MetricValue(_Message):
    """A metric as it stands in the database."""

    name: str
    value: float
    stderr: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    low: float | None = None
    """Of a metric that is the median of repeats: the least of them."""
    high: float | None = None
    n: int | None = None
    category: str = ""


class RunQueued(_Message):
    """A run waits for those before it."""

    kind: Literal["run_queued"] = "run_queued"
    suite: str
    model: str
    position: int
    """0: the next one."""


class RunStarted(_Message):
    """The run is recorded and its attempts begin."""

    kind: Literal["run_started"] = "run_started"
    suite: str
    model: str


class RunFinished(_Message):
    """The run has ended; `outcome` is the document that `--json` prints."""

    kind: Literal["run_finished"] = "run_finished"
    status: str
    outcome: dict[str, Any] = Field(default_factory=dict[str, Any])
    error: str = ""
    """Why it could not be run, where it could not."""
    exit_code: int = 3
    """What the process that asked for it exits with, where it could not be run."""


class BenchmarkStarted(_Message):
    """A benchmark's attempts begin."""

    kind: Literal["benchmark_started"] = "benchmark_started"
    benchmark: str
    total: int
    """Attempts to be made, those of earlier parts of the run included."""
    done: int
    """Of them, made by an earlier part of the run."""
    passed: int


class BenchmarkFinished(_Message):
    """A benchmark's attempts have ended and its metrics are known."""

    kind: Literal["benchmark_finished"] = "benchmark_finished"
    benchmark: str
    tasks: int
    attempts: int
    errors: int
    metrics: tuple[MetricValue, ...] = ()


class BenchmarkSkipped(_Message):
    """A benchmark could not be run; the suite goes on."""

    kind: Literal["benchmark_skipped"] = "benchmark_skipped"
    benchmark: str
    reason: str


class AttemptQueued(_Message):
    """An attempt is put (back) into the queue."""

    kind: Literal["attempt_queued"] = "attempt_queued"
    attempt: AttemptRef


class AttemptStarted(_Message):
    """An attempt begins."""

    kind: Literal["attempt_started"] = "attempt_started"
    attempt: AttemptRef


class AttemptWaiting(_Message):
    """What an attempt has waited for a moment (50 to 100 ms), and still does. Shorter waits are not told."""

    kind: Literal["attempt_waiting"] = "attempt_waiting"
    attempt: AttemptRef
    reason: WaitReason
    detail: str = ""
    """For example `try 3 in 12 s`."""


class AttemptText(_Message):
    """A piece of streamed text. A slow subscriber may miss some."""

    kind: Literal["attempt_text"] = "attempt_text"
    attempt: AttemptRef
    step: int
    """The model's turn, counted from 1."""
    text: str
    thought: bool = False
    """Whether it is of a thought that comes apart from the answer."""


class ToolCallStarted(_Message):
    """An agent makes a tool call."""

    kind: Literal["tool_call_started"] = "tool_call_started"
    attempt: AttemptRef
    step: int
    call_id: str
    tool: str
    arguments: str
    """As the model wrote them."""


class ToolCallEnded(_Message):
    """A tool call has ended."""

    kind: Literal["tool_call_ended"] = "tool_call_ended"
    attempt: AttemptRef
    step: int
    call_id: str
    tool: str
    output: str
    """What the model is given."""
    failed: bool
    duration_ms: float


class CommandOutput(_Message):
    """A piece of what an agent's command writes. A slow subscriber may miss some."""

    kind: Literal["command_output"] = "command_output"
    attempt: AttemptRef
    command: str
    """The agent's name for the command: s1, s2 ..."""
    text: str


class CallWaiting(_Message):
    """A tool call waits for the operator: `approve`, `edit` or `reject`."""

    kind: Literal["call_waiting"] = "call_waiting"
    attempt: AttemptRef
    call: str
    """The number by which the verbs name it."""
    call_id: str
    tool: str
    arguments: str
    """As the model wrote them."""
    risky: bool
    """Whether it may change something."""


class CallDecided(_Message):
    """A tool call no longer waits for the operator."""

    kind: Literal["call_decided"] = "call_decided"
    attempt: AttemptRef
    call: str
    call_id: str
    verdict: str
    """`approve`, `edit`, `reject`; `given up` where the agent ended first."""


class AttemptFinished(_Message):
    """An attempt has its verdict, or ended in an error (`passed` is None), and is queued for the database."""

    kind: Literal["attempt_finished"] = "attempt_finished"
    attempt: AttemptRef
    passed: bool | None
    reason: str = ""
    completion_tokens: int = 0
    cut: bool = False
    """Whether an answer of it ended at its token limit."""


class Gauges(_Message):
    """The machine's and the model's load, about once a second. A slow subscriber may miss some."""

    kind: Literal["gauges"] = "gauges"
    values: dict[str, float | None]
    """By the column names of the table `resources`; `completion_tokens` are those of the run so far."""


class Notice(_Message):
    """A line for the operator."""

    kind: Literal["notice"] = "notice"
    text: str


class OperatorAction(_Message):
    """An operator's verb was carried out."""

    kind: Literal["operator"] = "operator"
    verb: str
    who: str
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any])
    old: Any = None
    new: Any = None


EventKind = Annotated[
    RunQueued
    | RunStarted
    | RunFinished
    | BenchmarkStarted
    | BenchmarkFinished
    | BenchmarkSkipped
    | AttemptQueued
    | AttemptStarted
    | AttemptWaiting
    | AttemptText
    | ToolCallStarted
    | ToolCallEnded
    | CommandOutput
    | CallWaiting
    | CallDecided
    | AttemptFinished
    | Gauges
    | Notice
    | OperatorAction,
    Field(discriminator="kind"),
]


class Event(_Message):
    """Something that happened, in the order of `seq`, which counts from 1 in the life of one engine."""

    kind: Literal["event"] = "event"
    seq: int
    ts: str
    """UTC, ISO 8601."""
    run_id: str
    """Empty for what belongs to no run."""
    what: EventKind


Request = Annotated[Hello | Query | Rows | Subscribe | Command, Field(discriminator="kind")]
Reply = Annotated[Welcome | Answer | Refusal | Missed | Event, Field(discriminator="kind")]

_DEFERRED = ConfigDict(defer_build=True)
request_adapter: TypeAdapter[Request] = TypeAdapter(Request, config=_DEFERRED)
reply_adapter: TypeAdapter[Reply] = TypeAdapter(Reply, config=_DEFERRED)
