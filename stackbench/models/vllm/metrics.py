"""Reads vLLM's Prometheus metrics."""

from __future__ import annotations

from collections import defaultdict

from stackbench.types import ServerLoad

__all__ = ["read_metrics"]

RUNNING = "vllm:num_requests_running"
WAITING = "vllm:num_requests_waiting"
CACHE = "vllm:kv_cache_usage_perc"
OLD_CACHE = "vllm:gpu_cache_usage_perc"
PROMPT = "vllm:prompt_tokens_total"
COMPLETION = "vllm:generation_tokens_total"
QUERIES = "vllm:prefix_cache_queries_total"
HITS = "vllm:prefix_cache_hits_total"
PREEMPTIONS = "vllm:num_preemptions_total"
WANTED = (RUNNING, WAITING, CACHE, OLD_CACHE, PROMPT, COMPLETION, QUERIES, HITS, PREEMPTIONS)


def read_metrics(text: str, memory_bytes: int) -> ServerLoad | None:
    """The load that an exposition of vLLM's metrics tells, engines added up; None when it holds no running count.

    Raises:
        ValueError: it is no Prometheus exposition.
    """
    from prometheus_client.parser import text_string_to_metric_families

    wanted = "\n".join(line for line in text.splitlines() if line.startswith(WANTED))
    sums: dict[str, float] = defaultdict(float)
    engines = 0
    for family in text_string_to_metric_families(wanted + "\n"):
        for sample in family.samples:
            sums[sample.name] += sample.value
            engines += sample.name == RUNNING
    if not engines:
        return None
    cache = sums[CACHE] if CACHE in sums else sums[OLD_CACHE]
    return ServerLoad(
        running=int(sums[RUNNING]),
        waiting=int(sums[WAITING]),
        kv_cache=cache / engines,
        prompt_tokens=int(sums[PROMPT]),
        completion_tokens=int(sums[COMPLETION]),
        prefix_queries=int(sums[QUERIES]),
        prefix_hits=int(sums[HITS]),
        preemptions=int(sums[PREEMPTIONS]),
        memory_bytes=memory_bytes,
    )
