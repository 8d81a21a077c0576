"""Types shared by all packages: requests, generations, tasks, attempts, metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from statistics import median
from typing import Any, Literal

__all__ = [
    "ApprovalPolicy",
    "AttemptKey",
    "AttemptRecord",
    "AttemptStatus",
    "AttemptSummary",
    "EventRecord",
    "FinishReason",
    "Generation",
    "Message",
    "Metric",
    "Request",
    "RunStatus",
    "Sampling",
    "Scored",
    "ServerLoad",
    "Task",
    "TokenCount",
    "ToolCall",
    "ToolCallRecord",
    "ToolParser",
    "ToolSpec",
    "Variant",
]


class FinishReason(StrEnum):
    """Why a generation ended, in the words of the OpenAI API."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


class AttemptStatus(StrEnum):
    """Whether an attempt has a score. Only `COMPLETED` is final: a resumed run makes errors again."""

    COMPLETED = "completed"
    ERROR = "error"


class RunStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


ToolParser = Literal["auto", "strict"]
"""`auto` also recognises calls that a model wrote into its text; `strict` takes those alone that came as calls."""


ApprovalPolicy = Literal["never", "risky", "always"]
"""Which tool calls wait for the operator; `risky` are those that may change something."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool, as a model wrote it: nothing in it has been checked."""

    id: str
    name: str
    arguments: str
    """JSON of an object, where the model kept to it."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that a model may call."""

    name: str
    description: str
    parameters: str
    """JSON schema of its arguments, as JSON."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    """Of an assistant's turn."""
    tool_call_id: str = ""
    """Of a turn with the role `tool`: which call it answers."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn."""

    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    """The generation ends before the first of these."""
    seed: int | None = None
    ignore_eos: bool = False
    """Go on to `max_tokens` where the model would end, so that every answer has the same length (throughput)."""
    top_k: int = 0
    """Draw from this many of the likeliest tokens; 0 for all."""
    min_p: float = 0.0
    """Leave out tokens less likely than this share of the likeliest one's probability; 0 for none."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    """1 for none, as Transformers and vLLM define it."""


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """Names one attempt within a run."""

    benchmark: str
    task_id: str
    attempt: int
    seed: int


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked: a chat (`messages`) or a text to continue (`prompt`)."""

    sampling: Sampling
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    choices: tuple[str, ...] = ()
    """Ask for the log-probability of each of these as the next token, where the model can tell."""
    reference: str = ""
    """The reference answer; only the oracle may look."""
    tools: tuple[ToolSpec, ...] = ()
    """Tools that the answer may call."""
    reference_calls: tuple[ToolCall, ...] = ()
    """The calls of the reference answer; only the oracle may look."""
    key: AttemptKey | None = None
    """Which attempt asks; a replay looks its answer up by it."""
    stream: bool = False
    """Have the answer's tokens as they are made, so that `ttft_s` and `gaps_s` are known."""
    keep_prefix: bool = False
    """More will be asked in this chat after the answer: what was read for it is worth keeping."""
    prefill: str = ""
    """How a chat's answer begins; the model continues it, and the generation's text holds what follows."""
    shared_prefix: int = 0
    """How many of the first characters of `prompt`, or of the chat's last message, other tasks' requests have too
    (few-shot examples): recorded once for all of them."""
    no_retry: bool = False
    """A failed try is the answer: what is measured must not hold one."""
    on_thought: Callable[[str], None] | None = field(default=None, compare=False)
    """Is told the pieces of a thought that comes apart from the answer, as they come, where the model streams."""
    on_text: Callable[[str], None] | None = field(default=None, compare=False)
    """Of a streamed answer, is told each piece of text."""
    on_retry: Callable[[int, float], Awaitable[None] | None] | None = field(default=None, compare=False)
    """Is told the number of each further try, from 2 on, and the seconds until it; and again when it begins, with 0:
    that try waits for what is returned then."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What a model answered."""

    text: str
    """The answer, without thoughts."""
    finish_reason: FinishReason = FinishReason.STOP
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    """From the request's entry into the model's queue to its last token."""
    ttft_s: float | None = None
    """Time to first token, where known."""
    gaps_s: tuple[float, ...] = ()
    """Of a streamed answer, the times between its pieces after the first (inter-token latencies)."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls that came as calls, in the model's own format; those written into the text are not among them."""
    choice_logprobs: tuple[float, ...] | None = None
    """Natural logarithms, in the order of `Request.choices`; -inf for a choice the server left out."""
    thought: str = ""
    """What the model wrote as its reasoning, apart from the answer."""
    first_answer_s: float | None = None
    """Time to the first token of the answer itself, after any thought, where known; `ttft_s` counts thoughts."""
    sent: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False)
    """The sampling parameters as they were sent, by their names in the request, without the texts."""


@dataclass(frozen=True, slots=True)
class TokenCount:
    """How many tokens a model reads of a request, its chat template and tools included."""

    tokens: int
    exact: bool
    """Counted by the model's own tokenizer; False for an estimate from the number of characters."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to serve a model; what is not set is as the run has it."""

    quantization: str | None = None
    batch_size: int | None = None
    """Sequences decoded together at most."""


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """What a server is doing at one moment, as it tells itself; totals count from its start."""

    running: int
    """Requests that tokens are made for."""
    waiting: int
    """Requests in its queue."""
    kv_cache: float | None
    """Share of the key/value cache in use, 0 to 1, where it has a fixed size."""
    prompt_tokens: int
    completion_tokens: int
    prefix_queries: int
    """Prompt tokens looked up in the prefix cache."""
    prefix_hits: int
    """Those found there."""
    preemptions: int
    memory_bytes: int
    """Resident memory of the processes that hold the model."""
    vram_bytes: int = 0
    """Memory in use on all GPUs of this machine."""
    restarts: int = 0
    """How often the server had to be started again."""


@dataclass(frozen=True, slots=True)
class Task:
    """One item of a benchmark; benchmarks add their fields in a subclass."""

    task_id: str
    category: str = ""

    @property
    def strata(self) -> tuple[str, ...]:
        """The groups that a limited selection is spread over, the widest first; empty where a benchmark has none."""
        return (self.category,) if self.category else ()


@dataclass(frozen=True, slots=True)
class Scored:
    """What a benchmark makes of one attempt."""

    score: float
    """0 to 1."""
    passed: bool
    prompt: str = ""
    completion: str = ""
    reason: str = ""
    """Why it passed or failed."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    metrics: Mapping[str, Any] = field(default_factory=dict[str, Any])
    thought: str = ""
    """The model's reasoning, apart from its answer."""
    program: str | None = None
    """The program that was taken out of the answer and executed, where the benchmark executes one."""
    finish_reason: FinishReason | None = None

    def of(self, prompt: str, generation: Generation) -> Scored:
        """The same score, with the prompt and the generation it belongs to."""
        return replace(
            self,
            prompt=prompt,
            completion=generation.text,
            prompt_tokens=generation.prompt_tokens,
            completion_tokens=generation.completion_tokens,
            latency_s=generation.latency_s,
            thought=generation.thought,
            finish_reason=generation.finish_reason,
        )


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """A row of `attempts`."""

    key: AttemptKey
    category: str
    status: AttemptStatus
    score: float | None
    passed: bool | None
    error: str | None
    prompt: str
    completion: str
    prompt_tokens: int
    completion_tokens: int
    started_at: datetime
    latency_s: float
    metrics: Mapping[str, Any]
    thought: str = ""
    program: str | None = None
    """The program that was taken out of the completion and executed."""
    finish_reason: FinishReason | None = None
    """`LENGTH` where any answer of the attempt, such as a turn of an agent, ended at its token limit."""
    reason: str | None = None
    """Why it passed or failed."""
    error_kind: str | None = None
    """An `ErrorKind`, of an attempt that could not be made or scored."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """A row of `events`."""

    benchmark: str
    task_id: str
    attempt: int
    seed: int | None
    """None for an event of the run itself."""
    seq: int
    ts: datetime
    kind: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCallRecord:
    """A row of `tool_calls`."""

    step: int
    """The model's turn that made the call, counted from 1."""
    tool: str
    arguments: str
    """As the model wrote them."""
    valid: bool
    """Whether it named a tool that was offered, with arguments that fit its parameters."""
    result: str | None
    """What the model was told, where the call did its work."""
    error: str | None
    """What the model was told, where it did not."""
    duration_ms: float
    call_id: str = ""
    """The call's id in its chat; not stored."""


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    """What metrics are computed from: an attempt without its texts."""

    key: AttemptKey
    category: str
    status: AttemptStatus
    score: float | None
    passed: bool | None
    latency_s: float
    completion_tokens: int
    metrics: Mapping[str, Any]
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """A number with its uncertainty; `n` counts the units (tasks, mostly) the interval rests on.

    Most have a standard error and a 95% confidence interval. The median of a few repeats of one measurement has none:
    it has the range of the repeats (`low`, `high`).
    """

    name: str
    value: float
    stderr: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    category: str = ""
    low: float | None = None
    """The least of n repeats."""
    high: float | None = None
    """The greatest of them."""

    @classmethod
    def of_repeats(cls, name: str, values: Sequence[float], category: str = "") -> Metric:
        """The median of repeats with their range. Raises ValueError for none."""
        return cls(name, median(values), None, None, None, len(values), category, min(values), max(values))
