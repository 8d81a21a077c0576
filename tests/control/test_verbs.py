from __future__ import annotations

from typing import Any

import pytest

from stackbench.control.verbs import VERBS, arguments_of, check_setting
from stackbench.errors import UsageError


def test_every_verb_of_the_contract_is_there() -> None:
    assert set(VERBS) == {
        "runs", "status", "why", "pause", "resume", "drain", "stop", "cancel", "requeue", "set", "approve", "reject",
        "edit", "message", "interrupt", "agents", "transcript", "policy", "step", "abort", "files", "read", "shell",
        "terminal",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "given", "why"),
    [
        ("dance", {}, 'there is no verb "dance"'),
        ("pause", {"later": True}, 'pause takes no "later"; it takes: target, now'),
        ("resume", {"x": 1}, 'resume takes no "x"; it takes: target'),
        ("set", {"name": "concurrency"}, "set needs VALUE"),
        ("set", {}, "set needs NAME and VALUE"),
        ("pause", {"now": "yes"}, "--now takes no value"),
        ("cancel", {"target": ["a"]}, "target is a text or a number, not list"),
        ("cancel", {"target": None}, "cancel needs TARGET"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(verb: str, given: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError) as refused:
        arguments_of(verb, given)
    assert why in str(refused.value)


def test_arguments_that_are_left_out_are_left_out() -> None:
    assert arguments_of("pause", {"now": False}) == {}
    assert arguments_of("requeue", {"target": None, "errors": True}) == {"errors": True}


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("concurrency", "8", ("concurrency", 8)),
        ("sandboxes", 3, ("sandboxes", 3)),
        ("timeout", "2.5", ("timeout", 2.5)),
        ("timeout_s", "2.5", ("timeout", 2.5)),
        ("max_hours", "0", ("max-hours", 0)),
    ],
)
def test_settings_of_a_live_run(name: str, value: str | float, found: tuple[str, float]) -> None:
    assert check_setting(name, value) == found


@pytest.mark.parametrize(
    ("name", "value"),
    [("model", "x"), ("concurrency", "0"), ("concurrency", "1.5"), ("concurrency", "nan"), ("timeout", "-1"),
     ("timeout", "inf"), ("sandboxes", "many"), ("sandboxes", "1e9"), ("max-hours", "")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(name: str, value: str) -> None:
    with pytest.raises(UsageError):
        check_setting(name, value)
