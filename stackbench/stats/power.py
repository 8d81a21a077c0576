"""What a comparison can find: the minimum detectable effect, and the tasks that an effect needs."""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = ["minimum_detectable_effect", "paired_sample_size", "power_factor", "tasks_to_decide", "unpaired_sample_size"]

POWER = 0.8
ALPHA = 0.05


def power_factor(power: float = POWER, alpha: float = ALPHA) -> float:
    """How many standard errors a difference must have to be found with that power in a two-sided test: 2.80."""
    if not (0.0 < power < 1.0 and 0.0 < alpha < 1.0):
        raise ValueError(f"power {power:g} and alpha {alpha:g} lie between 0 and 1")
    return NormalDist().inv_cdf(1.0 - alpha / 2.0) + NormalDist().inv_cdf(power)


def minimum_detectable_effect(stderr: float, *, power: float = POWER, alpha: float = ALPHA) -> float:
    """The smallest true difference that is found with that power (Bloom 1995, Evaluation Review 19:547).

    `stderr` is that of the difference: for two runs of the same tasks the paired one, for two scores on other tasks
    the root of the sum of squares.
    """
    if stderr < 0.0:
        raise ValueError(f"a standard error of {stderr:g} is none")
    return power_factor(power, alpha) * stderr


def paired_sample_size(difference: float, discordant: float, *, power: float = POWER, alpha: float = ALPHA) -> int:
    """Tasks that McNemar's test needs to find a difference (Connor 1987, Biometrics 43:207, formula 3).

    Args:
        difference: of the two pass rates, not 0.
        discordant: the share of tasks that one run alone solves; at least the difference.
    """
    d = abs(difference)
    if not 0.0 < d <= discordant <= 1.0:
        raise ValueError(f"a difference of {difference:g} needs discordant tasks between it and 1, not {discordant:g}")
    normal = NormalDist()
    z_alpha, z_power = normal.inv_cdf(1.0 - alpha / 2.0), normal.inv_cdf(power)
    root = z_alpha * math.sqrt(discordant) + z_power * math.sqrt(discordant - d * d)
    return math.ceil(root * root / (d * d))


def unpaired_sample_size(first: float, second: float, *, power: float = POWER, alpha: float = ALPHA) -> int:
    """Tasks that each of two runs needs when they share none (Fleiss, Levin and Paik 2003, Statistical Methods for
    Rates and Proportions, formula 4.14: no continuity correction)."""
    if not (0.0 <= first <= 1.0 and 0.0 <= second <= 1.0) or first == second:
        raise ValueError(f"two different shares between 0 and 1 are needed, not {first:g} and {second:g}")
    normal, mean = NormalDist(), (first + second) / 2.0
    z_alpha, z_power = normal.inv_cdf(1.0 - alpha / 2.0), normal.inv_cdf(power)
    spread = first * (1.0 - first) + second * (1.0 - second)
    root = z_alpha * math.sqrt(2.0 * mean * (1.0 - mean)) + z_power * math.sqrt(spread)
    return math.ceil(root * root / (first - second) ** 2)


def tasks_to_decide(difference: float, stderr: float, tasks: int, margin: float, *, alpha: float = ALPHA) -> int | None:
    """Tasks at which the interval of a difference like this one would no longer hold `-margin`.

    `stderr` is that of the mean over `tasks`, and falls with their root. None where no number decides: the difference
    lies on the margin.
    """
    distance = abs(difference + margin)
    if distance < 1e-12:
        return None
    z = NormalDist().inv_cdf(1.0 - alpha / 2.0)
    return max(1, math.ceil(tasks * (z * stderr / distance) ** 2))
