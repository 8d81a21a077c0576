"""Benchmarks from a YAML file and its data: what is asked, what counts, and what is said of mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from stackbench.benchmarks import CodeBenchmark, create_benchmark
from stackbench.config import Home, Settings
from stackbench.datasets import DatasetStore
from stackbench.engine import RunPlan, plan_benchmarks, plan_suite, run_plan
from stackbench.errors import StackbenchError, UsageError
from stackbench.sandbox.scorer import Scorer
from stackbench.store import Reader, open_queries
from stackbench.types import RunStatus, Scored
from tests.benchmarks.scripted import ScriptedContext, summary

CAPITALS = {
    "name": "capitals",
    "data": "data.jsonl",
    "prompt": "Capital of {{ country }}?",
    "metric": "exact",
    "answer": "capital",
}
ROWS = [
    {"country": "France", "capital": "Paris", "continent": "Europe"},
    {"country": "Peru", "capital": "Lima", "continent": "America"},
    {"country": "Italy", "capital": ["Rome", "Roma"], "continent": "Europe"},
]


def write(folder: Path, rows: list[Any] | str = "", **fields: Any) -> Path:
    """A definition, CAPITALS with these fields; None leaves one out."""
    definition = {key: value for key, value in {**CAPITALS, **fields}.items() if value is not None}
    lines = rows if isinstance(rows, str) and rows else "".join(f"{json.dumps(row)}\n" for row in rows or ROWS)
    (folder / "data.jsonl").write_text(lines)
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(definition))
    return path


def planned(path: Path, **settings: Any) -> RunPlan:
    return plan_benchmarks([str(path)], Settings(model="oracle", **settings))


async def attempts(path: Path, answer: str, **context: Any) -> tuple[list[Scored], ScriptedContext, Any]:
    """Every task attempted with the same answer."""
    (part,) = planned(path).benchmarks
    benchmark: Any = create_benchmark(part.name, part.options)
    given = ScriptedContext(answer, **context)
    tasks = benchmark.tasks(DatasetStore(path.parent / "none"))
    return [await benchmark.attempt(task, given) for task in tasks], given, benchmark


async def test_an_exact_answer_is_any_of_those_given(tmp_path: Path) -> None:
    scored, asked, _ = await attempts(write(tmp_path, ignore_case=True, system="Be short."), " roma\n")
    assert [one.passed for one in scored] == [False, False, True]
    assert scored[0].reason == "failed: answered roma, not Paris"
    assert asked.asked[0]["turns"] == [("system", "Be short."), ("user", "Capital of France?")]


async def test_first_rows_are_examples_and_are_not_asked(tmp_path: Path) -> None:
    path = write(tmp_path, fewshot={"count": 1})
    scored, asked, _ = await attempts(path, "Lima")
    assert [one.passed for one in scored] == [True, False]
    assert asked.asked[0]["turns"] == [
        ("user", "Capital of France?"), ("assistant", "Paris"), ("user", "Capital of Peru?"),
    ]  # fmt: skip
    _, bare, _ = await attempts(path, "Lima", chat=False)
    assert bare.asked[0]["text"] == "Capital of France? Paris\n\nCapital of Peru?"


async def test_examples_come_from_a_second_file(tmp_path: Path) -> None:
    (tmp_path / "shown.csv").write_text('country,capital\n"Korea, South",Seoul\n')
    path = write(tmp_path, fewshot={"file": "shown.csv", "count": 1, "answer": "It is {{ capital }}."})
    scored, asked, _ = await attempts(path, "Paris")
    assert len(scored) == 3
    assert asked.asked[0]["turns"][:2] == [("user", "Capital of Korea, South?"), ("assistant", "It is Seoul.")]


@pytest.mark.parametrize(
    ("fields", "row", "answer", "passed"),
    [
        ({"metric": "number"}, {"capital": "1,200"}, "So the answer is 1200.0", True),
        ({"metric": "number"}, {"capital": 7}, "It is 8", False),
        ({"metric": "number", "extract": "regex", "pattern": r"sum=(\S+)"}, {"capital": 7}, "sum=7 of 9", True),
        ({"extract": "regex", "pattern": r"<a>(.*?)</a>"}, {"capital": "x"}, "<a>y</a> no, <a>x</a>", True),
        ({"extract": "regex", "pattern": r"<a>(.*?)</a>"}, {"capital": "x"}, "x", False),
        ({"metric": "choice", "choices": "all"}, {"capital": "b", "all": ["a", "b"]}, "The answer is B.", True),
        ({"metric": "choice", "choices": "all"}, {"capital": 0, "all": ["x", "y"]}, "The answer is B.", False),
        ({"metric": "choice", "choices": ["p", "q"]}, {"capital": "q", "p": "p1", "q": "q"}, "q", True),
    ],
)
async def test_metrics_and_extractions(
    tmp_path: Path, fields: dict[str, Any], row: dict[str, Any], answer: str, passed: bool
) -> None:
    scored, _, _ = await attempts(write(tmp_path, [{"country": "x", **row}], **fields), answer)
    assert scored[0].passed is passed


async def test_code_runs_with_its_tests(tmp_path: Path, sandbox: Scorer) -> None:
    path = write(
        tmp_path,
        [{"country": "x", "fn": "add", "test": "assert add(1, 2) == 3"}, {"country": "y", "fn": "add", "test": "assert add(1, 2) == 4"}],  # noqa: E501
        metric="code", answer=None, tests="{{ test }}\n", entry_point="fn",
    )  # fmt: skip
    scored, _, benchmark = await attempts(
        path, "Sure:\n```python\ndef add(a, b):\n    return a + b\n```", sandbox=sandbox
    )
    assert [one.passed for one in scored] == [True, False]
    assert isinstance(benchmark, CodeBenchmark)
    metrics = benchmark.metrics([summary(str(at), one) for at, one in enumerate(scored)])
    assert [(metric.name, metric.value) for metric in metrics] == [("pass@1", 0.5)]


BAD_ROWS = [
    ([*ROWS, {"country": "Chad"}], 'data.jsonl, row 4: there is no field "capital"; it has: country'),
    ([*ROWS, {"contry": "Chad", "capital": "x"}], 'row 4: prompt: the row has no field "country" (did you mean "contry"?)'),  # noqa: E501
    ('{"country": 1\n', "data.jsonl, row 1: this is no JSON"),
    ("[1]\n", "data.jsonl, row 1: a row is a JSON object"),
    ("\n", "data.jsonl holds no rows"),
    ([{"country": "x", "capital": ""}], "data.jsonl, row 1: capital: the field is empty"),
    ([{"country": "x", "capital": None}], "data.jsonl, row 1: capital: a text or a number is needed here, not null"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "said"), BAD_ROWS)
def test_a_mistake_in_a_row_is_one_line_with_its_row(tmp_path: Path, rows: Any, said: str) -> None:
    with pytest.raises(StackbenchError) as raised:
        planned(write(tmp_path, rows))
    assert said in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metrc": "exact"}, 'own.yaml: unknown key "metrc" (did you mean "metric"?)'),
        ({"fewshot": {"cuont": 1, "count": 1}}, 'fewshot: unknown key "cuont" (did you mean "count"?)'),
        ({"prompt": "{{ country"}, "own.yaml: prompt: line 1 of the template:"),
        ({"extract": "regex", "pattern": "(("}, "own.yaml: pattern: (( is no regular expression"),
        ({"extract": "regex"}, "own.yaml: extract: regex and pattern go together"),
        ({"metric": "code"}, "own.yaml: metric code needs tests"),
        ({"metric": "number", "extract": "choice"}, "metric number cannot be counted on extract choice"),
        ({"data": "gone.jsonl"}, "gone.jsonl cannot be read: No such file or directory"),
        ({"data": "own.yaml"}, "data is a .jsonl, .jsonl.gz or .csv file"),
        ({"name": "gsm8k"}, '"gsm8k" is the name of an installed benchmark'),
        ({"name": "my bench"}, "own.yaml: name: a name begins with a letter"),
        ({"metric": None}, "own.yaml: metric: the field is missing"),
        ({"metric": "number"}, 'row 1: capital: "Paris" holds no number'),
        ({"id": "continent"}, 'row 3: continent: the id "Europe" is that of row 1 too'),
        ({"fewshot": {"count": 3}}, "all 3 rows of data.jsonl are examples"),
        ({"fewshot": {"count": 9}}, "9 examples are asked for"),
    ],
)
def test_a_mistake_in_the_definition_is_one_line_with_its_field(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(StackbenchError) as raised:
        planned(write(tmp_path, **fields))
    assert said in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


def test_a_file_that_is_no_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    for text, said in (
        ("a: [1\nb: 2", "line 2: this is no YAML"),
        ("name: a\nname: b\n", "line 2: name is there twice"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=said):
            planned(path)


async def test_a_run_records_hashes_and_is_resumed_only_with_the_same_files(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    path = write(tmp_path, category="continent")
    plan = planned(path)
    outcome = await run_plan(home, plan)
    assert outcome.status is RunStatus.COMPLETED
    metrics = {(one.name, one.category): one.value for one in outcome.results[0].metrics}
    assert metrics == {("acc", ""): 1.0, ("acc", "America"): 1.0, ("acc", "Europe"): 1.0}
    queries = open_queries(home.database, home.socket)
    recorded = Reader(queries).run(outcome.run_id).config
    queries.close()
    again = RunPlan.model_validate(recorded)
    assert set(again.benchmarks[0].options["sha256"]) == {"own.yaml", "data.jsonl"}
    (tmp_path / "data.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match=r"data\.jsonl was altered since the run was planned"):
        await run_plan(home, again, resume=outcome.run_id)
    path.write_text("name: other\n")
    with pytest.raises(UsageError, match=r"own\.yaml was altered since the run was planned"):
        await run_plan(home, again, resume=outcome.run_id)


def test_suites_name_a_file_beside_them_and_gate_its_metrics(tmp_path: Path) -> None:
    write(tmp_path)
    suite = tmp_path / "nightly.toml"
    gate = '[[gates]]\nname = "g"\nbenchmark = "capitals"\nmetric = "{}"\nmin = 0.5\n'
    suite.write_text('[[benchmarks]]\nname = "own.yaml"\nlimit = 2\n' + gate.format("acc"))
    plan = plan_suite(str(suite), Settings(model="oracle"))
    assert [(part.name, part.limit) for part in plan.benchmarks] == [("capitals", 2)]
    suite.write_text('[[benchmarks]]\nname = "own.yaml"\n' + gate.format("accc"))
    with pytest.raises(UsageError, match='has no metric "accc"'):
        plan_suite(str(suite), Settings(model="oracle"))
