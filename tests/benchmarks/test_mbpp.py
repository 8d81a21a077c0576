from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import pytest

from stackbench.benchmarks import Sample
from stackbench.benchmarks.mbpp import Mbpp, MbppOptions
from stackbench.datasets import DatasetStore
from stackbench.sandbox.scorer import Scorer
from tests.benchmarks.scripted import ScriptedContext, summary

pytestmark = pytest.mark.docker


async def test_the_test_split_has_500_tasks_and_its_odd_references_pass(data: DatasetStore, sandbox: Scorer) -> None:
    benchmark = Mbpp(MbppOptions())
    tasks = {task.task_id: task for task in benchmark.tasks(data)}
    assert (len(tasks), min(map(int, tasks)), max(map(int, tasks))) == (500, 11, 510)
    # 367 needs its set-up after the code
    for name in ("11", "367", "510"):
        scored = await benchmark.score(tasks[name], Sample(tasks[name].code), ScriptedContext(sandbox=sandbox))
        assert scored.passed, (name, scored.reason)


async def test_each_assert_counts_for_execution_accuracy(data: DatasetStore, sandbox: Scorer) -> None:
    benchmark = Mbpp(MbppOptions())
    task = benchmark.tasks(data)[0]
    name = task.test_list[0].split("(")[0].removeprefix("assert ")
    first = task.test_list[0].split("==")[1].strip()
    sample = Sample(f"def {name}(*a):\n    return {first}\n")
    scored = await benchmark.score(task, sample, ScriptedContext(sandbox=sandbox))
    assert not scored.passed
    assert (scored.metrics["asserts"], scored.metrics["asserts_passed"]) == (3, 1)
    metrics = {m.name: m.value for m in benchmark.metrics([summary("11", scored)])}
    assert metrics["pass@1"] == 0.0
    assert metrics["execution_accuracy"] == pytest.approx(1 / 3)


async def test_a_class_that_the_set_up_or_the_tests_use_is_read_with_the_function(
    data: DatasetStore, sandbox: Scorer
) -> None:
    benchmark = Mbpp(MbppOptions())
    task = next(task for task in benchmark.tasks(data) if task.task_id == "367")
    cut = task.code.index("def ")
    cut = task.code.index("def ", task.code.index("def get_height") if "def get_height" in task.code else cut)
    first, second = task.code[:cut], task.code[cut:]
    answer = f"First\n```python\n{first}```\nand then\n```python\n{second}\nassert not is_tree_balanced(None)\n```"
    scored = await benchmark.attempt(task, ScriptedContext(answer, sandbox=sandbox))
    assert scored.passed, scored.reason
    assert scored.program is not None
    assert "class Node" in scored.program
    assert "assert" not in scored.program


async def test_instruct_models_see_the_tests_and_base_models_three_examples(
    data: DatasetStore, sandbox: Scorer
) -> None:
    benchmark = Mbpp(MbppOptions())
    task = benchmark.tasks(data)[0]
    chat = ScriptedContext(lambda asked: asked["reference"], sandbox=sandbox)
    base = ScriptedContext(lambda asked: asked["reference"], sandbox=sandbox, chat=False)
    assert (await benchmark.attempt(task, chat)).passed
    assert (await benchmark.attempt(task, base)).passed
    assert all(test in chat.asked[0]["text"] for test in task.test_list)
    assert base.asked[0]["text"].count("[BEGIN]") == 4
    assert base.asked[0]["stop"] == ("[DONE]",)


async def test_examples_can_be_turns_of_the_chat(sandbox: Scorer, data: DatasetStore) -> None:
    benchmark = Mbpp(MbppOptions(fewshot_as_turns=True))
    task = benchmark.tasks(data)[0]
    context = ScriptedContext(lambda asked: asked["reference"], sandbox=sandbox)
    assert (await benchmark.attempt(task, context)).passed
    turns = context.asked[0]["turns"]
    assert [role for role, _ in turns] == ["user", "assistant"] * 3 + ["user"]
    assert all(text.startswith("```python\ndef ") or "import" in text for role, text in turns if role == "assistant")


async def test_the_papers_form_equals_lm_evals_requests(data: DatasetStore) -> None:
    """Recorded by `python -m perf.agreement_lm_eval --prompts 50 --record-prompts ...`, from lm-eval's `arguments`."""
    recorded = json.loads((Path(__file__).parent / "lm_eval_prompts.json").read_text())["requests"]["mbpp lm-eval"]
    benchmark = Mbpp(MbppOptions(style="paper"))
    tasks = {task.task_id: task for task in benchmark.tasks(data)}
    context = ScriptedContext("")
    for task_id, digest in recorded.items():
        with contextlib.suppress(AssertionError):  # code is not run here
            await benchmark.attempt(tasks[task_id], context)
        sent = [context.asked[-1]["text"], list(context.asked[-1]["stop"])]
        assert hashlib.sha256(json.dumps(sent).encode()).hexdigest() == digest
    assert len(recorded) == len(context.asked) == 50
