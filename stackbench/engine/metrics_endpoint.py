"""`/metrics` for Prometheus: a live run's attempts and the machine's load, on the loopback address."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stackbench.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["BenchmarkState", "MetricsEndpoint", "RunState"]

ADDRESS = "127.0.0.1"
GAUGES = {
    "cpu": ("stackbench_cpu_ratio", "Processor time in use on this machine, 0 to 1."),
    "rss": ("stackbench_memory_bytes", "Memory of the engine and of the model's processes."),
    "tokens_per_s": ("stackbench_tokens_per_second", "Completion tokens over the last second."),
    "running": ("stackbench_requests_running", "Requests that the model works on."),
    "waiting": ("stackbench_requests_waiting", "Requests that wait at the model's server."),
    "kv_cache": ("stackbench_kv_cache_usage_ratio", "Key-value cache in use, 0 to 1."),
    "gpu_util": ("stackbench_gpu_utilization_ratio", "First GPU, 0 to 1."),
    "vram_used": ("stackbench_gpu_memory_used_bytes", "First GPU."),
    "vram_total": ("stackbench_gpu_memory_total_bytes", "First GPU."),
}
"""By the column of the table `resources`."""


@dataclass(frozen=True, slots=True)
class BenchmarkState:
    """Attempts at one benchmark, those of earlier parts of a resumed run included."""

    planned: int
    done: int
    passed: int
    errors: int
    queued: int
    tokens: int


@dataclass(frozen=True, slots=True)
class RunState:
    """What is told of a run at one moment."""

    run_id: str
    suite: str
    model: str
    phase: str
    running: int
    """Attempts under way."""
    idle_s: float
    """Seconds since an attempt ended or a token came."""
    benchmarks: Mapping[str, BenchmarkState] = field(default_factory=dict[str, BenchmarkState])
    load: Mapping[str, float | None] = field(default_factory=dict[str, "float | None"])
    """By the columns of the table `resources`."""


class MetricsEndpoint:
    """Serves what `state` tells when it is asked, from a thread of its own, until `close`.

    Raises:
        UsageError: the port cannot be had.
    """

    def __init__(self, port: int, state: Callable[[], RunState]) -> None:
        from prometheus_client import CollectorRegistry, start_http_server

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(state))
        try:
            self._server, self._thread = start_http_server(port, ADDRESS, registry)
        except OSError as error:
            raise UsageError(
                f"--metrics-port {port} cannot be had: {error.strerror}; another program has it, or name one above 1023"
            ) from error

    def close(self) -> None:
        """Frees the port. Blocks for half a second at most."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Collector:
    def __init__(self, state: Callable[[], RunState]) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        state = self._state()
        yield InfoMetricFamily(
            "stackbench_run",
            "The run that is live.",
            {"run_id": state.run_id, "suite": state.suite, "model": state.model, "phase": state.phase},
        )
        yield GaugeMetricFamily("stackbench_attempts_running", "Attempts under way.", state.running)
        yield GaugeMetricFamily(
            "stackbench_seconds_without_progress", "Since an attempt ended or a token came.", state.idle_s
        )
        by_benchmark: Sequence[tuple[str, str, Callable[[BenchmarkState], int]]] = (
            ("stackbench_attempts_planned", "Attempts of the whole run.", lambda one: one.planned),
            ("stackbench_attempts_queued", "Attempts that have not begun.", lambda one: one.queued),
        )
        for name, what, value in by_benchmark:
            family = GaugeMetricFamily(name, what, labels=["benchmark"])
            for benchmark, one in state.benchmarks.items():
                family.add_metric([benchmark], value(one))
            yield family
        finished = CounterMetricFamily(
            "stackbench_attempts_finished", "Attempts that ended, by how.", labels=["benchmark", "outcome"]
        )
        tokens = CounterMetricFamily("stackbench_completion_tokens", "Tokens of answers.", labels=["benchmark"])
        for benchmark, one in state.benchmarks.items():
            outcomes = {"passed": one.passed, "error": one.errors, "failed": one.done - one.passed - one.errors}
            for outcome, count in outcomes.items():
                finished.add_metric([benchmark, outcome], count)
            tokens.add_metric([benchmark], one.tokens)
        yield finished
        yield tokens
        for column, (name, what) in GAUGES.items():
            found = state.load.get(column)
            if found is not None:
                yield GaugeMetricFamily(name, what, found)
