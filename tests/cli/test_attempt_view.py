from __future__ import annotations

import pytest

from stackbench.cli.attempt_view import print_attempt
from stackbench.store import AttemptDetail
from stackbench.types import AttemptKey

LINE = "numbers = [" + ", ".join(str(number) for number in range(100)) + "]"


def test_a_pipe_gets_the_lines_of_a_program_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    events = (("sandbox", {"code": f"import re\n{LINE}\n", "result": "passed"}),)
    key = AttemptKey("humaneval", "HumanEval/0", 0, 0)
    texts = {"prompt": "p", "completion": "c", "thought": "", "program": None, "finish_reason": "stop", "reason": None}
    counts = {"prompt_tokens": 1, "completion_tokens": 1, "latency_s": 0.1, "metrics": {}}
    print_attempt(AttemptDetail(key, "", "completed", 1.0, True, None, **texts, **counts, events=events))  # type: ignore[arg-type]
    assert LINE in capsys.readouterr().out.splitlines()
