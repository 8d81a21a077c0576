"""The forms of EvalPlus 0.3.1: what is asked, how the answer begins, where it ends, how the program is read."""

from __future__ import annotations

import pytest

from stackbench.benchmarks import create_benchmark
from stackbench.benchmarks.evalplus_forms import evalplus_request
from stackbench.datasets import DatasetStore
from stackbench.sandbox import Sandbox
from tests.benchmarks.scripted import ScriptedContext

PROMPT = '\n\ndef add(a, b):\n    """The sum."""\n\n'
USUAL = ("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")


def test_the_chat_begins_the_answer_and_ends_with_its_block() -> None:
    asked, request = evalplus_request("evalplus-chat", "humaneval", PROMPT, "    return a + b\n", ScriptedContext())  # type: ignore[arg-type]
    assert asked == request.messages[0].content
    assert asked.splitlines() == [
        "Please provide a self-contained Python script that solves the following problem in a markdown code block:",
        "```", "def add(a, b):", '    """The sum."""', "```",
    ]  # fmt: skip
    assert request.prefill.startswith("Below is a Python script with a self-contained function that solves the problem")
    assert request.prefill.endswith(" and passes corresponding tests:\n```python\n")
    assert request.sampling.stop == (*USUAL, "\n```\n") and request.sampling.max_tokens == 768


@pytest.mark.parametrize(
    ("dataset", "stops"),
    [("humaneval", ("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")), ("mbpp", ('\n"""', "\nassert"))],
)
def test_the_base_form_is_the_bare_prompt_with_the_datasets_stops(dataset: str, stops: tuple[str, ...]) -> None:
    asked, request = evalplus_request("evalplus-base", dataset, PROMPT, "", ScriptedContext())  # type: ignore[arg-type]
    assert asked == request.prompt == 'def add(a, b):\n    """The sum."""\n'
    assert request.sampling.stop == (*USUAL, *stops)


@pytest.mark.docker
@pytest.mark.parametrize("form", ["evalplus-chat", "evalplus-base"])
async def test_references_pass_in_evalpluss_forms(form: str, data: DatasetStore, sandbox: Sandbox) -> None:
    benchmark = create_benchmark("humaneval", {"style": form})
    tasks = benchmark.tasks(data)[::40]
    context = ScriptedContext(lambda asked: asked["reference"], sandbox=sandbox)
    for task in tasks:
        scored = await benchmark.attempt(task, context)
        assert scored.passed, scored.reason
        assert scored.metrics["form"] == form
