"""Managed vLLM servers: start, health checks, restart, stop; one, or one for each GPU."""

from stackbench.models.vllm.model import VllmModel
from stackbench.models.vllm.replicas import VllmReplicas, gpu_groups

__all__ = ["VllmModel", "VllmReplicas", "gpu_groups"]
