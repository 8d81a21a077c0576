"""From a template's text to tasks: draws, expressions, and errors that name file, line and field."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stackbench.agents.tools import TOOLS
from stackbench.benchmarks.tooluse.checks.matchers import MATCHERS
from stackbench.benchmarks.tooluse.scenario.author_errors import MATCHER_NAMES
from stackbench.benchmarks.tooluse.scenario.expansion import load_tasks, set_hash
from stackbench.benchmarks.tooluse.scenario.source import ScenarioError
from tests.benchmarks.tooluse.made import write

TEMPLATE = """\
id: sums
category: files
subcategory: count
difficulty: 2
tasks: 3
parameters:
  name: {word: service}
  rows:
    table:
      rows: 4
      columns:
        id: "{{ n * 10 }}"
        amount: {decimal: [1, 9, 2]}
        kind: {choice: [a, b]}
  best: "{{ rows | sort(attribute='amount') | last }}"
prompt: |
  Add up the amounts in {{ name }}.csv and write them down.
setup:
  files:
    "{{ name }}.csv": "{{ rows | csv }}"
tools: [read, write]
checks:
  - {file: total.txt, number: "{{ rows | total('amount') }}"}
  - {answer: {number: "{{ best.amount }}"}}
oracle:
  - read: {path: "{{ name }}.csv"}
"""


def test_a_template_becomes_tasks_with_values_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, TEMPLATE)
    tasks = load_tasks(tmp_path)
    assert [task.task_id for task in tasks] == ["sums-1", "sums-2", "sums-3"]
    assert len({task.spec.prompt for task in tasks}) == 3
    spec = tasks[0].spec
    ((path, file),) = spec.setup.files.items()
    assert file.content is not None
    rows = [line.split(",") for line in file.content.splitlines()]
    assert rows[0] == ["id", "amount", "kind"]
    assert [row[0] for row in rows[1:]] == ["10", "20", "30", "40"]
    assert spec.checks[0].number == pytest.approx(sum(float(row[1]) for row in rows[1:]))  # type: ignore[union-attr]
    assert spec.oracle[0].tool == "read" and spec.oracle[0].arguments == {"path": path}


def test_the_same_seed_gives_the_same_tasks_another_gives_others(tmp_path: Path) -> None:
    write(tmp_path, TEMPLATE)
    assert set_hash(load_tasks(tmp_path, 1)) == set_hash(load_tasks(tmp_path, 1)) != set_hash(load_tasks(tmp_path, 2))


def test_the_hash_changes_with_anything_in_a_task(tmp_path: Path) -> None:
    first = set_hash(load_tasks(write(tmp_path, TEMPLATE)))
    assert set_hash(load_tasks(write(tmp_path, TEMPLATE.replace("write them down", "write them up")))) != first


EACH = """\
setup:
  files:
    each row of rows:
      "parts/{{ row.id }}.txt": "{{ name }} {{ n }}"
    more.txt: x
oracle:
  - read: {path: more.txt}
  - each row of rows | where('id', 20, 30):
      - read: {path: "parts/{{ row.id }}.txt"}
      - each time of range(n) | list:
          - ls: {path: "{{ time }}"}
"""


def test_each_writes_a_part_once_for_every_one_of_a_list(tmp_path: Path) -> None:
    text = TEMPLATE[: TEMPLATE.index("setup:")] + EACH + TEMPLATE[TEMPLATE.index("tools:") : TEMPLATE.index("oracle:")]
    spec = load_tasks(write(tmp_path, text))[0].spec
    names = ["parts/10.txt", "parts/20.txt", "parts/30.txt", "parts/40.txt", "more.txt"]
    assert list(spec.setup.files) == names
    assert (spec.setup.files["parts/30.txt"].content or "").endswith(" 3")
    calls = [(call.tool, str(call.arguments["path"])) for call in spec.oracle]
    assert calls == [
        ("read", "more.txt"), ("read", names[1]), ("ls", "0"), ("read", names[2]), ("ls", "0"), ("ls", "1")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("each row of rows:", "each row of name:", 20, "name is no list"),
        ("each row of rows:", "each row of rowz:", 20, "'rowz' is undefined"),
        ("each time of range(n) | list:", "each time of rows | first:", 27, "rows | first is no list"),
        ('"parts/{{ row.id }}.txt": "{{ name }} {{ n }}"', "- a", 20, "in a mapping there is a mapping"),
        ('- ls: {path: "{{ time }}"}', "ls: 1", 27, "in a list there is a list"),
        ('- ls: {path: "{{ time }}"}', "- {ls: 1, exec: 2}", 23, "oracle: Extra inputs"),
    ],
)
def test_an_error_below_each_names_a_line_of_the_file(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    each = EACH.replace(old, new, 1)
    text = TEMPLATE[: TEMPLATE.index("setup:")] + each + TEMPLATE[TEMPLATE.index("tools:") : TEMPLATE.index("oracle:")]
    path = write(tmp_path, text)
    with pytest.raises(ScenarioError) as error:
        load_tasks(path)
    assert said in str(error.value) and f"line {line}: " in str(error.value), str(error.value)


def test_tasks_take_turns_at_several_prompts(tmp_path: Path) -> None:
    prompts = "prompt:\n  - Add up the amounts in {{ name }}.\n  - What do the amounts in {{ name }} come to?\n"
    text = TEMPLATE.replace("prompt: |\n  Add up the amounts in {{ name }}.csv and write them down.\n", prompts)
    tasks = load_tasks(write(tmp_path, text))
    assert [task.spec.prompt.split()[0] for task in tasks] == ["Add", "What", "Add"]
    wrong = text.replace("{{ name }} come", "{{ nobody }} come")
    with pytest.raises(ScenarioError, match="line 16: prompt: .*'nobody' is undefined"):
        load_tasks(write(tmp_path, wrong))
    with pytest.raises(ScenarioError, match="line 16: prompt: Input should be a valid string"):
        load_tasks(
            write(tmp_path, TEMPLATE[: TEMPLATE.index("prompt:")] + "prompt: []\n" + text[text.index("setup:") :])
        )


def test_every_tool_is_on_offer_unless_a_task_names_some(tmp_path: Path) -> None:
    assert load_tasks(write(tmp_path, TEMPLATE))[0].spec.tools == ("read", "write")
    every = load_tasks(write(tmp_path, TEMPLATE.replace("tools: [read, write]\n", "")))[0].spec.tools
    assert every == tuple(TOOLS)


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "said"),
    [
        ("difficulty: 2", "difficulty: 9", 4, "difficulty", "less than or equal to 5"),
        ("category: files", "category: games", 2, "category", "'files'"),
        ("tasks: 3", "tasks: 9", 5, "tasks", "between 1 and 8"),
        ("tools: [read, write]", "tools: [read, rite]", 21, "tools.1", "'read'"),
        ("{file: total.txt,", "{file: total.txt, octets: 3,", 23, "checks.0.octets", "Extra inputs are not permitted"),
        ("{answer: {number", "{reply: {number", 24, "checks.1", "a check has one of file, folder"),
        ('"{{ best.amount }}"', '"{{ worst.amount }}"', 24, "checks.1.answer.number", "'worst' is undefined"),
        ("{word: service}", "{word: planet}", 7, "parameters.name", "no words of the kind planet"),
        ("{choice: [a, b]}", "{choice: []}", 8, "parameters.rows", "choice cannot be drawn"),
        ("prompt: |\n  Add", "prompt: |\n  {% if %}Add", 16, "prompt", "TemplateSyntaxError"),
        ("id: sums", "id: sums\nid: sums", 2, "id", "there twice"),
        ("id: sums", "id: Sums up", 1, "id", "pattern"),
        ("oracle:", "surprise: 1\noracle:", 25, "surprise", "Extra inputs"),
        ("difficulty: 2", "difficulty: {", 6, "", "no YAML"),
        ("checks:", "proofs:", 22, "proofs", "Extra inputs"),
        ("tools:", "tool:", 21, "tool", 'did you mean "tools"?'),
        ("{word: service}", "{wordd: service}", 7, "parameters.name", 'wordd is no draw; did you mean "word"?'),
        ("{choice: [a, b]}", "{chioce: [a, b]}", 8, "parameters.rows", 'did you mean "choice"?'),
        ('{answer: {number: "{{ best.amount }}"}}', "{answer: {}}", 24, "checks.1", "every answer passes it"),
        ('{answer: {number: "{{ best.amount }}"}}', '{answer: {regex: ".*"}}', 24, "checks.1", "every answer passes"),
        (
            '{answer: {number: "{{ best.amount }}"}}',
            '{answer: {regex: "("}}',
            24,
            "checks.1.regex",
            "no regular",
        ),
        ("oracle:", "expected: [{call: read, with: {pth: a}}]\noracle:", 25, "expected.0.with.pth", 'mean "path"?'),
        (
            "oracle:",
            "expected: [{call: read, with: {path: {regx: a}}}]\noracle:",
            25,
            "expected.0.with.path",
            'regx is no matcher; did you mean "regex"?',
        ),
        (
            "oracle:",
            "expected: [{id: a, call: read}, {call: write, after: b}]\noracle:",
            25,
            "expected.1.after",
            "b is the id of no other call",
        ),
        (
            "oracle:",
            "expected: [{id: a, call: read}, {id: a, call: read}]\noracle:",
            25,
            "expected.1.id",
            "a is the id of a call before it",
        ),
        (
            "oracle:",
            "alternatives: [[{call: read, with: {pat: a}}]]\noracle:",
            25,
            "alternatives.0.0.with.pat",
            "read has no parameter pat",
        ),
        ("oracle:", 'forbidden: [{call: read, with: {path: {regex: "("}}}]\noracle:', 25, "forbidden.0", "no regular"),
        ("oracle:", 'forbidden: [{request: "POST /("}]\noracle:', 25, "forbidden.0", "no regular expression"),
        (
            "oracle:",
            "forbidden: [{call: read, with: {pth: a}}]\noracle:",
            25,
            "forbidden.0.with.pth",
            "no parameter pth",
        ),
    ],
)
def test_an_error_names_file_line_and_field(
    tmp_path: Path, old: str, new: str, line: int, field: str, said: str
) -> None:
    path = write(tmp_path, TEMPLATE.replace(old, new, 1))
    with pytest.raises(ScenarioError) as error:
        load_tasks(tmp_path)
    text = str(error.value)
    assert text.startswith(f"{path}, line {line}: {field}"), text
    assert said in text
    assert "\n" not in text


def test_a_carriage_return_beside_an_expression_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, TEMPLATE.replace('"{{ rows | csv }}"', '"{{ name }}\\r\\n"'))
    with pytest.raises(ScenarioError, match="crlf: true"):
        load_tasks(tmp_path)
    write(tmp_path, TEMPLATE.replace('"{{ rows | csv }}"', '{content: "{{ name }}\\n", crlf: true}'))
    assert len(load_tasks(tmp_path)) == 3


def test_the_matchers_that_authors_may_name_are_those_there_are() -> None:
    assert set(MATCHER_NAMES) == set(MATCHERS)


def test_bad_folders_and_files(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="there is no folder"):
        load_tasks(tmp_path / "none")
    with pytest.raises(ScenarioError, match="stackbench scenarios new"):
        load_tasks(tmp_path)
    write(tmp_path, "- a\n- b\n")
    with pytest.raises(ScenarioError, match=r"one\.yaml, line 1: a scenario is a mapping"):
        load_tasks(tmp_path)
    write(tmp_path, "")
    with pytest.raises(ScenarioError, match="a scenario is a mapping"):
        load_tasks(tmp_path)
    (tmp_path / "one.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_tasks(tmp_path)
    write(tmp_path, TEMPLATE)
    write(tmp_path, TEMPLATE, "two.yaml")
    with pytest.raises(ScenarioError, match=r"two\.yaml, line 1: id: sums is also the id of"):
        load_tasks(tmp_path)


def test_a_template_cannot_reach_out_of_its_sandbox(tmp_path: Path) -> None:
    write(tmp_path, TEMPLATE.replace("write them down", "{{ ''.__class__.__mro__ }}"))
    with pytest.raises(ScenarioError, match="prompt"):
        load_tasks(tmp_path)
    write(tmp_path, TEMPLATE.replace("write them down", "{{ range(10000000) | list }}"))
    with pytest.raises(ScenarioError, match="range of more than"):
        load_tasks(tmp_path)


TWIN = """\
twin:
  refuse: false
  setup: {files: {"{{ name }}.csv": null, other.txt: "{{ name }}"}}
  checks: [{file: other.txt}]
"""


def test_twins_are_drawn_by_the_seed_and_differ_in_their_fields_alone(tmp_path: Path) -> None:
    path = write(tmp_path, TEMPLATE.replace("tasks: 3", "tasks: 4\nrefuse: true") + TWIN)
    which = []
    for seed in range(6):
        tasks = load_tasks(path, seed)
        twins = [task for task in tasks if not task.spec.refuse]
        which.append(tuple(task.task_id for task in twins))
        assert len(twins) == 2
        for task in tasks:
            name = "other.txt" if task in twins else next(iter(task.spec.setup.files))
            assert list(task.spec.setup.files) == [name]
            assert len(task.spec.checks) == (1 if task in twins else 2)
            assert task.spec.prompt.startswith("Add up the amounts in ")
    assert len(set(which)) > 1


@pytest.mark.parametrize(
    ("twin", "line", "said"),
    [
        ("twin: 3\n", 27, "twin: a twin is a mapping"),
        ("twins: 3\ntwin: {refuse: false}\n", 27, "twins: between 1 and 2 of 3 tasks are twins, not 3"),
        ("twin:\n  refuse: false\n  checks:\n    - {file: x, holds: y}\n", 30, "checks.0.holds"),
        ("twin:\n  answer: '{{ nothing }}'\n", 28, "twin.answer"),
    ],
)
def test_an_error_in_a_twin_names_its_line(tmp_path: Path, twin: str, line: int, said: str) -> None:
    path = write(tmp_path, TEMPLATE + twin)
    with pytest.raises(ScenarioError, match=rf"line {line}: .*{re.escape(said)}"):
        load_tasks(path)
