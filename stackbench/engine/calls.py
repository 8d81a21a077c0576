"""Converts model calls to events, and events back to answers for a replay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from stackbench.types import FinishReason, Generation, Request, ToolCall

__all__ = ["call_payload", "recorded_generation"]

LIMITS = ("max_tokens", "max_completion_tokens")
"""Names of the token limit in requests."""


def call_payload(request: Request, generation: Generation, *, whole: bool) -> dict[str, Any]:
    """The payload of a `model_call` event: what was sent, and what came back.

    `whole` puts the answer's texts into it; those of the only call of an attempt stand in `attempts`. Where the model
    tells what it sent, a parameter that is not among it was not sent and is null here.
    """
    sampling, sent = request.sampling, generation.sent
    limit = 1 if request.choices else sampling.max_tokens
    if sent:
        limit = next((sent[name] for name in LIMITS if name in sent), limit)
    payload: dict[str, Any] = {}
    if whole:
        payload = {
            "text": generation.text,
            "thought": generation.thought,
            "tool_calls": [asdict(call) for call in generation.tool_calls],
        }
    payload |= {
        "temperature": sent.get("temperature") if sent else sampling.temperature,
        "top_p": sent.get("top_p") if sent else sampling.top_p,
        "max_tokens": limit,
        "request_seed": sent.get("seed") if sent else sampling.seed,
        "finish_reason": generation.finish_reason.value,
        "prompt_tokens": generation.prompt_tokens,
        "completion_tokens": generation.completion_tokens,
        "latency_s": generation.latency_s,
        "ttft_s": generation.ttft_s,
    }
    if request.choices:
        payload["choices"] = list(request.choices)
    if generation.choice_logprobs is not None:
        payload["choice_logprobs"] = [one if math.isfinite(one) else None for one in generation.choice_logprobs]
    if sent:
        payload["sent"] = dict(sent)
    return payload


def recorded_generation(payload: Mapping[str, Any], completion: str, thought: str) -> Generation:
    """The answer of a recorded call; `completion` and `thought` are its attempt's, for a call that holds no text."""
    logprobs = payload.get("choice_logprobs")
    return Generation(
        text=payload.get("text", completion),
        finish_reason=FinishReason(payload.get("finish_reason", "stop")),
        prompt_tokens=payload.get("prompt_tokens") or 0,
        completion_tokens=payload.get("completion_tokens") or 0,
        latency_s=payload.get("latency_s") or 0.0,
        ttft_s=payload.get("ttft_s"),
        tool_calls=tuple(ToolCall(**call) for call in payload.get("tool_calls", ())),
        choice_logprobs=None if logprobs is None else tuple(-math.inf if one is None else one for one in logprobs),
        thought=payload.get("thought", "" if "text" in payload else thought),
    )
