"""Finds code blocks in an answer's Markdown, including the deviations from the standard that models produce."""

from __future__ import annotations

import html
import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackbench import nesting
from stackbench.nesting import is_array, is_object

__all__ = ["code_in_json", "fenced_blocks", "rewritten", "unfenced_text"]

RUN = re.compile(r"`{3,}|~{3,}")
LIST_MARKER = re.compile(r"(?:[-*+]|\d{1,3}[.)])?\Z")
QUOTE = re.compile(r"[ \t]{0,3}>[ \t]?")
# A first word that names a language or describes the block, rather than being code: `py3`, `{.python}`, `c++`.
INFO = re.compile(r"\{?\.?[A-Za-z][\w+#.-]*\}?:?(?=\s|\{|\Z)")
CODE = re.compile(r"(?:async\s|def\s|class\s|import\s|from\s|return\b|@|if\s|for\s|while\s|[^\W\d]\w*\s{0,4}=)")
MOST_QUOTES = 10
PROMPT = re.compile(r"In \[\d{1,5}\]: ?|\s{0,8}\.{3,5}: ?")
NUMBERED = re.compile(r"[ \t]{0,6}\d{1,4}(?:[ \t]?[|:.)])?")
MOST_STRINGS = 20
BLOCK = re.compile(r"(?:class|def|async|if|else|elif|try|except|finally|for|while|with)\b")
MARKUP = re.compile(r"</?[A-Za-z][\w-]{0,30}(?:\s[^<>]{0,100})?>|\[/?(?:PYTHON|CODE|BEGIN|DONE)\]")
QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2212": "-"})
SPACES = str.maketrans(dict.fromkeys((160, 8194, 8195, 8199, 8201, 8239, 12288), " "))


@dataclass(slots=True)
class _Scan:
    """Lines of a text on their way into blocks; `rest` are the lines outside of them."""

    blocks: list[str] = field(default_factory=list[str])
    rest: list[str] = field(default_factory=list[str])
    lines: list[str] = field(default_factory=list[str])
    run: str = ""
    quotes: int = 0
    """Quote marks before the fence."""
    triple: str = ""

    def open(self, run: str, quotes: int) -> None:
        self.lines, self.run, self.quotes, self.triple = [], run, quotes, ""

    def close(self) -> None:
        self.blocks.append(textwrap.dedent("\n".join(self.lines)))
        self.lines, self.run = [], ""


def fenced_blocks(text: str, *, strings: bool = True) -> list[str]:
    """The contents of the fenced blocks, in order.

    A fence may stand behind words, in a list or a quotation, be of any length and of tildes, carry any description, or
    have code on its own line; a last block may lack its end. A fence inside a triple-quoted string ends no block, where
    that string ends (`strings`). Of a block that holds blocks, those are meant.
    """
    found: list[str] = []
    for block in _scanned(text, strings=strings).blocks:
        inner = _scanned(block).blocks if "```" in block or "~~~" in block else []
        found += inner if inner and not _is_closed_by_string(block) else [block]
    return found


def unfenced_text(text: str, name: str) -> str:
    """The text outside the blocks and their fences, its markup taken away.

    A definition of `name` that stands behind words begins a line.
    """
    return _loose(_scanned(text).rest, name)


def code_in_json(text: str, blocks: Sequence[str]) -> Iterator[str]:
    """Code in the strings of an answer that is JSON, or whose first block is; an answer whose line ends are escaped."""
    for one in (text, *blocks[:1]):
        begin, end = one.find("{"), one.rfind("}")
        if 0 <= begin < end:
            try:
                found = nesting.loads(one[begin : end + 1])
            except (ValueError, RecursionError):
                continue
            yield from itertools.islice((said for said in _strings(found) if "\n" in said or "(" in said), MOST_STRINGS)
    if "\n" not in text.strip() and "\\n" in text:
        yield text.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"')


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_object(value):
        yield from _strings(list(value.values()))
    elif is_array(value):
        for inner in value:
            yield from _strings(inner)


def rewritten(code: str, name: str) -> Iterator[str]:
    """Other readings of a block that is no Python: dedented, without prompts, marks of a diff, or typography."""
    yield _dedented(code, name)
    if any(line.lstrip().startswith((">>> ", "In [")) for line in code.split("\n")):
        yield "\n".join(_without_prompts(code))
    lines = [line for line in code.split("\n") if line.strip()]
    if lines and all(line[0] in "+- @" for line in lines) and any(line[0] == "+" for line in lines):
        yield "\n".join(line[1:] for line in lines if line[0] in "+ " and not line.startswith("+++"))
    if len(lines) > 1 and all(NUMBERED.match(line) for line in lines):
        yield textwrap.dedent("\n".join(NUMBERED.sub("", line, count=1) for line in code.split("\n")))
    plain = code.translate(QUOTES).translate(SPACES)
    if plain != code:
        yield textwrap.dedent(plain)
    if "&" in code or "<" in code:
        unescaped = html.unescape(MARKUP.sub("", code))
        if unescaped != code:
            yield textwrap.dedent(unescaped)


def _scanned(text: str, *, strings: bool = True) -> _Scan:
    scan = _pass_over(text, strings=strings)
    if scan is None:  # a string that never ends: what looked like one was none
        scan = _pass_over(text, strings=False)
        assert scan is not None
    return scan


def _pass_over(text: str, *, strings: bool) -> _Scan | None:
    scan = _Scan()
    for line in text.split("\n"):
        if scan.run:
            _inside(scan, line, strings)
        else:
            _outside(scan, line)
    if scan.run:
        if strings and scan.triple:
            return None
        scan.close()
    return scan


def _inside(scan: _Scan, line: str, strings: bool) -> None:
    content = line
    for _ in range(scan.quotes):
        mark = QUOTE.match(content)
        content = content[mark.end() :] if mark else content
    bare = content.strip()
    if not (strings and scan.triple):
        if bare.startswith(scan.run):
            behind = bare.lstrip(scan.run[0]).strip()
            scan.close()
            if _is_info(behind):  # the next block begins: this one was never closed
                _outside(scan, line)
            elif behind:
                scan.rest.append(behind)
            return
        if bare.endswith(scan.run) and not bare.startswith("#"):
            scan.lines.append(content.rstrip().rstrip(scan.run[0]))
            scan.close()
            return
    if strings:
        scan.triple = _triple_after(content, scan.triple)
    scan.lines.append(content)


def _outside(scan: _Scan, line: str) -> None:
    found = RUN.search(line)
    if found is None:
        scan.rest.append(line)
        return
    before, run, behind = line[: found.start()], found[0], line[found.end() :]
    at_start = LIST_MARKER.match(before.strip(" \t>")) is not None
    if run[0] == "~" and not at_start:
        scan.rest.append(line)
        return
    if not at_start:
        scan.rest.append(before)
    end = behind.find(run)
    if end >= 0:  # opened and closed on one line
        scan.lines = [_without_info(behind[:end])]
        scan.close()
        scan.rest.append(behind[end + len(run) :])
        return
    scan.open(run, min(before.count(">"), MOST_QUOTES) if at_start else 0)
    code = _without_info(behind)
    if code:
        scan.lines.append(code)
        scan.triple = _triple_after(code, "")


def _without_info(behind: str) -> str:
    """The code that stands on a fence's own line, behind its description; mostly none."""
    said = behind.strip()
    if CODE.match(said):
        return said
    info = INFO.match(said)
    rest = said[info.end() :].strip() if info else said
    return rest if CODE.match(rest) and not re.match(r"\w+=[\"']", rest) else ""


def _is_info(behind: str) -> bool:
    """Whether what stands behind a fence describes a block."""
    words = behind.split(None, 1)
    if not words or INFO.match(words[0]) is None:
        return False
    return len(words) == 1 or words[0].lstrip("{.").lower().startswith("py")


def _triple_after(line: str, triple: str) -> str:
    """The quotes of the triple-quoted string that is open behind a line; empty for none."""
    at = 0
    while at < len(line):
        if triple:
            end = line.find(triple, at)
            if end < 0:
                return triple
            at, triple = end + 3, ""
        elif line[at] == "#":
            return ""
        elif line.startswith(('"""', "'''"), at):
            triple = line[at : at + 3]
            at += 3
        elif line[at] in "\"'":
            quote = line[at]
            at += 1
            while at < len(line) and line[at] != quote:
                at += 2 if line[at] == "\\" else 1
            at += 1
        else:
            at += 1
    return triple


def _is_closed_by_string(block: str) -> bool:
    """Whether the fences of a block stand in its triple-quoted strings."""
    triple = ""
    for line in block.split("\n"):
        if not triple and RUN.match(line.strip()):
            return False
        triple = _triple_after(line, triple)
    return True


def _loose(lines: list[str], name: str) -> str:
    found: list[str] = []
    for line in lines:
        bare = MARKUP.sub("", line) if "<" in line or "[" in line else line
        heads = (f"def {name}(", f"async def {name}(", f"{name} = lambda") if name else ()
        begin = min((at for head in heads if (at := bare.find(head)) > 0), default=0)
        if bare[:begin].strip():
            inline = bare[begin - 1] == "`"
            bare = bare[begin:]
            bare = bare.split("`", 1)[0] if inline else bare.rstrip("`")
        found.append(bare)
    return "\n".join(found)


def _dedented(code: str, name: str) -> str:
    """The code without the indentation of the line that defines the name; less indented lines stay as they are.

    A definition inside another statement keeps its place there.
    """
    indent = ""
    above: list[str] = []  # the line that each level of indentation was left at, as far as it is open
    for line in code.split("\n"):
        bare = line.lstrip()
        if not bare:
            continue
        width = len(line) - len(bare)
        while above and len(above[-1]) - len(above[-1].lstrip()) >= width:
            above.pop()
        if bare.startswith((f"def {name}(", f"async def {name}(", f"{name} =")):
            indent = "" if above and BLOCK.match(above[-1].lstrip()) else line[:width]
        above.append(line)
    if not indent:
        return textwrap.dedent(code)
    return "\n".join(line.removeprefix(indent) for line in code.split("\n"))


def _without_prompts(code: str) -> Iterator[str]:
    """The input of an interpreter's session."""
    for line in code.split("\n"):
        bare = line.lstrip()
        if bare.startswith((">>> ", "... ")):
            yield bare[4:]
        elif bare in (">>>", "..."):
            yield ""
        elif prompt := PROMPT.match(line):
            yield line[prompt.end() :]
