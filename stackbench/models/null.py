"""The model that returns an empty completion for every request: the score floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stackbench.token_estimate import TokenEstimator
from stackbench.types import Generation, Request, TokenCount

__all__ = ["NullModel"]


class NullModel:
    """Answers each request with empty text."""

    name = "null"
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
        return [Generation("") for _ in requests]

    async def count_tokens(self, request: Request) -> TokenCount:
        return TokenEstimator().count(request)

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "null"}

    async def close(self) -> None:
        """Nothing to free."""
