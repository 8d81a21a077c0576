"""Draws the next token of each request of a batch from the model's scores. Imports torch."""

# torch and transformers have partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from stackbench.types import Sampling

__all__ = ["SeenTokens", "draw_tokens", "is_plain", "parameters", "penalises", "probabilities", "uniform"]

CPU_SCORES = 1 << 21
"""Scores that are worked on at once on a CPU: larger buffers are mapped from the kernel anew each time."""
NUCLEUS = 1024
"""The likeliest tokens among which top_p is looked for first: sorting the whole vocabulary takes ten times as long."""
BLOCK = 512
"""Tokens whose probabilities are added up first: the sum over the vocabulary is exact enough and fast."""


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


def uniform(generator: torch.Generator | None) -> float:
    """What decides a request's next token, from 0 to 1: the next number of its own generator, on any device."""
    return 0.0 if generator is None else float(torch.rand((), generator=generator, dtype=torch.float64))


def draw_tokens(
    logits: torch.Tensor,
    samplings: Sequence[Sampling],
    seen: Sequence[SeenTokens | None],
    uniforms: Sequence[float],
) -> torch.Tensor:
    """The next token of each request, (B,), from scores (B, V).

    A request's token depends on its own scores and its own number of `uniforms` (B,) alone, whatever stands beside it.
    """
    batch, vocabulary = logits.shape
    rows = max(1, CPU_SCORES // vocabulary) if logits.device.type == "cpu" else batch
    parts = [
        _draw(logits[at : at + rows], samplings[at : at + rows], seen[at : at + rows], uniforms[at : at + rows])
        for at in range(0, batch, rows)
    ]
    return torch.cat(parts)


def _draw(
    logits: torch.Tensor, samplings: Sequence[Sampling], seen: Sequence[SeenTokens | None], uniforms: Sequence[float]
) -> torch.Tensor:
    scores = _penalised(logits.float(), samplings, seen)
    hot = [index for index, sampling in enumerate(samplings) if sampling.temperature > 0]
    if len(hot) == len(samplings):
        return _pick(probabilities(scores, samplings), uniforms)
    drawn = scores.max(dim=-1).indices  # of argmax, which takes five times as long
    if hot:
        chances = probabilities(scores[hot], [samplings[index] for index in hot])
        drawn[hot] = _pick(chances, [uniforms[index] for index in hot])
    return drawn


def probabilities(scores: torch.Tensor, samplings: Sequence[Sampling]) -> torch.Tensor:
    """What to draw from, (B, V) from float32 scores (B, V), not normalised.

    In the order of Transformers' processors: softmax(scores / temperature); the `top_k` likeliest (Fan et al. 2018,
    arXiv:1805.04833); the smallest set whose mass reaches `top_p` (Holtzman et al. 2020, arXiv:1904.09751); those of at
    least `min_p` times the likeliest's probability (Nguyen et al. 2024, arXiv:2407.01082).
    """
    vocabulary = scores.shape[-1]
    scores = scores / _column([sampling.temperature for sampling in samplings], scores)
    cut = [index for index, sampling in enumerate(samplings) if 0 < sampling.top_k < vocabulary]
    if cut:
        counts = torch.tensor([[samplings[index].top_k] for index in cut], device=scores.device)
        highest = scores[cut].topk(int(counts.max()), dim=-1).values
        scores[cut] = scores[cut].masked_fill(scores[cut] < highest.gather(1, counts - 1), float("-inf"))
    chances = torch.softmax(scores, dim=-1)
    cut = [index for index, sampling in enumerate(samplings) if sampling.top_p < 1]
    if cut:
        chances[cut] = _nucleus(chances[cut], _column([samplings[index].top_p for index in cut], chances))
    cut = [index for index, sampling in enumerate(samplings) if sampling.min_p > 0]
    if cut:
        least = chances[cut].amax(dim=-1, keepdim=True) * _column([samplings[index].min_p for index in cut], chances)
        chances[cut] = chances[cut].masked_fill(chances[cut] < least, 0.0)
    return chances


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


def _penalised(scores: torch.Tensor, samplings: Sequence[Sampling], seen: Sequence[SeenTokens | None]) -> torch.Tensor:
    """Scores less what their tokens are penalised with, first for repetition, as vLLM does.

    Repetition (Keskar et al. 2019, arXiv:1909.05858) counts tokens of prompt and answer; frequency and presence, as the
    OpenAI API defines them, those of the answer.
    """
    known = [(index, one) for index, one in enumerate(seen) if one is not None]
    if not known:
        return scores
    indices = [index for index, _ in known]
    made = torch.stack([one.made for _, one in known])
    asked = [samplings[index] for index in indices]
    penalty = _column([sampling.repetition_penalty for sampling in asked], scores)
    before = scores[indices]
    repeated = torch.stack([one.in_prompt for _, one in known]) | (made > 0)
    after = torch.where(repeated, torch.where(before < 0, before * penalty, before / penalty), before)
    after -= _column([sampling.frequency_penalty for sampling in asked], scores) * made
    after -= _column([sampling.presence_penalty for sampling in asked], scores) * (made > 0)
    return scores.index_copy(0, torch.tensor(indices, device=scores.device), after)


def _nucleus(chances: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """The probabilities (B, V) of the smallest sets whose mass reaches `top_p` (B, 1); 0 for the other tokens."""
    highest, order = chances.topk(min(NUCLEUS, chances.shape[-1]), dim=-1)
    before = highest.cumsum(-1) - highest
    kept = torch.zeros_like(chances).scatter(1, order, highest.masked_fill(before >= top_p, 0.0))
    wide = [index for index, one in enumerate((before[:, -1:] < top_p).flatten().tolist()) if one]
    if wide and highest.shape[-1] < chances.shape[-1]:
        highest, order = chances[wide].sort(dim=-1, descending=True)
        before = highest.cumsum(-1) - highest
        highest = highest.masked_fill(before >= top_p[wide], 0.0)
        kept[wide] = torch.zeros_like(highest).scatter(1, order, highest)
    return kept


def _pick(chances: torch.Tensor, uniforms: Sequence[float]) -> torch.Tensor:
    """The tokens (B,) at which the sums of the probabilities (B, V) pass `uniforms` (B,) of the whole.

    The block of tokens where a sum passes is found first, then the token in it.

    Raises:
        RuntimeError: scores are no numbers, or nothing is left to draw from.
    """
    vocabulary = chances.shape[-1]
    whole = vocabulary // BLOCK * BLOCK
    sums = torch.cat(
        [chances[:, :whole].unflatten(1, (-1, BLOCK)).sum(-1), chances[:, whole:].sum(-1, keepdim=True)], dim=1
    )
    mass = sums.double().cumsum(-1)
    total = mass[:, -1:]
    if not bool(((total > 0) & total.isfinite()).all()):
        raise RuntimeError("the model's scores are no numbers that a token can be drawn from")
    wanted = torch.tensor(uniforms, dtype=torch.float64, device=chances.device)[:, None]
    block, wanted = _passed(mass, wanted * total)
    places = block * BLOCK + torch.arange(BLOCK, device=chances.device)
    inside = chances.gather(1, places.clamp(max=vocabulary - 1)).double().masked_fill(places >= vocabulary, 0.0)
    token, _ = _passed(inside.cumsum(-1), wanted)
    return (block * BLOCK + token)[:, 0]


def _passed(mass: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The first places (B, 1) whose sums (B, N) are greater than `wanted` (B, 1), and what of it is left there."""
    below = mass[:, -1:] * (1 - 2**-50)  # where rounding made it the whole, the last token that can be drawn
    place = torch.searchsorted(mass, torch.minimum(wanted, below), right=True)
    before = torch.where(place > 0, mass.gather(1, (place - 1).clamp(min=0)), 0.0)
    return place, (wanted - before).clamp(min=0.0)


def _column(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """One value for each row, (B, 1)."""
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]
