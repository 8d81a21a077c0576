"""What a run cost, by the prices of the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from stackbench.config import Price
from stackbench.store import BenchmarkResult

__all__ = ["Cost", "find_price", "run_cost"]

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """The price of a run's tokens, those of attempts in error included."""

    amount: float
    currency: str
    pattern: str
    """The entry of the price table that applied."""


def find_price(prices: Mapping[str, Price], model: str) -> tuple[str, Price] | None:
    """The first entry whose pattern (`*`, `?`) is the model's name, or the name without `openai:` and address."""
    bare = model.partition(":")[2].rpartition("@http")[0] or model.partition(":")[2]
    for pattern, price in prices.items():
        if fnmatchcase(model, pattern) or (bare and fnmatchcase(bare, pattern)):
            return pattern, price
    return None


def run_cost(prices: Mapping[str, Price], model: str, results: Sequence[BenchmarkResult]) -> Cost | None:
    """None where the table has no price for the model."""
    found = find_price(prices, model)
    if found is None:
        return None
    pattern, price = found
    sent = sum(result.prompt_tokens for result in results)
    received = sum(result.completion_tokens for result in results)
    return Cost((sent * price.input + received * price.output) / MILLION, price.currency, pattern)
