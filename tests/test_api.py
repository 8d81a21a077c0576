"""`stackbench.evaluate`: a run from Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import stackbench
from stackbench.types import RunStatus


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "sums.jsonl").write_text('{"q": "1+1", "a": 2}\n{"q": "2+2", "a": 4}\n')
    path = tmp_path / "sums.yaml"
    path.write_text('name: sums\ndata: sums.jsonl\nprompt: "{{ q }}"\nmetric: number\nanswer: a\n')
    return path


def test_evaluate_runs_and_returns_the_outcome(own: Path, tmp_path: Path) -> None:
    outcome = stackbench.evaluate(own, model="oracle", home=tmp_path / "home", limit=1)
    assert (outcome.status, outcome.attempts) == (RunStatus.COMPLETED, 1)
    assert [(one.name, one.value) for one in outcome.results[0].metrics] == [("acc", 1.0)]


async def test_evaluate_async_runs_beside_a_loop_and_evaluate_says_so(own: Path, tmp_path: Path) -> None:
    outcome = await stackbench.evaluate_async([str(own)], model="null", home=tmp_path / "home")
    assert outcome.results[0].metrics[0].value == 0.0
    with pytest.raises(stackbench.StackbenchError, match="await stackbench.evaluate_async"):
        stackbench.evaluate(own, model="null", home=tmp_path / "home")


@pytest.mark.parametrize(
    ("benchmark", "settings", "said"),
    [
        ("gsm8kk", {}, 'unknown benchmark "gsm8kk" \\(did you mean "gsm8k"'),
        ("gsm8k", {"limt": 1}, 'there is no setting "limt" \\(did you mean "limit"'),
        ("gsm8k", {"limit": -1}, "--limit: "),
        ([], {}, "name a benchmark"),
    ],
)
def test_errors_are_stackbench_errors(benchmark: str, settings: dict[str, int], said: str, tmp_path: Path) -> None:
    with pytest.raises(stackbench.StackbenchError, match=said):
        stackbench.evaluate(benchmark, model="null", home=tmp_path, **settings)


def test_importing_the_package_loads_no_library() -> None:
    code = "import sys, stackbench; sys.exit(any(m in sys.modules for m in ('pydantic', 'duckdb', 'asyncio')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
