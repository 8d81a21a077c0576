"""A context for benchmarks without a model: answers are written down, code runs in the real sandbox or is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stackbench.sandbox import CodeJob, CodeResult, Sandbox
from stackbench.types import (
    AttemptKey,
    AttemptStatus,
    AttemptSummary,
    Generation,
    Request,
    Sampling,
    Scored,
)

Answer = Callable[[dict[str, Any]], Generation | str]


class ScriptedContext:
    """Implements `Context` and `PrepareContext`; `asked` holds what the benchmark asked of the model."""

    def __init__(
        self,
        answer: Answer | str = "",
        *,
        sandbox: Sandbox | None = None,
        chat: bool = True,
        plain_prompts: bool = True,
        scores_choices: bool = False,
        cache: Path = Path(),
    ) -> None:
        self.chat = chat
        self.plain_prompts = plain_prompts
        self.scores_choices = scores_choices
        self.timeout_s: float | None = None
        self.cache = cache
        self.asked: list[dict[str, Any]] = []
        self.said: list[str] = []
        self._answer: Answer = answer if callable(answer) else lambda asked: str(answer)
        self._sandbox = sandbox

    def sampling(self, *, max_tokens: int, stop: Sequence[str] = ()) -> Sampling:
        return Sampling(max_tokens=max_tokens, stop=tuple(stop))

    async def generate(self, request: Request) -> Generation:
        self.asked.append(
            {
                "turns": [(message.role, message.content) for message in request.messages],
                "text": request.prompt if request.prompt is not None else request.messages[-1].content,
                "choices": request.choices,
                "stop": request.sampling.stop,
                "reference": request.reference,
            }
        )
        answer = self._answer(self.asked[-1])
        return answer if isinstance(answer, Generation) else Generation(answer)

    async def run_code(self, job: CodeJob) -> CodeResult:
        assert self._sandbox is not None, "this test runs no code"
        return await self._sandbox.run(job)

    def say(self, line: str) -> None:
        self.said.append(line)


def summary(task_id: str, scored: Scored, *, category: str = "", attempt: int = 0) -> AttemptSummary:
    """An attempt as metrics see it."""
    return AttemptSummary(
        key=AttemptKey("b", task_id, attempt, 0),
        category=category,
        status=AttemptStatus.COMPLETED,
        score=scored.score,
        passed=scored.passed,
        latency_s=1.0,
        completion_tokens=1,
        metrics=dict(scored.metrics),
    )
