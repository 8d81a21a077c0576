"""What a declared benchmark's YAML file may say: one pydantic model, its docstrings are the reference."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = ["Definition", "Extraction", "FewShot", "MetricName"]

MetricName = Literal["exact", "number", "choice", "code"]
Extraction = Literal["whole", "regex", "number", "choice", "code"]
READ_AS: dict[str, Extraction] = {"exact": "whole", "number": "number", "choice": "choice", "code": "code"}
"""How an answer is read where the file does not say."""
FITTING: dict[str, tuple[Extraction, ...]] = {
    "exact": ("whole", "regex", "number", "code"),
    "number": ("number", "regex"),
    "choice": ("choice", "regex"),
    "code": ("code", "whole", "regex"),
}


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
"""One text, or a list of texts."""


class FewShot(BaseModel):
    """Examples that are shown before each question."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = Field(ge=1, le=100)
    """The first so many rows are examples."""
    file: str = ""
    """The file whose rows they are, relative to the YAML file. Unset: the data's first rows, not asked then."""
    answer: str = ""
    """Template of an example's answer. Unset: the (first) answer field."""


class Definition(BaseModel):
    """A benchmark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")
    """What the benchmark is called in results, gates and comparisons."""
    title: str = ""
    """One line on what it asks."""
    data: str = Field(min_length=1)
    """The file of questions, relative to the YAML file: .jsonl, or .csv with a header; .gz of either .jsonl."""
    prompt: str = Field(min_length=1)
    """Jinja template of the question; `{{ field }}` is a field of the row, `{{ lettered_choices }}` the choices."""
    system: str = ""
    """System prompt; one that the user gives with `--system-prompt` comes first."""
    fewshot: FewShot | None = None
    metric: MetricName
    """When an answer is right."""
    extract: Extraction | None = None
    """How the answer is taken out of the text. Unset: as the metric needs it."""
    pattern: str = ""
    """With `extract: regex`: the last match counts, its first group where it has one."""
    ignore_case: bool = False
    """With `metric: exact`: upper and lower case are the same."""
    answer: Texts = ()
    """The field of the right answer; several fields, or a list in the field, are answers that are all right."""
    choices: Texts = ()
    """With `metric: choice`: the field that lists the choices, or the fields with one choice each. Two to four."""
    tests: str = ""
    """With `metric: code`: the field of the Python code that raises an exception for a wrong program, or a template."""
    entry_point: str = ""
    """With `metric: code`: the field that names the function that the tests call."""
    timeout_s: float = Field(default=3.0, gt=0, le=600)
    """With `metric: code`: seconds for a program and its tests."""
    id: str = ""
    """The field of the task's id. Unset: the benchmark's name and the row's number from 0."""
    category: str = ""
    """The field by which results are also told apart."""
    style: Literal["auto", "chat", "completion"] = "auto"
    """A chat, or a bare prompt to continue; auto: a chat where the model has a chat template."""
    max_tokens: int = Field(default=512, ge=1, le=1_000_000)
    """Of an answer, where the user does not say."""
    stop: Texts = ()
    """Texts before which an answer ends."""

    @property
    def reading(self) -> Extraction:
        return self.extract or READ_AS[self.metric]

    @model_validator(mode="after")
    def _fits_together(self) -> Definition:
        if self.reading not in FITTING[self.metric]:
            raise ValueError(
                f"metric {self.metric} cannot be counted on extract {self.extract}; "
                f"extract is one of {', '.join(FITTING[self.metric])}"
            )
        if (self.reading == "regex") != bool(self.pattern):
            raise ValueError("extract: regex and pattern go together; give both or neither")
        if self.ignore_case and self.metric != "exact":
            raise ValueError("ignore_case goes with metric: exact")
        if self.metric == "code":
            missing = [name for name in ("tests", "entry_point") if not getattr(self, name)]
        else:
            missing = [] if self.answer else ["answer"]
            unused = [name for name in ("tests", "entry_point") if getattr(self, name)]
            if unused:
                raise ValueError(f"{unused[0]} goes with metric: code")
        if self.metric == "choice" and not self.choices:
            missing.append("choices")
        if self.metric != "choice" and self.choices:
            raise ValueError("choices goes with metric: choice")
        if missing:
            raise ValueError(f"metric {self.metric} needs {missing[0]}: name the field of the data that holds it")
        if self.fewshot is not None and not self.fewshot.answer and not self.answer:
            raise ValueError("fewshot needs answer: the field, or a template under fewshot, of an example's answer")
        return self
