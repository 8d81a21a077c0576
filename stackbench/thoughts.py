"""Separates a model's reasoning from its answer: tags, special tokens and channels, in one pass over the text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from stackbench.types import Generation

__all__ = ["Split", "opens_thought", "split_thoughts", "without_thoughts"]

# `<think>`, `<Thinking effort="low">`, `<seed:think>`, `<|think|>` and their ends. Every repetition is bounded.
# Some front ends send them escaped: `&lt;think&gt;`.
NAME = (
    r"(?:[A-Za-z]{1,16}:|longcat_)?"
    r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratch_?pad|inner_monologue)"
)
TAG = rf"(?:<|&lt;)\|? ?(?P<slash>/?) ?{NAME}(?:\s[^<>&]{{0,200}})?\|?(?:>|&gt;)"
# Pairs of tokens that no text has by chance: Magistral, OpenThinker, Command A, Kimi, MedGemma, Gemma,
# MiniCPM, Apertus.
PAIRS = {
    "[THINK]": "[/THINK]",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "◁think▷": "◁/think▷",
    "<unused94>": "<unused95>",
    "<|channel>thought": "<channel|>",
    "<|thought_start|>": "<|thought_end|>",
    "<|thought_begin|>": "<|thought_end|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
}
WRAPPERS = ("<|begin_of_solution|>", "<|end_of_solution|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>")
LITERAL = "|".join(re.escape(token) for pair in PAIRS.items() for token in pair)
ENDS = set(PAIRS.values())
FIRST = ("<", "[", "◁", "&lt;")
"""What every mark begins with."""
MARK = re.compile(rf"(?P<tag>{TAG})|(?P<token>{LITERAL})", re.IGNORECASE)
EVENT = re.compile(rf"{MARK.pattern}|(?P<fence>`{{3,}}|~{{3,}})|(?P<triple>\"\"\"|''')", re.IGNORECASE)
LINE_READ = 400
"""Characters of a line that are read on either side of a mark to tell whether it stands in a string literal."""

# gpt-oss's channels, with their tokens and as servers leave them that drop special tokens.
CHANNEL, MESSAGE = "<|channel|>", "<|message|>"
NEXT_CHANNEL = f"<|start|>assistant{CHANNEL}"
SEGMENT_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
BARE_ANALYSIS, BARE_FINAL = "analysis", "assistantfinal"
# Granite 3 says it in words.
GRANITE_THOUGHT = ("Here is my thought process:", "Here's my thought process:")
GRANITE_ANSWER = re.compile(r"Here(?: is|'s) my response:")


@dataclass(frozen=True, slots=True)
class Split:
    """A text separated into reasoning and answer."""

    answer: str
    thought: str = ""


def without_thoughts(generation: Generation, *, opened: bool = False) -> Generation:
    """The generation with its text's thoughts moved to `Generation.thought`, behind what came there already."""
    split = split_thoughts(generation.text, opened=opened)
    if split.answer == generation.text and not split.thought:
        return generation
    thought = "\n\n".join(part for part in (generation.thought, split.thought) if part.strip())
    return replace(generation, text=split.answer, thought=thought)


def split_thoughts(text: str, *, opened: bool = False) -> Split:
    """The answer and the thought of a text; a text without a thought comes back as it is.

    A thought begins at an opening tag and ends at the first end tag, whatever it holds in between. An end tag without a
    beginning ends a thought that the chat template began: everything before it is thought. A thought without an end was
    cut off: what follows its beginning is thought, the answer is what came before, mostly nothing. A tag is part of the
    answer where it stands in a string literal or between backticks on one line, in a fenced block of the answer, or in
    a triple-quoted string. Answers to bare prompts are read in the same way.

    Args:
        opened: the text begins inside a thought, since what it continues ended with an opening tag.
    """
    if not opened:
        special = _channels(text) or _bare_channels(text) or _granite(text)
        if special is not None:
            return special
        if not any(first in text for first in FIRST) or MARK.search(text) is None:
            return Split(text)
    return _tagged(text, opened)


def opens_thought(text: str) -> bool:
    """Whether a prompt ends with an opening tag, so that its continuation begins inside a thought."""
    tail = text.rstrip()[-250:]
    return any(match.end() == len(tail) and not _is_end(match) for match in MARK.finditer(tail))


def _tagged(text: str, opened: bool) -> Split:
    answer: list[str] = []
    thoughts: list[str] = []
    thinking, end = opened, ""
    unsure: re.Match[str] | None = None  # an end between quotes of one line, which may be a real one
    start = 0
    last = len(text.rstrip())
    fence = triple = ""
    skipped = False  # whether the block or string that the scan is in holds an opening tag of its own
    for event in EVENT.finditer(text):
        mark = event["tag"] or event["token"]
        if thinking:
            if mark and _is_end(event) and _ends(event, end):
                if _in_literal(text, event):
                    unsure = event if not _quoted(text, event) else unsure
                    continue
                thoughts.append(text[start : event.start()])
                thinking, start, fence, triple, unsure = False, event.end(), "", "", None
        elif event["fence"]:
            fence = _after_fence(text, event, fence) if not triple else fence
            skipped = False
        elif event["triple"]:
            if not fence and triple in ("", event["triple"]):
                triple = "" if triple else event["triple"]
                skipped = False
        elif not _is_end(event):
            if fence or triple:
                skipped = True
            elif not _in_literal(text, event):
                if text[start : event.start()].strip():
                    answer.append(text[start : event.start()])
                thinking, start = True, event.end()
                end = PAIRS.get(event["token"] or "", "")
        elif _in_literal(text, event) or ((fence or triple) and (skipped or not _alone(text, event))):
            continue
        elif thoughts and event.end() >= last:  # a second end behind the answer ends nothing
            answer.append(text[start : event.start()])
            start = event.end()
        else:
            thoughts.append("".join(answer) + text[start : event.start()])
            answer, start, fence, triple = [], event.end(), "", ""
    if thinking and unsure is not None:
        thoughts.append(text[start : unsure.start()])
        thinking, start = False, unsure.end()
    (thoughts if thinking else answer).append(text[start:])
    if not thoughts:
        return Split("".join(answer))
    said = "".join(answer)
    for wrapper in WRAPPERS:
        said = said.replace(wrapper, "")
    return Split(_from_first_line(said), "\n\n".join(part.strip() for part in thoughts if part.strip()))


def _is_end(event: re.Match[str]) -> bool:
    return bool(event["slash"]) or (event["token"] or "") in ENDS


def _ends(event: re.Match[str], wanted: str) -> bool:
    """Whether an end ends the open thought: the token of its pair, or for a tag any end tag."""
    return event["token"] == wanted if wanted else event["tag"] is not None


def _quoted(text: str, event: re.Match[str]) -> bool:
    """Whether a mark is all that stands between two quotes or backticks: it is spoken of."""
    before = text[max(0, event.start() - 1) : event.start()]
    return bool(before) and before in "\"'`" and text.startswith(before, event.end())


def _in_literal(text: str, event: re.Match[str]) -> bool:
    """Whether a mark stands between two quotes or backticks of one line."""
    line = text.rfind("\n", max(0, event.start() - LINE_READ), event.start()) + 1
    inside = previous = before = ""
    for char in text[max(line, event.start() - LINE_READ) : event.start()]:
        if inside:
            if char == inside and previous != "\\":
                inside = ""
        elif char in '"`' or (char == "'" and not _apostrophe(before, previous)):
            inside = char
        before, previous = previous, char
    if not inside:
        return False
    rest = text[event.end() : event.end() + LINE_READ]
    return inside in rest.split("\n", 1)[0]


def _apostrophe(before: str, previous: str) -> bool:
    """Whether a single quote behind these two characters stands within a word; `r'`, `b'` and `f'` begin a literal."""
    return previous.isalnum() and not (previous in "rbfuRBFU" and not before.isalnum())


def _alone(text: str, event: re.Match[str]) -> bool:
    """Whether a mark is all that its line holds."""
    return _blank_before(text, event.start()) and _blank_after(text, event.end())


def _blank_before(text: str, at: int) -> bool:
    before = text[max(0, at - 40) : at]
    return not before.rsplit("\n", 1)[-1].strip(" \t>*-")


def _blank_after(text: str, at: int) -> bool:
    return not text[at : at + 40].split("\n", 1)[0].strip()


def _after_fence(text: str, event: re.Match[str], fence: str) -> str:
    """The open fence after a run of backticks or tildes; empty where none is open."""
    run = event["fence"]
    if fence:
        closes = run[0] == fence[0] and len(run) >= len(fence) and _blank_before(text, event.start())
        return "" if closes and _blank_after(text, event.end()) else fence
    if run[0] == "~" and not _blank_before(text, event.start()):
        return ""
    rest = text[event.end() : event.end() + LINE_READ].split("\n", 1)[0]
    return "" if run in rest else run


def _channels(text: str) -> Split | None:
    """gpt-oss: `<|channel|>analysis<|message|>...<|end|>` is thought, `final` and `commentary` are answer.

    What stands before the first channel is of the channel that the prompt opened, which is for thoughts.
    """
    body = text.lstrip().removeprefix("<|start|>assistant")
    before, following, _ = body.partition(NEXT_CHANNEL)
    if following and CHANNEL not in before and MESSAGE not in before:
        body = f"analysis{MESSAGE}{body}"
    if not body.startswith((CHANNEL, f"analysis{MESSAGE}", f"final{MESSAGE}")):
        return None
    body = body.removeprefix(CHANNEL)
    answer: list[str] = []
    thoughts: list[str] = []
    at = 0
    while at < len(body):
        head_end = body.find(MESSAGE, at)
        if head_end < 0:
            break
        head = body[at:head_end]
        begin = head_end + len(MESSAGE)
        close = SEGMENT_END.search(body, begin)
        said = body[begin : close.start() if close else len(body)]
        if head.strip().startswith("analysis"):
            thoughts.append(said)
        elif "to=" in head:  # a call: kept as it was written
            answer.append(f"{CHANNEL}{head}{MESSAGE}{said}{close[0] if close else ''}")
        else:
            answer.append(said)
        if close is None:
            break
        following = close.start() if close[0] == CHANNEL else body.find(CHANNEL, close.start())
        if following < 0:
            break
        at = following + len(CHANNEL)
    return Split("".join(answer), "\n\n".join(part.strip() for part in thoughts if part.strip()))


def _bare_channels(text: str) -> Split | None:
    """gpt-oss without its special tokens: `analysisThe user ...assistantfinalThe answer`."""
    body = text.lstrip()
    if not body.startswith(BARE_ANALYSIS):
        return None
    if BARE_FINAL not in body and not body[len(BARE_ANALYSIS) :][:1].isupper():
        return None
    thought, _, answer = body[len(BARE_ANALYSIS) :].partition(BARE_FINAL)
    return Split(answer, thought.strip())


def _granite(text: str) -> Split | None:
    body = text.lstrip()
    if not body.startswith(GRANITE_THOUGHT):
        return None
    answer = GRANITE_ANSWER.search(body)
    thought = body[body.index(":") + 1 : answer.start() if answer else len(body)]
    return Split(_from_first_line(body[answer.end() :]) if answer else "", thought.strip())


def _from_first_line(text: str) -> str:
    """The text without the blank lines at its beginning; its first line keeps its indentation."""
    bare = text.lstrip()
    begin = text.rfind("\n", 0, len(text) - len(bare)) + 1
    return text[begin:]
