"""A new run: a form from the settings' metadata, with an estimate and the command line that means the same."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from stackbench.config import Home, list_settings
from stackbench.errors import ConfigError, StackbenchError, UsageError
from stackbench.store.pace import Pace
from stackbench.tui.new_run.choices import find_servers, own_benchmarks
from stackbench.tui.new_run.draft import Draft
from stackbench.tui.new_run.estimate import Known, estimate_lines
from tests.fake_endpoint import FakeEndpoint
from tests.tui.pilots import opened
from tests.tui.recorded_home import CLOCK
from tests.tui.scripted_engine import scripted_engine


async def test_what_is_chosen_and_entered_is_the_run_and_the_command_line(recorded: Home) -> None:
    async with scripted_engine(recorded, "20261126-110000-ffffff", clock=CLOCK) as engine:
        engine.live = False
        async with opened(recorded, (120, 50)) as screens:
            await screens.shows("20261126-090000-aaaaaa")
            await screens.press("n")
            await screens.shows("[ ]  gsm8k")
            await screens.press(*["down"] * 4, "space", "down", "space")
            await screens.shows("[x]  gsm8k", "[x]  humaneval", "$ stackbench eval gsm8k humaneval --detach")
            await screens.press("tab")
            await screens.type("oracle")
            await screens.press("enter", "5")
            await screens.shows("$ stackbench eval gsm8k humaneval -m oracle --limit 5 --detach")
            await screens.press("f5")
            await screens.until(lambda: engine.commands)
    plan = engine.commands[0][1]["plan"]
    assert [(part["name"], part["limit"]) for part in plan["benchmarks"]] == [("gsm8k", 5), ("humaneval", 5)]
    assert plan["settings"]["model"] == "oracle"


async def test_a_suite_stands_alone(tmp_path: Path) -> None:
    async with opened(Home(tmp_path)) as screens:
        await screens.press("n")
        await screens.shows("[ ]  suite smoke")
        await screens.press(*["down"] * 4, "space", "home", "down", "down", "down", "space")
        await screens.shows("[x]  suite smoke", "[ ]  gsm8k", "$ stackbench --batch smoke --detach")


async def test_a_value_that_is_not_valid_is_told_in_place_of_the_estimate(tmp_path: Path) -> None:
    async with opened(Home(tmp_path)) as screens:
        await screens.press("n")
        await screens.shows("[ ]  gsm8k")
        await screens.press(*["down"] * 4, "space", "tab", "tab", "x")
        await screens.shows("--limit: takes a whole number")
        await screens.press("f5")
        await screens.tells("--limit")


async def test_every_setting_has_a_field(tmp_path: Path) -> None:
    async with opened(Home(tmp_path), (120, 200)) as screens:
        await screens.press("n")
        await screens.shows("[ ]  gsm8k")
        await screens.press("f2")
        names = [field.name.replace("_", "-") for field in list_settings()]
        await screens.shows(*names)
        await screens.press("f2")
        await screens.hides("vllm-bin")


@pytest.mark.parametrize(
    ("draft", "error"),
    [
        (Draft(texts={"model": "oracle"}), UsageError),
        (Draft(benchmarks=("humaneval",), texts={"model": "what"}), StackbenchError),
        (Draft(benchmarks=("humaneval",), texts={"temperature": "-1"}), ConfigError),
        (Draft(benchmarks=("humaneval",), texts={"seeds": "1 2", "temperature": "0"}), UsageError),
        (Draft(benchmarks=("nothing",)), StackbenchError),
    ],
)
def test_what_cannot_be_run_is_refused(draft: Draft, error: type[Exception]) -> None:
    with pytest.raises(error):
        draft.plan()


def test_the_command_line_quotes_and_repeats() -> None:
    draft = Draft(
        benchmarks=("humaneval",), texts={"seeds": "1, 2", "system_prompt": "be brief; $HOME", "one_by_one": "yes"}
    )
    words = shlex.split(draft.command_line())
    assert words[:3] == ["stackbench", "eval", "humaneval"]
    assert [words[i + 1] for i, word in enumerate(words) if word == "--seed"] == ["1", "2"]
    assert "be brief; $HOME" in words and "--one-by-one" in words


def test_time_is_estimated_from_earlier_runs_and_said_to_be_unknown_without(tmp_path: Path) -> None:
    plan = Draft(benchmarks=("humaneval", "gsm8k"), texts={"model": "oracle", "limit": "100"}).plan()
    known = Known({"humaneval": Pace(50, 25.0, 1), "gsm8k": Pace(10, 20.0, 2)}, {"humaneval": 164, "gsm8k": 1319})
    lines = "\n".join(estimate_lines(plan, known, Home(tmp_path)))
    assert "attempts: 200 (humaneval 100, gsm8k 100); about 4:10" in lines
    lines = "\n".join(estimate_lines(plan, Known({"humaneval": Pace(50, 25.0, 1)}, {}), Home(tmp_path)))
    assert "not known for gsm8k" in lines


def test_data_that_are_not_on_this_machine_are_told_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKBENCH_CACHE", str(tmp_path / "cache"))
    home = Home(tmp_path)
    known = Known({}, {})
    both = estimate_lines(Draft(benchmarks=("gsm8k", "tooluse"), texts={"model": "null"}).plan(), known, home)
    assert both[0].startswith("! data not on this machine: gsm8k (gsm8k/test.jsonl, gsm8k/train-first-100.jsonl)")
    assert both[0].endswith("they are left out")
    alone = estimate_lines(Draft(benchmarks=("gsm8k",), texts={"model": "null"}).plan(), known, home)
    assert alone[0].endswith("the run fails")


async def test_servers_of_this_machine_are_found(endpoint: FakeEndpoint) -> None:
    port = int(endpoint.url.split(":")[2].split("/")[0])
    assert await find_servers((port, 1)) == [endpoint.name]
    endpoint.listed = {"data": "nonsense"}
    assert await find_servers((port,)) == []


async def test_benchmarks_of_the_working_folder_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sums.yaml").write_text(
        "name: my-sums\nmetric: exact\ndata: rows.jsonl\nprompt: '{question}'\nanswer: answer\n"
    )
    (tmp_path / "rows.jsonl").write_text('{"id": "one", "question": "1 + 1?", "answer": "2"}\n')
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    (tmp_path / "broken.yml").write_text("name: [\n")
    monkeypatch.chdir(tmp_path)
    found = own_benchmarks(Path())
    assert [(one.name, one.about) for one in found] == [("sums.yaml", "my-sums")]
    assert own_benchmarks(tmp_path / "none") == []
    async with opened(Home(tmp_path / "home"), (120, 50)) as screens:
        await screens.shows("Nothing has been run here yet")
        await screens.press("n")
        await screens.shows("sums.yaml  (yours)")
        await screens.press("end", "space")
        await screens.shows("[x]  sums.yaml", "stackbench eval sums.yaml --detach", "my-sums")
