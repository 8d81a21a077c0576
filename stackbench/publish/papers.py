"""Forms of papers and their indexes: a LaTeX table, a citation file, the archive format of Papers with Code."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import yaml

from stackbench.publish.hub_benchmarks import known_elsewhere
from stackbench.publish.publication import Publication
from stackbench.report.metric_tables import latex_text
from stackbench.report.numbers import measure_interval, number
from stackbench.report.summary_page import SETTINGS_COLUMNS, settings_row

__all__ = ["paper_files", "person"]

COLUMNS = ("benchmark", "measure", "value", r"95\% interval", "$n$", "tasks", "errors")


def paper_files(publication: Publication) -> Iterator[tuple[str, str]]:
    """Names and texts."""
    yield "paper/results-table.tex", _latex(publication)
    yield "CITATION.cff", _citation(publication)
    yield "papers-with-code/evaluation-tables.json", _papers_with_code(publication)


def _latex(publication: Publication) -> str:
    r"""A `table` with booktabs; its note holds the settings, so that they travel with the numbers."""
    rows: list[str] = []
    notes: list[str] = []
    for _, one in publication.scores:
        head = one.head
        assert head is not None
        available = one.tasks_available if one.tasks_available is not None else one.tasks_planned
        cells = (
            one.name, head.name, number(head.value), measure_interval(head), f"{head.n:,}",
            f"{one.tasks_completed:,} of {available:,}", f"{one.errors:,}",
        )  # fmt: skip
        rows.append(" & ".join(map(latex_text, cells)) + r" \\")
        told = "; ".join(
            f"{name.rstrip('>~')} {value}" for name, value in zip(SETTINGS_COLUMNS, settings_row(one), strict=True)
        )
        notes.append(latex_text(told))
    title = latex_text(f"{publication.title}, measured with stackbench {publication.results.stackbench}")
    return "\n".join(
        [
            r"% Needs \usepackage{booktabs}.",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{title}.}}",
            r"\begin{tabular}{llrrrrr}",
            r"\toprule",
            " & ".join(COLUMNS) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\smallskip\footnotesize",
            r" \\ ".join(notes),
            r"\end{table}",
            "",
        ]
    )


def _citation(publication: Publication) -> str:
    document: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use these results, please cite them as below.",
        "type": "dataset",
        "title": publication.title,
        "authors": [person(author) for author in publication.authors],
        "version": publication.version,
        "date-released": f"{publication.ended_at:%Y-%m-%d}",
        "abstract": f"Scores with 95% intervals, settings, answers and exclusions of {publication.model_id}, measured "
        f"with stackbench {publication.results.stackbench}.",
        "keywords": ["language model", "evaluation", "benchmark"],
    }
    if publication.source_url:
        document["url"] = publication.source_url
    if publication.licence:
        document["license"] = publication.licence
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def person(author: str) -> dict[str, str]:
    """`Family, Given` as a person, any other name as an organisation's."""
    family, comma, given = (part.strip() for part in author.partition(","))
    return {"family-names": family, "given-names": given} if comma and given else {"name": author}


def _papers_with_code(publication: Publication) -> str:
    """The site closed in 2025; the format of its `evaluation-tables.json` lives on in archives."""
    tasks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run, one in publication.scores:
        known, head = known_elsewhere(one.name), one.head
        if known is None or head is None or one.partial:
            continue
        row: dict[str, Any] = {
            "model_name": publication.model_id.partition("/")[2],
            "metrics": {head.name: number(head.value)},
            "paper_title": "",
            "paper_url": "",
            "paper_date": (run.finished_at or run.created_at)[:10],
            "code_links": [],
            "model_links": [],
            "uses_additional_data": False,
        }
        tasks[known.task].append({"dataset": known.title, "sota": {"metrics": [head.name], "rows": [row]}})
    document = [
        {"task": task, "description": "", "categories": [], "subtasks": [], "synonyms": [], "datasets": datasets}
        for task, datasets in tasks.items()
    ]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
