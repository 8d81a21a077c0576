"""Figures for a model's listing at a router such as OpenRouter, in a form of our own: none is published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from stackbench.publish.publication import Publication
from stackbench.report.document import table
from stackbench.report.markdown_page import markdown_block, markdown_text
from stackbench.report.numbers import interval, number
from stackbench.report.results_model import Measure, section

__all__ = ["listing_files"]

FORM = "stackbench-listing-metrics/1"
NOTE = "A form of stackbench's own: OpenRouter publishes no format for benchmark figures of a listing."


def listing_files(publication: Publication) -> Iterator[tuple[str, str]]:
    """Names and texts."""
    document = _document(publication)
    yield "openrouter/listing-metrics.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    yield "openrouter/listing-metrics.md", _markdown(document)


def _document(publication: Publication) -> dict[str, Any]:
    model = section(publication.runs[-1].environment, "model")
    return {
        "form": FORM,
        "note": NOTE,
        "model": publication.model_id,
        "context_length": model.get("context_window"),
        "quantization": model.get("quantization") or model.get("dtype"),
        "measured": f"{publication.ended_at:%Y-%m-%d}",
        "benchmarks": [
            {
                "benchmark": one.name,
                **_figures(one.head),
                "tasks_available": one.tasks_available,
                "partial": "; ".join(one.partial.values()) or None,
            }
            for _, one in publication.scores
            if one.head is not None and one.name != "throughput"
        ],
        "speed": [
            {"load": m.category or "best load", **_figures(m)}
            for run in publication.runs
            for one in run.benchmarks
            if one.name == "throughput"
            for m in one.measures
            if m.name in ("output_tok_s", "ttft_ms_p50", "ttft_ms_p99", "e2el_ms_p50", "e2el_ms_p99")
        ],
        "machine": [_machine(run.environment) for run in publication.runs],
    }


def _figures(m: Measure) -> dict[str, Any]:
    return {"measure": m.name, "value": m.value, "low": m.low, "high": m.high, "interval": m.interval, "n": m.n}


def _machine(environment: dict[str, Any]) -> dict[str, Any]:
    return {name: environment.get(name) for name in ("cpu", "cpus", "gpus", "memory_bytes")}


def _markdown(document: dict[str, Any]) -> str:
    scores = [
        (
            one["benchmark"], one["measure"], number(one["value"]), interval(one["low"], one["high"], one["interval"]),
            f"{one['n']:,}", one["partial"] or "whole benchmark",
        )
        for one in document["benchmarks"]
    ]  # fmt: skip
    speeds = [
        (
            one["load"],
            one["measure"],
            number(one["value"]),
            interval(one["low"], one["high"], one["interval"]),
            f"{one['n']:,}",
        )
        for one in document["speed"]
    ]
    blocks = [
        *table("Scores", ("benchmark", "measure", "value>", "95% interval>", "n>", "of~"), scores),
        *table(
            "Speed on the evaluator's machine", ("load", "measure", "value>", "range of the repeats>", "n>"), speeds
        ),
    ]
    head = [f"# Listing metrics of {markdown_text(document['model'])}", "", NOTE, ""]
    return "\n".join([*head, "\n\n".join(map(markdown_block, blocks)), ""])
