"""Files for a model's repository on the Hugging Face hub: results, the older model-index, a section of the card.

Needs huggingface-hub (the extra `publish`)."""

# huggingface_hub has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from stackbench.publish.hub_benchmarks import HubBenchmark, known_elsewhere
from stackbench.publish.publication import Publication
from stackbench.report.markdown_page import markdown_block, markdown_text
from stackbench.report.numbers import measure_interval, setting
from stackbench.report.results_model import BenchmarkReport, Measure, RunReport
from stackbench.report.summary_page import score_table

__all__ = ["EVAL_RESULTS", "huggingface_files"]

EVAL_RESULTS = "huggingface/.eval_results"


def huggingface_files(publication: Publication) -> Iterator[tuple[str, str]]:
    """Names and texts. Raises ImportError where huggingface-hub is not installed."""
    left_out: list[str] = []
    for run, one in publication.scores:
        reason = _no_result(one)
        if reason is not None:
            left_out.append(f"{one.name} (run {run.run_id}): {reason}")
            continue
        known = known_elsewhere(one.name)
        assert known is not None and known.hub is not None
        yield f"{EVAL_RESULTS}/{one.name}.yaml", _eval_results(publication, run, one, known.hub)
    yield "huggingface/model-index.yaml", _model_index(publication, left_out)
    yield "huggingface/model-card-section.md", _card_section(publication)
    lines = [f"- {line}" for line in left_out] or ["Nothing was left out."]
    yield "huggingface/LEFT_OUT.md", "\n".join(["# Scores that are not in `.eval_results`", "", *lines, ""])


def _no_result(one: BenchmarkReport) -> str | None:
    """Why the hub gets no result of a benchmark; None where it gets one."""
    known = known_elsewhere(one.name)
    if known is None or known.hub is None:
        return "the hub has no benchmark registered for it"
    if one.partial:
        return f"not the whole benchmark ({'; '.join(one.partial.values())})"
    if _measure(one, known.hub) is None:
        return f"the run has no {known.hub.measure}"
    return None


def _measure(one: BenchmarkReport, hub: HubBenchmark) -> Measure | None:
    return next((m for m in one.measures if m.name == hub.measure and not m.category), None)


def _eval_results(publication: Publication, run: RunReport, one: BenchmarkReport, hub: HubBenchmark) -> str:
    """One entry of `.eval_results`, made and written by the hub's own library."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    measure = _measure(one, hub)
    assert measure is not None
    entry = EvalResultEntry(
        dataset_id=hub.id,
        task_id=hub.task_id,
        value=hub.value(measure.value),
        date=_day(run),
        source_url=publication.source_url,
        source_name="stackbench" if publication.source_url else None,
        notes=_notes(one, measure),
    )
    return yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True)


def _notes(one: BenchmarkReport, measure: Measure) -> str:
    """What the value was measured with, in a line."""
    settings = one.settings
    shots = "" if settings.shots is None else f", {settings.shots} examples"
    sampled = ", ".join(
        f"{name} {setting(settings.sampling[name])}" for name in ("temperature", "top_p") if name in settings.sampling
    )
    return (
        f"{measure.name}, {_interval(measure)}, n={measure.n}; {settings.prompt_form}{shots}"
        f"{'; ' + sampled if sampled else ''}; {settings.attempts_per_task:.4g} attempts a task"
    )


def _interval(measure: Measure) -> str:
    """For a note in a line."""
    if measure.interval is None:
        return "no interval for so few tasks"
    return measure_interval(measure) if measure.interval == "range" else f"95% interval {measure_interval(measure)}"


def _model_index(publication: Publication, left_out: list[str]) -> str:
    """The legacy form, in the front matter of a model card; whole benchmarks only."""
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index as model_index

    found: list[EvalResult] = []
    for run, one in publication.scores:
        known, head = known_elsewhere(one.name), one.head
        if known is None or head is None or one.partial or head.at_most != 1.0:
            continue
        found.append(
            EvalResult(
                task_type="text-generation",
                task_name=known.task,
                dataset_type=known.dataset,
                dataset_name=known.title,
                dataset_config=known.config,
                dataset_split=known.split,
                metric_type=head.name,
                metric_name=f"{head.name}, {_notes(one, head)}",
                metric_value=head.value,
                metric_args={"run_id": run.run_id, "n": head.n, "ci_low": head.low, "ci_high": head.high},
                verified=False,
                source_name="stackbench" if publication.source_url else None,
                source_url=publication.source_url,
            )
        )
    if not found:
        return "# No whole benchmark with a dataset on the hub was run: there is no model-index.\n"
    index: list[dict[str, Any]] = model_index(publication.model_id.partition("/")[2], found)
    return yaml.safe_dump({"model-index": index}, sort_keys=False, allow_unicode=True)


def _card_section(publication: Publication) -> str:
    """For the model card: the score table with settings, and what the scores leave out."""
    lines = ["## Evaluation", ""]
    lines.append(
        f"Measured with stackbench {markdown_text(publication.results.stackbench)} on {_day(publication.runs[-1])}"
        + (f"; all figures: <{publication.source_url}>" if publication.source_url else "")
        + ". The settings of each score stand below the table."
    )
    lines += ["", *(markdown_block(block) for block in score_table(publication.results)), ""]
    for run in publication.runs:
        for one in run.benchmarks:
            if one.head is not None:
                lines.append(f"- {markdown_text(f'{one.name}: {_notes(one, one.head)}')}")
            lines += [f"  - {markdown_text(line)}" for line in one.caveats]
    return "\n".join([*lines, ""])


def _day(run: RunReport) -> str:
    return (run.finished_at or run.created_at)[:10]
