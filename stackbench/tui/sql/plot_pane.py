"""Two columns of a result as a plot: a line, or bars where the first holds texts."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static
from textual_plotext import PlotextPlot

from stackbench.tui.safe_text import cut_line, line
from stackbench.tui.sql.query_result import QueryResult, shown_value

__all__ = ["PlotPane"]

MOST_BARS = 40
LABEL = 16


class PlotPane(Vertical):
    """Hidden until `show_plot`."""

    DEFAULT_CSS = """
    PlotPane { height: 1fr; }
    PlotPane > PlotextPlot { height: 1fr; }
    PlotPane > Static { height: 1; padding: 0 1; }
    """

    def compose(self) -> ComposeResult:
        yield Static(id="plot-title", markup=False)
        yield PlotextPlot(id="plot")

    def show_plot(self, result: QueryResult, x: int, y: int) -> None:
        """Rows where either value is missing are left out, and counted in the title."""
        pairs = [(row[x], row[y]) for row in result.rows if row[x] is not None and row[y] is not None]
        title = f"{result.names[y]} by {result.names[x]}"
        missing = len(result.rows) - len(pairs)
        notes = [f"{missing} rows without a value left out"] if missing else []
        widget = self.query_one(PlotextPlot)
        plot = widget.plt
        plot.clear_figure()
        if result.is_numeric(x):
            pairs.sort()
            xs, ys = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            plot.plot(xs, ys)
        else:
            if len(pairs) > MOST_BARS:
                notes.append(f"the first {MOST_BARS} of {len(pairs)} bars")
            pairs = pairs[:MOST_BARS]
            plot.bar([cut_line(shown_value(pair[0]), LABEL) for pair in pairs], [pair[1] for pair in pairs])
        plot.xlabel(cut_line(result.names[x], LABEL * 2))
        widget.refresh()
        self.query_one("#plot-title", Static).update(line("   ".join([title, *notes]), "bold"))
