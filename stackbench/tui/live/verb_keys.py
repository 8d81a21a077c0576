"""The operator's verbs as keys of a run's screen; what each does is told by control.verbs."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding

from stackbench.control.verbs import VERBS

__all__ = ["VERB_KEYS", "VerbKey", "verb_bindings"]


@dataclass(frozen=True, slots=True)
class VerbKey:
    """A key for a verb."""

    key: str
    verb: str
    action: str
    label: str
    shown: bool = False
    """Whether the foot of the screen lists it; help lists all."""


VERB_KEYS = (
    VerbKey("p", "pause", "pause", "Pause", shown=True),
    VerbKey("P", "pause", "pause_now", "Pause now: hold attempts under way too"),
    VerbKey("r", "resume", "resume", "Resume", shown=True),
    VerbKey("d", "drain", "drain", "Drain: end after the attempts under way"),
    VerbKey("x", "cancel", "cancel", "Stop a benchmark"),
    VerbKey("S", "stop", "stop", "Stop", shown=True),
    VerbKey("E", "requeue", "requeue_errors", "Requeue errors"),
    VerbKey("plus,equals_sign", "set", "concurrency(1)", "More requests at once"),
    VerbKey("minus", "set", "concurrency(-1)", "Fewer requests at once"),
    VerbKey("o", "set", "set", "Set concurrency, sandboxes, timeout or max-hours"),
)


def verb_bindings() -> list[Binding]:
    """The keys with what control.verbs says of their verbs as a tooltip."""
    return [Binding(one.key, one.action, one.label, show=one.shown, tooltip=VERBS[one.verb].help) for one in VERB_KEYS]
