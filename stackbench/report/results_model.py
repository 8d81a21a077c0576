"""The document that every output of a report is made from: `results.json`. Its JSON schema is docs/results.schema.json.

`python -m stackbench.report.results_model > docs/results.schema.json` writes the schema.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stackbench.nesting import is_object

__all__ = [
    "SCHEMA_VERSION",
    "Anomaly",
    "BenchmarkReport",
    "CategoryCounts",
    "Change",
    "Example",
    "Exclusion",
    "FailureKind",
    "Gate",
    "Latency",
    "Measure",
    "PairedComparison",
    "PassAtK",
    "Price",
    "PublishedResult",
    "Results",
    "RunReport",
    "SeedScore",
    "Settings",
    "Stage",
    "TaskOutcome",
    "results_schema",
    "section",
]

SCHEMA_VERSION = 1


class Part(BaseModel):
    """Base of every part of the document."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Measure(Part):
    """A number with its uncertainty, as the run recorded it."""

    name: str
    category: str = ""
    """Empty for the whole benchmark."""
    value: float
    stderr: float | None = None
    low: float | None = None
    """Lower end of the interval."""
    high: float | None = None
    interval: Literal["confidence", "range"] | None = None
    """`confidence`: of 95%; `range`: least and greatest of n repeats; None: there is no interval."""
    n: int
    """Units that the interval rests on: tasks, or repeats."""
    minimum_detectable_effect: float | None = None
    """The smallest true difference to another run, of as many other tasks, that is found four times in five."""
    at_most: float | None = None
    """The greatest value that it can have, 1 for shares; None for amounts, and where that is not known."""
    counted: bool = True
    """Whether each unit has it or has not; else a unit may have any part of it."""


class PassAtK(Part):
    """The unbiased estimate of pass@k (Chen et al. 2021) for one k."""

    k: int
    value: float
    low: float | None
    high: float | None
    n: int
    """Tasks."""


class SeedScore(Part):
    """The share of passed attempts of one seed, a task's attempts averaged first."""

    seed: int
    tasks: int
    attempts: int
    value: float
    low: float | None
    high: float | None


class CategoryCounts(Part):
    """Attempts at the tasks of one category."""

    category: str
    tasks: int
    attempts: int
    """Completed ones."""
    passed: int
    errors: int
    value: float | None
    """Share of passed attempts, a task's attempts averaged first; None without a completed attempt."""
    low: float | None
    high: float | None


class TaskOutcome(Part):
    """All attempts at one task."""

    task_id: str
    category: str
    attempts: int
    completed: int
    passed: int
    errors: int
    score: float | None
    """Mean over the completed attempts."""


class FailureKind(Part):
    """Attempts that did not pass for one reason; `...` stands where they differ."""

    is_error: bool
    """They could be neither made nor scored; otherwise the model's answer is wrong."""
    reason: str
    attempts: int
    tasks: int
    task_ids: tuple[str, ...]
    """The first ones."""


class Example(Part):
    """One attempt as it was: prompt and answer, cut where they are long."""

    task_id: str
    attempt: int
    seed: int
    passed: bool
    reason: str
    prompt: str
    prompt_characters: int
    """Before it was cut."""
    answer: str
    answer_characters: int


class Exclusion(Part):
    """Something that no score holds."""

    kind: Literal["error", "skipped", "not_selected", "not_attempted"]
    reason: str
    count: int
    """Attempts for `error` and `not_attempted`, tasks for `not_selected`, 1 for a benchmark that was skipped."""
    items: tuple[str, ...] = ()
    """Names of what is left out, where single tasks or attempts are."""


class Stage(Part):
    """A part of an attempt's time."""

    name: Literal["first token", "rest of the answer", "code execution", "tools"]
    mean_s: float
    """Mean over the completed attempts."""


class Latency(Part):
    """Seconds and tokens of the completed attempts of a benchmark."""

    n: int
    """Attempts."""
    p50_s: float
    p90_s: float
    p99_s: float
    max_s: float
    stages: tuple[Stage, ...]
    """What the mean attempt's time consists of."""
    prompt_tokens: int
    completion_tokens: int


class Settings(Part):
    """What a benchmark's numbers were measured with."""

    prompt_form: str
    """`chat`, `chat with examples as turns`, `text to continue`, `agent with tools`, `recorded samples`, ..."""
    system_prompt: str | None
    prefill: str
    shots: int | None
    """Examples that each prompt shows; None where the benchmark never shows any, or that is not known."""
    options: dict[str, Any]
    """The benchmark's own, with defaults filled in: style, scenarios, loads."""
    sampling: dict[str, Any]
    """As it was sent with the requests; a list where requests differ."""
    sampling_not_set: str
    """Who decides what is not set: `neutral`, or the checkpoint's generation_config."""
    attempts_per_task: float
    """Of one seed."""
    seeds: tuple[int, ...]
    extraction: str
    """How an answer is read from the model's text."""
    datasets: dict[str, str]
    """sha256 of each file of tasks."""
    timeout_s: float | None
    """As the user set it; None: the benchmark's own."""
    sandbox: dict[str, Any]
    """Image and limits, where code or tools ran."""


class BenchmarkReport(Part):
    """One benchmark of a run."""

    name: str
    title: str
    known: bool
    """Whether this version of stackbench has it; otherwise only what was recorded is shown."""
    description: str
    limits: tuple[str, ...]
    """What its scores do not tell."""
    citation: str
    headline: str | None
    """Name of the measure that it is known by; None where it has none."""
    tasks_available: int | None
    tasks_planned: int
    tasks_completed: int
    attempts_planned: int | None
    attempts: int
    errors: int
    cut: int
    """Completed attempts whose answer ended at the token limit."""
    partial: dict[str, str]
    """Why the score is not of the whole benchmark, by kind."""
    lower_bounds: dict[str, float]
    """Measures with attempts in error counted as failures."""
    missing: dict[str, str]
    """Measures that the attempts did not give, with the reason."""
    caveats: tuple[str, ...]
    settings: Settings
    measures: tuple[Measure, ...]
    pass_at_k: tuple[PassAtK, ...]
    """For k from 1 to the number of attempts that every task has; empty for one attempt."""
    seeds: tuple[SeedScore, ...]
    """Empty for one seed."""
    seed_sd: float | None
    """Standard deviation of the seeds' scores."""
    categories: tuple[CategoryCounts, ...]
    latency: Latency | None
    failures: tuple[FailureKind, ...]
    examples: tuple[Example, ...]
    exclusions: tuple[Exclusion, ...]
    tasks: tuple[TaskOutcome, ...]

    @property
    def head(self) -> Measure | None:
        """The headline's measure."""
        return next((one for one in self.measures if one.name == self.headline and not one.category), None)


class Gate(Part):
    """A bound that a measure had to keep."""

    name: str
    measure: str
    bounds: str
    value: float | None
    passed: bool
    verdict: Literal["", "pass", "fail", "undecided"] = ""
    """Of a gate on the difference to a baseline."""
    low: float | None = None
    """Of the difference's interval."""
    high: float | None = None
    needed: int | None = None
    """Independent attempts that would decide an undecided gate."""
    why: str = ""
    """Why there is no value, or no interval of a difference."""


class Anomaly(Part):
    """Something about a run that a reader must know before the scores."""

    kind: Literal["fault", "hint"]
    """`fault`: it cannot be, and the run has failed; `hint`: it may have an innocent reason."""
    text: str


class Change(Part):
    """What an operator changed while the run went on."""

    at: str
    who: str
    what: str


class Price(Part):
    """What the tokens of a run cost by the price table that it was recorded with."""

    amount: float
    currency: str
    pattern: str


class RunReport(Part):
    """One run."""

    run_id: str
    suite: str
    status: str
    model: str
    harness_check: bool
    """`oracle` and `null` check the harness: they are no models."""
    created_at: str
    """UTC."""
    finished_at: str | None
    seconds: float
    seeds: tuple[int, ...]
    git_commit: str | None
    config: dict[str, Any]
    environment: dict[str, Any]
    cost: Price | None
    gates: tuple[Gate, ...]
    changes: tuple[Change, ...]
    anomalies: tuple[Anomaly, ...] = ()
    skipped: dict[str, str]
    benchmarks: tuple[BenchmarkReport, ...]


class PairedComparison(Part):
    """Two runs at the tasks of one benchmark that both completed; second minus first."""

    benchmark: str
    first_run: str
    second_run: str
    n: int
    """Tasks."""
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    better: int
    """Tasks with a higher score in the second run."""
    worse: int
    p_value: float | None
    """None for too few tasks, of which only counts are told."""
    p_adjusted: float | None
    """Holm's, over all p-values of these two runs."""
    test: str
    minimum_detectable_effect: float | None
    why_counts: str = ""
    """Why there is neither interval nor p-value."""


class PublishedResult(Part):
    """A published result of another model beside a run's figure; a share, as the run's is."""

    benchmark: str
    measure: str
    model: str
    value: float
    low: float
    """Of Wilson's interval on its tasks."""
    high: float
    n: int
    comparability: Literal["close", "partly", "not"]
    """How far it compares with these runs."""
    other_tasks: str = ""
    """How the runs' tasks are others, where that makes a result compare in part that would compare closely."""
    source: str
    where: str
    setting: str
    note: str


class Results(Part):
    """Everything that a report says."""

    schema_version: Literal[1] = SCHEMA_VERSION
    stackbench: str
    """The version that wrote this document."""
    runs: tuple[RunReport, ...] = Field(min_length=1)
    comparisons: tuple[PairedComparison, ...] = ()
    published: tuple[PublishedResult, ...] = ()
    """Of other models, at the benchmarks and measures of these runs."""
    warnings: tuple[str, ...] = ()
    """What makes runs less than comparable."""


def section(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object within a document of unknown shape; empty where there is none."""
    found = document.get(name)
    return found if is_object(found) else {}


def results_schema() -> dict[str, Any]:
    """The JSON schema of `results.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Results.model_json_schema()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(results_schema(), indent=2) + "\n")
