"""HumanEval+ v0.1.10: HumanEval with many more inputs (Liu et al. 2023, arXiv:2305.01210), scored as EvalPlus 0.3.1."""

from __future__ import annotations

from typing import ClassVar, Literal

from stackbench.benchmarks.extract import read_program
from stackbench.benchmarks.humaneval import ASK, STOP
from stackbench.benchmarks.mbppplus import MbppPlus, MbppPlusTask

__all__ = ["HumanEvalPlus"]

# evalplus/eval/__init__.py: any root is right whose polynomial is within the tolerance.
OUTPUT_RULES = {"find_zero": "polynomial_root"}


class HumanEvalPlus(MbppPlus):
    """As MBPP+, on HumanEval's functions: expected outputs come from the canonical solutions."""

    name: ClassVar[str] = "humanevalplus"
    title: ClassVar[str] = "HumanEval+ v0.1.10: 164 functions, EvalPlus's base and plus inputs"
    datasets: ClassVar[tuple[str, ...]] = ("humanevalplus",)
    ask: ClassVar[str] = ASK
    stop: ClassVar[tuple[str, ...]] = STOP
    evalplus_name: ClassVar[Literal["humaneval", "mbpp"]] = "humaneval"

    def _rule(self, part: str, member: str | int) -> str:
        return OUTPUT_RULES.get(str(member), "") if part == "outputs" else ""

    async def _read(self, answer: str, task: MbppPlusTask) -> str:
        return await read_program(answer, (task.entry_point,), task.prompt)
