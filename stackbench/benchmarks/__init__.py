"""Benchmarks: one file each behind one small protocol."""

from stackbench.benchmarks.base import (
    AgentBenchmark,
    Benchmark,
    ClusteredBenchmark,
    CodeBenchmark,
    Context,
    HashedTasks,
    Options,
    PrepareContext,
    Sample,
    SpeedBenchmark,
)
from stackbench.benchmarks.registry import create_benchmark, find_benchmark, list_benchmarks

__all__ = [
    "AgentBenchmark",
    "Benchmark",
    "ClusteredBenchmark",
    "CodeBenchmark",
    "Context",
    "HashedTasks",
    "Options",
    "PrepareContext",
    "Sample",
    "SpeedBenchmark",
    "create_benchmark",
    "find_benchmark",
    "list_benchmarks",
]
