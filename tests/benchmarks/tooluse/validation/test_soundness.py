"""The proof of soundness: a sound scenario is clean, and every way to be unsound is found."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml

from stackbench.benchmarks.tooluse.benchmark import ToolUse, ToolUseOptions, published_scenarios
from stackbench.benchmarks.tooluse.scenario.expansion import PUBLISHED_SEED, load_tasks
from stackbench.benchmarks.tooluse.validation.false_answers import false_answers
from stackbench.benchmarks.tooluse.validation.published import published_problems
from stackbench.benchmarks.tooluse.validation.soundness import check_set, check_task
from stackbench.sandbox.pool import SandboxPool
from tests.benchmarks.tooluse.made import scenario, write

docker = [pytest.mark.docker, pytest.mark.xdist_group("agents")]

SOUND = {
    "id": "sound",
    "category": "files",
    "subcategory": "count",
    "difficulty": 1,
    "prompt": "How many lines has in.txt? Write the number to out.txt and tell me.",
    "setup": {"files": {"in.txt": "a\nb\nc\n", "other.txt": "x\n"}},
    "tools": ["read", "write", "exec"],
    "checks": [{"file": "out.txt", "number": 3}, {"answer": {"number": 3}}],
    "expected": [
        {"id": "look", "call": ["read", "exec"], "with": {"path": "in.txt"}},
        {"id": "note", "call": ["write", "exec"], "with": {"path": "out.txt"}, "after": "look"},
    ],
    "oracle": [{"read": {"path": "in.txt"}}, {"write": {"path": "out.txt", "content": "3\n"}}],
    "answer": "It has 3 lines.",
    "wrong": [{"why": "the last line was forgotten", "calls": [{"write": {"path": "out.txt", "content": "2"}}]}],
}


async def problems(tmp_path: Path, pool: SandboxPool, **changed: object) -> list[str]:
    path = write(tmp_path, yaml.safe_dump({**SOUND, **changed}))
    (task,) = load_tasks(path)
    found = check_set([task], PUBLISHED_SEED) + await check_task(task, pool.lease)
    return [finding.problem for finding in found]


def test_answers_that_do_not_commit_themselves() -> None:
    checks = [{"answer": {"number": 3, "exact": "b", "among": ["a", "b"]}}]
    found = list(false_answers(scenario(checks=checks), "b has 3 lines."))
    assert {"b has 3 or 4 lines.", "b or a has 3 lines.", "It is b.\nIt is a."} <= set(found)
    assert any("0, 1, 2, 3" in answer and "100" in answer for answer in found)


class TestOneTask:
    pytestmark = docker

    async def test_a_sound_one_is_clean(self, tmp_path: Path, pool: SandboxPool) -> None:
        assert await problems(tmp_path, pool) == []

    async def test_a_solution_that_does_not_solve_it(self, tmp_path: Path, pool: SandboxPool) -> None:
        found = await problems(tmp_path, pool, answer="Done.")
        assert found[0].startswith("the solution fails: answer: it does not say 3")

    async def test_a_solution_without_its_expected_calls(self, tmp_path: Path, pool: SandboxPool) -> None:
        found = await problems(tmp_path, pool, expected=[*SOUND["expected"], {"id": "post", "call": "http_request"}])  # type: ignore[misc]
        assert found == ["tool call accuracy of the solution is 0.67: missed ['post'], beside []"]

    async def test_another_solution_that_is_none(self, tmp_path: Path, pool: SandboxPool) -> None:
        calls = [{"read": {"path": "in.txt"}}, {"write": {"path": "out.txt", "content": "4"}}]
        found = await problems(tmp_path, pool, solutions=[{"why": "counted by hand", "calls": calls, "answer": "3"}])
        assert found[0].startswith('the other solution "counted by hand" fails: file out.txt: it holds 4, not 3')

    async def test_a_text_of_the_set_up_without_its_rivals(self, tmp_path: Path, pool: SandboxPool) -> None:
        checks = [{"file": "out.txt", "number": 3}, {"answer": {"exact": "in.txt", "number": 3}}]
        found = await problems(
            tmp_path, pool, checks=checks, answer="in.txt has 3 lines.", prompt="Which of these files is the longest?"
        )
        assert found == ['the set-up holds "in.txt": its check needs `among`']

    async def test_a_solution_with_a_malformed_call(self, tmp_path: Path, pool: SandboxPool) -> None:
        found = await problems(tmp_path, pool, oracle=[{"read": {"file": "in.txt"}}, *SOUND["oracle"]])  # type: ignore[misc]
        assert any("malformed: error: read: path: Field required" in one for one in found)

    async def test_doing_nothing_completes_it(self, tmp_path: Path, pool: SandboxPool) -> None:
        found = await problems(tmp_path, pool, checks=[{"file": "in.txt", "same": True}], changes=["out.txt"])
        assert "doing nothing completes it" in found

    async def test_one_sentence_for_everything_completes_it(self, tmp_path: Path, pool: SandboxPool) -> None:
        found = await problems(tmp_path, pool, checks=[{"answer": {"regex": "not|cannot|done"}}], changes=["out.txt"])
        assert (
            'the answer "I cannot do this; could you please confirm what you want?" completes it without a call'
            in found
        )

    async def test_idle_but_there_is_something_to_do(self, tmp_path: Path, pool: SandboxPool) -> None:
        assert "idle, but doing nothing does not complete it" in await problems(tmp_path, pool, idle=True)

    async def test_an_effect_that_nothing_checks(self, tmp_path: Path, pool: SandboxPool) -> None:
        """out.txt is written, but only that it may be: its content does not count."""
        found = await problems(tmp_path, pool, checks=[{"file": "out.txt", "lacks": "9"}, {"answer": {"number": 3}}])
        assert found == []
        checks = [{"folder": "made"}, {"answer": {"number": 3}}]
        oracle = [*SOUND["oracle"], {"exec": {"command": "mkdir made"}}]  # type: ignore[misc]
        expected = [*SOUND["expected"], {"call": "exec"}]  # type: ignore[misc]
        found = await problems(tmp_path, pool, checks=checks, oracle=oracle, expected=expected, changes=["out.txt"])
        assert found == []

    async def test_a_process_that_nothing_checks_twice(self, tmp_path: Path, pool: SandboxPool) -> None:
        """The check looks for a process of another name that never runs: nothing makes it fail."""
        checks = [*SOUND["checks"], {"process": "^ghost ", "alive": False}]  # type: ignore[misc]
        assert await problems(tmp_path, pool, checks=checks) == ["no mutation makes this check fail: process ^ghost "]

    async def test_an_answer_that_need_not_be_given(self, tmp_path: Path, pool: SandboxPool) -> None:
        checks = [{"file": "out.txt", "number": 3}, {"answer": {"lacks": "perhaps"}}]
        found = await problems(tmp_path, pool, checks=checks)
        assert 'it is still completed with the answer ""' in found

    async def test_a_wrong_run_that_completes_it(self, tmp_path: Path, pool: SandboxPool) -> None:
        wrong = [{"why": "it is right", "calls": SOUND["oracle"], "answer": "3"}, {"why": "nothing is done"}]
        assert await problems(tmp_path, pool, wrong=wrong) == ["a run that must fail completes it: it is right"]

    async def test_no_wrong_run(self, tmp_path: Path, pool: SandboxPool) -> None:
        said = "it has no wrong run: one that looks like a solution and must fail"
        assert await problems(tmp_path, pool, wrong=[]) == [said]

    async def test_what_else_may_change_is_found_to_complete_it(self, tmp_path: Path, pool: SandboxPool) -> None:
        """A scenario that allows any request, process or branch is completed with stray ones."""
        setup = {**SOUND["setup"], "http": {"POST /x": {}}, "processes": ["bystander"]}  # type: ignore[dict-item]
        setup["commands"] = ["git init -q -b main r && cd r && git config user.name a && git config user.email a@b.c"
                             " && git commit -qm x --allow-empty"]  # fmt: skip
        assert await problems(tmp_path, pool, setup=setup) == []
        found = await problems(tmp_path, pool, setup=setup, requests=[".*"], processes=[".*"], changes=["r/.git/*"])
        assert found == [
            "it is still completed with a stray POST /stray",
            "it is still completed with a stray POST /x",
            "it is still completed with a stray process beside it",
            "it is still completed with a stray branch in r/.git",
        ]

    async def test_a_look_around_that_costs_the_solution_something(self, tmp_path: Path, pool: SandboxPool) -> None:
        found = await problems(tmp_path, pool, forbidden=[{"call": "exec"}])
        assert found[0] == "the solution with a look around fails: nothing forbidden: a call of exec, a call of exec"

    async def test_a_path_is_written_by_whatever_tool(self, tmp_path: Path, pool: SandboxPool) -> None:
        """What is written by `write` is as good when a command line writes it, whatever the expected call names."""
        narrow = [SOUND["expected"][0], {"id": "note", "call": "write", "with": {"path": "out.txt"}, "after": "look"}]  # type: ignore[index]
        assert await problems(tmp_path, pool, expected=narrow) == []

    async def test_a_prompt_that_holds_the_answer(self, tmp_path: Path, pool: SandboxPool) -> None:
        prompt = "How many lines has in.txt? I guess 3. Write the number to out.txt and tell me."
        assert await problems(tmp_path, pool, prompt=prompt) == ["its prompt holds the answer: 3"]

    async def test_a_solution_over_its_limits(self, tmp_path: Path, pool: SandboxPool) -> None:
        found = await problems(tmp_path, pool, limits={"steps": 2})
        assert "the solution is ended by steps" in found

    async def test_a_set_up_that_cannot_be_made(self, tmp_path: Path, pool: SandboxPool) -> None:
        found = await problems(tmp_path, pool, setup={"commands": ["exit 3"]})
        assert found == ["sound: the set-up command failed: exit 3: "]

    async def test_another_task_alike(self, tmp_path: Path) -> None:
        write(tmp_path, yaml.safe_dump(SOUND))
        write(tmp_path, yaml.safe_dump({**SOUND, "id": "twin", "difficulty": 2}), "two.yaml")
        found = [finding.problem for finding in check_set(load_tasks(tmp_path), PUBLISHED_SEED)]
        assert found == [
            "it is like sound: the same prompt and set-up but for numbers",
            "its prompt is 100% that of sound",
        ]


def test_prompts_of_a_template_that_differ_by_numbers_alone(tmp_path: Path) -> None:
    prompt = "Count the lines of in.txt, write their number to out.txt and add {{ task_number + 40 }}."
    parameters = {"name": {"word": "service"}}
    setup = {"files": {"in.txt": "{{ name }}\n"}}
    alike = {**SOUND, "tasks": 3, "parameters": parameters, "setup": setup, "prompt": prompt}
    said = "3 of 3 prompts of sound differ by numbers at most"
    assert said in published_problems(load_tasks(write(tmp_path, yaml.safe_dump(alike))), tmp_path)
    alike["prompt"] = [prompt, "How many lines does in.txt have? Put {{ task_number + 40 }} more into out.txt."]
    assert said not in published_problems(load_tasks(write(tmp_path, yaml.safe_dump(alike))), tmp_path)


@pytest.mark.docker
@pytest.mark.xdist_group("agents")
async def test_what_may_be_looked_at_without_a_shell_costs_nothing(tmp_path: Path, pool: SandboxPool) -> None:
    assert await problems(tmp_path, pool, tools=["ls", "read", "write"]) == []
    found = await problems(tmp_path, pool, tools=["ls", "read", "write"], forbidden=[{"call": "ls"}])
    assert found[0].startswith("the solution with a look around fails: nothing forbidden: a call of ls")


def test_the_published_set_is_what_it_is_published_as() -> None:
    folder = published_scenarios()
    tasks = load_tasks(folder)
    assert published_problems(tasks, folder) == []
    assert check_set(tasks, PUBLISHED_SEED) == []


def test_recorded_pass_rates_are_of_templates_of_the_set() -> None:
    folder = published_scenarios()
    templates = {task.template for task in load_tasks(folder)}
    for run in tomllib.loads((folder / "pass_rates.toml").read_text(encoding="utf-8"))["run"]:
        rates = run["templates"]
        assert rates.keys() <= templates
        assert all(0 <= completed <= tried for completed, tried in rates.values())
        assert sum(tried for _, tried in rates.values()) == run["tasks"]
        assert sum(completed for completed, _ in rates.values()) == run["completed"]


def test_an_altered_set_is_found_out() -> None:
    folder = published_scenarios()
    found = published_problems(load_tasks(folder)[:30], folder)
    assert "30 tasks in api, not 100" in found
    assert "0 tasks in system, not 100" in found
    assert any(problem.startswith("its hash is") for problem in found)


def test_any_first_tasks_are_of_every_category_and_of_different_templates() -> None:
    tasks = ToolUse(ToolUseOptions()).tasks(None)  # type: ignore[arg-type]
    assert len(tasks) == 500
    assert {task.category for task in tasks[:5]} == {"files", "system", "api", "workflow", "recovery"}
    assert len({task.template for task in tasks[:100]}) == 100


@pytest.mark.docker
@pytest.mark.xdist_group("agents")
async def test_a_sample_of_the_published_set_is_sound(pool: SandboxPool) -> None:
    tasks = ToolUse(ToolUseOptions()).tasks(None)  # type: ignore[arg-type]
    found = [finding for task in tasks[7::40] for finding in await check_task(task, pool.lease)]
    assert found == []
