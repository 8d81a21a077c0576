"""Benchmarks: one file each behind one small protocol."""

from stackbench.benchmarks.base import (
    AgentBenchmark,
    Benchmark,
    ClusteredBenchmark,
    CodeBenchmark,
    Context,
    EditionedBenchmark,
    HashedFiles,
    HashedTasks,
    NamedTasks,
    Options,
    PrepareContext,
    Sample,
    SpeedBenchmark,
)
from stackbench.benchmarks.declared_metrics import CategorisedMetrics, DeclaredMetrics, MetricKind, kind_of
from stackbench.benchmarks.registry import benchmark_names, create_benchmark, find_benchmark, list_benchmarks

__all__ = [
    "AgentBenchmark",
    "Benchmark",
    "CategorisedMetrics",
    "ClusteredBenchmark",
    "CodeBenchmark",
    "Context",
    "DeclaredMetrics",
    "EditionedBenchmark",
    "HashedFiles",
    "HashedTasks",
    "MetricKind",
    "NamedTasks",
    "Options",
    "PrepareContext",
    "Sample",
    "SpeedBenchmark",
    "benchmark_names",
    "create_benchmark",
    "find_benchmark",
    "kind_of",
    "list_benchmarks",
]
