from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from stackbench.benchmarks import create_benchmark
from stackbench.datasets import DatasetStore
from stackbench.engine.selection import select_limited
from stackbench.types import Task


def tasks_of(**sizes: int) -> list[Task]:
    return [Task(f"{name}/{n}", name) for name, size in sizes.items() for n in range(size)]


def ids(tasks: list[Task]) -> list[str]:
    return [task.task_id for task in tasks]


def test_tasks_without_categories_are_the_first_ones() -> None:
    tasks = [Task(f"t/{n}") for n in range(9)]
    assert select_limited(tasks, 4, 0) == tasks[:4]


@pytest.mark.parametrize("limit", [3, 4, 10, 37, 60, 99])
def test_every_category_has_its_share_and_at_least_one_task(limit: int) -> None:
    tasks = tasks_of(large=70, middle=25, small=5)
    found = Counter(task.category for task in select_limited(tasks, limit, 0))
    assert sum(found.values()) == limit
    for name, share in (("large", 0.7), ("middle", 0.25), ("small", 0.05)):
        assert found[name] >= 1
        assert abs(found[name] - share * limit) <= max(1.2, 0.04 * limit)


def test_fewer_tasks_than_categories_are_of_different_ones() -> None:
    found = select_limited(tasks_of(a=1000, b=3, c=50, d=2), 3, 5)
    assert len({task.category for task in found}) == 3


def test_the_seed_decides_and_decides_the_same_every_time() -> None:
    tasks = tasks_of(a=50, b=50)
    assert ids(select_limited(tasks, 10, 3)) == ids(select_limited(tasks, 10, 3))
    assert ids(select_limited(tasks, 10, 3)) != ids(select_limited(tasks, 10, 4))


def test_a_larger_limit_holds_the_smaller_ones_tasks_in_the_benchmarks_order() -> None:
    tasks = tasks_of(a=31, b=17, c=3)
    before: set[str] = set()
    for limit in range(1, 52):
        found = ids(select_limited(tasks, limit, 0))
        assert before <= set(found)
        assert found == [task.task_id for task in tasks if task.task_id in set(found)]
        before = set(found)
    assert select_limited(tasks, 500, 0) == tasks


@dataclass(frozen=True, slots=True)
class Nested(Task):
    template: str = ""

    @property
    def strata(self) -> tuple[str, ...]:
        return (self.category, self.template)


def test_a_share_is_spread_over_the_groups_within_a_category() -> None:
    tasks = [Nested(f"{c}{t}{n}", c, f"{c}{t}") for c in "ab" for t in range(10) for n in range(5)]
    found = select_limited(tasks, 20, 0)
    assert Counter(task.category for task in found) == {"a": 10, "b": 10}
    assert set(Counter(task.template for task in found).values()) == {1}


@pytest.mark.parametrize("limit", [57, 100, 570])
def test_mmlu_has_every_subject(data: DatasetStore, limit: int) -> None:
    tasks = create_benchmark("mmlu", {}).tasks(data)
    found = Counter(task.category for task in select_limited(tasks, limit, 0))
    whole = Counter(task.category for task in tasks)
    assert len(found) == 57
    if limit == 570:
        for subject, count in found.items():
            assert abs(count - 570 * whole[subject] / len(tasks)) < 1


def test_tool_use_has_every_category_and_its_difficulties(data: DatasetStore) -> None:
    tasks = create_benchmark("tooluse", {}).tasks(data)
    found = select_limited(tasks, 50, 0)
    assert set(Counter(task.category for task in found).values()) == {10}
    assert {task.strata[1] for task in found} == {"1", "2", "3", "4", "5"}
    assert max(Counter(task.strata[2] for task in found).values()) == 1
