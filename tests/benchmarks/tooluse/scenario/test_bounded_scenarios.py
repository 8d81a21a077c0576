"""Scenario files that would take all memory or time: each is a clear error, under a limit on the address space."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stackbench.benchmarks.tooluse.checks.equality import json_equal, mentions, numbers_in, without_markup
from stackbench.benchmarks.tooluse.scenario.draws import Drawer, DrawError
from stackbench.benchmarks.tooluse.scenario.expansion import expand, load_tasks
from stackbench.benchmarks.tooluse.scenario.patterns import LongTextError, found, fully_matches
from stackbench.benchmarks.tooluse.scenario.scenario import Scenario
from stackbench.benchmarks.tooluse.scenario.source import ScenarioError, read_source
from stackbench.benchmarks.tooluse.scenario.template_rendering import RenderError, bounded, render
from tests.benchmarks.tooluse.made import BASE, scenario, write

GROWING = (
    "{{% set ns = namespace(s={start}) %}}"
    "{{% for i in range(60) %}}{{% set ns.s = {made} %}}{{% endfor %}}{{{{ ns.s }}}}"
)
TEMPLATES = {
    "a repeated text": "{{ 'a' * 10 ** 11 }}",
    "a repeated list": "{{ [0] * 10 ** 11 }}",
    "a long loop": "{% for i in range(10 ** 11) %}x{% endfor %}",
    "loops in loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "loops that skip": "{% for i in range(99999) %}{% for j in range(99999) if false %}{% endfor %}{% endfor %}",
    "a text doubled with ~": GROWING.format(start="'a'", made="ns.s ~ ns.s"),
    "a text doubled with +": GROWING.format(start="'a'", made="ns.s + ns.s"),
    "a list doubled": GROWING.format(start="['a']", made="ns.s + ns.s"),
    "a list of itself twice": GROWING.format(start="['a']", made="[ns.s, ns.s]"),
    "a power": "{{ 9 ** (9 ** 9) }}",
    "a width in %": "{{ '%0100000000d' % 1 }}",
    "a width as an argument": "{{ '%*d' % (1000000000, 1) }}",
    "a width in format": "{{ '{:>100000000000}'.format(1) }}",
    "a field in a field": "{{ '{:>{w}}'.format(1, w=1000000000) }}",
    "the filter format": "{{ '%0100000000d' | format(1) }}",
    "ljust": "{{ 'a'.ljust(10 ** 11) }}",
    "center": "{{ 'a' | center(10 ** 11) }}",
    "batch": "{{ ['a'] | batch(10 ** 9, 'x') | list }}",
    "slice": "{{ [1] | slice(10 ** 9) | list }}",
    "replace": "{{ ('a' * 1000000) | replace('a', 'b' * 1000000) }}",
    "the method replace": "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}",
    "join": "{{ (['a'] * 1000000) | join('b' * 1000000) }}",
    "translate": "{{ ('a' * 1000000).translate({97: 'b' * 1000000}) }}",
    "lipsum": "{{ lipsum(10 ** 9) }}",
    "indent": "{{ 'a\\nb' | indent(10 ** 10) }}",
    "json": "{{ [1] | json(10 ** 9) }}",
    "macros": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "macros without end": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a list in itself": "{% set x = [] %}{{ x.append(x) }}{{ x }}",
    "extend": "{% set x = [1] %}{% for i in range(64) %}{% set _ = x.extend(x) %}{% endfor %}{{ x | length }}",
    "brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
}
RENDER = """
import json, resource, sys
from stackbench.benchmarks.tooluse.scenario.template_rendering import RenderError, render
resource.setrlimit(resource.RLIMIT_AS, (500 << 20, 500 << 20))
for name, text in json.load(sys.stdin).items():
    try: print(name, "made", len(str(render(text, {}))))
    except RenderError: print(name, "refused")
"""


def limited(program: str, given: Any) -> str:
    """What a program says that may have 500 MiB of address space."""
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_templates_that_grow_are_refused_within_half_a_gigabyte() -> None:
    assert limited(RENDER, TEMPLATES).splitlines() == [f"{name} refused" for name in TEMPLATES]


def test_a_task_has_one_budget() -> None:
    text = "{% for i in range(90000) %}xxxxxxxxxx{% endfor %}"
    assert len(render(text, {})) == 900_000
    with pytest.raises(RenderError, match="more than 5000000 steps and characters"), bounded():
        for _ in range(10):
            render(text, {})
    assert len(render(text, {})) == 900_000  # the next task has its own


def test_usual_expressions_are_what_they_were() -> None:
    values = {"rows": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], "n": 3}
    for text, wanted in (
        ("{{ rows | pluck('a') }}", [1, 2]),
        (
            "{% for row in rows %}{{ loop.index }}/{{ loop.length }}{{ row.b }}{{ ',' if not loop.last }}{% endfor %}",
            "1/2x,2/2y",
        ),
        (
            "{% for a in [[1, [2]]] recursive %}{{ loop(a) if a is iterable else a }}{% endfor %}",
            "12",
        ),
        ("{{ 'a' ~ n ~ 'b' }}", "a3b"),
        ("{{ '%02d' % n }}", "03"),
        ("{{ '**%s** 1000000' % n }}", "**3** 1000000"),
        ("{{ 2 ** 10 }}", 1024),
        ("{{ [0] * 3 }}", [0, 0, 0]),
        ("{{ rows | map(attribute='b') }}", ["x", "y"]),
        ("{% set x = 1 %}{% for i in range(3) if i %}{{ i }}{% else %}none{% endfor %}", "12"),
        ("{% for i in [] %}{% else %}none{% endfor %}", "none"),
        ("{{ rows | json(2) }}", json.dumps(values["rows"], indent=2)),
    ):
        assert render(text, values) == wanted, text


LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n}\n  <<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
FILES = {
    "aliases of aliases": (LAUGHS, "line 6: with its aliases written out it has more than 100000 parts"),
    "merges of merges": (MERGES, "with its aliases written out it has more than 100000 parts"),
    "a list in itself": ("a: &a [*a]\n", "line 1: an alias .* stands within what it is an alias for"),
    "a mapping in itself": ("a: &a {b: *a}\n", "stands within what it is an alias for"),
    "brackets": ("a: " + "[" * 100_000, "no YAML|levels deep"),
    "braces": ("{a: " * 900, "nested more than 60 levels deep"),
    "indentation": ("".join(" " * n + "a:\n" for n in range(500)), "nested more than 60 levels deep"),
    "dashes": ("- " * 500 + "x", "nested more than 60 levels deep"),
    "a long number": ("a: " + "9" * 10_000, "line 1: a number has at most 100 characters"),
    "a hexadecimal one": ("a: 0x" + "f" * 100_000, "a number has at most"),
    "one to the base of 60": ("a: 1" + ":59" * 100_000, "a number has at most"),
    "a day that there is not": ("a: 2026-99-99", "month must be in"),
    "a program": ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "many parts": ("[" + "1," * 100_001 + "]", "more than 100000 parts"),
    "a large file": ("a: " + "x" * (5 << 20), "a scenario has at most"),
}
READ = """
import json, resource, sys
from pathlib import Path
from stackbench.benchmarks.tooluse.scenario.source import ScenarioError, read_source
resource.setrlimit(resource.RLIMIT_AS, (500 << 20, 500 << 20))
for path in json.load(sys.stdin):
    try: print(Path(path).stem, "made", read_source(Path(path)))
    except ScenarioError as error: print(error)
"""


def test_files_that_grow_are_refused_within_half_a_gigabyte(tmp_path: Path) -> None:
    paths = [write(tmp_path, text, f"{name}.yaml") for name, (text, _) in FILES.items()]
    sparse = tmp_path / "sparse.yaml"
    with sparse.open("wb") as file:
        file.truncate(100 << 30)
    said = limited(READ, [*map(str, paths), str(sparse), "/dev/zero"]).splitlines()
    for line, (_, problem) in zip(said, FILES.values(), strict=False):
        import re

        assert re.search(problem, line), line
    assert "107374182400 bytes; a scenario has at most" in said[-2]
    assert said[-1] == "/dev/zero is not a regular file"


def test_aliases_that_people_write_are_read(tmp_path: Path) -> None:
    source = read_source(write(tmp_path, "a: &one [1, 2]\nb: *one\nc: {<<: &base {x: 1}, y: 2}\nd: *base\n"))
    assert source.fields == {"a": [1, 2], "b": [1, 2], "c": {"x": 1, "y": 2}, "d": {"x": 1}}


DRAWS: list[tuple[Any, str]] = [
    ({"list": {"count": 10**11, "of": 1}}, "too many|steps"),
    ({"table": {"rows": 10**11, "columns": {"a": 1}}}, "too many|steps"),
    ({"hex": 10**11}, "too many|steps"),
    ({"person": 10**6}, "too many"),
    ({"person": 9999}, "not so many names"),
    ({"decimal": [0, 1, 10**9]}, "places"),
    ({"word": ["service", 10**9]}, "too many|steps"),
    ({"date": ["0001-01-01", "99999-01-01"]}, "cannot be drawn"),
    ({"list": {"count": "many", "of": 1}}, "no number"),
]


@pytest.mark.parametrize(("how", "problem"), DRAWS)
def test_draws_are_bounded(how: Any, problem: str) -> None:
    with pytest.raises(DrawError, match=problem):
        Drawer("seed", 0).draw(how, {})


@pytest.mark.parametrize(
    "fields",
    [
        {"checks": [{"file": "a", "matches": "("}]},
        {"checks": [{"process": "["}]},
        {"checks": [{"answer": {"regex": "(?P<a"}}]},
        {"checks": [{"request": "GET /", "header": {"A": "*"}}]},
        {"expected": [{"call": "read", "with": {"path": {"regex": "("}}}]},
        {"forbidden": [{"call": "exec", "with": {"command": {"regex": 5}}}]},
        {"forbidden": [{"request": "DELETE ("}]},
        {"setup": {"http": {"GET /": {"faults": [{"times": 10**11}]}}}},
        {"setup": {"http": {"GET /": {"delay_s": float("inf")}}}},
        {"setup": {"http": {"GET /": {"status": 10**30}}}},
        {"limits": {"steps": 10**9}},
    ],
)
def test_fields_that_nothing_could_carry_out_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no regular expression|regex is a text|less than or equal"):
        scenario(**fields)


def test_an_error_in_a_pattern_names_file_and_line(tmp_path: Path) -> None:
    text = "\n".join(f"{name}: {json.dumps(value)}" for name, value in BASE.items() if name != "checks")
    path = write(tmp_path, f'{text}\nchecks:\n  - file: a\n    matches: "("\n')
    with pytest.raises(ScenarioError, match=r"line 9: checks\.0\.matches: \( is no regular expression"):
        expand(read_source(path))
    with pytest.raises(ScenarioError):
        load_tasks(tmp_path)


def test_patterns_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("a.c", "xabc") and not found("^b", "a\nb") and found("^b", "a\nb", 8)
    assert fully_matches("/items/.*", "/items/1") and not fully_matches("/items", "/items/1")
    monkeypatch.setattr("stackbench.benchmarks.tooluse.scenario.patterns.MOST_S", 0.02)
    with pytest.raises(LongTextError, match=r"took more than 0\.02 s"):
        found(r"^(?:a?){40}a{40}(?:b|c)*(?:.*.*.*.*)+\d$", "a" * 20_000)
    with pytest.raises(LongTextError, match="more than can be searched"):
        found("a", "b" * (5 << 20))


def test_marks_are_taken_off_in_one_pass() -> None:
    long = "a" + "_" * 200_000 + "b"
    assert without_markup(long) == long
    assert without_markup("_it_ is *b* `c` snake_case __x__ a_") == "it is b c snake_case x a"
    assert without_markup("_" * 200_000) == ""
    assert mentions("the answer is " + " " * 100_000 + "here", "answer is here")
    assert numbers_in("1" * 100_000) == [float("inf")]


def test_numbers_larger_than_floats_are_compared() -> None:
    huge = 10**4000
    assert json_equal(huge, huge) and not json_equal(huge, huge + 1) and not json_equal(huge, 1.5)
    assert json_equal(1, 1.0) and not json_equal(1_000_000_000_001, 1_000_000_000_002)


def test_the_base_of_these_is_sound() -> None:
    assert isinstance(scenario(), Scenario)
