from __future__ import annotations

from pathlib import Path

import pytest

from stackbench.benchmarks import create_benchmark
from stackbench.config import Settings, load_settings
from stackbench.datasets import DatasetStore
from stackbench.engine import list_suites, plan_benchmarks, plan_suite
from stackbench.engine.work import load_benchmarks, planned_rows
from stackbench.errors import ConfigError, UsageError


def test_the_built_in_suites_are_valid_and_full_has_every_benchmark() -> None:
    from stackbench.benchmarks import list_benchmarks

    suites = list_suites()
    assert set(suites) == {"quickstart", "smoke", "core", "full"}
    everywhere = {*list_benchmarks()} - {"humanevalplus", "swebench", "voice"}
    assert sorted(part.name for part in suites["smoke"].benchmarks) == sorted(everywhere)
    assert all(part.limit == 5 for part in suites["smoke"].benchmarks if part.name != "throughput")
    assert sorted(part.name for part in suites["full"].benchmarks) == list(list_benchmarks())


def test_the_first_scoreboard_s_tool_use_tasks_are_told_to_be_other_ones(data: DatasetStore) -> None:
    plan = plan_suite("quickstart", Settings(model="oracle"))
    part = next(part for part in plan.benchmarks if part.name == "tooluse")
    loaded, _ = load_benchmarks(plan.model_copy(update={"benchmarks": (part,)}), data, None)
    assert len(loaded[0].tasks) == 5
    (row,) = planned_rows(plan.model_copy(update={"benchmarks": (part,)}), loaded, {}, None)
    assert row.selection["task_set"].startswith("first-steps, tasks that name the command to run")
    own = create_benchmark("tooluse", {})
    assert not {task.task_id for task in own.tasks(data)} & {task.task_id for task in loaded[0].tasks}


def test_a_suite_file_sets_tasks_sampling_options_and_gates(tmp_path: Path) -> None:
    path = tmp_path / "nightly.toml"
    path.write_text(
        '[[benchmarks]]\nname = "gsm8k"\nlimit = 3\nsamples = 2\noptions = { shots = 4 }\n'
        '[[gates]]\nname = "maths"\nbenchmark = "gsm8k"\nmetric = "exact_match_strict"\nthreshold = 0.5\n'
    )
    plan = plan_suite(str(path), Settings())
    assert (plan.suite, plan.benchmarks[0].limit, plan.attempts(plan.benchmarks[0])) == ("nightly", 3, 2)
    assert plan.temperature(plan.benchmarks[0]) == 0.8
    assert plan.gates[0].threshold == 0.5


def test_the_users_limit_wins_over_the_suites(tmp_path: Path) -> None:
    plan = plan_suite("smoke", Settings(limit=2))
    assert {part.limit for part in plan.benchmarks} == {2}
    named = tmp_path / "named.toml"
    named.write_text('[[benchmarks]]\nname = "humaneval"\nsample_ids = ["HumanEval/3", "HumanEval/1", "HumanEval/2"]\n')
    (part,) = plan_suite(str(named), Settings(limit=2)).benchmarks
    assert part.sample_ids == ("HumanEval/3", "HumanEval/1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("benchmarks = 3", "benchmarks"),
        ("[[benchmarks]]\nname = 'humaneval'\nlimmit = 3", "limmit"),
        ("[[benchmarks]]\nname = 'humaneval'\nlimit = 0", "limit"),
        ("not toml", "not valid TOML"),
        (f"x = {'[' * 100_000}", "not valid TOML"),
        ("description = 'x'\n" + "# " * (1 << 19), "larger than 1 MiB"),
        ("", "benchmarks"),
    ],
)
def test_a_malformed_suite_names_the_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        plan_suite(str(path), Settings())


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (["humanevil"], {}, 'did you mean "humaneval"'),
        (["humaneval"], {"shots": 3}, 'humaneval: there is no option "shots"'),
        (["tooluse"], {"categores": "api"}, 'did you mean "categories"'),
        (["tooluse"], {"categories": "api,apy"}, "tooluse: option categories: Input should be 'files'.*got 'apy'"),
        (["gsm8k"], {"shots": "many"}, "gsm8k: option shots"),
        (["mmlu"], {"style": "loud"}, "mmlu: option style"),
    ],
)
def test_unknown_benchmarks_and_options_are_refused(names: list[str], options: dict, said: str) -> None:
    with pytest.raises((UsageError, ConfigError), match=said):
        plan_benchmarks(names, Settings(), options=options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[benchmarks]]\nname = 'gsm8k'\nlimmit = 3", r'benchmarks.0: unknown key "limmit" \(did you mean "limit"'),
        ("[[benchmarks]]\nname = 'gsm8k'\nzz = 3", r'benchmarks.0: unknown key "zz"; known: name, limit, sample_ids'),
        ("benchmark = 'gsm8k'\n[[benchmarks]]\nname = 'gsm8k'", r'top: unknown key "benchmark" \(did you mean "benchm'),
    ],
)
def test_an_unknown_key_of_a_suite_is_named_with_what_was_meant(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        plan_suite(str(path), Settings())


def test_a_suite_names_settings_as_the_command_line_does(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[[benchmarks]]\nname = 'gsm8k'\nmax-tokens = 7\nsample-ids = ['3']")
    (part,) = plan_suite(str(path), Settings()).benchmarks
    assert (part.max_tokens, part.sample_ids) == (7, ("3",))


def test_an_option_that_is_a_list_takes_one_value_and_several_with_commas() -> None:
    for given, taken in (("api", ["api"]), ("files,api", ["files", "api"]), (["files"], ["files"])):
        plan = plan_benchmarks(["tooluse"], Settings(), options={"categories": given})
        benchmark = create_benchmark("tooluse", plan.benchmarks[0].options)
        assert benchmark.options.model_dump(mode="json")["categories"] == taken  # type: ignore[attr-defined]


def test_settings_come_from_files_then_flags_and_remember_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "stackbench").mkdir(parents=True)
    (tmp_path / "config" / "stackbench" / "config.toml").write_text('model = "oracle"\nlimit = 3\nconcurrency = 9\n')
    (tmp_path / "stackbench.toml").write_text("limit = 4\n")
    sourced = load_settings({"concurrency": 5, "timeout_s": None})
    settings = sourced.settings
    assert (settings.model, settings.limit, settings.concurrency) == ("oracle", 4, 5)
    assert sourced.sources["model"].endswith("config.toml")
    assert sourced.sources["limit"] == "stackbench.toml"
    assert sourced.sources["concurrency"] == "--concurrency"
    assert sourced.sources["top_p"] == "default"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limit = 'x'", r"stackbench.toml: limit.*got 'x'"),
        ("limmit = 3", 'unknown key "limmit"'),
        ("=", "not valid TOML"),
        (f"x = {'[' * 100_000}", "not valid TOML"),
        (f"x = {'{a=' * 50_000}", "not valid TOML"),
        ("# " * (1 << 20), "larger than 1 MiB"),
    ],
)
def test_a_malformed_configuration_names_file_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stackbench.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        load_settings()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"temperature": -1.0}, "^--temperature: "),
        ({"top_p": 0.0}, "^--top-p: "),
        ({"timeout_s": 0.0}, "^--timeout: "),
        ({"samples": 0}, "^--samples: "),
        ({"gpus": "zero"}, "^--gpus: "),
        ({"executor": "slurm"}, "^--executor: "),
        ({"seeds": (1, 2, 1)}, "^--seed: 1 is named twice"),
    ],
)
def test_a_flag_out_of_range_is_named(flags: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_settings(flags)


def test_several_seeds_have_a_temperature_so_that_they_differ() -> None:
    plan = plan_benchmarks(["gsm8k"], Settings(seeds=(3, 4)))
    assert plan.temperature(plan.benchmarks[0]) == 0.8
    alone = plan_benchmarks(["gsm8k"], Settings(seeds=(3,)))
    assert alone.temperature(alone.benchmarks[0]) == 0.0


def test_several_seeds_at_temperature_0_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gsm8k: at temperature 0 a seed changes nothing, .* 2 seeds .* --temperature"):
        plan_benchmarks(["gsm8k"], Settings(seeds=(0, 1), temperature=0.0))
    path = tmp_path / "s.toml"
    path.write_text('[[benchmarks]]\nname = "humaneval"\n[[benchmarks]]\nname = "mmlu"\ntemperature = 0\n')
    with pytest.raises(UsageError, match="^mmlu: at temperature 0"):
        plan_suite(str(path), Settings(seeds=(0, 1)))
    plan_benchmarks(["throughput"], Settings(seeds=(0, 1), temperature=0.0))


def test_several_attempts_at_temperature_0_are_told_to_be_copies() -> None:
    for settings, copies in (
        (Settings(samples=3, temperature=0.0), True),
        (Settings(samples=3), False),
        (Settings(temperature=0.0), False),
    ):
        plan = plan_benchmarks(["gsm8k"], settings)
        assert plan.copies(plan.benchmarks[0]) is copies


def test_options_of_one_benchmark_win_over_the_suite_s(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(
        '[[benchmarks]]\nname = "gsm8k"\noptions = { shots = 4 }\n'
        '[[benchmarks]]\nname = "mbpp"\noptions = { style = "chat" }\n'
    )
    plan = plan_suite(str(path), Settings(), own_options={"gsm8k": {"shots": 2}})
    assert [part.options for part in plan.benchmarks] == [{"shots": 2}, {"style": "chat"}]
    named = plan_benchmarks(["gsm8k", "mbpp"], Settings(), options={}, own_options={"mbpp": {"style": "fewshot"}})
    assert [part.options for part in named.benchmarks] == [{}, {"style": "fewshot"}]
