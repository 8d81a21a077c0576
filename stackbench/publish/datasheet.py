"""The datasheet of exclusions: what is in no score, item by item; and the checklist of a release."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stackbench.publish.publication import Publication
from stackbench.report.markdown_page import markdown_text

__all__ = ["datasheet_files"]

KINDS = {
    "error": "attempts that ended in errors", "not_selected": "tasks that were not selected",
    "not_attempted": "attempts that were not made", "skipped": "benchmarks that were skipped",
}  # fmt: skip

LEFT_TO_PEOPLE = (
    ("the harness was checked with -m oracle on the same machine", "stackbench eval ... -m oracle gives 1.0"),
    ("figures recomputed by an independent path", "stackbench verify RUN"),
    ("a second person signed the verification", ""),
    ("the drafts were read and completed by a person", "announcements/, github/"),
    ("results sent to the model's repository", "stackbench publish ... --upload, or huggingface/ by hand"),
    ("Every Eval Ever: pull request opened", "every-eval-ever/data/"),
    ("GitHub release made with the archive", "github/release-notes.md"),
    ("deposit at Zenodo or Figshare made, DOI added to CITATION.cff", "archive/"),
    ("announced", "announcements/"),
)


def datasheet_files(publication: Publication) -> Iterator[tuple[str, str]]:
    """Names and texts."""
    yield "EXCLUSIONS.md", _exclusions(publication)
    yield "CHECKLIST.md", _checklist(publication)


def _exclusions(publication: Publication) -> str:
    lines = [f"# Exclusions from the results of {markdown_text(publication.model_id)}", ""]
    for run in publication.runs:
        lines += [f"## Run {run.run_id}", ""]
        lines += [f"- {markdown_text(f'{name}: skipped: {why}')}" for name, why in run.skipped.items()]
        for one in run.benchmarks:
            lines.append(
                f"- **{markdown_text(one.name)}**: {one.tasks_completed:,} of {one.tasks_planned:,} planned tasks have "
                f"a completed attempt; {one.attempts:,} attempts, {one.errors:,} of them in error, {one.cut:,} answers "
                "cut at the token limit"
            )
            for out in one.exclusions:
                lines.append(f"  - {KINDS[out.kind]}, {out.count:,}: {markdown_text(out.reason)}")
                lines += [f"    - {markdown_text(item)}" for item in out.items]
            lines += [f"  - no {markdown_text(f'{name}: {why}')}" for name, why in one.missing.items()]
        lines.append("")
    return "\n".join(lines)


def _checklist(publication: Publication) -> str:
    """The steps of a release in their order; a step that these files cannot know of is left open."""
    steps = [*_known(publication), *((text, None, note) for text, note in LEFT_TO_PEOPLE)]
    lines = [f"# Release of the results of {markdown_text(publication.model_id)}, {publication.version}", ""]
    lines.append("`[x]` is known from the runs; `[!]` is known not to be so; `[ ]` is for a person to do and to mark.")
    lines.append("")
    for text, done, note in steps:
        mark = " " if done is None else "x" if done else "!"
        lines.append(f"- [{mark}] {text}" + (f" ({markdown_text(note)})" if note else ""))
    return "\n".join([*lines, ""])


def _known(publication: Publication) -> Iterator[tuple[str, bool | None, str]]:
    """Steps with whether they are done; None where the runs do not tell."""
    runs = publication.runs
    benchmarks = [one for run in runs for one in run.benchmarks]
    gates = [gate for run in runs for gate in run.gates]
    partial, errors = [one.name for one in benchmarks if one.partial], [one.name for one in benchmarks if one.errors]
    statuses, seeds = ", ".join(run.status for run in runs), ", ".join(str(len(run.seeds)) for run in runs)
    yield "every run is completed", all(run.status == "completed" for run in runs), statuses
    yield "no benchmark was skipped", not any(run.skipped for run in runs), ""
    yield "every benchmark was run whole", not partial, _named(partial)
    yield "no attempt ended in an error", not errors, _named(errors)
    yield "stackbench ran from a clean commit", all(_is_clean(run.git_commit) for run in runs), ""
    yield "success gates are met", all(gate.passed for gate in gates) if gates else None, "" if gates else "none is set"
    yield "replicates with several seeds", all(len(run.seeds) > 1 for run in runs), f"seeds: {seeds}"
    yield "report, hashes and archive are written", True, "report/, SHA256SUMS, archive/"


def _is_clean(commit: str | None) -> bool:
    return commit is not None and not commit.endswith("-dirty")


def _named(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
