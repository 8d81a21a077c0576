# ruff: noqa: E501
from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from stackbench.benchmarks.number_answers import exact_match, flexible_match, read_answer, shown_number, strict_match
from stackbench.benchmarks.written_numbers import numbers_in, plain_text
from tests.counting import work_of

RECORDED = Path(__file__).with_name("lm_eval_gsm8k.json")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("18", "18"), ("1,000", "1000"), ("1,000.00", "1000"), ("$1,234.50", "1234.5"), ("-5", "-5"), ("-$5", "-5"),
        ("$-5", "-5"), (".5", "1/2"), ("50%", "50"), ("3 apples", "3"), ("€7", "7"), ("£7.25", "7.25"), ("007", "7"),
        ("18.", "18"), ("+4", "4"), ("12345678901234567890", "12345678901234567890"), ("12{,}500", "12500"),
        ("12\\,500", "12500"), ("12,\\!500", "12500"), ("12\\ 500", "12500"), ("12 500", "12500"),
        ("12\u202f500", "12500"), ("12\xa0500", "12500"), ("12'500", "12500"), ("12\u2019500", "12500"),
        ("12_500", "12500"), ("12.500,00 €", "12500"), ("12.500,5", "12500.5"), ("12.500 €", "12500"), ("€ 12.500", "12500"),
        ("12.500", "12.5"), ("1.250.000", "1250000"), ("1 250 000", "1250000"), ("12,5", "12.5"), ("0,125", "0.125"),
        ("1,25,000", "125000"), ("1,2500", "12500"), ("1.25e4", "12500"), ("125e+2", "12500"), ("1.25 \\times 10^4", "12500"),
        ("1.25 \\cdot 10^{4}", "12500"), ("1.25 \u00d7 10\u2074", "12500"), ("1.25 x 10**4", "12500"),
        ("12.5k", "12500"), ("12.5K", "12500"), ("12.5 thousand", "12500"), ("2M", "2000000"), ("2 million", "2000000"),
        ("3 hundred", "300"), ("5 m", "5"), ("5m", "5"), ("25000/2", "12500"), ("\\frac{25000}{2}", "12500"),
        ("\\dfrac{25{,}000}{2}", "12500"), ("3 1/2", "7/2"), ("1/2", "1/2"), ("\uff11\uff12\uff0c\uff15\uff10\uff10", "12500"),
        ("\u0661\u0662", "12"), ("US$12,500.00", "12500"), ("\\$12{,}500", "12500"), ("\u2212125", "-125"), ("x=-3", "-3"),
        ("(125)", "125"), ("12,500,", "12500"), ("12,500;", "12500"), ("12-hour", "12"), ("10\u20134", "4"),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(text: str, number: str) -> None:
    *_, last = numbers_in(plain_text(text))
    assert last.value == Fraction(number)


@pytest.mark.parametrize("text", ["", "none", "####", "$", ",", ".", "1e999999999", "9" * 41, "1" + "0" * 10_000, "-"])
def test_what_is_no_number_that_anybody_writes_gives_none(text: str) -> None:
    assert list(numbers_in(plain_text(text))) == []


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("#### 7万", "70000"), ("答案是7万", "70000"), ("#### 70 grand", "70000"), ("#### 2 lakh", "200000"),
        ("#### minus 10", "-10"), ("#### negative ten", "-10"), ("The answer is negative $3.", "-3"), ("10 minus 4 = 6", "6"),
        ("#### \\frac12", "1/2"), ("#### ½", "1/2"), ("#### 3½", "7/2"), ("#### 3 ¾ cups", "15/4"),
        ("#### 70\u200b000", "70000"), ("#### \u200e250", "250"), ("#### 250 = 500 / 2", "250"), ("#### 250 = 300 - 50", "250"),
        ("Die Antwort ist 70.000", "70000"), ("La respuesta es 70.000 dólares", "70000"), ("Die Antwort ist 7.5", "15/2"),
        ("#### 250", "250"), ("####250", "250"), ("####\n250", "250"), ("##### 250", "250"), ("#### - 10", "-10"),
        ("#### -10", "-10"), ("#### \u2212 10", "-10"), ("#### -$10", "-10"), ("#### +10", "10"), ("#### $2,500", "2500"),
        ("#### 250 (dollars)", "250"), ("#### 250\n\nNote: this took 3 steps.", "250"), ("#### 250.\nDone in 2.", "250"),
        ("#### **250**", "250"), ("#### Answer: 250", "250"), ("#### The answer is 250.", "250"), ("#### x = 250", "250"),
        ("#### 300 - 50 = 250", "250"), ("#### 500/2 = 250", "250"), ("#### 500/2", "250"), ("#### 2 500", "2500"),
        ("#### Step 1\n1 + 1 = 2\n#### Step 2\n...\n#### 250", "250"), ("#### 1. Cost\n5\n#### 2. Gain\nIt is 250", "250"),
        ("#### 250 or 260", "250"), ("#### Rs. 250", "250"), ("#### two hundred and fifty", "250"),
        ("\\boxed{250}", "250"), ("So \\boxed{\\$2{,}500} in 2 steps", "2500"), ("\\boxed{\\frac{500}{2}} of 3", "250"),
        ("\\(\\boxed{250 \\text{ dollars}}\\)", "250"), ("\\boxed{-250}", "-250"), ("$\\boxed{\\mathbf{250}}$ for 4", "250"),
        ("The answer is 250.", "250"), ("The final answer is: **$250**.", "250"), ("**Answer:** 250 apples for 3", "250"),
        ("The answer is 250. Check: 200 + 51 = 251.", "250"), ("Answer: 250\n\n200 + 50 + 1 = 251", "250"),
        ("The answer is 5 * 50 = 250", "250"), ("The answer is -250.", "-250"), ("The answer is 250, not 260.", "250"),
        ("Die Antwort ist 2.500,50", "2500.5"), ("La respuesta es 250 en 2 pasos", "250"), ("答案是250。", "250"),
        ("The answer is based on 2 rules: 250", "250"), ("The answer is two hundred fifty.", "250"),
        ("So he has $250.\n\nCheck: 200 + 50 + 250 = 500", "250"), ("250\n\nExplanation: 5 times 50", "250"),
        ("It is 250\nLet's verify: 5 + 4 = 9", "250"), ("He makes **$250** in 2 years.", "250"),
        ("First 9 * 2 = 18.\nShe has 250 left", "250"), ("It is 2,500, as asked.", "2500"), ("to find the total: 9 - 2 = 7", "7"),
        ("250 dollars", "250"), ("250 %", "250"), ("two hundred and fifty", "250"), ("It makes twenty-one dollars.", "21"),
        ("#### 5\n\nWait, I made a mistake. The answer is 7.", "7"), ("The answer is 5.\n#### 7", "7"),
        ("The answer is 10**9**9", "9"), ("\u2212250 is the loss", "-250"), ("a hundred", "100"), ("#### ", None),
        ("####", None), ("no idea", None), ("", None), ("\\boxed{}", None), ("answer", None), ("1e999999999", None),
    ],
)  # fmt: skip
def test_the_answer_is_read_as_a_person_reads_it(text: str, answer: str | None) -> None:
    assert read_answer(text) == (None if answer is None else Fraction(answer))


def test_what_stands_before_twenty_thousand_blanks_is_read() -> None:
    for blank in (" ", "\n", " \n", "\t"):
        assert read_answer(f"The profit is 250.\n####{blank * 20_000}.") == 250
        assert read_answer(f"The answer is{blank * 20_000}250") == 250


def test_lm_evals_filters_and_metric_agree_answer_by_answer() -> None:
    rows = json.loads(RECORDED.read_text(encoding="utf-8"))["rows"]
    assert len(rows) >= 400
    for text, target, strict, strict_right, flexible, flexible_right in rows:
        found = strict_match(text), flexible_match(text)
        assert [one or "[invalid]" for one in found] == [strict, flexible], text
        assert [exact_match(one, target) for one in found] == [strict_right, flexible_right], text


@pytest.mark.parametrize(
    "unit",
    [
        " ", "\n", "#### ", "####", "answer ", "answer is ", "\\boxed{", "1", "1,", "1 000 ", "1/", "-", "$", "1e", "\\frac{",
        "1 x 10^", "seventy ", "a hundred and ", "**", ".", "1.2.", "Check: ", "9'", "\\", "=", "1=", "½", "²",
    ],
)  # fmt: skip
def test_the_work_of_reading_grows_no_faster_than_the_answer(unit: str) -> None:
    for read in (read_answer, strict_match, flexible_match):
        few, many = (work_of(lambda n=n, read=read: read(unit * n)) for n in (100, 400))
        assert many < 6 * few + 5000


def test_the_end_of_a_long_answer_is_read() -> None:
    assert read_answer("The answer is 5. " + "word " * 10_000 + "So 7") == 7


def test_numbers_are_shown_in_digits() -> None:
    shown = [shown_number(Fraction(text)) for text in ("70000", "-3.5", "1/3", "0.001", "-0.25")]
    assert shown == ["70000", "-3.5", "1/3", "0.001", "-0.25"]
