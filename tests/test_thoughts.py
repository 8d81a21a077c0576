# ruff: noqa: E501
from __future__ import annotations

import pytest

from stackbench.thoughts import opens_thought, split_thoughts, without_thoughts
from stackbench.types import Generation
from tests.counting import work_of

DRAFT = "Perhaps\n```python\ndef f(): return 1\n```\nNo."
FINAL = "```python\ndef f(): return 2\n```"


@pytest.mark.parametrize(
    ("text", "answer", "thought"),
    [
        (f"<think>\n{DRAFT}\n</think>\n\n{FINAL}", FINAL, DRAFT),
        (f"\n <think>{DRAFT}</think>{FINAL}", FINAL, DRAFT),
        (f"{DRAFT}\n</think>\n\n{FINAL}", FINAL, DRAFT),
        (f"<think>\n{DRAFT}", "", DRAFT),
        (f"So.\n<think>\n{DRAFT}", "So.\n", DRAFT),
        (f"<think>\n{DRAFT}\n</think>", "", DRAFT),
        (f"{DRAFT}\n</think>", "", DRAFT),
        (f"<think>\n\n</think>\n\n{FINAL}", FINAL, ""),
        ("<think>\nx\n</think>\n\n    return 2\n", "    return 2\n", "x"),
        ("x\n</think>\n\n    return 2\n", "    return 2\n", "x"),
        ("<think>a</think>One. <think>b</think>Two.", "One. Two.", "a\n\nb"),
        ("<think>a</think>One.\n</think>\n", "One.\n\n", "a"),
        ("<think>a <think> b</think>One.", "One.", "a <think> b"),
        ("Sure. <think>a</think> One.", "Sure.  One.", "a"),
        ('<THINK budget="3">a</Think>One.', "One.", "a"),
        ("<thinking>a</thinking>One.", "One.", "a"),
        ("<thought>a</thought>One.", "One.", "a"),
        ("<thoughts>a</thoughts>One.", "One.", "a"),
        ("<reasoning>a</reasoning>One.", "One.", "a"),
        ("<scratchpad>a</scratchpad>One.", "One.", "a"),
        ("<seed:think>a</seed:think>One.", "One.", "a"),
        ("<think>a</thinking>One.", "One.", "a"),
        ("[THINK]a[/THINK]One.", "One.", "a"),
        ("a[/THINK]One.", "One.", "a"),
        ("[THINK]a </think> b[/THINK]One.", "One.", "a </think> b"),
        ("◁think▷a◁/think▷One.", "One.", "a"),
        ("<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>One.<|end_of_solution|>", "One.", "a"),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>One.<|END_RESPONSE|>", "One.", "a"),
        ("<unused94>thought\na<unused95>One.", "One.", "thought\na"),
        ("<|channel>thought\na<channel|>One.", "One.", "a"),
        ("Here is my thought process:\na\nHere is my response:\nOne.", "One.", "a"),
        ("Here's my thought process: a", "", "a"),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>One.<|return|>",
            "One.",
            "a",
        ),
        ("<|start|>assistant<|channel|>analysis<|message|>a", "", "a"),
        ("<|channel|>analysis<|message|>a<|end|><|channel|>commentary<|message|>Now. <|end|>"
         "<|channel|>final<|message|>One.", "Now. One.", "a"),
        ("analysisWe should add.assistantfinalOne.", "One.", "We should add."),
        ("analysisWe should", "", "We should"),
        ("<think>Everything up to `</think>` is cut\n</think>One.", "One.", "Everything up to `</think>` is cut"),
        ("<think>text.split('</think>')[0]\n</think>One.", "One.", "text.split('</think>')[0]"),
        ("<think>An open\n```python\nx\n</think>One.", "One.", "An open\n```python\nx"),
        ("An open\n```python\nx\n</think>\nOne.", "One.", "An open\n```python\nx"),
        ("It is 5\" wide, don't </think>One.", "One.", "It is 5\" wide, don't"),
        ("<reason>a</reason>One.", "One.", "a"),
        ("<reflection>a</reflection>One.", "One.", "a"),
        ("<analysis>a</analysis>One.", "One.", "a"),
        ("<longcat_think>a</longcat_think>One.", "One.", "a"),
        ("<scratch_pad>a</scratch_pad>One.", "One.", "a"),
        ("<inner_monologue>a</inner_monologue>One.", "One.", "a"),
        ("<|thought_start|>a<|thought_end|>One.", "One.", "a"),
        ("<|thought_begin|>a<|thought_end|>One.", "One.", "a"),
        ("<|inner_prefix|>a<|inner_suffix|>One.", "One.", "a"),
        ("< think >a</ think >One.", "One.", "a"),
        ("&lt;think&gt;a&lt;/think&gt;One.", "One.", "a"),
        ("a<|end|><|start|>assistant<|channel|>final<|message|>One.", "One.", "a"),
        ("analysisdef f(): passassistantfinalOne.", "One.", "def f(): pass"),
        ("analysis\na\nassistantfinalOne.", "One.", "a"),
        ("<think>use ` a</think>One ` x.", "One ` x.", "use ` a"),
        ('<think>"a</think>One."', 'One."', '"a'),
        ("<think>write '</think>' last", "", "write '</think>' last"),
        ('```\n<think>\nx\n</think>\n```\n<think>a</think>One.', "```\n<think>\nx\n</think>\n```\nOne.", "a"),
    ],
)  # fmt: skip
def test_thoughts_are_told_from_the_answer(text: str, answer: str, thought: str) -> None:
    split = split_thoughts(text)
    assert (split.answer, split.thought) == (answer, thought)


@pytest.mark.parametrize(
    "text",
    [
        "", "plain", FINAL, "a < b > c", "<b>think</b>", "thinking about it", "<thinker>x</thinker>", "[think", "analysis: 3",
        "The `<think>` tag opens, the `</think>` tag closes.", 'It says "<think>" and "</think>".',
        "```python\ndef f(s):\n    return s.split('</think>')[-1]\n```",
        '```python\nTAG = "<think>"\ndef f(s):\n    return s.partition(TAG)[2]\n```',
        '```python\ndef f(s):\n    """Removes\n\n    <think>\n    x\n    </think>\n    """\n    return s\n```',
        'def f(s):\n    """Removes\n    <think>x</think>\n    """\n    return s\n',
        "def f(s):\n    return re.sub(r'<think>.*?</think>', '', s)\n",
        "    s = s.replace('<think>', '')\n    return s.replace('</think>', '')\n",
        "```html\n<think>\nmarkup\n</think>\n```",
    ],
)  # fmt: skip
def test_tags_in_the_answers_own_code_and_text_stay(text: str) -> None:
    assert split_thoughts(text).answer == text
    assert split_thoughts(text).thought == ""


def test_what_continues_an_open_thought_is_thought() -> None:
    assert split_thoughts("a draft", opened=True).answer == ""
    assert split_thoughts("a </think>One.", opened=True).answer == "One."
    assert opens_thought("Q<|im_start|>assistant\n<think>\n")
    assert opens_thought("[THINK]")
    assert not opens_thought("Q<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert not opens_thought("Tell me of <think> tags\n<|im_start|>assistant\n")
    assert not opens_thought("")


def test_thoughts_that_came_apart_already_are_kept_before_those_of_the_text() -> None:
    generation = without_thoughts(Generation("<think>b</think>One.", thought="a"))
    assert (generation.text, generation.thought) == ("One.", "a\n\nb")
    same = Generation("One.", thought="a")
    assert without_thoughts(same) is same


@pytest.mark.parametrize(
    "unit",
    [
        "<think>", "</think>", "</think>\n", "<think>a</think>", "'<think>", "`</think>", "```\n", "```", '"""', "<", "<think ",
        "[THINK]", "<|channel|>", "<|channel|>analysis<|message|>a<|end|>", "assistantfinal", " ", "\n", "'",
    ],
)  # fmt: skip
@pytest.mark.parametrize("begin", ["", "analysisWe", "<|channel|>analysis<|message|>", "<think>"])
def test_the_work_of_telling_them_apart_grows_no_faster_than_the_text(unit: str, begin: str) -> None:
    few, many = (work_of(lambda n=n: split_thoughts(begin + unit * n)) for n in (100, 400))
    assert many < 6 * few + 2000
