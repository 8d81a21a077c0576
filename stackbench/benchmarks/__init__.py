"""Benchmarks: one file each behind one small protocol."""

from stackbench.benchmarks.base import (
    AgentBenchmark,
    Benchmark,
    BoundedBenchmark,
    ClusteredBenchmark,
    CodeBenchmark,
    Context,
    HashedFiles,
    HashedTasks,
    NamedTasks,
    Options,
    PrepareContext,
    Sample,
    ServedModel,
    SpeedBenchmark,
    WindowedBenchmark,
)
from stackbench.benchmarks.declared_metrics import CategorisedMetrics, DeclaredMetrics, MetricKind, kind_of
from stackbench.benchmarks.registry import benchmark_names, create_benchmark, find_benchmark, list_benchmarks

__all__ = [
    "AgentBenchmark",
    "Benchmark",
    "BoundedBenchmark",
    "CategorisedMetrics",
    "ClusteredBenchmark",
    "CodeBenchmark",
    "Context",
    "DeclaredMetrics",
    "HashedFiles",
    "HashedTasks",
    "MetricKind",
    "NamedTasks",
    "Options",
    "PrepareContext",
    "Sample",
    "ServedModel",
    "SpeedBenchmark",
    "WindowedBenchmark",
    "benchmark_names",
    "create_benchmark",
    "find_benchmark",
    "kind_of",
    "list_benchmarks",
]
