"""Compares GSM8K's strict and flexible with lm-eval's own filters and metric, answer by answer.

`--prompts N` compares requests for GSM8K and MMLU in lm-eval's forms with lm-eval's own `arguments`, byte for byte, and
`--verdicts` what a model makes of them.

Needs lm-eval (0.4) beside this project, in an environment of its own:
`PYTHONPATH=. python -m perf.agreement_lm_eval [--answers 20000] [--record tests/benchmarks/lm_eval_gsm8k.json]`;
`... --prompts 50 --data DATASETS --model FOLDER [--verdicts] [--record-prompts tests/benchmarks/lm_eval_prompts.json]`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import random
from pathlib import Path
from typing import Any

import yaml

TARGETS = ("70000", "70,000", "-10", "0", "3.5", "18", "1,234,567", "5.", "007", "$12", "12.50")
PIECES = (
    "#### ", "####",
    "\n", "$", ",", ".", "-", " ", "70", "70,000", "0", ".00", "%", "-5", "$3.50", ". ", "The answer is ",
    "#### -",
    "$$", "..", ",,", "1,", "\\boxed{", "}", "**", "a", "½", "٣", "#### .", "\n#### ", "+", "e", "9", "(3)", "\uff17",
)  # fmt: skip


def answers(count: int, seed: int = 29) -> list[tuple[str, str]]:
    """Pairs of an answer and a target, made of what decides how the filters read."""
    draw = random.Random(seed)
    found: list[tuple[str, str]] = []
    for _ in range(count):
        number = draw.choice(TARGETS)
        pieces = (*PIECES, number, number, f"#### {number}", f"#### {number}.")
        text = "".join(draw.choice(pieces) for _ in range(draw.randint(0, 9)))
        found.append((text, f"First 2 + 2 = 4.\nThen so on.\n#### {number}"))
    return found


def lm_eval_verdicts(pairs: list[tuple[str, str]]) -> list[list[Any]]:
    """What lm-eval's filters take of each answer, and whether its metric finds that right: strict, then flexible."""
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters.extraction import RegexFilter

    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "tasks" / "gsm8k" / "gsm8k.yaml"
    task = yaml.safe_load(path.read_text(encoding="utf-8"))
    metric = task["metric_list"][0]
    filters: list[Any] = []
    for entry in task["filter_list"]:
        regex = dict(entry["filter"][0])
        assert regex.pop("function") == "regex"
        filters.append(RegexFilter(**regex))
    found: list[list[Any]] = []
    for text, target in pairs:
        row: list[Any] = [text, target]
        for one in filters:
            taken = one.apply([[text]], [{}])[0][0]
            score = exact_match_hf_evaluate(
                [taken],
                [target],
                regexes_to_ignore=metric["regexes_to_ignore"],
                ignore_case=metric["ignore_case"],
                ignore_punctuation=metric["ignore_punctuation"],
            )
            row += [taken, bool(score["exact_match"])]
        found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=20_000)
    parser.add_argument("--record", type=Path, help="write what lm-eval says to this file")
    parser.add_argument("--prompts", type=int, help="compare this many requests of each task")
    parser.add_argument("--data", type=Path, help="folder of datasets, laid out as <benchmark>/<file>")
    parser.add_argument("--model", type=Path, help="folder of a model whose chat template is used")
    parser.add_argument("--verdicts", action="store_true", help="ask the model both ways, in float32")
    parser.add_argument("--record-prompts", type=Path, help="write hashes of lm-eval's requests to this file")
    arguments = parser.parse_args()
    if arguments.prompts:
        from perf.agreement_lm_eval_prompts import compare_prompts

        compare_prompts(
            arguments.prompts, arguments.data, arguments.model, arguments.record_prompts, verdicts=arguments.verdicts
        )
        return
    rows = lm_eval_verdicts(answers(arguments.answers))
    version = importlib.metadata.version("lm-eval")
    if arguments.record:
        lines = ",\n".join(json.dumps(row) for row in rows)
        arguments.record.write_text(f'{{"lm_eval": "{version}", "rows": [\n{lines}\n]}}\n', encoding="utf-8")
        print(f"{len(rows)} answers recorded")
        return
    from stackbench.benchmarks.number_answers import exact_match, flexible_match, strict_match

    differing = 0
    for text, target, strict, strict_right, flexible, flexible_right in rows:
        ours = strict_match(text), flexible_match(text)
        same = [found or "[invalid]" for found in ours] == [strict, flexible]
        same = same and [exact_match(found, target) for found in ours] == [strict_right, flexible_right]
        if not same:
            differing += 1
            print(f"differs: {text!r} for {target!r}: {ours}, lm-eval {version} {(strict, flexible)}")
    print(f"{len(rows)} answers, {differing} differ from lm-eval {version}")


if __name__ == "__main__":
    main()
