"""A vLLM server of our own: found, started, watched, started again, stopped."""

from stackbench.models.vllm.model import VllmModel

__all__ = ["VllmModel"]
