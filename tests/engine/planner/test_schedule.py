from __future__ import annotations

from stackbench.engine.planner.schedule import Lane, Wish, apportion, make_schedule

CODE = Wish("humaneval", priority=1)
AGENT = Wish("tooluse", priority=2, agent=True, seconds=3)
LONG = Wish("longcontext", share="alone", priority=5)
SWE = Wish("swebench", share="alone", priority=4, seconds=6)
SPEED = Wish("throughput", share="exclusive", priority=11)
EXTRA = Wish("mmlu", priority=9, optional=True)


def names(phases: list) -> list[list[tuple[str, ...]]]:
    return [[lane.names for lane in phase] for phase in phases]


def test_without_gpus_all_share_the_model_and_speed_comes_last() -> None:
    phases = make_schedule([CODE, LONG, SPEED, AGENT, SWE], 1, on_gpus=False)
    assert names(phases) == [[("tooluse", "humaneval", "longcontext", "swebench")], [("throughput",)]]


def test_on_one_gpu_what_fills_its_memory_is_alone() -> None:
    phases = make_schedule([CODE, LONG, SPEED, AGENT, SWE], 1, on_gpus=True)
    assert names(phases) == [[("tooluse", "humaneval")], [("longcontext",)], [("swebench",)], [("throughput",)]]


def test_on_many_gpus_each_has_servers_by_its_work() -> None:
    phases = make_schedule([CODE, LONG, SPEED, AGENT, SWE], 11, on_gpus=True)
    assert names(phases) == [[("tooluse", "humaneval"), ("longcontext",), ("swebench",)], [("throughput",)]]
    assert [len(lane.servers) for lane in phases[0]] == [4, 1, 6]
    taken = [server for lane in phases[0] for server in lane.servers]
    assert sorted(taken) == list(range(11))
    assert phases[1] == (Lane(("throughput",), (0,)),)


def test_with_two_gpus_those_alone_follow_the_others() -> None:
    phases = make_schedule([CODE, LONG, SWE], 2, on_gpus=True)
    assert names(phases) == [[("humaneval",)], [("longcontext",), ("swebench",)]]


def test_with_fewer_gpus_than_benchmarks_alone_each_has_them_all() -> None:
    third = Wish("other", share="alone")
    phases = make_schedule([LONG, SWE, third], 2, on_gpus=True)
    assert names(phases) == [[("longcontext",)], [("swebench",)], [("other",)]]
    assert all(lane.servers == (0, 1) for phase in phases for lane in phase)


def test_by_priority_optional_ones_wait_and_speed_is_last() -> None:
    phases = make_schedule([EXTRA, SPEED, SWE, AGENT, CODE], 2, on_gpus=True, by_priority=True)
    assert names(phases) == [[("humaneval",)], [("tooluse",)], [("swebench",)], [("mmlu",)], [("throughput",)]]


def test_one_by_one_keeps_the_order_of_the_plan() -> None:
    phases = make_schedule([SPEED, CODE], 1, on_gpus=True, one_by_one=True)
    assert names(phases) == [[("throughput",)], [("humaneval",)]]


def test_nothing_to_run_is_no_phase() -> None:
    assert make_schedule([], 4, on_gpus=True) == []


def test_every_amount_of_work_gets_a_seat() -> None:
    assert apportion([0.0, 0.0, 100.0], 5) == [1, 1, 3]
    assert apportion([1.0], 3) == [3]
