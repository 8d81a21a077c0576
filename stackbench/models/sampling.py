"""Draws one token for one request from the model's scores. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from stackbench.types import Sampling

__all__ = ["SeenTokens", "draw", "is_plain", "parameters", "penalises", "weights"]


@dataclass(slots=True, eq=False)
class SeenTokens:
    """Which tokens a request has seen, over the vocabulary (V,)."""

    in_prompt: torch.Tensor
    """Of bool."""
    made: torch.Tensor
    """How often each was drawn, float32."""

    @classmethod
    def of(cls, prompt_ids: list[int], logits: torch.Tensor) -> SeenTokens:
        in_prompt = torch.zeros_like(logits, dtype=torch.bool)
        in_prompt[torch.tensor(prompt_ids, device=logits.device)] = True
        return cls(in_prompt, torch.zeros_like(logits, dtype=torch.float32))


def is_plain(sampling: Sampling) -> bool:
    """Whether the next token is the one with the highest score, as it is."""
    return sampling.temperature == 0 and not penalises(sampling)


def penalises(sampling: Sampling) -> bool:
    """Whether the scores depend on the tokens before."""
    return sampling.repetition_penalty != 1 or sampling.presence_penalty != 0 or sampling.frequency_penalty != 0


def draw(
    logits: torch.Tensor, sampling: Sampling, seen: SeenTokens | None, generator: torch.Generator | None
) -> torch.Tensor:
    """The next token, (), from scores (V,). `generator` is the request's own: the draw knows nothing of others."""
    if seen is not None:
        logits = _penalised(logits, sampling, seen)
    if sampling.temperature == 0:
        return logits.argmax()
    chances, order = weights(logits, sampling)
    drawn = torch.multinomial(chances, 1, generator=generator)[0]
    return drawn if order is None else order[drawn]


def weights(logits: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What to draw from, (V,), not normalised; and the tokens that it stands for, where they are not in order.

    In the order of Transformers' processors: softmax(logits / temperature); the `top_k` likeliest (Fan et al. 2018,
    arXiv:1805.04833); the smallest set whose mass reaches `top_p` (Holtzman et al. 2020, arXiv:1904.09751); those of at
    least `min_p` times the likeliest's probability (Nguyen et al. 2024, arXiv:2407.01082).
    """
    scores = logits.float() / sampling.temperature
    if 0 < sampling.top_k < scores.shape[-1]:
        least = scores.topk(sampling.top_k).values[-1]
        scores = scores.masked_fill(scores < least, float("-inf"))
    chances = torch.softmax(scores, dim=-1)
    order: torch.Tensor | None = None
    if sampling.top_p < 1.0:
        chances, order = chances.sort(descending=True)
        chances[chances.cumsum(-1) - chances >= sampling.top_p] = 0.0
    if sampling.min_p > 0:
        chances = chances.masked_fill(chances < sampling.min_p * chances.max(), 0.0)
    return chances, order


def parameters(sampling: Sampling) -> dict[str, Any]:
    """Everything that decides how tokens are drawn, by the names of the OpenAI API and vLLM's additions to it."""
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repetition_penalty": sampling.repetition_penalty,
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop),
        "seed": sampling.seed,
        **({"ignore_eos": True} if sampling.ignore_eos else {}),
    }


def _penalised(logits: torch.Tensor, sampling: Sampling, seen: SeenTokens) -> torch.Tensor:
    """Scores less what their tokens are penalised with, first for repetition, as vLLM does.

    Repetition (Keskar et al. 2019, arXiv:1909.05858) counts tokens of prompt and answer; frequency and presence, as the
    OpenAI API defines them, those of the answer.
    """
    scores = logits.float()
    penalty = sampling.repetition_penalty
    if penalty != 1:
        known = seen.in_prompt | (seen.made > 0)
        scores = torch.where(known, torch.where(scores < 0, scores * penalty, scores / penalty), scores)
    return scores - sampling.frequency_penalty * seen.made - sampling.presence_penalty * (seen.made > 0)
