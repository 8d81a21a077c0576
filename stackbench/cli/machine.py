"""`doctor`: what works on this machine, and whether a model fits it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from stackbench.cli.console import out, print_json, print_table, shown
from stackbench.config import Home
from stackbench.visible_text import in_one_line

if TYPE_CHECKING:
    from stackbench.engine.doctor import Check
    from stackbench.engine.model_files import Fit

__all__ = ["doctor", "doctor_model"]

STYLES = {"ok": "green", "missing": "yellow", "broken": "red"}


def doctor(home: Path | None, *, as_json: bool) -> int:
    """Prints what works and what does not; 1 when something a run needs is broken."""
    from stackbench.engine.doctor import examine

    checks = examine(Home.find(home, to_write=False))
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        _print_checks(checks)
    return 1 if any(check.state == "broken" for check in checks) else 0


def _print_checks(checks: Sequence[Check]) -> None:
    """A line or more for each check, broken between words alone: a path can be copied. The command that repairs it
    stands on a line of its own, whole."""
    console = out()
    label = max(len(check.name) for check in checks)
    margin = " " * (len("missing") + 2 + label + 2)
    for check in checks:
        first, *rest = _folded(check.found, console.width - len(margin))
        head = f"{check.state:<7}  {in_one_line(check.name):<{label}}  "
        line = shown(f"{head}{first}", whole=True)
        line.stylize(STYLES[check.state], 0, len(check.state))
        console.print(line, crop=False)
        if check.fix and check.state != "ok":
            rest.append(f"fix: {in_one_line(check.fix)}")
        for more in rest:
            console.print(shown(f"{margin}{more}", whole=True), crop=False)
    broken = [check.name for check in checks if check.state == "broken"]
    lacking = sum(check.state == "missing" for check in checks)
    summary = f"broken: {', '.join(broken)}" if broken else "nothing that a run needs is broken"
    console.print(shown(f"{summary}; {lacking} optional or made when needed"))


def _folded(text: str, width: int) -> list[str]:
    """The text in lines of whole words; a word that is longer than a line has one of its own."""
    return textwrap.wrap(in_one_line(text), max(20, width), break_long_words=False, break_on_hyphens=False) or [""]


def doctor_model(name: str, *, as_json: bool) -> int:
    """Prints what a model takes in each precision and whether that is there; 1 when it fits in none."""
    from stackbench.cli.fetching import count_of
    from stackbench.engine.model_files import model_fits

    found = model_fits(name)
    entry, what, size, fits = found.entry, found.device, found.memory_bytes, found.fits
    if as_json:
        print_json({"model": name, "device": what, "memory_bytes": size, "precisions": [asdict(fit) for fit in fits]})
        return 0 if any(fit.longest for fit in fits) else 1
    out().print(f"{entry.title}: {count_of(entry.parameters)} parameters, {entry.context:,} tokens of context")
    out().print(f"{what}: {size / 2**30:.1f} GiB, estimates in GiB\n")
    print_table(
        ["precision", "weights", "one full context", "together", "fits", "tokens that fit"],
        [
            (
                fit.quantization, f"{fit.weight_bytes / 2**30:.1f}", f"{fit.kv_bytes / 2**30:.1f}",
                f"{fit.total_bytes / 2**30:.1f}", "yes" if fit.fits else "shorter" if fit.longest else "no",
                f"{fit.longest:,}" if fit.longest else "-",
            )
            for fit in fits
        ],
        right=["weights", "one full context", "together", "tokens that fit"],
    )  # fmt: skip
    out().print(f"\n{_advice(name, fits)}")
    return 0 if any(fit.longest for fit in fits) else 1


def _advice(name: str, fits: Sequence[Fit]) -> str:
    best = next((fit for fit in fits if fit.fits), None)
    if best is fits[0]:
        return "It fits as it is."
    if best is not None:
        return f"It fits with --quantization {best.quantization.split('-int')[0]}."
    shorter = next((fit for fit in fits if fit.longest), None)
    if shorter is None:
        return "It does not fit this machine in any precision; more GPUs: --tensor-parallel-size."
    how = "" if shorter is fits[0] else f" --quantization {shorter.quantization.split('-int')[0]}"
    return f"It fits with{how} --max-model-len {shorter.longest // 1024 * 1024}."
