"""Has a model answer the same tasks through lm-eval and through this project, in float32, and compares verdicts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["compare_verdicts"]


def compare_verdicts(folder: Path, names: list[str], count: int, data: Path, model: Path) -> None:
    """Prints how many single verdicts are equal, by benchmark and form; `folder` holds lm-eval's local tasks."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    for benchmark in ("mmlu", "gsm8k"):  # the quicker one first
        for form in ("lm-eval", "lm-eval-chat"):
            chosen = [f"local_{name}" for name in names if name.startswith(benchmark)]
            ended: Any = simple_evaluate(
                model="hf", model_args={"pretrained": str(model), "dtype": "float32"}, device="cpu", batch_size=1,
                tasks=chosen, limit=-(-count // len(chosen)), log_samples=True, bootstrap_iters=0,
                task_manager=TaskManager(include_path=str(folder), include_defaults=False),
                apply_chat_template=form == "lm-eval-chat", fewshot_as_multiturn=form == "lm-eval-chat",
            )  # fmt: skip
            theirs: dict[str, bool] = {}
            for task, samples in ended["samples"].items():
                name = task.removeprefix("local_").removeprefix("mmlu_")
                for sample in samples:
                    if benchmark == "gsm8k" and sample["filter"] != "strict-match":
                        continue
                    right = sample["exact_match" if benchmark == "gsm8k" else "acc"]
                    theirs[f"{name}/{sample['doc_id']}"] = bool(right)
            ours = _ours(benchmark, form, list(theirs), data, model)
            differing = sorted(task for task, right in theirs.items() if ours.get(task) is not right)
            same = len(theirs) - len(differing)
            listed = ", ".join(differing) or "none"
            print(f"{benchmark} {form}: {same} of {len(theirs)} verdicts equal; differing: {listed}", flush=True)


def _ours(benchmark: str, form: str, tasks: list[str], data: Path, model: Path) -> dict[str, bool]:
    with tempfile.TemporaryDirectory() as home:
        program = [sys.executable, "-m", "stackbench"]
        subprocess.run(
            [*program, "eval", benchmark, "-m", f"hf:{model}", "--dtype", "float32", "-T", f"style={form}",
             "--home", home, "--sample-ids", ",".join(tasks), "--quiet"],
            check=False, stdout=subprocess.DEVNULL, env=_environment(data),
        )  # fmt: skip
        right = "CAST(metrics->>'strict' AS BOOLEAN)" if benchmark == "gsm8k" else "passed"
        asked = subprocess.run(
            [*program, "query", f"SELECT task_id, {right} AS passed FROM attempts", "--format", "json", "--home", home],
            check=True, capture_output=True, text=True, env=_environment(data),
        )  # fmt: skip
    return {row["task_id"]: bool(row["passed"]) for row in json.loads(asked.stdout)}


def _environment(data: Path) -> dict[str, str]:
    return {**os.environ, "STACKBENCH_DATA": str(data)}
