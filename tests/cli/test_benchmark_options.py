from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import said_by


def test_flags_of_one_benchmark_go_with_a_suite_that_has_it(tmp_path: Path) -> None:
    command = ["--batch", "full", "-m", "null", "--limit", "1", "--dry-run", "--json"]
    options = ["--repo-mirror", str(tmp_path), "-T", "mbpp.style=fewshot", "-T", "swebench.max_steps=3"]
    code, out, err = said_by(*command, *options, folder=tmp_path)
    assert (code, err) == (0, "")
    assert json.loads(out)["benchmarks"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["--batch", "full", "-T", "style=chat"], "say whose option it is: -T BENCHMARK.style=VALUE"),
        (["--batch", "full", "-T", "swebnch.hints=true"], 'which is not run (did you mean "swebench"?)'),
        (["--batch", "core", "--repo-mirror", "x"], "--repo-mirror goes with the benchmark swebench, which is not run"),
        (["--batch", "core", "--scenarios", "x"], "--scenarios goes with the benchmark tooluse, which is not run"),
        (["eval", "gsm8k", "mbpp", "-T", "mmlu.shots=1"], "-T mmlu.shots goes with the benchmark mmlu"),
        (["eval", "gsm8k", "mbpp", "-T", "mbpp.shots=1"], 'mbpp: there is no option "shots"'),
        (["eval", "gsm8k", "mbpp", "-T", "mbpp.style"], "write it as name=value"),
        (["eval", "gsm8k", "mbpp", "-T", ".style=chat"], "write it as name=value"),
        (["eval", "gsm8k", "mbpp", "-T", "mbpp.=chat"], "write it as name=value"),
        (["eval", "smoke"], '"smoke" is a suite, not a benchmark: stackbench --batch smoke'),
        (["eval", "humaneval+"], 'unknown benchmark "humaneval+" (did you mean "humanevalplus"?)'),
    ],
)
def test_an_option_of_no_benchmark_that_is_run_is_one_line(command: list[str], said: str, tmp_path: Path) -> None:
    code, out, err = said_by(*command, "-m", "null", "--dry-run", folder=tmp_path)
    assert (code, out) == (2, "")
    assert said in err and len(err.splitlines()) == 1
