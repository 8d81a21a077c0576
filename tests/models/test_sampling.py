"""One token's draw, against Transformers' own processors of scores and the definitions of the OpenAI API."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the local extra")

from transformers import (  # noqa: E402
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from stackbench.models.sampling import SeenTokens, draw, is_plain, weights  # noqa: E402
from stackbench.types import Sampling  # noqa: E402

VOCABULARY = 500


def scores(seed: int, spread: float = 3.0):
    return torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed)) * spread


def chances(logits, sampling: Sampling):
    """In the vocabulary's order, normalised."""
    found, order = weights(logits, sampling)
    if order is not None:
        found = torch.zeros_like(found).scatter(0, order, found)
    return found / found.sum()


def transformers_chances(logits, sampling: Sampling):
    rows = logits[None, :].float()
    ids = torch.zeros((1, 1), dtype=torch.long)
    chain = [TemperatureLogitsWarper(sampling.temperature)]
    if sampling.top_k:
        chain.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        chain.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        chain.append(MinPLogitsWarper(sampling.min_p))
    for processor in chain:
        rows = processor(ids, rows)
    return torch.softmax(rows[0], dim=-1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [0, 1, 7, 499, 5000])
@pytest.mark.parametrize("top_p", [1.0, 0.95, 0.3, 0.001])
@pytest.mark.parametrize("min_p", [0.0, 0.05, 1.0])
def test_what_is_drawn_from_is_what_transformers_leaves(
    temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    for seed in range(4):
        logits = scores(seed)
        torch.testing.assert_close(chances(logits, sampling), transformers_chances(logits, sampling))


def test_the_repetition_penalty_is_transformers_own() -> None:
    prompt, made = [3, 5, 5, 7], [7, 11]
    for penalty in (0.5, 1.3, 2.0):
        logits = scores(1)
        seen = SeenTokens.of(prompt, logits)
        for token in made:
            seen.made[token] += 1
        expected = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([prompt + made]), logits[None, :].clone())[0]
        sampling = Sampling(temperature=0.0, repetition_penalty=penalty)
        assert draw(logits, sampling, seen, None) == expected.argmax()
        hot = Sampling(temperature=1.0, repetition_penalty=penalty)
        same = [draw(logits, hot, seen, torch.Generator().manual_seed(seed)) for seed in range(50)]
        wanted = [
            torch.multinomial(torch.softmax(expected, -1), 1, generator=torch.Generator().manual_seed(seed))[0]
            for seed in range(50)
        ]
        assert same == wanted


def test_presence_and_frequency_are_counted_over_the_answer_alone() -> None:
    logits = torch.tensor([2.0, 1.9, 1.5, 0.0])
    seen = SeenTokens.of([0, 0, 0], logits)
    assert draw(logits, Sampling(presence_penalty=1.0, frequency_penalty=1.0), seen, None) == 0
    seen.made[0] += 1
    assert draw(logits, Sampling(presence_penalty=0.2), seen, None) == 1
    seen.made[1] += 3
    assert draw(logits, Sampling(presence_penalty=0.2), seen, None) == 0
    assert draw(logits, Sampling(frequency_penalty=0.2), seen, None) == 0
    seen.made[0] += 2
    assert draw(logits, Sampling(frequency_penalty=0.2), seen, None) == 2
    assert draw(logits, Sampling(frequency_penalty=-1.0), seen, None) == 0


def test_penalties_come_before_temperature_and_cuts() -> None:
    logits = torch.tensor([4.0, 3.0, 0.0])
    seen = SeenTokens.of([0], logits)
    sampling = Sampling(temperature=0.5, top_k=1, repetition_penalty=2.0)
    assert [int(draw(logits, sampling, seen, torch.Generator().manual_seed(s))) for s in range(20)] == [1] * 20


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32])
def test_scores_are_never_changed_in_place(kind) -> None:
    logits = scores(3).to(kind)
    before = logits.clone()
    seen = SeenTokens.of([1, 2], logits)
    seen.made[4] = 2
    sampling = Sampling(
        temperature=0.9, top_k=20, top_p=0.8, min_p=0.1, presence_penalty=1, frequency_penalty=1, repetition_penalty=1.2
    )
    draw(logits, sampling, seen, torch.Generator().manual_seed(1))
    assert torch.equal(logits, before)


def test_draws_follow_the_chances() -> None:
    logits = torch.tensor([1.0, 0.0, -1.0, -9.0])
    sampling = Sampling(temperature=1.0, min_p=0.05)
    drawn = [int(draw(logits, sampling, None, torch.Generator().manual_seed(seed))) for seed in range(2000)]
    expected = chances(logits, sampling)
    for token in range(4):
        share, true = drawn.count(token) / 2000, float(expected[token])
        assert abs(share - true) <= 4 * math.sqrt(true * (1 - true) / 2000) + 1e-9


def test_only_neutral_greedy_requests_skip_the_draw() -> None:
    assert is_plain(Sampling(top_k=5, top_p=0.5, min_p=0.5))
    for sampling in (Sampling(temperature=0.1), Sampling(repetition_penalty=1.1), Sampling(presence_penalty=-1.0)):
        assert not is_plain(sampling)
