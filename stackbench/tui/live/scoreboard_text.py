"""The head of a run's screen: what it is and where it stands, each benchmark in a line, the load in gauges."""

from __future__ import annotations

import textwrap
from collections import deque
from collections.abc import Mapping, Sequence

from rich.text import Text

from stackbench.report.headlines import headline, interval_text
from stackbench.report.tally import BenchmarkTally
from stackbench.store import BenchmarkResult
from stackbench.tui.home.run_lines import SIGNS
from stackbench.tui.live.live_run import IDLE_AFTER_S, LiveRun
from stackbench.tui.safe_text import cut_line
from stackbench.tui.tones import Tones
from stackbench.tui.virtual_table import Tone

__all__ = ["gauges_text", "head_text", "live_scores", "recorded_scores", "with_problem"]

BLOCKS = "▁▂▃▄▅▆▇█"
GIB = 1 << 30
NAME = 14
WIDE = 110
MOST_LINES = 6
"""Of why a run failed."""
LEAST_NAME = 12
"""Columns that a model's name needs to tell anything."""


def head_text(run: LiveRun, width: int, styles: Tones) -> Text:
    """State, places at the model, suite, model as far as there is room, what is wrong."""
    sign, tone = SIGNS.get(run.phase, ("·", "dim"))
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    words = "engine died" if run.phase == "dead" else run.phase or "attaching ..."
    text.append(f"{sign} {words}", style=f"bold {styles[tone]}")
    if run.position is not None:
        text.append(f" behind {run.position + 1}", style=styles["dim"])
    now = run.clock()
    idle = sum(one.idle_s(now) >= IDLE_AFTER_S for one in run.under_way.values())
    if idle:
        text.append(f"   ! {idle} idle over 10 min", style=f"bold {styles['bad']}")
    if run.calls_waiting:
        text.append(f"   ! {run.calls_waiting} calls wait for you", style=f"bold {styles['warn']}")
    if run.slots and not run.ended:
        text.append(f"   {run.slots_taken} of {run.slots} at the model", style=styles["dim"])
    text.append(f"   {cut_line(run.suite, 40)}", style="bold")
    room = width - text.cell_len - 5
    if room >= LEAST_NAME:
        text.append(f"   {cut_line(run.model, min(80, room))}")
    if run.error and not run.ended:
        text.append(f"   {cut_line(run.error)}", style=styles["bad"])
    elif run.last_error and not run.error:
        text.append(f"   last error: {cut_line(run.last_error, 160)}", style=styles["warn"])
    return text


def live_scores(run: LiveRun, width: int, styles: Tones) -> Text:
    """A line per benchmark: bar, done of total, score with its interval, errors, cut answers, speed, time to come."""
    rows = [_live_row(one, wide=width >= WIDE) for one in run.benchmarks.values()]
    return _scores(rows, run.skipped, width, styles)


def _live_row(one: BenchmarkTally, *, wide: bool) -> tuple[str, int, int, str, int, int, str]:
    tail = f"{one.speed():>11}  {one.time()}" if wide else one.time()
    return one.benchmark, one.finished, one.total, one.rate(), one.errors, one.cut, tail


def recorded_scores(results: Sequence[BenchmarkResult], skipped: Mapping[str, str], width: int, styles: Tones) -> Text:
    """The same of a run that has ended: its headline metrics as recorded."""
    rows: list[tuple[str, int, int, str, int, int, str]] = []
    for result in results:
        metric = headline(result.metrics)
        score = f"{metric.value:.3f}{interval_text(result.benchmark, metric)}" if metric else "-"
        planned = result.planned.attempts_planned if result.planned is not None else result.attempts
        name = metric.name if metric else ""
        rows.append((result.benchmark, result.attempts, planned, score, result.errors, result.cut, name))
    return _scores(rows, skipped, width, styles)


def _scores(
    rows: Sequence[tuple[str, int, int, str, int, int, str]], skipped: Mapping[str, str], width: int, styles: Tones
) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    bar = 20 if width >= WIDE else 5
    for number, (name, done, total, score, errors, cut, tail) in enumerate(rows):
        share = done / total if total else 0.0
        full = min(bar, round(share * bar))
        text.append("\n" if number else "")
        text.append(f"{cut_line(name, NAME):<{NAME}} ", style="bold")
        text.append("━" * full, style=styles["accent"])
        text.append("─" * (bar - full), style=styles["dim"])
        text.append(f" {f'{done}/{total}':>11}  ")
        text.append(f"{score:<22}" if width >= WIDE else f"{score:<20}", style="bold")
        text.append(f"{errors:>4} err", style=styles["bad"] if errors else styles["dim"])
        text.append(f"{cut:>4} cut" if width >= WIDE or cut else "", style=styles["warn"] if cut else styles["dim"])
        text.append(f"  {cut_line(tail, 60 if width >= WIDE else max(1, width - (72 if cut else 64)))}")
    for name, reason in skipped.items():
        text.append("\n" if text else "")
        text.append(cut_line(f"{name}: skipped: {reason}"), style=styles["warn"])
    return text


def with_problem(run: LiveRun, scores: Text, width: int, styles: Tones) -> Text:
    """The scores below why the run failed, which is shown whole as far as some lines go."""
    if not (run.ended and run.error):
        return scores
    whole = cut_line(run.error, MOST_LINES * width)
    lines = textwrap.wrap(whole, max(20, width), break_on_hyphens=False)[:MOST_LINES]
    text = Text("\n".join(lines), style=styles["bad"], no_wrap=True, overflow="ellipsis", end="")
    return text.append("\n").append_text(scores) if scores else text


def gauges_text(run: LiveRun, width: int, styles: Tones) -> Text:
    """The load, each with its last two minutes; what a machine does not have is left out."""
    cells = [cell for cell in _cells(run, styles) if cell is not None]
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    if not cells:
        return text
    columns = max(1, width // 27)
    for number, cell in enumerate(cells):
        if number and number % columns == 0:
            text.append("\n")
        cell.truncate(26, pad=True)
        text.append_text(cell)
        text.append(" ")
    return text


def _cells(run: LiveRun, styles: Tones) -> list[Text | None]:
    load = run.load
    memory = _last(load.get("vram_total"))
    sandboxes = run.settings.get("sandboxes")
    executing = sum(one.waits_for == "tests" for one in run.under_way.values())
    own = [
        _gauge("GPU", load.get("gpu_util"), 1.0, "share", styles),
        _gauge("GPU mem", load.get("vram_used"), memory or 0.0, "bytes", styles),
        _gauge("KV cache", load.get("kv_cache"), 1.0, "share", styles),
        _gauge("CPU", load.get("cpu"), 1.0, "share", styles),
        _gauge("memory", load.get("rss"), 0.0, "bytes", styles),
        _gauge("tokens/s", load.get("tokens_per_s"), 0.0, "count", styles),
        _gauge("running", load.get("running"), 0.0, "count", styles),
        _gauge("waiting", load.get("waiting"), 0.0, "count", styles),
    ]
    if run.under_way or sandboxes:
        limit = f"/{sandboxes}" if sandboxes else ""
        own.append(Text.assemble(("sandboxes ", styles["dim"]), (f"{executing}{limit}", "bold"), " executing"))
    return own


def _gauge(name: str, readings: deque[float | None] | None, most: float, unit: str, styles: Tones) -> Text | None:
    if readings is None or all(value is None for value in readings):
        return None
    known = [value for value in readings if value is not None]
    top = most or max(known) or 1.0
    last = known[-1]
    shown = {"share": f"{last:.0%}", "bytes": f"{last / GIB:.1f}G", "count": f"{last:,.0f}"}[unit]
    tone: Tone = "warn" if most and last / top > 0.9 else ""
    spark = "".join(BLOCKS[min(7, int(max(0.0, value) / top * 7.999))] for value in known[-9:])
    return Text.assemble(
        (name.ljust(9), styles["dim"]), (shown.rjust(6), styles[tone] or "bold"), " ", (spark, styles["accent"])
    )


def _last(readings: deque[float | None] | None) -> float | None:
    return next((value for value in reversed(readings) if value is not None), None) if readings else None
