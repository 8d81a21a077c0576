from __future__ import annotations

import pytest

from stackbench.config import Price
from stackbench.engine import run_cost
from stackbench.engine.cost import find_price
from stackbench.store import BenchmarkResult

PRICES = {
    "gpt-4o-mini*": Price(input=0.15, output=0.6),
    "gpt-4o*": Price(input=2.5, output=10),
    "vllm:*": Price(input=1, output=1, currency="EUR"),
}


@pytest.mark.parametrize(
    ("model", "pattern"),
    [
        ("openai:gpt-4o-mini-2024", "gpt-4o-mini*"),
        ("openai:gpt-4o@https://proxy/v1", "gpt-4o*"),
        ("vllm:Qwen/Q", "vllm:*"),
        ("hf:gpt-2", None),
        ("oracle", None),
    ],
)
def test_the_first_pattern_that_fits_the_model_is_its_price(model: str, pattern: str | None) -> None:
    found = find_price(PRICES, model)
    assert (found[0] if found else None) == pattern


def test_a_cost_counts_the_tokens_of_every_benchmark() -> None:
    results = [
        BenchmarkResult("a", 1, 1, 0, (), prompt_tokens=1_000_000, completion_tokens=100_000),
        BenchmarkResult("b", 1, 1, 1, (), prompt_tokens=200_000),
    ]
    cost = run_cost(PRICES, "openai:gpt-4o", results)
    assert cost is not None
    assert (cost.amount, cost.currency, cost.pattern) == (pytest.approx(1.2 * 2.5 + 0.1 * 10), "USD", "gpt-4o*")
    assert run_cost({}, "openai:gpt-4o", results) is None
