"""The scores of a run as tables for papers and pages: Markdown and LaTeX (booktabs), each with its denominators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stackbench.report.headlines import interval_or_counts
from stackbench.store import BenchmarkResult
from stackbench.types import Metric

__all__ = ["latex_table", "latex_text", "markdown_table"]

COLUMNS = ("benchmark", "tasks", "errors", "metric", "value", "95% interval", "stderr", "n")
RIGHT = frozenset({"tasks", "errors", "value", "95% interval", "stderr", "n"})
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip
MARKDOWN = "\\`*_{}[]<>#|~"


def markdown_table(results: Sequence[BenchmarkResult]) -> str:
    """A table in the pipe syntax of GitHub."""
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        f"| {' | '.join('---:' if name in RIGHT else '---' for name in COLUMNS)} |",
    ]
    lines += [f"| {' | '.join(map(_markdown, row))} |" for row in _rows(results)]
    return "\n".join(lines)


def latex_table(results: Sequence[BenchmarkResult]) -> str:
    r"""A `tabular` with the rules of booktabs (`\usepackage{booktabs}`)."""
    align = "".join("r" if name in RIGHT else "l" for name in COLUMNS)
    lines = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", rf"{' & '.join(map(latex_text, COLUMNS))} \\", r"\midrule"]
    lines += [rf"{' & '.join(map(latex_text, row))} \\" for row in _rows(results)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _rows(results: Sequence[BenchmarkResult]) -> Iterator[tuple[str, ...]]:
    for result in results:
        tasks = f"{result.tasks_completed} of {result.tasks_planned}"
        for metric in result.metrics:
            if not metric.category:
                yield (
                    result.benchmark, tasks, str(result.errors), metric.name, f"{metric.value:.4f}",
                    _interval(result.benchmark, metric),
                    "" if metric.stderr is None else f"{metric.stderr:.4f}",
                    str(metric.n),
                )  # fmt: skip


def _interval(benchmark: str, metric: Metric) -> str:
    if metric.low is not None:
        return f"range {metric.low:.4f} to {metric.high:.4f}"
    return interval_or_counts(benchmark, metric)


def _markdown(text: str) -> str:
    return "".join(f"\\{c}" if c in MARKDOWN else c for c in " ".join(text.split()))


def latex_text(text: str) -> str:
    """A text as one line in which nothing is a command."""
    return "".join(LATEX.get(c, c) for c in " ".join(text.split()))
