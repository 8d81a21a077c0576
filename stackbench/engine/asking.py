"""Applies a run's settings to a benchmark's requests: sampling, the system prompt, the prefill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stackbench.config import SamplingSettings
from stackbench.errors import AttemptError
from stackbench.thoughts import without_thoughts
from stackbench.types import Generation, Message, Request, Sampling

__all__ = ["run_sampling", "whole_answer", "with_prefill", "with_run_texts"]

NEUTRAL = Sampling()
CHECKPOINTS = ("top_p", "top_k", "min_p", "repetition_penalty")
"""What a checkpoint may set where the run leaves it neutral, beside the temperature."""


def run_sampling(
    settings: SamplingSettings,
    defaults: Mapping[str, float],
    *,
    temperature: float,
    temperature_set: bool,
    max_tokens: int,
    stop: Sequence[str],
    seed: int,
) -> Sampling:
    """The sampling of a request: what the user set, else the checkpoint's `defaults`, else neutral."""
    if not temperature_set:
        temperature = defaults.get("temperature", temperature)
    own = Sampling(
        temperature=temperature,
        top_p=settings.top_p,
        max_tokens=max_tokens,
        stop=tuple(dict.fromkeys((*stop, *settings.stop))),
        seed=seed,
        top_k=settings.top_k,
        min_p=settings.min_p,
        presence_penalty=settings.presence_penalty,
        frequency_penalty=settings.frequency_penalty,
        repetition_penalty=settings.repetition_penalty,
    )
    taken: dict[str, Any] = {
        name: defaults[name]
        for name in CHECKPOINTS
        if name in defaults and getattr(own, name) == getattr(NEUTRAL, name)
    }
    return replace(own, **taken)


def with_run_texts(request: Request, settings: SamplingSettings) -> tuple[Request, str]:
    """The request with the run's system prompt before its chat, and how its answer begins; and that beginning.

    A prefill of the run takes the place of a benchmark's own, which is no part of the answer.
    A chat that has a system prompt of its own gets the run's before that. An agent's turns begin as the model will.

    Raises:
        AttemptError: a bare prompt has no place for a system prompt.
    """
    system = settings.system_prompt
    if system is not None:
        if request.prompt is not None:
            raise AttemptError("a system prompt needs a chat, and this is asked by a bare prompt; set -T style=chat")
        first, *rest = request.messages
        if first.role == "system":
            chat = (replace(first, content=f"{system}\n\n{first.content}"), *rest)
        else:
            chat = (Message("system", system), *request.messages)
        request = replace(request, messages=chat)
    prefill = "" if request.tools else settings.prefill
    if prefill and request.prompt is not None:
        return replace(request, prompt=request.prompt + prefill), prefill
    return replace(request, prefill=prefill or request.prefill), prefill


def whole_answer(generation: Generation, prefill: str) -> Generation:
    """The answer as it is recorded and scored: with the beginning that was given, thoughts apart."""
    return without_thoughts(with_prefill(generation, prefill))


def with_prefill(generation: Generation, prefill: str) -> Generation:
    """The whole answer: its beginning, which was given, and what the model went on with.

    Where the model's server has told a thought apart that the prefill begins, the beginning belongs to the thought.
    """
    begins_thought = prefill.rfind("<think>") > prefill.rfind("</think>")
    if not prefill or (begins_thought and generation.thought):
        return generation
    return replace(generation, text=prefill + generation.text)
