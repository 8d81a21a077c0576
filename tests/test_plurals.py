from stackbench.cli.manage_runs import _described  # pyright: ignore[reportPrivateUsage]
from stackbench.plurals import number_of
from stackbench.store import Labels, RunInfo


def test_one_is_no_plural() -> None:
    assert [number_of(count, "task") for count in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]


def test_a_run_to_be_removed_is_described_with_its_count_of_attempts() -> None:
    run = RunInfo("r", "eval", "completed", "2026-11-26 09:00:00", None, "oracle", {}, (0,), None, {})
    assert _described(run, Labels("small", ("a",)), 1) == (
        "r  small #a  completed  2026-11-26 09:00:00 UTC  oracle  1 attempt"
    )
