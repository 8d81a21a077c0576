from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackbench.benchmarks import CategorisedMetrics, DeclaredMetrics, create_benchmark, kind_of, list_benchmarks
from stackbench.benchmarks.throughput.figures import Targets, load_figures
from stackbench.cli.scoreboard import outcome_document
from stackbench.config import Home, Settings
from stackbench.datasets import DatasetStore
from stackbench.engine import Gate, RunPlan, plan_suite, run_plan
from stackbench.engine.gates import check_gates
from stackbench.errors import ConfigError, UsageError
from stackbench.stats import Estimate
from stackbench.store import BenchmarkResult
from stackbench.types import AttemptKey, AttemptStatus, AttemptSummary, Generation, Metric
from tests.fake_endpoint import FakeEndpoint

SUITE = """
[[benchmarks]]
name = "humaneval"
samples = 3
[[benchmarks]]
name = "mmlu"
limit = 5
[[benchmarks]]
name = "mbpp"
[[benchmarks]]
name = "tooluse"
samples = 2
[[benchmarks]]
name = "throughput"
[[gates]]
name = "g"
"""


def plan(tmp_path: Path, gate: str, **settings: Any) -> RunPlan:
    path = tmp_path / "s.toml"
    path.write_text(SUITE + gate.replace("; ", "\n"))
    return plan_suite(str(path), Settings(**settings))


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ('benchmark = "humanevil"; metric = "pass@1"; min = 0.5', 'no benchmark "humanevil"; did you mean "humaneval"'),
        ('benchmark = "gsm8k"; metric = "pass@1"; min = 0.5', 'no benchmark "gsm8k"; there is humaneval, mbpp'),
        ('benchmark = "humaneval"; metric = "pas@1"; min = 0.5', 'no metric "pas@1"; did you mean "pass@1"'),
        ('benchmark = "humaneval"; metric = "pass@5"; min = 0.5', 'has no metric "pass@5"; did you mean "pass@1'),
        (
            'benchmark = "humaneval"; metric = "pass@10"; min = 0.5',
            "10 attempts at each task, and the plan makes 3; .*= 10",
        ),
        ('benchmark = "tooluse"; metric = "pass^4"; min = 0.5', "needs 4 attempts at each task, and the plan makes 2"),
        ('benchmark = "humaneval"; metric = "pass@1"; min = 85', "min 85 lies outside 0 to 1.*for 85% write 0.85"),
        ('benchmark = "humaneval"; metric = "pass@1"; max = -0.1', "max -0.1 lies outside 0 to 1"),
        ('benchmark = "mbpp"; metric = "time_to_solution_s"; max = -1', "max -1 is below 0"),
        ('benchmark = "humaneval"; metric = "pass@1"; category = "x"; min = 0', "leave category out"),
        ('benchmark = "throughput"; metric = "ttft_ms_p99"; max = 500', "for each category alone"),
        ('benchmark = "throughput"; metric = "output_tok_s"; on = "ci_low"; min = 5', "has no confidence interval"),
    ],
)
def test_a_gate_that_cannot_be_held_against_anything_is_refused_with_the_plan(
    tmp_path: Path, gate: str, said: str
) -> None:
    with pytest.raises(UsageError, match=f'gate "g": .*{said}'):
        plan(tmp_path, gate)


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ('benchmark = "humaneval"; metric = "pass@1"', "give min, max or both"),
        ('benchmark = "humaneval"; metric = "pass@1"; min = 0.5; max = 0.4', "min 0.5 is above max 0.4"),
        ('benchmark = "humaneval"; metric = "pass@1"; min = 0.5; threshold = 0.5', "two names of one bound"),
        ('benchmark = "humaneval"; metric = "pass@1"; min = nan', "finite"),
        ('benchmark = "humaneval"; metric = "pass@1"; min = 0.5; on = "mean"', "gates.0.on"),
        ('benchmark = "humaneval"; metric = "pass@1"; min = "high"', "gates.0.min"),
        ('benchmark = "mmlu"; metric = "acc"; min = 0; [[gates]]; name = "g"; benchmark = "x"; metric = "x"; max = 1',
         'two gates are named "g"'),
    ],
)  # fmt: skip
def test_a_malformed_gate_is_refused(tmp_path: Path, gate: str, said: str) -> None:
    with pytest.raises((ConfigError, UsageError), match=said):
        plan(tmp_path, gate)


def test_seeds_count_as_attempts_and_threshold_is_the_least(tmp_path: Path) -> None:
    gate = 'benchmark = "mbpp"; metric = "pass@10"; threshold = 0.5'
    (found,) = plan(tmp_path, gate, samples=5, seeds=(1, 2)).gates
    assert (found.min, found.max, found.on, found.threshold) == (0.5, None, "value", 0.5)
    again = Gate.model_validate(found.model_dump(mode="json"))
    assert again == found


async def test_a_gate_on_a_category_without_tasks_is_refused_before_anything_runs(
    home: Home, endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    path = tmp_path / "s.toml"
    gate = '[[gates]]\nname = "g"\nbenchmark = "mmlu"\nmetric = "acc"\ncategory = "{}"\nmin = 0.0\n'
    path.write_text('[[benchmarks]]\nname = "mmlu"\nlimit = 57\n' + gate.format("stemm"))
    with pytest.raises(UsageError, match='gate "g": .* category "stemm"; did you mean "stem"'):
        await run_plan(home, plan_suite(str(path), Settings(model=endpoint.name)))
    assert endpoint.requests == []
    path.write_text('[[benchmarks]]\nname = "mmlu"\nlimit = 57\n' + gate.format("stem"))
    outcome = await run_plan(home, plan_suite(str(path), Settings(model=endpoint.name)))
    (document,) = outcome_document(outcome)["gates"]
    assert document["value"] is not None and document["passed"]
    assert (document["benchmark"], document["metric"], document["on"]) == ("mmlu", "acc/stem", "value")
    assert (document["min"], document["max"], document["threshold"]) == (0.0, None, 0.0)


@pytest.mark.parametrize(
    ("bounds", "passed"),
    [
        ({"min": 0.5}, True), ({"min": 0.51}, False), ({"max": 0.5}, True), ({"max": 0.49}, False),
        ({"min": 0.4, "max": 0.6}, True), ({"min": 0.4, "max": 0.6, "on": "ci_high"}, False),
        ({"min": 0.4, "on": "ci_low"}, True), ({"min": 0.45, "on": "ci_low"}, False),
        ({"max": 0.62, "on": "ci_high"}, True),
    ],
)  # fmt: skip
def test_value_and_bounds_of_the_interval_are_held_against_least_and_most(bounds: dict, passed: bool) -> None:
    metric = Metric("pass@1", 0.5, 0.05, 0.4, 0.61, 100)
    result = BenchmarkResult("humaneval", 100, 100, 0, (metric,))
    gate = Gate(name="g", benchmark="humaneval", metric="pass@1", **bounds)
    assert check_gates([gate], [result])[0].passed is passed


def test_an_interval_that_was_not_measured_fails_its_gate() -> None:
    metric = Metric.of_repeats("output_tok_s", [1.0, 2.0, 3.0])
    result = BenchmarkResult("other", 1, 3, 0, (metric,))
    gates = [Gate(name=on, benchmark="other", metric="output_tok_s", on=on, min=0) for on in ("value", "ci_low")]
    assert [gate.passed for gate in check_gates(gates, [result])] == [True, False]


def text_gate(tmp_path: Path, gate: str, top: str = "", **settings: Any) -> Gate:
    path = tmp_path / "s.toml"
    path.write_text(f'gates = ["{gate}"]\n{top}\n' + SUITE.split("[[gates]]")[0])
    return plan_suite(str(path), Settings(**settings)).gates[0]


def test_a_gate_may_be_one_line(tmp_path: Path) -> None:
    gate = text_gate(tmp_path, "tool_use.completion >= 0.85")
    assert (gate.name, gate.benchmark, gate.metric, gate.min) == (
        "tool_use.completion >= 0.85", "tooluse", "completion", 0.85,
    )  # fmt: skip
    gate = text_gate(tmp_path, "mmlu.acc/stem<=35%")
    assert (gate.benchmark, gate.metric, gate.category, gate.min, gate.max) == ("mmlu", "acc", "stem", None, 0.35)
    gate = text_gate(tmp_path, "humaneval.pass@1 >= baseline - 2 points", 'baseline = "before"')
    assert (gate.margin, gate.min, gate.max, gate.threshold) == (0.02, None, None, -0.02)
    assert text_gate(tmp_path, "humaneval.pass@1 >= baseline", baseline="before").margin == 0.0


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("humaneval >= 0.5", "is no gate; write it like"),
        ("humaneval.pass@1 > 0.5", "is no gate"),
        ("humaneval.pass@1 >= high", "is no gate"),
        ("humaneval.pass@1 <= baseline", "a baseline is a lower bound"),
        ("humaneval.pass@1 >= baseline - 2 points", 'name the baseline: --baseline RUN, or baseline = "RUN"'),
        ("mmlu.acc/stem >= baseline - 2 points", "name the baseline"),
        ("humaneval.pass@1 >= 85", "for 85% write 0.85"),
        ("humaneval.pass@1 >= baseline - 120 points", "less than 1"),
    ],
)
def test_a_line_that_is_no_gate_is_refused(tmp_path: Path, gate: str, said: str) -> None:
    with pytest.raises((ConfigError, UsageError), match=said):
        text_gate(tmp_path, gate)


def test_a_baseline_is_compared_at_the_headline_alone(tmp_path: Path) -> None:
    for gate in ("tooluse.workflow_success >= baseline", "mmlu.acc/stem >= baseline - 1 point"):
        with pytest.raises(UsageError, match="a baseline is compared task by task, at"):
            text_gate(tmp_path, gate, baseline="before")


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(-0.01, 0.05, "pass"), (-0.09, -0.03, "fail"), (-0.05, 0.03, "undecided")]
)
def test_a_margin_is_held_by_the_interval_of_the_difference(low: float, high: float, verdict: str) -> None:
    gate = Gate(name="g", benchmark="humaneval", metric="pass@1", margin=0.02)
    difference = Estimate((low + high) / 2, 0.01, low, high, 164)
    (found,) = check_gates([gate], [], "before", lambda gate: difference)
    assert (found.verdict, found.passed) == (verdict, verdict == "pass")
    assert (found.value, found.ci_low, found.ci_high) == (difference.value, low, high)
    assert (found.needed is not None) == (verdict == "undecided")
    (unknown,) = check_gates([gate], [], "before", lambda gate: "run before has no humaneval")
    assert (unknown.verdict, unknown.passed, unknown.why) == ("undecided", False, "run before has no humaneval")


ANSWER = Generation(
    "", completion_tokens=3, prompt_tokens=1, latency_s=0.3, ttft_s=0.1, gaps_s=(0.1, 0.1), first_answer_s=0.1
)
FIGURES = load_figures([ANSWER], 1.0, 1, Targets(ttft_ms=500)) | {"memory_peak_bytes": 1.0, "vram_peak_bytes": 1.0}
TOLD: dict[str, dict[str, Any]] = {
    "humaneval": {},
    "mbpp": {"asserts": 1, "asserts_passed": 1, "exec_s": 1.0},
    "humanevalplus": {"base_passed": True},
    "mbppplus": {"base_passed": True},
    "gsm8k": {"robust": True, "flexible": True, "strict": True},
    "mmlu": {},
    "tooluse": {
        "template": "t", "difficulty": 1, "tool_call_accuracy": 1.0, "parameter_correctness": 1.0,
        "workflow_success": 1.0, "recovered": 1.0, "efficiency": 1.0, "refused": 1.0, "calls": 1, "malformed": 1,
        "repaired": 1, "legacy": 0, "rejected": 0, "steps": 3, "seconds": 1.0,
    },
    "throughput": {"figures": FIGURES},
    "longcontext": {
        "variant": "needle/single", "length": 1024, "depth": 0.0, "chance": 0.0, "f1": 1.0, "containment": 1.0,
        "near": 1.0, "support_f1": 1.0,
    },
    "swebench": dict.fromkeys(
        ("gold_passes", "fail_to_pass_rate", "pass_to_pass_rate", "test_pass_rate", "edit_similarity", "file_precision",
         "file_recall", "patch_applies", "empty_patch", "environment_failure", "ambiguous_failure", "steps", "tokens",
         "seconds", "test_seconds", "grading_overhead_s"), 1.0,
    ),
    "voice": dict.fromkeys(
        ("typed_passed", "word_errors", "words", "character_errors", "characters", "command_right", "entities",
         "entities_found", "cut_off", "false_start", "never_ended", "real_time_factor", "endpoint_ms", "transcript_ms",
         "first_token_ms", "code_complete_ms", "executed_ms"), 1.0,
    ),
}  # fmt: skip
"""What an attempt of each benchmark records, every field of which a metric is made."""


@pytest.mark.parametrize("name", TOLD)
def test_a_benchmark_has_the_metrics_that_it_declares_and_no_others(name: str) -> None:
    benchmark = create_benchmark(name, {})
    assert isinstance(benchmark, DeclaredMetrics)
    attempts = [
        AttemptSummary(
            AttemptKey(name, f"t/{t}", n, 0), "anatomy", AttemptStatus.COMPLETED, 1.0, True, 1.0, 3, TOLD[name]
        )
        for t in range(100)
        for n in range(100)
    ]
    if name == "longcontext":  # whose position bias needs tasks at two depths
        middle = [
            replace(a, key=replace(a.key, task_id=f"m{a.key.task_id}"), metrics={**a.metrics, "depth": 50.0})
            for a in attempts
        ]
        attempts += middle
    whole: set[str] = set()
    by_category: set[str] = set()
    measured = list(benchmark.metrics(attempts))
    if name == "voice":  # which has figures of its own over several conditions
        measured += benchmark.metrics([replace(a, category=f"condition {a.key.attempt % 2}") for a in attempts])
    for metric in measured:
        found = kind_of(benchmark.metric_kinds, metric.name)
        assert found is not None, metric.name
        kind, needed = found
        assert needed <= 100
        assert kind.interval is (metric.ci_low is not None)
        (by_category if metric.category else whole).add(kind.name if kind.name == "pass^K" else metric.name)
    declared = benchmark.metric_kinds
    assert whole == {one for kind in declared if kind.whole for one in kind.names()}
    assert by_category == {one for kind in declared if kind.by_category for one in kind.names()}


def test_every_benchmark_of_the_package_declares_its_metrics() -> None:
    assert set(list_benchmarks()) == set(TOLD)


def test_categories_are_those_of_the_tasks(data: DatasetStore) -> None:
    for name, some in (("mmlu", {"stem", "anatomy"}), ("tooluse", {"files", "difficulty 1"})):
        benchmark = create_benchmark(name, {})
        assert isinstance(benchmark, CategorisedMetrics)
        assert benchmark.metric_categories(benchmark.tasks(data)) > some
