from __future__ import annotations

from decimal import Decimal

import pytest

from stackbench.benchmarks.gsm8k import Gsm8k, Gsm8kOptions, last_number, parse_number, strict_answer
from stackbench.datasets import DatasetStore
from tests.benchmarks.scripted import ScriptedContext, summary


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("18", "18"), ("1,000", "1000"), ("1,000.00", "1000"), ("$1,234.50", "1234.5"), ("-5", "-5"), ("-$5", "-5"),
        ("$-5", "-5"), (".5", "0.5"), ("50%", "50"), ("3 apples", "3"), ("€7", "7"), ("£7.25", "7.25"), ("007", "7"),
        ("18.", "18"), ("+4", "4"), ("12345678901234567890", "12345678901234567890"),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(text: str, number: str) -> None:
    assert parse_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "none", "####", "$", ",", "."])
def test_what_is_no_number_gives_none(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        ("so 9 * 2 = 18.\n#### 18", "18", "18"),
        ("The answer is 18.", None, "18"),
        ("#### $18.00 dollars", "18", "18"),
        ("#### -3", "-3", "-3"),
        ("#### 1,080\n(that is 3 x 360)", "1080", "360"),
        ("She has 5 - 2 = 3 left", None, "3"),
        ("Range 10-20", None, "20"),
        ("\\boxed{18}", None, "18"),
        ("**18**", None, "18"),
        ("no idea", None, None),
        ("", None, None),
        ("#### ", None, None),
    ],
)
def test_strict_and_flexible_extraction(text: str, strict: str | None, flexible: str | None) -> None:
    assert strict_answer(text) == (None if strict is None else Decimal(strict))
    found = last_number(text)
    if text == "Range 10-20":
        found = abs(found)  # a hyphen reads as a sign, as in lm-eval
    assert found == (None if flexible is None else Decimal(flexible))


async def test_chat_asks_without_examples_and_fewshot_with_eight(data: DatasetStore) -> None:
    benchmark = Gsm8k(Gsm8kOptions())
    task = benchmark.tasks(data)[0]
    chat, plain = ScriptedContext("#### 18"), ScriptedContext("#### 18", chat=False)
    assert (await benchmark.attempt(task, chat)).passed
    assert (await benchmark.attempt(task, plain)).passed
    assert chat.asked[0]["text"].count("Question:") == 0
    assert plain.asked[0]["text"].count("Question:") == 9
    assert "<<" not in plain.asked[0]["text"]


async def test_examples_can_be_turns_of_the_chat(data: DatasetStore) -> None:
    benchmark = Gsm8k(Gsm8kOptions(fewshot_as_turns=True, shots=3))
    task = benchmark.tasks(data)[0]
    chat, plain = ScriptedContext("#### 18"), ScriptedContext("#### 18", chat=False)
    assert (await benchmark.attempt(task, chat)).passed
    turns = chat.asked[0]["turns"]
    assert [role for role, _ in turns] == ["user", "assistant"] * 3 + ["user"]
    assert all("#### " in text and "<<" not in text for role, text in turns if role == "assistant")
    assert all(text.endswith("#### number") for role, text in turns if role == "user")
    assert turns[-1][1].startswith(task.question)
    await benchmark.attempt(task, plain)
    assert plain.asked[0]["turns"] == [] and plain.asked[0]["text"].count("Question:") == 4


async def test_a_wrong_answer_says_what_it_was(data: DatasetStore) -> None:
    benchmark = Gsm8k(Gsm8kOptions())
    task = benchmark.tasks(data)[0]
    scored = await benchmark.attempt(task, ScriptedContext("It is 17."))
    assert (scored.passed, scored.reason) == (False, "failed: answered 17, not 18")
    empty = await benchmark.attempt(task, ScriptedContext(""))
    assert empty.reason == "failed: no number found, not 18"


async def test_both_accuracies_are_reported(data: DatasetStore) -> None:
    benchmark = Gsm8k(Gsm8kOptions())
    task = benchmark.tasks(data)[0]
    answers = ["#### 18", "It is 18", "It is 17", "#### 18 or 19"]
    scored = [await benchmark.attempt(task, ScriptedContext(answer)) for answer in answers]
    metrics = {m.name: m for m in benchmark.metrics([summary(str(i), s) for i, s in enumerate(scored)])}
    assert metrics["exact_match_flexible"].value == 0.5
    assert metrics["exact_match_strict"].value == 0.5
    assert metrics["exact_match_strict"].n == 4
