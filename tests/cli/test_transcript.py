from io import StringIO

import pytest
from rich.console import Console

from stackbench.cli.transcript import print_transcript

ANSWER = "the report is written " * 6
EVENTS = [
    ("agent_start", {}),
    ("model_call", {"text": ANSWER.strip(), "completion_tokens": 31, "latency_s": 1.25}),
    (
        "tool_result",
        {"tool": "read", "arguments": '{"path": "a.txt"}', "valid": True, "failed": False, "text": "line\n" + "#" * 90},
    ),
]


def printed(width: int, *, soft_wrap: bool) -> list[str]:
    file = StringIO()
    print_transcript(Console(file=file, width=width, soft_wrap=soft_wrap, color_system=None), EVENTS)
    return file.getvalue().splitlines()


def test_a_pipe_gets_every_line_whole_and_without_padding() -> None:
    lines = printed(40, soft_wrap=True)
    assert f"  {ANSWER.strip()}" in lines
    assert "    " + "#" * 90 in lines
    assert "    path: a.txt" in lines
    assert "    line" in lines


@pytest.mark.parametrize("width", [30, 40, 80])
def test_a_terminal_gets_folded_lines_that_stay_indented(width: int) -> None:
    lines = printed(width, soft_wrap=False)
    assert max(map(len, lines)) <= width
    shown = [line for line in lines if "#" in line]
    assert sum(line.count("#") for line in shown) == 90
    assert all(line.startswith("    #") for line in shown)
    words = [line for line in lines if "report" in line or "written" in line]
    assert len(words) > 1
    assert all(line.startswith("  ") for line in words)
