"""Names and statements of tests that fail, drawn anew for each grading, in the forms that tests have themselves."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

__all__ = ["drawn_name", "failing_lines"]

VERBS = (
    "accepts", "adds", "builds", "checks", "copies", "counts", "drops", "finds", "handles", "ignores", "keeps",
    "loads", "merges", "parses", "prints", "reads", "removes", "renders", "resets", "returns", "sends", "skips",
    "splits", "writes",
)  # fmt: skip
KINDS = (
    "bare", "broken", "closed", "custom", "default", "deep", "empty", "extra", "first", "global", "inner", "large",
    "last", "late", "local", "long", "missing", "nested", "open", "other", "plain", "short", "single", "small",
)  # fmt: skip
THINGS = (
    "blocks", "cases", "entries", "fields", "files", "groups", "headers", "items", "keys", "labels", "lines", "links",
    "lists", "marks", "names", "nodes", "pairs", "parts", "paths", "rows", "rules", "states", "tables", "values",
)  # fmt: skip


def drawn_name() -> str:
    """`keeps_nested_rows`: one of 13,824, as a test may be called."""
    return "_".join(secrets.choice(words) for words in (VERBS, KINDS, THINGS))


def failing_lines(bound: Sequence[str] = ()) -> list[str]:
    """A statement, or two, at which a test fails whatever the program does; `bound`: names that have values there."""
    first, second, third = (secrets.choice(words) for words in (THINGS, KINDS, VERBS))
    number, more = secrets.randbelow(20), 1 + secrets.randbelow(9)
    forms = [
        [f'assert "{first}".upper() == "{first.title()}"'],
        [f'assert len(["{first}", "{second}"]) == {more + 2}'],
        [f'assert {{"{first}": {number}}}["{first}"] == {number + more}'],
        [f"assert {number} + {more} == {number}"],
        [f'assert "{first}" in ("{second}", "{third}")'],
        [f'assert sorted(["{second}", "{third}"]) == ["{first}"]'],
        [f'expected = "{first}_{second}"', f'assert expected == "{second}_{first}"'],
        [f"values = list(range({more}))", f"assert len(values) == {more + number + 1}"],
    ]
    for name in bound:
        forms += [
            [f'assert type({name}).__name__ == "{second.title()}{first.title()}"'],
            [f'assert str(type({name})).endswith("{first}.{second}")'],
            [f"kind = type({name}).__name__", f'assert kind in ("{first}", "{second}")'],
        ]
    return secrets.choice(forms)
