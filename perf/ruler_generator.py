"""Times lm-eval's own RULER generators, those that need no download; run by `perf.longcontext` with lm-eval's Python.

Arguments: folder of a tokenizer, prompts of each task, lengths. Prints JSON: seconds and tokens by length and task.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable
from typing import Any


def main() -> None:
    folder, count, *lengths = sys.argv[1:]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from lm_eval.tasks.ruler import fwe_utils, niah_utils, prepare_niah, vt_utils
        from lm_eval.tasks.ruler.common_utils import get_tokenizer

        tokenizer = get_tokenizer(folder)
        tokenizer("warm up")

        def needles(hay: str, keys: str, values: str) -> Callable[[int], list[dict[str, Any]]]:
            return lambda length: prepare_niah.generate_samples(
                prepare_niah.get_haystack(type_haystack=hay), max_seq_length=length, template=niah_utils.TEMPLATE,
                type_haystack=hay, type_needle_k=keys, type_needle_v=values, num_samples=int(count),
                TOKENIZER=tokenizer,
            )  # fmt: skip

        tasks: dict[str, Callable[[int], list[dict[str, Any]]]] = {
            "niah_single_1": needles("repeat", "words", "numbers"),
            "niah_multikey_2": needles("needle", "words", "numbers"),
            "niah_multikey_3": needles("needle", "uuids", "uuids"),
            "vt": lambda length: vt_utils.sys_vartrack_w_noise_random(tokenizer, int(count), length, add_fewshot=False),
            "fwe": lambda length: fwe_utils.sys_kwext(
                tokenizer=tokenizer, num_samples=int(count), max_seq_length=length
            ),
        }
        found: dict[str, dict[str, Any]] = {}
        for length in map(int, lengths):
            for name, make in tasks.items():
                began = time.perf_counter()
                rows = make(length)
                took = time.perf_counter() - began
                found.setdefault(str(length), {})[name] = {
                    "seconds": took,
                    "prompts": len(rows),
                    "fill": min(row["length"] for row in rows) / length,
                }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
