"""How tokens are drawn, against Transformers' own processors of scores and the definitions of the OpenAI API."""

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

from stackbench.models.sampling import SeenTokens, draw_tokens, is_plain, probabilities, uniform  # noqa: E402
from stackbench.types import Sampling  # noqa: E402

VOCABULARY = 500


def scores(seed: int, spread: float = 3.0):
    return torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed)) * spread


def chances(logits, sampling: Sampling):
    """Normalised."""
    found = probabilities(logits[None, :].float(), [sampling])[0]
    return found / found.sum()


def draw(logits, sampling: Sampling, seen: SeenTokens | None, seed: int = 0) -> int:
    number = uniform(torch.Generator().manual_seed(seed))
    return int(draw_tokens(logits[None, :], [sampling], [seen], [number])[0])


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
        assert draw(logits, sampling, seen) == expected.argmax()
        hot = Sampling(temperature=1.0, repetition_penalty=penalty)
        numbers = [(step + 0.5) / 200 for step in range(200)]
        drawn = draw_tokens(logits.expand(200, -1), [hot] * 200, [seen] * 200, numbers)
        sums = torch.softmax(expected.double(), -1).cumsum(-1)
        assert torch.equal(drawn, torch.searchsorted(sums, torch.tensor(numbers, dtype=torch.float64), right=True))


def test_presence_and_frequency_are_counted_over_the_answer_alone() -> None:
    logits = torch.tensor([2.0, 1.9, 1.5, 0.0])
    seen = SeenTokens.of([0, 0, 0], logits)
    assert draw(logits, Sampling(presence_penalty=1.0, frequency_penalty=1.0), seen) == 0
    seen.made[0] += 1
    assert draw(logits, Sampling(presence_penalty=0.2), seen) == 1
    seen.made[1] += 3
    assert draw(logits, Sampling(presence_penalty=0.2), seen) == 0
    assert draw(logits, Sampling(frequency_penalty=0.2), seen) == 0
    seen.made[0] += 2
    assert draw(logits, Sampling(frequency_penalty=0.2), seen) == 2
    assert draw(logits, Sampling(frequency_penalty=-1.0), seen) == 0


def test_penalties_come_before_temperature_and_cuts() -> None:
    logits = torch.tensor([4.0, 3.0, 0.0])
    seen = SeenTokens.of([0], logits)
    sampling = Sampling(temperature=0.5, top_k=1, repetition_penalty=2.0)
    assert [draw(logits, sampling, seen, s) for s in range(20)] == [1] * 20


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32])
def test_scores_are_never_changed_in_place(kind) -> None:
    logits = scores(3).to(kind)
    before = logits.clone()
    seen = SeenTokens.of([1, 2], logits)
    seen.made[4] = 2
    sampling = Sampling(
        temperature=0.9, top_k=20, top_p=0.8, min_p=0.1, presence_penalty=1, frequency_penalty=1, repetition_penalty=1.2
    )
    draw(logits, sampling, seen)
    assert torch.equal(logits, before)


def test_draws_follow_the_chances() -> None:
    logits = torch.tensor([1.0, 0.0, -1.0, -9.0])
    sampling = Sampling(temperature=1.0, min_p=0.05)
    drawn = [draw(logits, sampling, None, seed) for seed in range(2000)]
    expected = chances(logits, sampling)
    for token in range(4):
        share, true = drawn.count(token) / 2000, float(expected[token])
        assert abs(share - true) <= 4 * math.sqrt(true * (1 - true) / 2000) + 1e-9


def test_only_neutral_greedy_requests_skip_the_draw() -> None:
    assert is_plain(Sampling(top_k=5, top_p=0.5, min_p=0.5))
    for sampling in (Sampling(temperature=0.1), Sampling(repetition_penalty=1.1), Sampling(presence_penalty=-1.0)):
        assert not is_plain(sampling)


MIXED = [
    Sampling(temperature=0.0),
    Sampling(temperature=1.0),
    Sampling(temperature=0.7, top_k=3),
    Sampling(temperature=1.3, top_k=40, top_p=0.5),
    Sampling(temperature=9.0, top_p=0.99),
    Sampling(temperature=0.9, min_p=0.1, presence_penalty=1.0),
    Sampling(temperature=0.0, repetition_penalty=1.8),
    Sampling(temperature=1.0, frequency_penalty=0.5, repetition_penalty=1.2),
]


@pytest.mark.parametrize("vocabulary", [40, 512, 3_001, 151_936])
def test_a_request_draws_the_same_in_any_company(vocabulary: int) -> None:
    """Vocabularies of less than a block, of one, of a part of one more, and one of which not all rows fit at once."""
    count = 3 * len(MIXED)
    logits = torch.randn(count, vocabulary, generator=torch.Generator().manual_seed(vocabulary)) * 3
    samplings = [MIXED[index % len(MIXED)] for index in range(count)]
    seen = [SeenTokens.of([1, 2, 3], logits[0]) if sampling in MIXED[5:] else None for sampling in samplings]
    numbers = [uniform(torch.Generator().manual_seed(index)) for index in range(count)]
    together = draw_tokens(logits, samplings, seen, numbers)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(1)).tolist()
    shuffled = draw_tokens(
        logits[order], [samplings[i] for i in order], [seen[i] for i in order], [numbers[i] for i in order]
    )
    assert shuffled.tolist() == together[order].tolist()
    for index in range(count):
        one = slice(index, index + 1)
        assert draw_tokens(logits[one], samplings[one], seen[one], numbers[one]) == together[index]


def test_a_nucleus_of_more_tokens_than_are_looked_at_first_is_whole() -> None:
    logits = torch.zeros(2, 5000)
    logits[1] = torch.linspace(0, 1, 5000)
    flat, sloped = probabilities(logits, [Sampling(temperature=1.0, top_p=0.9)] * 2)
    assert int((flat > 0).sum()) == pytest.approx(4500, abs=1)
    assert 1024 < int((sloped > 0).sum()) < 4500 and sloped[0] == 0 < sloped[-1]


def test_only_what_can_be_drawn_is_drawn_at_the_ends() -> None:
    logits = torch.full((1, 1500), float("-inf"))
    logits[0, [3, 700, 1400]] = 0.0
    hot = [Sampling(temperature=1.0)]
    drawn = [int(draw_tokens(logits, hot, [None], [number])) for number in (0.0, 0.34, 0.67, 1 - 2**-53, 1.0)]
    assert drawn == [3, 700, 1400, 1400, 1400]


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_scores_that_are_no_numbers_are_an_error(value: float) -> None:
    with pytest.raises(RuntimeError, match="scores are no numbers"):
        draw_tokens(torch.full((1, 9), value), [Sampling(temperature=1.0)], [None], [0.5])
