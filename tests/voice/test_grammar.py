"""What operators say, and what it means."""

from __future__ import annotations

from typing import Any

import pytest

from stackbench.control.verbs import VERBS
from stackbench.voice.dialogue import CONFIRM_WITHIN_S, Dialogue
from stackbench.voice.grammar import Grammar
from stackbench.voice.intents import SECOND_WORD, load_phrasebook

BENCHMARKS = ("gsm8k", "humaneval", "mbpp", "mbppplus", "mmlu", "throughput", "tooluse")
GRAMMAR = Grammar(BENCHMARKS, tasks=("HumanEval/12", "HumanEval/13", "Mbpp/2", "Mbpp/13"))


@pytest.mark.parametrize(
    ("said", "action", "name", "arguments"),
    [
        ("Start humaneval with ten tasks.", "start", "benchmark", {"benchmark": "humaneval", "limit": 10}),
        ("Run GSM 8K", "start", "benchmark", {"benchmark": "gsm8k"}),
        ("Evaluate MBPP plus on twenty five tasks", "start", "benchmark", {"benchmark": "mbppplus", "limit": 25}),
        ("start human evil with 10 tests", "start", "benchmark", {"benchmark": "humaneval", "limit": 10}),
        ("run the smoke suite", "start", "suite", {"suite": "smoke"}),
        ("Pause.", "verb", "pause", {}),
        ("hold everything", "verb", "pause", {"now": True}),
        ("continue the run please", "verb", "resume", {}),
        ("Stop!", "verb", "stop", {}),
        ("pause the run, pause the run,", "verb", "pause", {}),
        ("start the smoke suite. Start the smoke suite.", "start", "suite", {"suite": "smoke"}),
        ("skip M M L U", "verb", "cancel", {"target": "mmlu"}),
        ("cancel HumanEval slash twelve", "verb", "cancel", {"target": "HumanEval/12"}),
        ("cancel task two", "verb", "cancel", {"target": "Mbpp/2"}),
        ("retry all errors", "verb", "requeue", {"errors": True}),
        ("Set the concurrency to thirty two", "verb", "set", {"name": "concurrency", "value": 32}),
        ("set time out to two point five seconds", "verb", "set", {"name": "timeout", "value": 2.5}),
        ("set max hours to eight", "verb", "set", {"name": "max-hours", "value": 8}),
        ("Approve", "verb", "approve", {}),
        ("reject it because it deletes the repo", "verb", "reject", {"reason": "it deletes the repo"}),
        ("Tell the agent to use pytest", "verb", "message", {"text": "use pytest"}),
        ("what is it waiting for?", "verb", "why", {}),
        ("How far is it?", "verb", "status", {}),
        ("show failures", "place", "failures", {}),
        ("Open attempt twelve.", "place", "attempt", {"number": 12}),
        ("Compare with the last run", "place", "compare", {}),
        ("go back", "place", "back", {}),
    ],
)  # fmt: skip
def test_commands(said: str, action: str, name: str, arguments: dict[str, Any]) -> None:
    found = GRAMMAR.understand(said)
    assert (found.action, found.name, dict(found.arguments)) == (action, name, arguments)
    assert found.confidence >= 0.84


@pytest.mark.parametrize(
    ("said", "name", "arguments"),
    [
        ("set concurrency to ten, no, twenty", "set", {"name": "concurrency", "value": 20}),
        ("um, run MMLU with, uh, twenty, no wait, ten tasks", "benchmark", {"benchmark": "mmlu", "limit": 10}),
        ("start MBPP, sorry, GSM 8K with five tasks", "benchmark", {"benchmark": "gsm8k", "limit": 5}),
        ("pause, no, resume", "resume", {}),
        ("stop. No, pause", "pause", {}),
        ("open attempt three, I mean thirteen", "attempt", {"number": 13}),
        ("set timeout to five, actually, concurrency to six", "set", {"name": "concurrency", "value": 6}),
    ],
)  # fmt: skip
def test_the_last_intention_counts(said: str, name: str, arguments: dict[str, Any]) -> None:
    found = GRAMMAR.understand(said)
    assert (found.name, dict(found.arguments)) == (name, arguments)


@pytest.mark.parametrize(
    "said",
    [
        "write a function that reverses a string",
        "stop the server on port 8000",
        "run the tests in the folder",
        "open the file config dot py",
        "delete everything",
        "cancel task thirteen",  # two tasks have that number
        "Thank you.",
        "",
        "...",
    ],
)
def test_what_is_no_command_goes_to_the_agent(said: str) -> None:
    found = GRAMMAR.understand(said)
    assert (found.action, found.text) == ("prompt", said)


def test_every_phrase_of_the_book_means_what_it_stands_under() -> None:
    values = {"N": "7", "B": "mmlu", "U": "smoke", "S": "concurrency", "T": "HumanEval/12", "...": "look at it"}
    for intent in load_phrasebook().intents:
        for phrase in intent.phrases:
            said = " ".join(values.get(word, word) for word in phrase.split())
            found = GRAMMAR.understand(said)
            assert (found.action, found.name) == (intent.action, intent.name), said


def test_verbs_of_the_book_are_the_engine_s_verbs_with_their_arguments() -> None:
    for intent in load_phrasebook().intents:
        if intent.action == "verb":
            known = {parameter.name for parameter in VERBS[intent.name].parameters}
            assert {*intent.slots.values(), *intent.arguments} <= known, intent.name
    said = {intent.name for intent in load_phrasebook().intents if intent.action == "verb"}
    typed = {"edit", "read", "files", "shell", "terminal", "transcript"}  # JSON, paths and commands; long texts
    assert said == VERBS.keys() - typed


def test_what_stops_deletes_or_approves_needs_a_second_word() -> None:
    now_s = 0.0
    dialogue = Dialogue(lambda: now_s)
    for said in ("stop", "cancel MMLU", "approve", "drain", "abort", "never ask me"):
        asked = dialogue.take(GRAMMAR.understand(said))
        assert asked.intent is None and 'say "confirm"' in asked.line
        done = dialogue.take(GRAMMAR.understand("yes, do it"))
        assert done.intent is not None and done.intent.name in {*SECOND_WORD, "policy"}
    assert dialogue.take(GRAMMAR.understand("pause")).intent is not None
    assert dialogue.take(GRAMMAR.understand("confirm")).intent is None  # nothing waits


def test_a_second_word_that_is_a_no_or_comes_too_late_does_nothing() -> None:
    clock = [0.0]
    dialogue = Dialogue(lambda: clock[0])
    dialogue.take(GRAMMAR.understand("stop"))
    assert dialogue.take(GRAMMAR.understand("never mind")).line == "not done: stop"
    assert dialogue.take(GRAMMAR.understand("yes")).intent is None
    dialogue.take(GRAMMAR.understand("stop"))
    clock[0] += CONFIRM_WITHIN_S + 1
    assert dialogue.take(GRAMMAR.understand("yes")).intent is None


def test_another_command_takes_the_place_of_one_that_waits() -> None:
    dialogue = Dialogue()
    dialogue.take(GRAMMAR.understand("stop"))
    assert dialogue.take(GRAMMAR.understand("pause")).intent is not None
    assert dialogue.take(GRAMMAR.understand("confirm")).intent is None
