"""How EvalPlus 0.3.1 asks for a function (evalplus/provider/utility.py, evalplus/codegen.py), and published tables."""

from __future__ import annotations

from typing import Literal

from stackbench.benchmarks.base import Context
from stackbench.benchmarks.extract import read_program
from stackbench.types import Message, Request

__all__ = ["EvalPlusForm", "evalplus_request", "read_evalplus"]

EvalPlusForm = Literal["evalplus-chat", "evalplus-base"]
TOKENS = 768
ASK = (
    "Please provide a self-contained Python script that solves the following problem in a markdown code block:\n"
    "```\n{prompt}\n```\n"
)
BEGINNING = (
    "Below is a Python script with a self-contained function that solves the problem and passes corresponding tests:\n"
    "```python\n"
)
"""Of the chat's answer, which the model continues."""
STOP = ("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")
STOP_CHAT = ("\n```\n",)
STOP_BASE = {
    "humaneval": ("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "),
    "mbpp": ('\n"""', "\nassert"),
}


def evalplus_request(
    form: EvalPlusForm, dataset: Literal["humaneval", "mbpp"], prompt: str, reference: str, context: Context
) -> tuple[str, Request]:
    """What is asked, and the request; `reference` is what continues the prompt."""
    if form == "evalplus-base":
        asked = f"{prompt.strip()}\n"
        sampling = context.sampling(max_tokens=TOKENS, stop=(*STOP, *STOP_BASE[dataset]))
        return asked, Request(sampling, prompt=asked, reference=reference)
    asked = ASK.format(prompt=prompt.strip())
    sampling = context.sampling(max_tokens=TOKENS, stop=(*STOP, *STOP_CHAT))
    whole = f"{prompt}{reference}\n```\n"
    return asked, Request(sampling, messages=(Message("user", asked),), prefill=BEGINNING, reference=whole)


async def read_evalplus(form: EvalPlusForm, asked: str, answer: str, entry_point: str) -> str:
    """The program of an answer: what continues the prompt, or the block of code that the chat's answer began."""
    code = answer.replace("\t", "    ")
    whole = asked + code if form == "evalplus-base" else code
    return await read_program(f"```python\n{whole}\n```", (entry_point,))
