"""Drafts: release notes, a blog post, short posts. Numbers are filled in, judgements are left to people."""

from __future__ import annotations

from collections.abc import Iterator

from stackbench.publish.publication import Publication
from stackbench.report.markdown_page import markdown_block, markdown_text
from stackbench.report.numbers import difference_interval, measure_interval, number, p_text
from stackbench.report.results_model import BenchmarkReport
from stackbench.report.summary_page import score_table

__all__ = ["draft_files"]

POST = 280
"""Characters of a short post."""
SAMPLING = ("temperature", "top_p")


def draft_files(publication: Publication, archive: str) -> Iterator[tuple[str, str]]:
    """Names and texts. `archive` is the name of the tarball."""
    yield "github/release-notes.md", _release_notes(publication, archive)
    yield "announcements/blog-post.md", _blog_post(publication)
    yield "announcements/short-posts.md", _short_posts(publication)


def _release_notes(publication: Publication, archive: str) -> str:
    parts = [
        f"# {markdown_text(publication.title)}, {publication.version}",
        f"Measured with stackbench {markdown_text(publication.results.stackbench)}; the last run ended on "
        f"{publication.ended_at:%Y-%m-%d %H:%M} UTC.",
        *map(markdown_block, score_table(publication.results)),
        *_left_out(publication),
        "## Files",
        f"- `{archive}`: report, all answers, Every Eval Ever files, datasheet of exclusions, environment",
        "- `SHA256SUMS`: hashes of the archive's files; `sha256sum --check SHA256SUMS` checks them",
    ]
    return "\n\n".join(parts) + "\n"


def _blog_post(publication: Publication) -> str:
    parts = [
        f"# {markdown_text(publication.title)}",
        "*Draft. What stands in brackets is for the author to write; the numbers come from results.json.*",
        "[Why this model was evaluated, and for whom the result matters.]",
        "## Results",
        *map(markdown_block, score_table(publication.results)),
        "The interval says how much a score would vary with other tasks of the same kind. "
        "[What the scores mean for a user.]",
        *_comparisons(publication),
        "## How it was measured",
        *_settings(publication),
        *_left_out(publication),
        "## What the scores do not tell",
        *_limits(publication),
        "## Check it",
        "All answers with their seeds and parameters, the failures and what was left out are in the archive"
        + (f": <{publication.source_url}>." if publication.source_url else " [address]."),
    ]
    return "\n\n".join(parts) + "\n"


def _settings(publication: Publication) -> Iterator[str]:
    lines: list[str] = []
    for run, one in publication.scores:
        settings = one.settings
        shots = "" if settings.shots is None else f", {settings.shots} examples"
        sampled = ", ".join(f"{name} {settings.sampling[name]}" for name in SAMPLING if name in settings.sampling)
        told = f"{one.name}: asked as {settings.prompt_form}{shots}; {sampled or 'sampling not recorded'}"
        lines.append(f"- {markdown_text(told)}; {settings.attempts_per_task:.4g} attempts a task; run {run.run_id}")
    yield "\n".join(lines)


def _left_out(publication: Publication) -> Iterator[str]:
    lines = [
        f"- {markdown_text(f'{one.name}: {line}')}"
        for run in publication.runs
        for one in run.benchmarks
        for line in one.caveats
    ]
    lines += [
        f"- {markdown_text(f'{name} was skipped: {why}')}"
        for run in publication.runs
        for name, why in run.skipped.items()
    ]
    if lines:
        yield "## What these numbers leave out"
        yield "\n".join(lines)


def _limits(publication: Publication) -> Iterator[str]:
    benchmarks = {one.name: one for _, one in publication.scores}
    yield (
        "\n".join(f"- {markdown_text(f'{name}: {limit}')}" for name, one in benchmarks.items() for limit in one.limits)
        or "[Limits of the benchmarks.]"
    )


def _comparisons(publication: Publication) -> Iterator[str]:
    lines = [
        f"- {markdown_text(one.benchmark)}: {number(one.difference)} {difference_interval(one)} from run "
        f"{one.first_run} to run {one.second_run}, over {one.n:,} tasks"
        + ("" if one.p_value is None else f", p = {p_text(one.p_value)}")
        for one in publication.results.comparisons
    ]
    if lines:
        yield "Paired differences between the runs:"
        yield "\n".join(lines)


def _short_posts(publication: Publication) -> str:
    """One post a score, each short enough for the sites that count characters."""
    link = f" {publication.source_url}" if publication.source_url else ""
    lines = ["# Short posts (drafts)", ""]
    for _, one in publication.scores:
        text = f"{publication.model_id} on {one.name}: {_said(one)}.{link}"
        lines += [f"- {markdown_text(text[:POST])}" + ("" if len(text) <= POST else " [too long: shorten]")]
    return "\n".join([*lines, ""])


def _said(one: BenchmarkReport) -> str:
    head = one.head
    assert head is not None
    part = "" if not one.partial else f", {one.tasks_completed} of {one.tasks_available} tasks"
    return f"{head.name} {number(head.value)} {measure_interval(head)}, n={head.n:,}{part}"
