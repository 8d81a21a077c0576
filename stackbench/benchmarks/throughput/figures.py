"""Figures of one load: throughput, latencies, goodput. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stackbench.types import Generation

__all__ = ["FIGURES", "PERCENTILES", "Targets", "latencies_ms", "load_figures"]

PERCENTILES = (50, 90, 99)
LATENCIES = ("ttft", "first_answer", "tpot", "itl", "e2el")
FIGURES = (
    "output_tok_s", "total_tok_s", "requests_s", "output_tok_s_per_gpu", "goodput_requests_s",
    *(f"{name}_ms_{part}" for name in LATENCIES for part in ("mean", "std", *(f"p{p}" for p in PERCENTILES))),
    "prompt_tokens", "output_tokens", "seconds",
)  # fmt: skip
"""The names of what `load_figures` may give."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Upper limits, in milliseconds, that a request must keep to count as good; None: any."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None
    e2el_ms: float | None = None

    def kept(self, answer: Generation) -> bool:
        pairs = (
            (self.ttft_ms, _ttft_ms(answer)),
            (self.tpot_ms, _tpot_ms(answer) or 0.0),
            (self.e2el_ms, answer.latency_s * 1000),
        )
        return all(limit is None or value <= limit for limit, value in pairs)


def load_figures(answers: Sequence[Generation], seconds: float, gpus: int, targets: Targets | None) -> dict[str, float]:
    """The figures of one measurement over requests that were answered within `seconds`.

    Tokens and requests per second are totals over the whole time; the latencies are those of `latencies_ms`, each with
    mean, standard deviation and percentiles (linear interpolation). Goodput: requests per second that kept every
    target (Zhong et al. 2024, arXiv:2401.09670). Definitions of `vllm bench serve`.

    Raises:
        ValueError: no answers, or no time.
    """
    if not answers or seconds <= 0:
        raise ValueError("a load without answers has no figures")
    prompt = sum(answer.prompt_tokens for answer in answers)
    output = sum(answer.completion_tokens for answer in answers)
    found: dict[str, float] = {
        "output_tok_s": output / seconds,
        "total_tok_s": (prompt + output) / seconds,
        "requests_s": len(answers) / seconds,
    }
    if gpus:
        found["output_tok_s_per_gpu"] = output / seconds / gpus
    if targets is not None:
        found["goodput_requests_s"] = sum(targets.kept(answer) for answer in answers) / seconds
    for name, values in latencies_ms(answers).items():
        if not values:
            continue
        data = np.asarray(values)
        found[f"{name}_ms_mean"] = float(data.mean())
        found[f"{name}_ms_std"] = float(data.std())
        for percentile in PERCENTILES:
            found[f"{name}_ms_p{percentile}"] = float(np.percentile(data, percentile))
    found |= {"prompt_tokens": float(prompt), "output_tokens": float(output), "seconds": seconds}
    return found


def latencies_ms(answers: Sequence[Generation]) -> Mapping[str, list[float]]:
    """Milliseconds by kind, over all requests.

    ttft: from the request to its first piece, of a thought or of the answer. first_answer: to the first piece of the
    answer itself, of answers that have one. tpot: (end - first piece) / (output tokens - 1), for answers of several
    tokens. itl: between consecutive pieces, of all answers together. e2el: from the request to its last piece.
    """
    return {
        "ttft": [_ttft_ms(answer) for answer in answers],
        "first_answer": [at * 1000 for answer in answers if (at := answer.first_answer_s) is not None],
        "tpot": [value for answer in answers if (value := _tpot_ms(answer)) is not None],
        "itl": [gap * 1000 for answer in answers for gap in answer.gaps_s],
        "e2el": [answer.latency_s * 1000 for answer in answers],
    }


def _ttft_ms(answer: Generation) -> float:
    return (answer.latency_s if answer.ttft_s is None else answer.ttft_s) * 1000


def _tpot_ms(answer: Generation) -> float | None:
    if answer.completion_tokens < 2:
        return None
    return (answer.latency_s * 1000 - _ttft_ms(answer)) / (answer.completion_tokens - 1)
