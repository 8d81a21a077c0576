"""Compares requests in lm-eval's forms with the `arguments` that lm-eval makes of the same rows, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import importlib.metadata
import importlib.util
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

__all__ = ["compare_prompts"]

SUBJECTS = ("abstract_algebra", "high_school_european_history", "moral_scenarios", "us_foreign_policy", "virology")
FORMS = ("lm-eval", "lm-eval-chat")
SEED = 1234
Template = Callable[..., str]


def compare_prompts(count: int, data: Path, model: Path, record: Path | None, *, verdicts: bool) -> None:
    """Prints how many requests of each task and form are equal, and with `verdicts` how many single verdicts are."""
    from transformers import AutoTokenizer

    template: Template = AutoTokenizer.from_pretrained(model).apply_chat_template
    version = importlib.metadata.version("lm-eval")
    recorded: dict[str, Any] = {"lm_eval": version, "requests": {}}
    with tempfile.TemporaryDirectory() as folder:
        tasks = _lm_eval_tasks(Path(folder), data, count)
        for form in FORMS:
            for name in ("gsm8k", "mmlu", "mbpp"):
                if (name, form) == ("mbpp", "lm-eval-chat"):
                    continue  # the paper's form is a bare prompt
                theirs = [
                    row for key, task in tasks.items() if key.startswith(name) for row in _theirs(task, form, template)
                ]
                recorded["requests"][f"{name} {form}"] = {
                    task: hashlib.sha256(json.dumps(asked).encode()).hexdigest() for task, asked in theirs
                }
                if record is None:
                    ours = _ours(name, form, data, model)
                    same = sum(ours[task] == asked for task, asked in theirs)
                    print(f"{name} {form}: {same} of {len(theirs)} requests equal lm-eval {version}'s byte for byte")
        if record is not None:
            record.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
            print(f"{sum(map(len, recorded['requests'].values()))} requests recorded")
        if verdicts:
            from perf.agreement_lm_eval_verdicts import compare_verdicts

            compare_verdicts(Path(folder), list(tasks), count, data, model)


def _lm_eval_tasks(folder: Path, data: Path, count: int) -> dict[str, Any]:
    """lm-eval's own task files, with local rows: gsm8k, and some subjects of mmlu."""
    from lm_eval.tasks import TaskManager

    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None and spec.origin is not None
    own = Path(spec.origin).parent / "tasks"
    files = {"train": str(data / "gsm8k/train-first-100.jsonl"), "test": str(data / "gsm8k/test.jsonl")}
    _write_task(folder, "gsm8k", own / "gsm8k/gsm8k.yaml", files)
    for subject in SUBJECTS:
        files = {split: str(_rows_of(folder, data, subject, split)) for split in ("dev", "test")}
        _write_task(folder, f"mmlu_{subject}", own / f"mmlu/default/mmlu_{subject}.yaml", files)
    _write_task(folder, "mbpp", own / "mbpp/mbpp.yaml", {"test": str(_mbpp_rows(folder, data))})
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    found: dict[str, Any] = {}
    for name in ("gsm8k", "mbpp", *(f"mmlu_{subject}" for subject in SUBJECTS)):
        with mock.patch("evaluate.load"):  # mbpp's metric would be fetched; no program is executed here
            task = manager.load([f"local_{name}"])["tasks"][f"local_{name}"]
        task.set_fewshot_seed(SEED)
        found[name] = task
        task.wanted = count if name in ("gsm8k", "mbpp") else -(-count // len(SUBJECTS))
    return found


def _write_task(folder: Path, name: str, base: Path, files: dict[str, str]) -> None:
    task = {
        "include": str(base),
        "task": f"local_{name}",
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files},
    }
    if name.startswith("mmlu"):
        task["num_fewshot"] = 5
    (folder / f"local_{name}.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")


def _rows_of(folder: Path, data: Path, subject: str, split: str) -> Path:
    path = folder / f"{subject}-{split}.jsonl"
    with gzip.open(data / f"mmlu/{split}.jsonl.gz", "rt", encoding="utf-8") as rows:
        path.write_text("".join(row for row in rows if json.loads(row)["subject"] == subject), encoding="utf-8")
    return path


def _mbpp_rows(folder: Path, data: Path) -> Path:
    """The test split, ids 11 to 510, as the hub's data set has it."""
    path = folder / "mbpp-test.jsonl"
    (source,) = (data / "mbpp").glob("mbpp*.jsonl")
    rows = [json.loads(row) for row in source.read_text(encoding="utf-8").splitlines()]
    kept = [{name: row[name] for name in ("task_id", "text", "code", "test_list")} for row in rows]
    path.write_text("".join(json.dumps(r) + "\n" for r in kept if 11 <= r["task_id"] <= 510), encoding="utf-8")
    return path


def _theirs(task: Any, form: str, template: Template) -> list[tuple[str, list[Any]]]:
    """By our task id: prompt, continuations or stop strings, token limit."""
    task.set_fewshot_seed(SEED)
    chat = form == "lm-eval-chat"

    def render(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)

    task.build_all_requests(
        limit=task.wanted, rank=0, world_size=1, cache_requests=False, rewrite_requests_cache=False,
        system_instruction=None, apply_chat_template=chat, fewshot_as_multiturn=chat,
        chat_template=render if chat else None, tokenizer_name="",
    )  # fmt: skip
    name = task.config.task.removeprefix("local_").removeprefix("mmlu_")
    found: dict[str, list[Any]] = {}
    for instance in task.instances:
        asked = found.setdefault(_task_id(name, instance.doc_id), [instance.args[0], []])
        if task.OUTPUT_TYPE == "generate_until":
            asked[1] = instance.args[1]["until"]
        else:
            asked[1].append(instance.args[1])
    return list(found.items())


def _task_id(name: str, number: int) -> str:
    """As this project names it."""
    return str(11 + number) if name == "mbpp" else f"{name}/{number}"


def _ours(benchmark: str, form: str, data: Path, model: Path) -> dict[str, list[Any]]:
    """By task id, the same of what this project asks."""
    from transformers import AutoTokenizer

    from stackbench.benchmarks import create_benchmark
    from stackbench.datasets import DatasetStore
    from stackbench.models.prompting import template_of
    from stackbench.types import Generation, Request, Sampling

    template = template_of(AutoTokenizer.from_pretrained(model), None)
    made = create_benchmark(benchmark, {"style": "paper" if benchmark == "mbpp" else form})
    asked: list[Request] = []

    class Asked:
        chat = plain_prompts = scores_choices = True

        def sampling(self, *, max_tokens: int, stop: tuple[str, ...] = ()) -> Sampling:
            return Sampling(max_tokens=max_tokens, stop=tuple(stop))

        async def generate(self, request: Request) -> Generation:
            asked.append(request)
            return Generation("A", choice_logprobs=(0.0,) * len(request.choices) or None)

        timeout_s = None

        async def run_code(self, job: object) -> None:
            raise NotImplementedError

    async def ask() -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        tasks = made.tasks(DatasetStore(Path(tempfile.gettempdir()), data))
        for task in tasks if benchmark == "mmlu" else tasks[:1000]:
            if benchmark == "mmlu" and task.category not in SUBJECTS:
                continue
            with contextlib.suppress(NotImplementedError):  # code is not executed here
                await made.attempt(task, Asked())  # type: ignore[arg-type]
            request = asked.pop()
            assert template is not None
            text = request.prompt if request.prompt is not None else template.render(request.messages)
            found[task.task_id] = [text, list(request.choices or request.sampling.stop)]
        return found

    try:
        return asyncio.run(ask())
    finally:
        if template is not None:
            template.close()
