"""Finds Python statements in text that does not parse as a whole: prose around code, truncated answers."""

from __future__ import annotations

import re

from stackbench.benchmarks.python_parts import Budget, Part, program_parts

__all__ = ["begins_statement", "loose_parts"]

# What begins a statement that may go on over several lines; all else is a line of its own, mostly prose.
BEGINS = re.compile(
    r"(?:async\s{1,4}def|def|class|import|from|if|for|while|with|try)\b|@"
    r"|[^\W\d][\w.]{0,80}[ \t]{0,8}(?:[\[(:=]|[-+*/|&%]{1,2}=)"
)
DEFINES = re.compile(r"(?:async\s{1,4}def|def|class|import|from)\b|@")
GOES_ON = re.compile(r"(?:else|elif|except|finally)\b")
TREE_TYPES = {"function_definition", "class_definition", "decorated_definition", "import_statement",
              "import_from_statement", "future_import_statement", "expression_statement"}  # fmt: skip
MOST_LINES = 2000
"""Lines that one statement of a loose text may have."""
MOST_UNCLOSED = 20
"""Statements with an open string or bracket in a loose text; of further ones only the indented lines are read."""
MOST_DROPPED = 30
MOST_COMMENTS = 10


def begins_statement(line: str) -> bool:
    """Whether a line of a loose text may begin a statement of more than one line, or give a name a value."""
    return BEGINS.match(line) is not None


def loose_parts(text: str, budget: Budget) -> list[Part]:
    """The statements that stand at the beginning of lines of a text that is not Python as a whole.

    A statement that does not parse is read by tree-sitter, which goes on behind what it cannot read, and without its
    last lines: an answer that was cut off, or prose at the code's indentation.
    """
    lines = text.split("\n")
    found: list[Part] = []
    at = unclosed = 0
    while at < len(lines) and budget.left > 0:
        line = lines[at]
        if not begins_statement(line):
            at += 1
            continue
        end, closed = _end_of_statement(lines, at, budget, follow=unclosed < MOST_UNCLOSED)
        unclosed += not closed
        chunk = "\n".join(lines[at:end])
        parts = program_parts(chunk, budget)
        if not parts and DEFINES.match(line):
            parts = _recovered(chunk, budget) or _shortened(lines[at:end], budget)
        if parts:
            found += parts
            at = end
        else:
            at += 1
    return found


def _end_of_statement(lines: list[str], begin: int, budget: Budget, *, follow: bool) -> tuple[int, bool]:
    """The line behind the statement that begins at a line, and whether its strings and brackets are closed there.

    To it belong indented lines, branches, and (`follow`) what stands in an open string or bracket.
    """
    state = _Open()
    at = begin
    head = True  # of a definition, whose body is still to come
    last = min(len(lines), begin + MOST_LINES) if follow else begin
    while at < last:
        line = lines[at]
        budget.take(len(line) + 1)
        at_margin = line.strip() and line[0] not in " \t" and GOES_ON.match(line) is None
        if at > begin and not state.inside and at_margin and not head and not _is_comment_within(lines, at):
            break
        state.read(line)
        at += 1
        if not state.inside:
            head = line.startswith("@")
    else:
        if state.inside or not follow:  # never closed: only what is indented belongs to it
            at = begin + 1
            while at < len(lines) and (not lines[at].strip() or lines[at][0] in " \t"):
                at += 1
    while at > begin + 1 and not lines[at - 1].strip():
        at -= 1
    return at, follow and not state.inside


def _is_comment_within(lines: list[str], at: int) -> bool:
    """Whether a line at the margin is a comment behind which indented lines go on."""
    if not lines[at].startswith("#"):
        return False
    following = (line for line in lines[at + 1 : at + 1 + MOST_COMMENTS] if line.strip() and line[0] != "#")
    return next(following, "")[:1] in (" ", "\t")


class _Open:
    """Whether a text read line by line stands inside a bracket or a triple-quoted string."""

    def __init__(self) -> None:
        self.brackets = 0
        self.triple = ""

    @property
    def inside(self) -> bool:
        return self.brackets > 0 or bool(self.triple)

    def read(self, line: str) -> None:
        at = 0
        while at < len(line):
            char = line[at]
            if self.triple:
                end = line.find(self.triple, at)
                if end < 0:
                    return
                at, self.triple = end + 3, ""
            elif char == "#":
                return
            elif line.startswith(('"""', "'''"), at):
                self.triple = line[at : at + 3]
                at += 3
            elif char in "\"'":
                at = _end_of_string(line, at)
            else:
                self.brackets = max(0, self.brackets + (char in "([{") - (char in ")]}"))
                at += 1


def _end_of_string(line: str, begin: int) -> int:
    at = begin + 1
    while at < len(line) and line[at] != line[begin]:
        at += 2 if line[at] == "\\" else 1
    return at + 1


def _recovered(code: str, budget: Budget) -> list[Part]:
    """The sound statements among those that tree-sitter finds in a text."""
    import tree_sitter_python
    from tree_sitter import Language, Parser

    if not budget.take(len(code)):
        return []
    data = code.encode()
    root = Parser(Language(tree_sitter_python.language())).parse(data).root_node
    nodes = list(root.children)
    if root.type == "ERROR" or any(node.type == "ERROR" for node in nodes):
        nodes = [inner for node in nodes for inner in (node.children if node.type == "ERROR" else [node])]
    found: list[Part] = []
    for node in nodes:
        if node.type in TREE_TYPES and not node.has_error and node.start_point[1] == 0:
            found += program_parts(data[node.start_byte : node.end_byte].decode(), budget) or []
    return found


def _shortened(lines: list[str], budget: Budget) -> list[Part]:
    """What the lines are without the last of them, as few as can be."""
    for length in range(len(lines) - 1, max(1, len(lines) - MOST_DROPPED), -1):
        if parts := program_parts("\n".join(lines[:length]), budget):
            return parts
    return []
