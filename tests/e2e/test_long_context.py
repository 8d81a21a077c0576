"""`stackbench eval longcontext` in the real program: reference answers, empty ones, the tables, the plot, bad input."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Program

pytestmark = pytest.mark.e2e
FAMILIES = ("-T", "families=needle,latent,aggregate,multidoc")


def test_references_score_1_at_128k_and_empty_answers_0(program: Program, tmp_path: Path) -> None:
    asked = ("-T", "lengths=1K,128K", "-T", "depths=0,100", "-T", "families=needle,multidoc")
    right = program.json("eval", "longcontext", "-m", "oracle", *asked)
    (result,) = right["results"]
    assert result["metrics"]["score"]["value"] == 1.0
    assert result["metrics"]["score/needle@128K@d100"] == {**result["metrics"]["score/needle@128K@d100"], "value": 1.0}
    assert result["metrics"]["effective_length_ruler"]["value"] == 131072
    assert [(gate["name"], gate["passed"]) for gate in right["gates"]] == [("longcontext truncated", True)]
    nothing = program.json("eval", "longcontext", "-m", "null", "-T", "lengths=1K", *FAMILIES)
    assert nothing["results"][0]["metrics"]["score"]["value"] == 0.0
    shown = program.run("show", right["run_id"]).stdout
    assert "scores by length" in shown and "effective length, RULER (mean >= 0.856): 128K" in shown
    assert [line.split() for line in shown.splitlines() if line.strip().startswith("100%")] == [
        ["100%", "@100", "@100"]
    ]
    rows = program.query(
        "SELECT prompt, metrics->>'length' AS length FROM attempts WHERE task_id LIKE 'needle/multikey/128K%'"
    )
    assert rows and all(len(row["prompt"]) < 3000 for row in rows)  # the haystack is stored once, apart


def test_the_plot_of_depths_is_exported(program: Program, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = program.json("eval", "longcontext", "-m", "oracle", "-T", "lengths=1K,4K", "-T", "families=needle")
    program.run("report", run["run_id"], "--to", str(tmp_path / "report"))
    (picture,) = (tmp_path / "report").rglob("*-longcontext-depths.svg")
    assert picture.read_text().count("<path") > 20


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-T", "lengths=4K,many"), '"many" is no length: tokens, such as 4K, 128K or 6000'),
        (("-T", "lengths=4K", "-T", "window=2000"), "the shortest length, 4K,"),
        (("-T", "lengths=4K", "-T", "tokenizer=nowhere"), 'there is no tokenizer "nowhere"'),
        (("-T", "variants=single,two"), '"two" is no kind of question'),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(program: Program, options: tuple[str, ...], said: str) -> None:
    done = program.run("eval", "longcontext", "-m", "oracle", *FAMILIES, *options)
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert said in line
