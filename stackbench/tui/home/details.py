"""What the list of runs says above and below itself."""

from __future__ import annotations

from rich.text import Text

from stackbench.control.answers import RunNow
from stackbench.plurals import number_of
from stackbench.report.headlines import headline, interval_text
from stackbench.tui.engine_link import EngineNow
from stackbench.tui.home.run_lines import RunLine
from stackbench.tui.safe_text import cut_line
from stackbench.tui.tones import Tones

__all__ = ["engine_text", "run_text", "welcome_text"]


def engine_text(engine: EngineNow, now: RunNow | None) -> Text:
    """The home's engine in a line."""
    if engine.state == "none":
        return Text("no engine is live: a new run starts one, and it outlives this screen", style="dim")
    if engine.state == "dead":
        at = f" at run {cut_line(engine.last_run)}" if engine.last_run else ""
        under_way = f" with {len(engine.last_attempts)} attempts under way" if engine.last_attempts else ""
        return Text(f"✗ the engine (process {engine.pid}) was killed{at}{under_way}; r resumes the run", style="bold")
    if engine.state != "live":
        words = {"stopped": "is stopped (SIGSTOP)", "hung": "does not answer: it hangs", "busy": "does not answer yet"}
        return Text(f"! the engine (process {engine.pid}) {words[engine.state]}", style="bold")
    text = Text(f"● engine live, process {engine.pid}")
    queued = sum(run.state == "queued" for run in engine.runs)
    if now is not None:
        text.append(f"   {cut_line(now.run_id)} {now.phase}", style="bold")
        text.append(f"   {now.slots.taken} of {now.slots.size} requests at the model")
    text.append(f"   {queued} queued" if queued else "", style="dim")
    return text


def run_text(line: RunLine, styles: Tones) -> Text:
    """The run of the cursor: each benchmark with its counts and its score."""
    text = Text(no_wrap=True, overflow="ellipsis")
    labels = line.run.labels
    called = [labels.name, *(f"#{tag}" for tag in labels.tags)]
    about = [line.run.run_id, " ".join(filter(None, called)), line.run.model]
    text.append("  ".join(cut_line(part) for part in about if part), style="bold")
    if line.run.problem:
        text.append(f"\n  {cut_line(line.run.problem, 600)}", style=styles["bad"])
    for one in line.run.benchmarks:
        metric = headline(one.metrics)
        counted = f"{one.attempts} of {one.planned}" if one.planned else str(one.attempts)
        noun = "attempt" if (one.planned or one.attempts) == 1 else "attempts"
        text.append(f"\n  {cut_line(one.name):<12} {counted:>14} {noun}, {number_of(one.errors, 'error')}", style="")
        if metric is not None:
            interval = interval_text(one.name, metric)
            text.append(f"   {metric.name} {metric.value:.3f}{interval}")
        elif one.attempts > one.errors:
            text.append(f"   passed so far {one.passed} of {one.attempts - one.errors}", style="dim")
    return text


def welcome_text() -> Text:
    """The first start, with nothing run yet."""
    return Text.assemble(
        ("Nothing has been run here yet.\n\n", "bold"),
        "Press ",
        (" s ", "bold reverse"),
        " to run the smoke suite: 5 tasks of each benchmark with the\n",
        "embedded model. It tells in a few minutes whether everything works on this machine.\n\nPress ",
        (" n ", "bold reverse"),
        " to choose benchmarks and a model yourself.\n\n",
        ("?  lists every key      ^p  finds every command", "dim"),
    )
