"""Requirements on the published set of scenarios beyond the soundness of each: counts, shares, hash."""

from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from stackbench.benchmarks.tooluse.scenario.expansion import ToolTask, set_hash
from stackbench.benchmarks.tooluse.scenario.scenario import LONG

__all__ = ["PIN", "evened", "published_problems"]

PIN = "published.toml"
PER_CATEGORY = 100
CATEGORIES = ("files", "system", "api", "workflow", "recovery")
LEAST_TEMPLATES = 100
LEAST_HARD = 60
LEAST_STOPS = 25
LONG_TASKS = 100
LONGEST = 60
LEAST_SHELLLESS = 30


def published_problems(tasks: Sequence[ToolTask], folder: Path) -> list[str]:
    """Where the set is not what it is published as: 100 tasks in each category, its hash, enough that is
    hard, long or to be done without a shell."""
    found: list[str] = []
    counts = Counter(task.category for task in tasks)
    found += [
        f"{counts[name]} tasks in {name}, not {PER_CATEGORY}" for name in CATEGORIES if counts[name] != PER_CATEGORY
    ]
    templates = len({task.template for task in tasks})
    if templates < LEAST_TEMPLATES:
        found.append(f"{templates} templates, fewer than {LEAST_TEMPLATES}")
    hard = sum(task.spec.difficulty >= 4 for task in tasks)
    if hard < LEAST_HARD:
        found.append(f"{hard} tasks of difficulty 4 or 5, fewer than {LEAST_HARD}")
    stops = sum(task.spec.idle or task.spec.refuse for task in tasks)
    if stops < LEAST_STOPS:
        found.append(f"{stops} tasks in which to do nothing or to stop is right, fewer than {LEAST_STOPS}")
    long = sum(LONG <= len(task.spec.oracle) <= LONGEST for task in tasks)
    if long != LONG_TASKS:
        found.append(f"{long} tasks of {LONG} to {LONGEST} calls, not {LONG_TASKS}")
    shellless = sum("exec" not in task.spec.tools for task in tasks)
    if shellless < LEAST_SHELLLESS:
        found.append(f"{shellless} tasks without a shell, fewer than {LEAST_SHELLLESS}")
    found += _monotonous(tasks)
    pin = folder / PIN
    pinned = tomllib.loads(pin.read_text(encoding="utf-8")).get("sha256") if pin.is_file() else None
    if pinned != set_hash(tasks):
        found.append(f"its hash is {set_hash(tasks)}, pinned in {PIN} is {pinned}")
    return found


def evened(prompt: str) -> str:
    """A prompt with white space and case evened out and every number the same."""
    return re.sub(r"\d+", "0", " ".join(prompt.lower().split()))


def _monotonous(tasks: Sequence[ToolTask]) -> list[str]:
    """Templates of which two prompts are one text with other numbers in it, or with the same."""
    prompts: dict[str, Counter[str]] = defaultdict(Counter)
    for task in tasks:
        prompts[task.template][evened(task.spec.prompt)] += 1
    return [
        f"{most} of {counts.total()} prompts of {template} differ by numbers at most"
        for template, counts in prompts.items()
        if (most := max(counts.values())) > 1
    ]
