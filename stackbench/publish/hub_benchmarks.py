"""Which dataset, task and unit a benchmark of ours has elsewhere: the table hub_benchmarks.toml."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["HubBenchmark", "KnownElsewhere", "known_elsewhere"]


class HubBenchmark(BaseModel):
    """A dataset that the Hugging Face hub has registered as a benchmark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    task_id: str
    unit: Literal["percent", "share"]
    measure: str
    """Which of our measures is meant."""

    def value(self, share: float) -> float:
        """A share in the hub's unit."""
        return round(share * 100, 4) if self.unit == "percent" else share


class KnownElsewhere(BaseModel):
    """A benchmark in others' words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    split: str
    config: str
    title: str
    task: str
    hub: HubBenchmark | None = None


def known_elsewhere(benchmark: str) -> KnownElsewhere | None:
    """None for a benchmark that only this project has."""
    return _table().get(benchmark)


@functools.cache
def _table() -> dict[str, KnownElsewhere]:
    text = resources.files("stackbench.publish").joinpath("hub_benchmarks.toml").read_text(encoding="utf-8")
    return {name: KnownElsewhere.model_validate(entry) for name, entry in tomllib.loads(text).items()}
