from __future__ import annotations

import io
import struct

import pytest

from stackbench.report.saturation import load_series, saturation_plot
from stackbench.types import Metric


def load(category: str, tok_s: float, latency: float) -> list[Metric]:
    figures = {"output_tok_s": tok_s, "e2el_ms_p50": latency, "e2el_ms_p99": 2 * latency, "ttft_ms_p50": 50.0}
    return [Metric.of_repeats(n, (0.9 * value, value, 1.1 * value), category) for n, value in figures.items()]


METRICS = [
    Metric.of_repeats("output_tok_s", (290, 300, 310)),
    *load("256x128/c8", 220, 900),
    *load("256x128/c1", 40, 400),
    *load("256x128/r2.5", 100, 500),
    *load("awq/b16/gsm8k/c4", 300, 600),
]


def test_loads_are_gathered_by_way_of_serving_and_mix_the_lightest_first() -> None:
    series = load_series(METRICS)
    assert list(series) == ["256x128, streams", "256x128, requests/s", "awq/b16/gsm8k, streams"]
    assert [(point.label, point.tok_s) for point in series["256x128, streams"]] == [("1", 40), ("8", 220)]
    assert series["256x128, requests/s"][0].label == "2.5/s"
    heavy = series["256x128, streams"][1]
    assert (heavy.tok_s_low, heavy.tok_s_high) == pytest.approx((198, 242))
    assert series["256x128, streams"][0].latency_ms["e2el_ms_p99"] == 800


def test_the_plot_is_a_picture_and_a_run_without_loads_has_none() -> None:
    picture = saturation_plot(METRICS, "a model")
    assert picture is not None
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", io.BytesIO(picture).getbuffer()[16:24])
    assert (width, height) == (1650, 720)
    assert saturation_plot([Metric("pass@1", 0.5, 0, 0, 1, 164)], "a model") is None
