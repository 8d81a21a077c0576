from __future__ import annotations

import pytest

from stackbench.benchmarks import Sample
from stackbench.benchmarks.humaneval import HumanEval, HumanEvalOptions
from stackbench.datasets import DatasetStore
from stackbench.sandbox.scorer import Scorer
from tests.benchmarks.scripted import ScriptedContext

pytestmark = pytest.mark.docker


@pytest.fixture
def benchmark() -> HumanEval:
    return HumanEval(HumanEvalOptions())


async def test_answers_pass_however_they_are_dressed(benchmark: HumanEval, data: DatasetStore, sandbox: Scorer) -> None:
    task = benchmark.tasks(data)[0]
    whole = task.prompt + task.canonical_solution
    unindented = "\n".join(line.removeprefix("    ") for line in task.canonical_solution.splitlines())
    answers = [
        f"```python\n{whole}```",
        whole,
        f"Of course! Here it is:\n```python\n{whole}\n```\nLet me know.",
        f"```python\n{task.canonical_solution}```",
        f"```python\n{unindented}\n```",
        f"```python\n{whole}",
    ]
    for answer in answers:
        scored = await benchmark.attempt(task, ScriptedContext(answer, sandbox=sandbox))
        assert scored.passed, (answer, scored.reason)


async def test_the_program_that_was_executed_is_recorded(
    benchmark: HumanEval, data: DatasetStore, sandbox: Scorer
) -> None:
    task = benchmark.tasks(data)[0]
    whole = task.prompt + task.canonical_solution
    answer = (
        f"```python\n{task.prompt}    pass\n```\nComplete:\n```python\nfrom __future__ import annotations\n{whole}\n"
        f"print({task.entry_point}([1.0], float(input())))\n```"
    )
    scored = await benchmark.attempt(task, ScriptedContext(answer, sandbox=sandbox))
    assert scored.passed, scored.reason
    assert scored.program is not None
    assert scored.program.startswith(f"from __future__ import annotations\n{task.prompt}")
    assert "input()" not in scored.program
    scored = await benchmark.attempt(
        task, ScriptedContext(f"{task.canonical_solution}\ndef more(): return (", sandbox=sandbox, chat=False)
    )
    assert (scored.passed, scored.program) == (True, whole)
    refused = await benchmark.attempt(task, ScriptedContext("I cannot help.", sandbox=sandbox))
    assert (refused.passed, refused.program) == (False, f"{task.prompt}I cannot help.")


async def test_a_model_without_a_template_continues_the_prompt(
    benchmark: HumanEval, data: DatasetStore, sandbox: Scorer
) -> None:
    task = benchmark.tasks(data)[0]
    context = ScriptedContext(task.canonical_solution, sandbox=sandbox, chat=False)
    assert (await benchmark.attempt(task, context)).passed
    assert context.asked[0]["text"] == task.prompt
    assert "\ndef" in context.asked[0]["stop"]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", "failed: AssertionError"),
        ("    return None\n", "failed: AssertionError"),
        ("    return (\n", "failed: SyntaxError"),
        ("    raise ValueError('no')\n", "failed: ValueError: no"),
        ("    while True: pass\n", "timed out"),
        ("    import sys; sys.exit(0)\n", "failed: SystemExit: 0"),
        ("    import os; os._exit(0)\n", "failed: exited with code 0 before the tests ended"),
        ("    return \x00\n", "failed: "),
    ],
)
async def test_wrong_samples_fail_with_the_reason(
    benchmark: HumanEval, data: DatasetStore, sandbox: Scorer, text: str, result: str
) -> None:
    task = benchmark.tasks(data)[0]
    scored = await benchmark.score(task, Sample(text), ScriptedContext(sandbox=sandbox))
    assert not scored.passed
    assert scored.metrics["result"].startswith(result)
