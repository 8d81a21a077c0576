"""Two hundred texts that a model, a tool or a file could write to break a screen, always the same."""

from __future__ import annotations

import random

__all__ = ["FORBIDDEN", "hostile_strings"]

FORBIDDEN = tuple(
    chr(point)
    for point in (
        *range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), 0xAD, 0x61C, *range(0x200B, 0x2010),
        *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF, *range(0xE0000, 0xE0080),
    )
)  # fmt: skip
"""What may never reach a terminal from a text of others."""

SEEDS = (
    "[bold]not bold[/bold]", "[/]", "[/nothing]", "[red", "[@click=app.quit]press[/]", "[link=file:///etc/passwd]x[/link]",
    "[[[[", "]]]]", "\\[escaped\\]", "[on blink #zzzzzz]", "$variable [$primary]", "{curly} %s %(name)s {0!r}",
    "\x1b[31mred\x1b[0m", "\x1b[2J\x1b[H", "\x1b]0;a title\x07", "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;cm0gLXJmIH4=\x07", "\x1bP$q\x1b\\", "\x1b[?1049l", "\x1b[6n", "\x9b31m", "\x9d52;c;AAAA\x9c", "\x1bc",
    "\x00before\x00after", "\r overwritten", "back\x08\x08\x08\x08space", "bell\x07bell", "tab\tstops\there",
    "\u202egnirts desrever\u202c", "\u2066isolated\u2069", "a\u200bb\u200cc\u200dd\ufeff", "\u2028line\u2029paragraph",
    "\u0301\u0301\u0301 combining", "e" + "\u0301" * 60, "\U000e0041\U000e0042 tags", "\u061cmark",
    "全角文字の列が並ぶ", "🦀🧪👩‍👩‍👧‍👦🏴‍☠️", "한국어 텍스트", "ﷺ", "👍🏽" * 40, "A" * 5000, "全" * 3000, "word " * 2000,
    "\n" * 50, "line\nline\nline", "\r\n\r\n", "`code` **bold** # heading", "```python\nprint(1)\n```",
    "<script>alert(1)</script>", "'; DROP TABLE attempts; --", "=HYPERLINK(\"x\")", "../../etc/passwd", "C:\\con\\nul",
    "\ud800 lone", "\x7f\x7f\x7f", "", " ", "\u00a0\u00a0", "\u3164\uffa0 blank letters", "nul",
)  # fmt: skip


def hostile_strings(count: int = 200) -> list[str]:
    """Every seed by itself, then mixtures of two or three of them."""
    chosen = random.Random(16)
    made = [seed.replace("\ud800", "\u202e") for seed in SEEDS]  # the database holds no lone surrogates
    while len(made) < count:
        parts = [chosen.choice(made[: len(SEEDS)]) for _ in range(chosen.randint(2, 3))]
        made.append(chosen.choice(["", " ", "\n", "\x1b"]).join(part[:600] for part in parts))
    return made[:count]
