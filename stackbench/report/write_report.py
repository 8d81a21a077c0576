"""Writes a report: results.json first, and from it alone every other file."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from stackbench import nesting
from stackbench.errors import UsageError
from stackbench.extras import install_command
from stackbench.nesting import is_array, is_object
from stackbench.report.benchmark_pages import detailed_blocks
from stackbench.report.document import Page, Picture
from stackbench.report.html_page import html_page
from stackbench.report.markdown_page import markdown_page
from stackbench.report.pdf_page import pdf_page
from stackbench.report.plots import Plot, draw_plots
from stackbench.report.results_model import Results, results_schema
from stackbench.report.results_workbook import write_results_workbook
from stackbench.report.summary_page import summary_page
from stackbench.report.whole_files import write_whole
from stackbench.suggestions import did_you_mean

__all__ = ["REPORT_FORMATS", "ReportWriter"]

REPORT_FORMATS = ("markdown", "html", "pdf", "xlsx", "plots")


class ReportWriter:
    """Writes one report into one folder.

    Args:
        to: the folder; made where it is not there.
        formats: of `REPORT_FORMATS`; empty for all that the installed packages allow.

    Raises:
        UsageError: a format is unknown, or the folder holds the report of other runs.
    """

    def __init__(self, results: Results, to: Path, formats: Sequence[str] = ()) -> None:
        for name in formats:
            if name not in REPORT_FORMATS:
                raise UsageError(
                    f'unknown format "{name}"{did_you_mean(name, REPORT_FORMATS)}; formats: {", ".join(REPORT_FORMATS)}'
                )
        self.left_out: list[str] = []
        """What was not written for want of a package, and how to get it."""
        self._asked = tuple(formats)
        self._formats = formats or REPORT_FORMATS
        self._to = to
        # What is read back is what every output is made from: none can know more than results.json does.
        self._text = results.model_dump_json(indent=1)
        self._results = Results.model_validate_json(self._text)
        self._check_folder()

    def write(self) -> Iterator[Path]:
        """Writes the files, each whole or not at all, and yields their paths.

        Raises:
            UsageError: the folder cannot be written, or a format that was asked for needs a package that is missing.
        """
        try:
            yield write_whole(self._to / "results.json", self._text + "\n")
            yield write_whole(self._to / "results.schema.json", json.dumps(results_schema(), indent=2) + "\n")
            yield from self._outputs()
        except OSError as error:
            raise UsageError(f"the report cannot be written to {self._to}: {error.strerror or error}") from error

    def _outputs(self) -> Iterator[Path]:
        plots = self._plots()
        pictures = [Picture(plot.name, plot.alt, plot.caption) for plot in plots]
        svgs = {plot.name: plot.svg for plot in plots}
        if "plots" in self._formats or "markdown" in self._formats:
            for plot in plots:
                yield write_whole(self._to / "plots" / f"{plot.name}.svg", plot.svg)
                yield write_whole(self._to / "plots" / f"{plot.name}.png", plot.png)
        summary = summary_page(self._results, pictures)
        whole = Page(summary.title, summary.description, (*summary.blocks, *detailed_blocks(self._results, pictures)))
        if "markdown" in self._formats:
            for name, page in (("BENCHMARKS.md", summary), ("BENCHMARKS_DETAILED.md", whole)):
                yield write_whole(self._to / name, markdown_page(page, lambda name: f"plots/{name}.svg"))
        if "html" in self._formats:
            yield write_whole(self._to / "report.html", html_page(whole, svgs))
        if "xlsx" in self._formats:
            with self._optional("xlsx"):
                book = io.BytesIO()
                write_results_workbook(self._results, book)
                yield write_whole(self._to / "results.xlsx", book.getvalue())
        if "pdf" in self._formats:
            with self._optional("pdf"):
                last = max(run.finished_at or run.created_at for run in self._results.runs)
                yield write_whole(self._to / "report.pdf", pdf_page(whole, svgs, last))

    def _plots(self) -> list[Plot]:
        with self._optional("plots"):
            return draw_plots(self._results)
        return []

    @contextlib.contextmanager
    def _optional(self, format: str) -> Iterator[None]:
        """Goes on without a package where its format was not asked for by name."""
        try:
            yield
        except ImportError as error:
            why = f"{format} needs the report extra ({error.name} is missing); run: {install_command('report')}"
            if format in self._asked:
                raise UsageError(why) from error
            self.left_out.append(why)

    def _check_folder(self) -> None:
        """The files of two reports would mix: plots are named by their runs."""
        others = _reported_runs(self._to)
        if others and others != {run.run_id for run in self._results.runs}:
            raise UsageError(
                f"{self._to} holds the report of {', '.join(sorted(others))}; name another folder, or remove it"
            )


def _reported_runs(folder: Path) -> set[str]:
    """The runs whose report a folder holds."""
    with contextlib.suppress(OSError, ValueError):
        found = nesting.loads((folder / "results.json").read_text(encoding="utf-8"))
        runs = found.get("runs") if is_object(found) else None
        return {str(run.get("run_id")) for run in runs if is_object(run)} if is_array(runs) else set()
    return set()
