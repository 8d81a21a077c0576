"""Published results of other models, from one data file: each with its source, its setting and how far it compares."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Baseline", "BaselineSource", "baselines", "baselines_of"]

Comparability = Literal["close", "partly", "not"]


class BaselineSource(BaseModel):
    """Where results were read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    where: str
    """What finds it again: a repository with its commit, an article's number."""
    setting: str
    """How it was measured."""


class Baseline(BaseModel):
    """One published result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    benchmark: str
    metric: str
    value: float = Field(ge=0, le=100)
    """In percent, as published."""
    tasks: int = Field(ge=1)
    source: BaselineSource
    comparability: Comparability
    """`close`: same tasks, tests and kind of prompt; `partly`: other tasks, tests or shots; `not`: for orientation."""
    note: str = ""

    @property
    def share(self) -> float:
        """The value from 0 to 1, as metrics are."""
        return round(self.value / 100.0, 6)


@lru_cache(maxsize=1)
def baselines() -> tuple[Baseline, ...]:
    """All published results."""
    text = resources.files("stackbench.benchmarks").joinpath("baselines.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    sources = {name: BaselineSource.model_validate(source) for name, source in table["sources"].items()}
    return tuple(Baseline.model_validate({**row, "source": sources[row["source"]]}) for row in table["results"])


def baselines_of(name: str) -> tuple[Baseline, ...]:
    """Those of a model, by its name in any case; none for another name."""
    return tuple(one for one in baselines() if one.model == name.lower())
