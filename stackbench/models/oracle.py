"""The model that returns the reference solution: the score ceiling, and a check of the harness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stackbench.token_estimate import TokenEstimator
from stackbench.types import FinishReason, Generation, Request, TokenCount

__all__ = ["OracleModel"]


class OracleModel:
    """Answers each request with its `reference`."""

    name = "oracle"
    chat = True
    plain_prompts = True
    scores_choices = False
    native_tools = True
    window: int | None = None
    concurrency = 64
    gpus = 0
    has_speed = False

    async def start(self, say: Callable[[str], None]) -> None:
        """Nothing to make ready."""

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        return [
            Generation(
                request.reference,
                FinishReason.TOOL_CALLS if request.reference_calls else FinishReason.STOP,
                tool_calls=request.reference_calls,
            )
            for request in requests
        ]

    async def count_tokens(self, request: Request) -> TokenCount:
        return TokenEstimator().count(request)

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "oracle"}

    async def close(self) -> None:
        """Nothing to free."""
