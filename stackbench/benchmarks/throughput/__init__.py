"""Serving speed of a model: closed and open load, latency and goodput, with the definitions of `vllm bench serve`."""

from stackbench.benchmarks.throughput.benchmark import Throughput, ThroughputOptions, ThroughputTask

__all__ = ["Throughput", "ThroughputOptions", "ThroughputTask"]
