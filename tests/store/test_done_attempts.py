"""The set of a run's finished attempts is what the table holds, gaps included."""

from __future__ import annotations

import random

from stackbench.store import DoneAttempts, LocalQueries, Reader, Writer
from stackbench.types import AttemptKey
from tests.store.test_rows import writer as writer
from tests.store.test_writer import record


def test_the_set_holds_what_was_recorded_and_nothing_else(writer: Writer) -> None:
    draw = random.Random(5)
    recorded: set[AttemptKey] = set()
    for task in range(8):
        for number in range(6):
            if task in (0, 1) or draw.random() < 0.5:
                key = AttemptKey("humaneval", f"t/{task}", number, 0)
                made = record(key.task_id, key=key)
                writer.attempt("r1", made)
                recorded.add(made.key)
    writer.flush()
    done = Reader(LocalQueries(writer.cursor())).done("r1")
    assert done == recorded and len(done) == len(recorded) and set(done) == recorded
    everything = {AttemptKey("humaneval", f"t/{task}", number, 0) for task in range(9) for number in range(8)}
    assert {key for key in everything if key in done} == recorded
    assert done.of_task("humaneval", "t/0", 0) == range(6) and not done.of_task("humaneval", "t/0", 1)
    assert done.attempts == {"humaneval": len(recorded)}
    assert AttemptKey("humaneval", "t/0", 0, 1) not in done and "t/0" not in done


def test_a_run_without_attempts_has_none() -> None:
    assert DoneAttempts() == set() and not DoneAttempts()
