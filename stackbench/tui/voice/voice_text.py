"""What the voice screen writes: the level, the text so far, a turn and what became of it, and where its time went."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import quantiles

from rich.text import Text

from stackbench.tui.safe_text import cut_line
from stackbench.tui.tones import Tones
from stackbench.voice.app import Handled
from stackbench.voice.scoring import as_written, word_errors
from stackbench.voice.spoken_symbols import written
from stackbench.voice.turns import Latency, Level

__all__ = ["compared_line", "level_line", "percentile_lines", "turn_lines", "waterfall"]

QUIETEST_DBFS = -60.0
LEVEL_WIDTH = 30
WIDEST_BAR = 44
NAME_WIDTH = 27
FIGURE_WIDTH = 11
"""Of a bar's milliseconds, with the gap before them."""
LONGEST = 300
PARTS = ("silence until the endpoint", "rest of the final pass", "carried out")


def level_line(level: Level | None, tones: Tones) -> Text:
    """How loud it is, and whether that is speech."""
    if level is None:
        return Text("no sound yet", style=tones["dim"])
    share = min(1.0, max(0.0, 1 - level.dbfs / QUIETEST_DBFS))
    full = round(share * LEVEL_WIDTH)
    tone = "bad" if level.dbfs > -3 else "good" if level.in_turn else "dim"
    line = Text()
    line.append("█" * full, style=tones[tone])
    line.append("░" * (LEVEL_WIDTH - full), style=tones["dim"])
    line.append(f"  {level.dbfs:6.1f} dB   speech {100 * level.probability:3.0f}%")
    return line


def turn_lines(handled: Handled, tones: Tones) -> list[Text]:
    """What was said, and what became of it."""
    said = Text()
    said.append("said    ", style=tones["dim"])
    said.append(cut_line(handled.turn.text, LONGEST), style="bold")
    said.append(f"  {100 * handled.turn.transcript.confidence:.0f}%", style=tones["dim"])
    became = Text()
    became.append("refused " if handled.refused else "became  ", style=tones["bad" if handled.refused else "good"])
    became.append(cut_line(handled.line, LONGEST))
    return [said, became]


def compared_line(meant: str, heard: str, tones: Tones) -> Text:
    """How much of a prompted sentence was understood."""
    errors = word_errors(as_written(meant), written(heard))
    line = Text("        ", style=tones["dim"])
    line.append(f"of the prompted sentence {errors.errors} of {errors.length} words wrong", style=tones["accent"])
    return line


def waterfall(handled: Handled, width: int, tones: Tones) -> list[Text]:
    """Where the time went from the end of speech on, one bar behind another; `width` in cells."""
    bar = max(1, min(WIDEST_BAR, width - NAME_WIDTH - FIGURE_WIDTH))
    latency = handled.turn.latency
    spans = (latency.endpoint_s, max(0.0, latency.after_endpoint_s), handled.carried_out_s)
    whole = max(sum(spans), 0.001)
    found: list[Text] = []
    before = 0.0
    for name, span, tone in zip(PARTS, spans, ("dim", "accent", "good"), strict=True):
        start = round(bar * before / whole)
        size = max(1, round(bar * span / whole)) if span else 0
        line = Text(f"{name:<{NAME_WIDTH}}")
        line.append(" " * start + "█" * size, style=tones[tone])
        line.append(" " * max(0, bar - start - size) + f"{1000 * span:{FIGURE_WIDTH - 3}.0f} ms")
        found.append(line)
        before += span
    return found


def percentile_lines(latencies: Sequence[Latency]) -> list[Text]:
    """p50, p90 and p99 of the turns so far."""
    rows = (
        ("text after speech", [one.text_s for one in latencies]),
        ("text after the endpoint", [one.after_endpoint_s for one in latencies]),
        ("final pass", [one.pass_s for one in latencies]),
    )
    found: list[Text] = []
    for name, values in rows:
        cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else [*values, *values] * 50
        figures = "  ".join(f"p{percent} {1000 * cuts[percent - 1]:6.0f} ms" for percent in (50, 90, 99))
        found.append(Text(f"{name:<{NAME_WIDTH}}{figures}   n={len(values)}"))
    return found
