"""Any OpenAI-compatible endpoint."""

from stackbench.models.openai.model import OpenAIModel

__all__ = ["OpenAIModel"]
