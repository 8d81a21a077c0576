"""The plots of speech, by what is drawn."""

from __future__ import annotations

import pytest

from stackbench.report.voice_plot import latency_plot, voice_plot
from stackbench.types import Metric

pytest.importorskip("matplotlib", reason="needs the report extra")
PNG = b"\x89PNG"


def metric(name: str, value: float, category: str) -> Metric:
    return Metric(name, value, None, None, None, 10, category)


def test_quality_and_latency_are_drawn_for_each_condition() -> None:
    metrics = [
        metric(name, value, condition)
        for condition in ("clean", "snr5")
        for name, value in (("pass_rate", 0.5), ("wer", 0.1), *((f"endpoint_ms_p{p}", 500.0 + p) for p in (50, 90, 99)))
    ]
    drawn = voice_plot(metrics, "a title")
    assert drawn is not None and drawn.startswith(PNG)
    assert voice_plot(metrics[:5], "a title") != drawn


def test_one_recording_for_a_condition_has_its_one_latency_and_none_says_so() -> None:
    one = [metric("pass_rate", 1.0, "reverb"), metric("pass_rate", 1.0, "clean")]
    latencies = [metric("endpoint_ms_p50", 500.0, "clean"), metric("endpoint_ms_p50", 700.0, "reverb")]
    drawn, none = voice_plot([*one, *latencies], "a title"), voice_plot(one, "a title")
    assert drawn is not None and none is not None and drawn != none
    assert drawn == voice_plot([*reversed(one), *latencies], "a title"), "conditions have one order"


def test_a_run_without_the_benchmark_has_no_plot() -> None:
    assert voice_plot([metric("pass@1", 0.5, "")], "a title") is None


def test_latencies_of_a_live_measurement_are_drawn() -> None:
    assert latency_plot({"text": {50: 500.0, 90: 600.0, 99: 700.0}}, "a title").startswith(PNG)
