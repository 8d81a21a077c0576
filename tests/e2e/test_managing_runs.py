"""Names, tags, removal, tables and costs of runs, through the real program."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.conftest import Program
from tests.fake_endpoint import FakeEndpoint
from tests.waiting import wait_for

pytestmark = pytest.mark.e2e

EVAL = ("eval", "gsm8k", "--limit", "3")


def refused(program: Program, *arguments: str, code: int = 2) -> str:
    done = program.run(*arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    return done.stderr.splitlines()[-1]


def test_a_name_or_a_tag_stands_where_a_run_id_does(program: Program) -> None:
    first = program.json(*EVAL, "-m", "null", "--name", "before", "--tag", "paper", "--tag", "x1")["run_id"]
    second = program.json(*EVAL, "-m", "oracle", "--tag", "paper")["run_id"]
    assert program.json("show", "before")["run_id"] == first
    assert program.json("show", "x1")["tags"] == ["paper", "x1"]
    assert "names 2 runs" in refused(program, "show", "paper")
    assert program.json("runs", "tag", second, "--name", "after", "--remove", "paper") == {
        "run_id": second, "name": "after", "tags": [],
    }  # fmt: skip
    assert program.json("show", "paper")["run_id"] == first
    compared = program.json("compare", "before", "after")
    assert [compared[which]["run_id"] for which in ("first", "second")] == [first, second]
    assert [run["run_id"] for run in program.json("runs", "--tag", "paper")] == [first]
    assert "before #paper #x1" in program.run("runs").stdout
    assert f'run {first} has the name "before" already' in refused(program, *EVAL, "-m", "null", "--name", "before")
    assert "has the name" in refused(program, "runs", "tag", "after", "--name", "before")
    assert len(program.json("runs")) == 2, "a run whose name is taken is not begun"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*EVAL, "-m", "null", "--name", "20261126-aa"), "looks like a run's id"),
        ((*EVAL, "-m", "null", "--name", "last"), "looks like a run's id"),
        ((*EVAL, "-m", "null", "--tag", "a b"), '--tag "a b": it takes letters'),
        (("runs", "tag", "last"), "name a tag"),
        (("runs", "tag", "nope", "x"), 'no run "nope"'),
        (("runs", "rm", "nope", "--yes"), 'no run "nope"'),
        (("runs", "rm"), "missing argument"),
        (("runs", "--tag", "nope"), 'no run has the tag "nope"'),
        (("show", "last", "gsm8k/0", "--format", "md"), "--format md is of a whole run"),
        (("show", "last", "--format", "html"), "invalid value for '--format'"),
    ],
)
def test_labels_that_cannot_be_are_refused_in_one_line(program: Program, arguments: tuple[str, ...], said: str) -> None:
    program.json(*EVAL, "-m", "null")
    assert said in refused(program, *arguments)


def test_a_run_is_removed_with_all_that_is_of_it_and_only_when_that_is_meant(program: Program) -> None:
    kept = program.json(*EVAL, "-m", "oracle")["run_id"]
    gone = program.json(*EVAL, "-m", "null", "--name", "wrong")["run_id"]
    program.home.run(gone).mkdir(parents=True, exist_ok=True)
    (program.home.run(gone) / "engine.log").write_text("x")
    assert "add --yes" in refused(program, "runs", "rm", "wrong")
    done = program.run("runs", "rm", "wrong", gone, "--yes")
    assert (done.returncode, done.stdout) == (0, f"removed {gone}\n"), done.stderr
    assert [run["run_id"] for run in program.json("runs")] == [kept]
    assert not program.home.run(gone).exists()
    for table in ("attempts", "events", "metrics", "run_benchmarks", "run_labels"):
        assert program.query(f"SELECT count(*) AS n FROM {table} WHERE run_id = '{gone}'") == [{"n": 0}]
    assert program.query("SELECT count(*) AS n FROM attempts") == [{"n": 3}]


async def test_a_live_run_is_not_removed_and_its_engine_removes_others(
    program: Program, endpoint: FakeEndpoint
) -> None:
    old = (await asyncio.to_thread(program.json, *EVAL, "-m", "null"))["run_id"]
    endpoint.faults.extend(["slow"] * 100)
    process = program.start("eval", "gsm8k", "-m", endpoint.name, "--limit", "20", "--concurrency", "2")
    try:
        await asyncio.to_thread(wait_for, lambda: len(endpoint.requests) >= 2, within_s=60)
        assert "is running; end it first: stackbench ctl stop" in await asyncio.to_thread(
            refused, program, "runs", "rm", "last", "--yes"
        )
        done = await program.run_beside("runs", "rm", old, "--yes")
        assert done.returncode == 0, done.stderr
        assert [run["status"] for run in await asyncio.to_thread(program.json, "runs")] == ["running"]
        named = await program.run_beside("runs", "tag", "last", "now", "--name", "live")
        assert named.returncode == 0, named.stderr
        assert (await asyncio.to_thread(program.json, "show", "live"))["tags"] == ["now"]
    finally:
        process.kill()
        process.communicate()


async def test_a_run_costs_what_the_price_table_says_and_nothing_is_told_without_one(
    program: Program, endpoint: FakeEndpoint
) -> None:
    asked = (*EVAL, "-m", endpoint.name, "--json")
    without = await program.run_beside(*asked)
    assert "cost" not in json.loads(without.stdout), without.stderr
    (program.home.path / "stackbench.toml").write_text('[prices."fa*"]\ninput = 2.5\noutput = 10\ncurrency = "EUR"\n')
    document = json.loads((await program.run_beside(*asked)).stdout)
    cost = document["cost"]
    tokens = cost["prompt_tokens"], cost["completion_tokens"]
    assert tokens[0] == 30 and tokens[1] > 0
    assert cost["amount"] == pytest.approx((tokens[0] * 2.5 + tokens[1] * 10) / 1e6)
    shown = (await program.run_beside("show", "last")).stdout
    assert f"{tokens[0]:,} prompt and {tokens[1]:,} completion tokens, cost {cost['amount']:,.4f} EUR" in shown
    (program.home.path / "stackbench.toml").write_text('[prices."fa*"]\ninput = -1\noutput = 10\n')
    wrong = await program.run_beside(*asked)
    assert wrong.returncode == 2 and "prices" in wrong.stderr


def test_the_scores_of_a_run_as_tables(program: Program) -> None:
    program.json(*EVAL, "-m", "oracle")
    markdown = program.run("show", "last", "--format", "md").stdout
    assert "| gsm8k | 3 of 3 | 0 | exact\\_match\\_robust | 1.0000 |" in markdown
    latex = program.run("show", "last", "--format", "latex").stdout
    assert latex.startswith(r"\begin{tabular}") and r"exact\_match\_robust & 1.0000 &" in latex


def test_show_names_reasons_of_every_benchmark_in_natural_order(program: Program) -> None:
    program.json("eval", "gsm8k", "mmlu", "-m", "null", "--limit", "12")
    text = program.run("show", "last", "--failures", "3").stdout
    assert "24 of 24 attempts did not pass" in text
    assert "gsm8k/0, gsm8k/1, gsm8k/2, 9 more" in text
    assert "answered no letter, not ..." in text
    assert "total: 24 attempts, 0 errors" in text
    few = program.run("show", "last", "--failures", "0").stdout
    assert "12 tasks" in few


async def test_of_a_run_that_has_ended_attach_and_why_say_how_and_when(
    program: Program, endpoint: FakeEndpoint
) -> None:
    done = (await asyncio.to_thread(program.json, *EVAL, "-m", "null", "--name", "over"))["run_id"]
    when = (await asyncio.to_thread(program.json, "show", done))["finished_at"]
    line = f"run {done} has ended: completed at {when} UTC; see it: stackbench show {done}"
    assert line in await asyncio.to_thread(refused, program, "attach", "over")
    assert f"the newest {line}" in await asyncio.to_thread(refused, program, "attach")
    assert f"the newest {line}" in await asyncio.to_thread(refused, program, "ctl", "why")
    why = await program.run_beside("ctl", "why", "over")
    assert (why.returncode, why.stdout) == (0, f"{line}\n"), why.stderr
    document = json.loads((await program.run_beside("ctl", "why", done, "--json")).stdout)
    assert (document["status"], document["finished_at"]) == ("completed", when)
    assert 'no run "nope"' in await asyncio.to_thread(refused, program, "attach", "nope")

    endpoint.faults.extend(["slow"] * 100)
    process = program.start("eval", "gsm8k", "-m", endpoint.name, "--limit", "20", "--concurrency", "2")
    await asyncio.to_thread(wait_for, lambda: len(endpoint.requests) >= 2, within_s=60)
    assert line in await asyncio.to_thread(refused, program, "attach", "over"), "said by a live engine's watcher too"
    process.kill()
    process.communicate()
    cut = (await asyncio.to_thread(program.json, "runs", "--limit", "1"))[0]["run_id"]
    refusal = await asyncio.to_thread(refused, program, "attach", cut)
    assert f"run {cut} was cut off" in refusal and f"to go on: stackbench eval --resume {cut}" in refusal
