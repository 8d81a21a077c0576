"""Benchmarks: one file each behind one small protocol."""

from stackbench.benchmarks.base import (
    AgentBenchmark,
    Benchmark,
    ClusteredBenchmark,
    CodeBenchmark,
    Context,
    HashedTasks,
    NamedTasks,
    Options,
    PrepareContext,
    Sample,
    SpeedBenchmark,
)
from stackbench.benchmarks.declared_metrics import CategorisedMetrics, DeclaredMetrics, MetricKind, kind_of
from stackbench.benchmarks.registry import create_benchmark, find_benchmark, list_benchmarks

__all__ = [
    "AgentBenchmark",
    "Benchmark",
    "CategorisedMetrics",
    "ClusteredBenchmark",
    "CodeBenchmark",
    "Context",
    "DeclaredMetrics",
    "HashedTasks",
    "MetricKind",
    "NamedTasks",
    "Options",
    "PrepareContext",
    "Sample",
    "SpeedBenchmark",
    "create_benchmark",
    "find_benchmark",
    "kind_of",
    "list_benchmarks",
]
