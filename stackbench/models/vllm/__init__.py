"""Managed vLLM servers: start, health checks, restart, stop."""

from stackbench.models.vllm.model import VllmModel

__all__ = ["VllmModel"]
