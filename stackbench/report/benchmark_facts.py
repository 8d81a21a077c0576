"""What a reader must know of a benchmark beside its numbers: benchmark_facts.toml and the benchmark's own class."""

from __future__ import annotations

import contextlib
import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from stackbench.benchmarks import MetricKind, create_benchmark
from stackbench.errors import StackbenchError

__all__ = ["BenchmarkFacts", "benchmark_facts"]


@dataclass(frozen=True, slots=True)
class BenchmarkFacts:
    """Texts for a report."""

    title: str
    known: bool
    """Whether this version of stackbench can run it."""
    options: Mapping[str, Any]
    """The options that were given, with defaults filled in where the benchmark is known."""
    description: str = ""
    extraction: str = ""
    citation: str = ""
    limits: tuple[str, ...] = ()
    kinds: Sequence[MetricKind] = ()
    """Of the measures that it can have."""
    fixed_shots: int | None = None
    """Examples in the forms that show some, where no option says how many."""
    shots_by_style: Mapping[str, int] = field(default_factory=dict[str, int])
    """The same for single values of the option `style`."""
    shots_in_chat: bool = False
    """A chat's single turn shows the examples too."""

    def shots(self, form: str) -> int | None:
        """Examples that each prompt shows in that form; None where the benchmark never shows any."""
        number = self.options.get("shots")
        if number is None:
            number = self.shots_by_style.get(str(self.options.get("style", "")), self.fixed_shots)
        if not isinstance(number, int):
            return None
        return 0 if form == "chat" and not self.shots_in_chat else number


def benchmark_facts(name: str, options: Mapping[str, Any]) -> BenchmarkFacts:
    """Of a benchmark by name; of one that is not installed (any more) only what was recorded."""
    texts = _texts().get(name, {})
    described: dict[str, Any] = {**texts, "limits": tuple(texts.get("limits", ()))}
    with contextlib.suppress(StackbenchError, AttributeError):  # it is gone, or its options are of another version
        benchmark: Any = create_benchmark(name, options)
        filled: dict[str, Any] = benchmark.options.model_dump(mode="json")
        shown = {key: value for key, value in filled.items() if key != "definition"}
        kinds: Sequence[MetricKind] = getattr(benchmark, "metric_kinds", ())
        return BenchmarkFacts(str(benchmark.title), True, shown, kinds=kinds, **described)
    return BenchmarkFacts(name, False, dict(options), **described)


@functools.cache
def _texts() -> dict[str, dict[str, Any]]:
    text = resources.files("stackbench.report").joinpath("benchmark_facts.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
