# ruff: noqa: E501, RUF001
from __future__ import annotations

import pytest

from stackbench.benchmarks.letter_answers import find_letter
from tests.counting import work_of

CHOICES = ("the liver", "a kidney", "the heart", "12 ribs")

KIDNEY = (
    "Doğru cevap B'dir.", "Is it A? No. It is B.", "The answer is either A or B; more precisely B.", "The second option",
    "I'd take the second choice.", "it's b", "Answer: <B>", "<<B>>", "A ✗\nB ✓\nC ✗\nD ✗", "A ❌ B ✅ C ❌ D ❌",
    "| Option | Verdict |\n|---|---|\n| A | wrong |\n| B | correct |\n| C | wrong |", "All are wrong except B.",
    "Everything except B is wrong.", "A seems correct at first, but it is B.", "B\n\nA: no\nC: no\nD: no",
    "Option A: incorrect.\nOption B: correct.\nOption C: incorrect.", "B项正确，A、C、D项错误", "答案不是A而是B", "Non è A, è B",
    "B", " B", "B.", "B!", "(B)", "[B]", "{B}", "**B**", "*B*", "_B_", "`B`", '"B"', "'B'", "B)", "B:", "B) a kidney",
    "B. a kidney", "(B) a kidney", "**B. a kidney**", "**B)** a kidney", "B - a kidney", "B, a kidney", "Option B", "I pick 'B', of course",
    "option (B)", "Choice B", "The letter is B.", "b", "b.", "(b)", "b)", "**b**", "_b_", "\\boxed{b}", "Answer: B",
    "answer: b", "ANSWER: B", "Ans: B", "Answer B", "Answer - B", "Answer = B", "The answer is B", "The answer is: B",
    "The answer is b.", "The answer is (B).", "The answer is **B**.", "the answer: B.", "Answer: **(B)**",
    "The answer is $B$.", "The answer is \\(B\\).", "Final Answer: B", "**Final Answer:** B", "### Answer\nB",
    "Answer:\n\n**B**", "Antwort:\n\nAntwort: B", "The correct answer is B", "The correct option is (B)",
    "the correct choice is (B)", "The best choice would be B.", "My answer: B.", "Correct answer: **B. a kidney**",
    "The answer to this question is B.", "The answer is therefore B", "The answer is probably B", "I'd go with B",
    "I'm going with B", "I choose B.", "I would pick option B", "I'd say B.", "I think B", "I believe it's B", "It's B",
    "I'm sure it is B.", "It has to be B.", "Therefore B.", "Thus, option B.", "=> B", "hence B", "So B.",
    "a kidney, which is option B", "The answer is a bit subtle: B.", "The answer is, in a way, B",
    "C# has nothing to do with it: B", "C++ aside: B", "Vitamins aside, B", "The answer is B because A is no organ.",
    "The answer is B, not C.", "The answer is B rather than C.", "B, since A and C are elsewhere",
    "B is correct", "B is right because C is too small.", "B is the answer", "(B) is the correct answer", "B fits best",
    "not A but B", "B not A", "It is not A but B.", "It's not C, it's B", "Not A. B.", "The answer isn't A; it's B.",
    "A is not correct; B is.", "Rather than A, choose B", "neither A nor C, so B", "None of A, C or D; B",
    "A, C and D are false. B", "A and C are wrong, B is the answer.", "A, C and D can be eliminated, leaving B.",
    "The answer cannot be A, so it must be B.", "Option A is too small, option B fits. So B.",
    "Answer: C. No, wait. Answer: B", "Answer: C\nAnswer: B", "I think it's C... wait, actually B", "Hmm, C? No, B.",
    "Let me think. A? No. C? No. The answer must be B.", "Answer: **C** is wrong, so **B**", "Let me reconsider. B",
    "Initially I thought A, but the answer is B", "Answer: A is tempting, but the correct answer is B",
    "A. the liver\nB. a kidney\nC. the heart\nD. 12 ribs\n\nAnswer: B", "Out of A, B, C and D, the answer is B",
    "A. the liver - incorrect\nB. a kidney - correct\nC. the heart - incorrect\nD. 12 ribs - incorrect",
    "(A) is incorrect. (B) is correct. (C) is incorrect.", "B. a kidney\n\nA is an organ too, but C is not the one.",
    "B\n\nA is wrong because it is too large. D is no organ.", "It filters blood.\n\nB", "C is wrong.\n\n(B)",
    "A student might say C, but B is correct.", "A degree of freedom is not it. The answer is B.",
    "\\text{B}", "\\boxed{B}", "\\boxed{\\text{B}}", "$\\boxed{\\textbf{(B)}}$ since A and C fail", "\\mathbf{B}",
    "Ｂ", "（Ｂ）", "答案：Ｂ", "答案是B。", "正确答案是 B", "故选B", "选B", "我认为A不对，所以选B", "选项A错误，选项B正确",
    "答えはBです", "正解：B", "정답은 B", "La réponse est B", "Réponse : B", "La respuesta es B", "La risposta è B",
    "A resposta é B", "Ответ: B", "Die Antwort ist B.", "Die richtige Antwort lautet B", '{"answer": "B"}', '{"answer":"b"}',
    '```json\n{"reason": "A is large", "answer": "B"}\n```', "<answer>B</answer>", "<answer>(B)</answer>\nReason: A is large",
    "a kidney", "A kidney.", "**a kidney**", "The answer is a kidney.", "Answer: a kidney", "\\boxed{a kidney}",
)  # fmt: skip
LIVER = (
    "A", "A.", "(a)", "a", "a)", "The answer is A.", "The answer is a.", "Answer: a", "A is correct", "A. the liver", "Option A",
    "The answer is A because B is wrong", "The answer is A since it is one", "The correct option is (A) because B is wrong",
    "I am torn between A and B, but ultimately choose A.", "It's A, not B", "Based on this, A", "the liver",
)  # fmt: skip
UNDECIDED = (
    "A and B are both correct", "A: 10%, B: 20%, C: 60%, D: 10%", "It's anything but D.", "the first or the second option",
    "", "none", "Because", "I don't know", "A, B, C or D", "It could be B or C", "I think A or B", "The answer is B or C",
    "Answer: B or C", "Both A and B", "A cat sat on a mat.", "A kidney or a liver may do.", "I cannot answer that", "AB", "E",
    "Answer: E", "B.C.", "C++", "C#", "B-complex", "Either B or D.", "It is either A or C, but not B", "I would eliminate A and C.",
    "Not B, not C, not D.", "A. the liver\nB. a kidney\nC. the heart\nD. 12 ribs", "Answer:", "the answer is a secret",
    "The answer is A, B, or C", "Possible answers are A and C.",
)  # fmt: skip


@pytest.mark.parametrize("text", KIDNEY)
def test_b_is_found_however_it_is_said(text: str) -> None:
    assert find_letter(text, CHOICES) == "B"


@pytest.mark.parametrize("text", LIVER)
def test_a_is_told_from_the_article(text: str) -> None:
    assert find_letter(text, CHOICES) == "A"


@pytest.mark.parametrize("text", UNDECIDED)
def test_several_letters_without_a_decision_are_no_answer(text: str) -> None:
    assert find_letter(text, CHOICES) == ""


def test_a_text_that_two_choices_have_names_neither() -> None:
    assert find_letter("True", ("True", "False", "true", "None")) == ""
    assert find_letter("False", ("True", "False", "true", "None")) == "B"


def test_what_stands_before_twenty_thousand_blanks_is_read() -> None:
    for blank in (" ", "\n", " \n", "\t"):
        assert find_letter(f"The right answer{blank * 20_000}is B") == "B"
        assert find_letter(f"Answer: B{blank * 20_000}.") == "B"
        assert find_letter(f"The right answer{blank * 20_000}.") == ""


@pytest.mark.parametrize(
    "unit",
    [" ", "\n", "answer", "answer ", "answer: ", "answer is ", "B", "B ", "B*", "B or ", "not ", "so the ", "(", "*", "A is ",
     "<answer>", "\\boxed{", "Ｂ", "选", "option ", "B.\n", "the a "],
)  # fmt: skip
def test_the_work_of_reading_grows_no_faster_than_the_answer(unit: str) -> None:
    few, many = (work_of(lambda n=n: find_letter(unit * n, CHOICES)) for n in (200, 800))
    assert many < 6 * few + 5000


def test_the_end_of_a_long_answer_is_read() -> None:
    assert find_letter("Answer: C. " + "word " * 10_000 + "Answer: B") == "B"
