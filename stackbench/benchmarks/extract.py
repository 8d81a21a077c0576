"""Finds the program in an answer: the function that is asked for, and what it needs."""

from __future__ import annotations

import ast
import asyncio
import builtins
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from stackbench.benchmarks.answer_blocks import code_in_json, fenced_blocks, rewritten, unfenced_text
from stackbench.benchmarks.loose_code import begins_statement, loose_parts
from stackbench.benchmarks.python_parts import Budget, Part, parsed, program_parts

__all__ = ["LONGEST_ANSWER", "cut_at", "extract_program", "read_program"]

LONGEST_ANSWER = 60_000
"""Characters of an answer that are read; what follows is not."""
SHORT_ANSWER = 10_000
"""Characters that are read in some milliseconds: longer answers are read beside the event loop."""
HIDDEN = str.maketrans("", "", "\ufeff\x00\u200b\u200c\u200d\u2060")
UNWANTED = {"antigravity", "this", "turtle", "tkinter", "idlelib", "lib2to3", "turtledemo"}
"""Modules of the standard library that do something on import, or that a machine without a screen has not."""
BUILTINS = frozenset(dir(builtins))
DYNAMIC = {"eval", "exec", "globals", "locals", "vars"}
"""What finds functions by names that no parser sees."""
SPEAKS = frozenset({"exit", "input", "open", "print", "quit", "sys"})
"""What a function uses that is called as a demonstration rather than to set something up."""
# How well a block defines the function: by a body, as a method of a class, by an import, by a header alone.
BODY, METHOD, IMPORT, STUB, NOT = 4, 3, 2, 1, 0


@dataclass(frozen=True, slots=True)
class _Block:
    code: str
    parts: Sequence[Part]


async def read_program(text: str, names: Sequence[str], prompt: str = "") -> str:
    """As `extract_program`, in a worker thread for a long answer."""
    if len(text) <= SHORT_ANSWER:
        return extract_program(text, names, prompt)
    return await asyncio.to_thread(extract_program, text, names, prompt)


def extract_program(text: str, names: Sequence[str], prompt: str = "") -> str:
    """The program of a chat model's answer; what there is of the answer where it holds none. Raises nothing.

    Of the blocks of code, the last that defines the function with a body is meant, whatever blocks follow that only
    call or test it; without blocks, the statements in the text. Of it and the other blocks those imports, definitions
    and assignments are kept that the function needs, directly or through one another: no example calls, tests or
    `if __name__` parts. Imports of the standard library beside the function stay. Imports from `__future__` come first.
    A method of that name in a class without arguments is taken for the function.

    Args:
        names: what the tests call, the function that is asked for first.
        prompt: the header that an answer may rely on or continue; the program begins with it.
    """
    try:
        return _extract(_readable(text), names, prompt)
    except Exception:  # whatever a model wrote, the attempt at it fails by its tests and not by an error of ours
        return prompt + text[:LONGEST_ANSWER]


def cut_at(text: str, stops: Iterable[str]) -> str:
    """A continuation up to the first stop string: servers may leave it in."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(found)] if found else text


def _readable(text: str) -> str:
    text = text[:LONGEST_ANSWER].replace("\r\n", "\n").replace("\r", "\n").translate(HIDDEN)
    return text.encode("utf-8", "replace").decode()


def _extract(text: str, names: Sequence[str], prompt: str) -> str:
    name = names[0] if names else ""
    budget = Budget()
    blocks = [_read(code, name, budget) for code in fenced_blocks(text)]
    chosen = _best(blocks, name)
    if chosen is None or _rank(blocks[chosen], name) < BODY:
        for further in _further(text, name, budget):
            best = _best(further, name)
            if best is not None and (chosen is None or _rank(further[best], name) > _rank(blocks[chosen], name)):
                blocks, chosen = further, best
                break
    rank = NOT if chosen is None else _rank(blocks[chosen], name)
    if prompt and rank < IMPORT:
        body = _body([*(block.code for block in reversed(blocks)), text], text, budget)
        if body is not None:
            return prompt + body
    if chosen is None:
        return prompt + (_indented(blocks[-1].code) if prompt and blocks else blocks[-1].code if blocks else text)
    if not any(block.code == text for block in blocks):
        blocks = [*blocks, _read(unfenced_text(text, name), name, budget)]
    return _assembled(blocks, chosen, names, prompt, alias=rank == METHOD)


def _further(text: str, name: str, budget: Budget) -> Iterator[list[_Block]]:
    """Other readings of an answer whose fenced blocks do not define the function."""
    fenced = [_read(code, name, budget) for code in fenced_blocks(text)]
    yield [*fenced, _read(unfenced_text(text, name), name, budget)]
    yield [_read(code, name, budget) for code in fenced_blocks(text, strings=False)]
    yield [_read(text, name, budget)]
    for code in code_in_json(text, fenced_blocks(text)):
        yield [_read(block, name, budget) for block in fenced_blocks(code) or [code]]


def _read(code: str, name: str, budget: Budget) -> _Block:
    parts = program_parts(code, budget)
    if parts is not None:
        return _Block(code, parts)
    readings: list[_Block] = []
    for other in rewritten(code, name):
        whole = program_parts(other, budget)
        readings.append(_Block(other, loose_parts(other, budget) if whole is None else whole))
        if _rank(readings[-1], name) == BODY:
            return readings[-1]
    return max(readings, key=lambda block: (_rank(block, name), len(block.parts)))


def _best(blocks: Sequence[_Block], name: str) -> int | None:
    """The last of the blocks that define the function best; without a name, the longest."""
    if not name:
        return max(range(len(blocks)), key=lambda at: len(blocks[at].code), default=None)
    ranks = [_rank(block, name) for block in blocks]
    best = max(ranks, default=NOT)
    return None if best == NOT else len(ranks) - 1 - ranks[::-1].index(best)


def _rank(block: _Block, name: str) -> int:
    return max((_part_rank(part, name) for part in block.parts), default=NOT)


def _part_rank(part: Part, name: str) -> int:
    if name in part.methods and name not in part.binds:
        return METHOD
    if name not in part.binds or part.guard:
        return NOT
    if part.kind == "import":
        return IMPORT
    return STUB if part.stub else BODY


def _assembled(blocks: Sequence[_Block], chosen: int, names: Sequence[str], prompt: str, *, alias: bool) -> str:
    """The program: what the function needs of all blocks, those of the chosen one last."""
    roots = list(names)
    behind = ""
    if alias:
        owner = next(p for p in reversed(blocks[chosen].parts) if _part_rank(p, names[0]) == METHOD)
        (owner_name,) = owner.binds
        roots.append(owner_name)
        behind = f"\n{names[0]} = {owner_name}().{names[0]}"
    kept = _needed(blocks, chosen, roots)
    order = [at for at in range(len(blocks)) if at != chosen] + [chosen]
    parts = [blocks[at].parts[index] for at in order for index in sorted(kept[at])]
    first = "".join(f"{text}\n" for text in dict.fromkeys(part.text for part in parts if part.kind == "future"))
    code = "\n".join(part.text for part in parts if part.kind != "future")
    return f"{first}{prompt}\n{code}{behind}\n" if prompt else f"{first}{code}{behind}\n"


def _needed(blocks: Sequence[_Block], chosen: int, roots: Sequence[str]) -> list[set[int]]:
    """The places of the statements to keep, for each block: reachability by names, from the chosen block outwards."""
    kept: list[set[int]] = [set() for _ in blocks]
    for index, part in enumerate(blocks[chosen].parts):
        if part.kind == "future" or part.star or (part.kind == "import" and part.modules <= _standard()):
            kept[chosen].add(index)
    binders = [_index(block, roots) for block in blocks]
    outwards = [chosen, *range(chosen - 1, -1, -1), *range(chosen + 1, len(blocks))]
    waiting = list(roots)
    seen: set[str] = set()
    missing = False
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for at in outwards:
            hits = binders[at].get(name, ())
            if hits:
                for index in hits:
                    kept[at].add(index)
                    used = blocks[at].parts[index].uses()
                    waiting += used
                    if used & DYNAMIC:
                        waiting += _defined(blocks[at])
                break
            if name in BUILTINS:
                break
        else:
            missing = True
    if missing:
        for at, block in enumerate(blocks):
            kept[at] |= {index for index, part in enumerate(block.parts) if part.star}
    return kept


def _defined(block: _Block) -> list[str]:
    """The functions and classes of a block."""
    return [name for part in block.parts if part.kind in ("function", "class") for name in part.binds]


def _index(block: _Block, roots: Sequence[str]) -> dict[str, list[int]]:
    """For each name that a block gives a value, the statements that give or change it, a header's repetition aside."""
    found: dict[str, list[int]] = {}
    variables: set[str] = set()
    bodies: set[str] = set()
    for index, part in enumerate(block.parts):
        if part.guard:
            continue
        for name in part.binds:
            found.setdefault(name, []).append(index)
        if part.kind in ("assignment", "other"):
            variables |= part.binds
        if not part.stub:
            bodies |= part.binds
    functions = _Functions({name: one for one in block.parts if one.kind == "function" for name in one.binds})
    for index, part in enumerate(block.parts):
        if part.guard:
            continue
        changed = part.changes | (part.calls_on & variables)
        if part.runs:
            changed |= _set_up(part, functions, roots)
        for name in changed - part.binds:
            if name in found:
                found[name].append(index)
    return {
        name: [index for index in hits if not (block.parts[index].stub and name in bodies)]
        for name, hits in found.items()
    }


@dataclass(slots=True)
class _Functions:
    """The functions of a block, and how many more may be looked into."""

    by_name: dict[str, Part]
    left: int = 1000
    uses: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    def used_by(self, name: str) -> frozenset[str]:
        if name not in self.uses:
            try:
                self.uses[name] = self.by_name[name].uses()
            except (SyntaxError, ValueError, RecursionError, MemoryError):  # it is not kept, or Python says so then
                self.uses[name] = SPEAKS
        return self.uses[name]


def _set_up(part: Part, functions: _Functions, roots: Sequence[str]) -> set[str]:
    """The names whose values change because of the functions that a statement runs: tables filled, functions listed.

    None where those functions lead to what is asked for, or read or print something: a demonstration.
    """
    found: set[str] = set()
    waiting = list(part.runs)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        functions.left -= name in functions.by_name
        if name in SPEAKS or name in roots or functions.left < 0:
            return set()
        if name in functions.by_name:
            found |= functions.by_name[name].effects
            waiting += functions.used_by(name)
    return found


def _standard() -> frozenset[str]:
    return frozenset(sys.stdlib_module_names) - UNWANTED


def _body(codes: Sequence[str], text: str, budget: Budget) -> str | None:
    """The body of a function, indented as one: the first of the texts that is one, or the indented lines of prose."""
    for code in codes:
        first, _, rest = code.strip("\n").partition("\n")
        for body in (_indented(code), f"    {first.strip()}\n{rest}"):
            if _is_body(body, budget):
                return f"{body}\n"
    lines = text.split("\n")
    begun = lines[:1]
    for line in lines[1:]:  # a continuation that goes on with something else behind the function
        if line.strip() and line[0] not in " \t":
            break
        begun.append(line)
    if len(begun) < len(lines):
        for body in (_indented("\n".join(begun)), "\n".join([f"    {begun[0].strip()}", *begun[1:]])):
            if _is_body(body, budget):
                return f"{body}\n"
    if any(begins_statement(line) for line in lines):
        return None
    body = _indented("\n".join(line for line in lines if not line.strip() or line[0] in " \t"))
    return f"{body}\n" if _is_body(body, budget) else None


def _indented(code: str) -> str:
    return textwrap.indent(textwrap.dedent(code.strip("\n")), "    ")


def _is_body(body: str, budget: Budget) -> bool:
    tree = parsed(f"def body():\n{body}\n", budget)
    if tree is None or len(tree.body) != 1:
        return False
    return any(isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) for node in ast.walk(tree))
