from __future__ import annotations

from stackbench.report.reasons import group_reasons
from stackbench.store import Unpassed


def failed(task: str, reason: str, benchmark: str = "humaneval", *, is_error: bool = False) -> Unpassed:
    return Unpassed(benchmark, task, is_error, reason)


def test_reasons_that_differ_in_particulars_are_one_and_errors_come_first() -> None:
    groups = group_reasons(
        [
            failed("HumanEval/10", "failed: NameError: name 'a' is not defined"),
            failed("HumanEval/2", "failed: NameError: name 'b' is not defined"),
            failed("HumanEval/3", "failed: AssertionError\nmore of it"),
            failed("gsm8k/7", "failed: answered 4, not 1,000.5", "gsm8k"),
            failed("gsm8k/8", "failed: answered -3, not 6", "gsm8k"),
            failed("x/1", "failed: answered B, not C", "mmlu"),
            failed("gsm8k/9", "error: the endpoint failed 7 times", "gsm8k", is_error=True),
            failed("gsm8k/1", "", "gsm8k"),
        ],
        ["gsm8k", "humaneval"],
    )
    assert [(g.benchmark, g.is_error, g.reason, g.attempts, g.tasks) for g in groups] == [
        ("gsm8k", True, "the endpoint failed 7 times", 1, ("gsm8k/9",)),
        ("gsm8k", False, "answered ..., not ...", 2, ("gsm8k/7", "gsm8k/8")),
        ("gsm8k", False, "no reason recorded", 1, ("gsm8k/1",)),
        ("humaneval", False, "NameError: name ... is not defined", 2, ("HumanEval/2", "HumanEval/10")),
        ("humaneval", False, "AssertionError", 1, ("HumanEval/3",)),
        ("mmlu", False, "answered B, not C", 1, ("x/1",)),
    ]


def test_several_attempts_at_a_task_name_it_once() -> None:
    (group,) = group_reasons([failed("t/1", "timed out"), failed("t/1", "timed out")])
    assert (group.attempts, group.tasks) == (2, ("t/1",))
