"""What a run is to do, complete enough to be stored and resumed."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stackbench.config import Settings
from stackbench.config.run_settings import Limit, MaxTokens, Samples, Temperature
from stackbench.nesting import is_object

__all__ = ["BenchmarkPlan", "Gate", "RunPlan"]

SEVERAL_ATTEMPTS_TEMPERATURE = 0.8
NUMBER = r"\d+(?:\.\d+)?"
GATE = re.compile(
    r"\s*(?P<benchmark>[\w-]+)\.(?P<metric>[^\s/<>=]+)(?:/(?P<category>[^\s<>=]+))?\s*(?P<sign>>=|<=)\s*"
    rf"(?:(?P<number>{NUMBER})\s*(?P<percent>%)?|(?P<baseline>baseline)(?:\s*-\s*(?P<points>{NUMBER})\s*points?)?)\s*"
)


class BenchmarkPlan(BaseModel):
    """One benchmark of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    limit: Limit = None
    """See `stackbench.engine.selection`."""
    sample_ids: tuple[str, ...] = ()
    """Only these tasks."""
    samples: Samples | None = None
    """Attempts per task and seed; unset: the run's."""
    temperature: Temperature = None
    max_tokens: MaxTokens = None
    options: dict[str, Any] = Field(default_factory=dict[str, Any])
    """The benchmark's own options."""
    optional: bool = False
    """Begins when the others leave room, and is the first to be cut where time is short."""
    priority: int | None = Field(default=None, ge=1)
    """Under `max_hours` lower ones go first; unset: as usual for the benchmark."""

    @model_validator(mode="before")
    @classmethod
    def _plain_keys(cls, data: Any) -> Any:
        """Hyphens may stand for underscores, as in files of settings."""
        return {key.replace("-", "_"): value for key, value in data.items()} if is_object(data) else data


class Gate(BaseModel):
    """Bounds that a metric must keep for the run to count as a success."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    benchmark: str
    metric: str
    on: Literal["value", "ci_low", "ci_high"] = "value"
    """What must keep them: the metric's value, or a bound of its 95% interval."""
    min: float | None = None
    """Not below this; suites may call it `threshold`."""
    max: float | None = None
    """Not above this."""
    margin: float | None = Field(default=None, ge=0, lt=1)
    """In place of bounds: not worse than the baseline by more than this share, by the paired difference."""
    category: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, data: Any) -> Any:
        """`humaneval.pass@1 >= 0.8`, and `>= baseline - 2 points`."""
        return read_gate(data) if isinstance(data, str) else data

    @model_validator(mode="before")
    @classmethod
    def _read_threshold(cls, data: Any) -> Any:
        if not is_object(data) or "threshold" not in data:
            return data
        given = dict(data)
        if given.get("min") is not None:
            raise ValueError("threshold and min are two names of one bound; give one of them")
        given["min"] = given.pop("threshold")
        return given

    @model_validator(mode="after")
    def _check_bounds(self) -> Gate:
        if self.margin is not None and (self.min is not None or self.max is not None):
            raise ValueError("margin compares with the baseline; leave min and max out")
        if self.min is None and self.max is None and self.margin is None:
            raise ValueError("give min, max or both, or margin")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self

    @property
    def threshold(self) -> float:
        """The bound, for readers of one number: the lower one where there are two; of a margin the difference."""
        if self.margin is not None:
            return -self.margin
        bound = self.max if self.min is None else self.min
        assert bound is not None
        return bound


def read_gate(text: str) -> dict[str, Any]:
    """The fields of a gate that is written as `BENCHMARK.METRIC[/CATEGORY] >= BOUND`.

    A bound is a number, a percentage, `baseline` or `baseline - N points`. Raises ValueError for anything else.
    """
    found = GATE.fullmatch(text)
    if found is None:
        raise ValueError(
            f'"{text}" is no gate; write it like "humaneval.pass@1 >= 0.8" or "... >= baseline - 2 points"'
        )
    fields: dict[str, Any] = {"name": text.strip(), "benchmark": found["benchmark"], "metric": found["metric"]}
    fields["category"] = found["category"] or ""
    if found["baseline"]:
        if found["sign"] == "<=":
            raise ValueError(f'"{text}": a baseline is a lower bound; write >=')
        return fields | {"margin": float(found["points"] or 0) / 100}
    number = float(found["number"]) / (100 if found["percent"] else 1)
    return fields | {"min" if found["sign"] == ">=" else "max": number}


class RunPlan(BaseModel):
    """A whole run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suite: str
    settings: Settings
    benchmarks: tuple[BenchmarkPlan, ...]
    gates: tuple[Gate, ...] = ()
    samples_file: str | None = None
    """Set when recorded samples are scored and no model is asked."""
    samples_sha256: str | None = None
    """Of that file; a resumed run refuses an altered one."""
    name: str = ""
    """What the user calls the run."""
    tags: tuple[str, ...] = ()
    shard: str = Field(default="", pattern=r"^$|^[1-9]\d{0,5}/[1-9]\d{0,5}$")
    """`2/8`: of each benchmark's tasks the second of eight parts; empty: all."""
    replays: str | None = None
    """The id of the run whose answers this one takes, and as which it asks."""

    def attempts(self, plan: BenchmarkPlan) -> int:
        """Attempts per task and seed."""
        return plan.samples or self.settings.samples

    def copies(self, plan: BenchmarkPlan) -> bool:
        """Whether a task gets several attempts that nothing makes differ."""
        return self.attempts(plan) > 1 and self.temperature(plan) == 0

    def temperature(self, plan: BenchmarkPlan) -> float:
        """0 for one attempt per task; several attempts need variety to differ."""
        for chosen in (plan.temperature, self.settings.temperature):
            if chosen is not None:
                return chosen
        return SEVERAL_ATTEMPTS_TEMPERATURE if self.attempts(plan) > 1 else 0.0
