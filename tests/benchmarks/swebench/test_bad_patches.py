"""Patches and tests that misbehave: each ends within its limits, with a verdict that says what happened."""

from __future__ import annotations

import pytest

from tests.benchmarks.swebench.grader import Grader
from tests.benchmarks.swebench.small_repositories import CALC, CALC_TESTS, patch_of

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("swebench")]

FIXED = CALC.replace("numbers[1:]", "numbers")


def before(text: str) -> str:
    """A patch that puts a text before the fixed source."""
    return patch_of("calc.py", CALC, text + FIXED)


def deletion(path: str, text: str) -> str:
    lines = text.splitlines(keepends=True)
    body = "".join(f"-{line}" for line in lines)
    return (
        f"diff --git a/{path} b/{path}\ndeleted file mode 100644\n--- a/{path}\n+++ /dev/null\n"
        f"@@ -1,{len(lines)} +0,0 @@\n{body}"
    )


async def test_patches_of_every_shape_come_to_a_verdict(grader: Grader) -> None:
    gold = grader.instance.gold_patch
    found = await grader.verdicts(
        {
            "does not apply": gold.replace("numbers[1:]", "figures[1:]"),
            "no patch": "I would change the slice.\n",
            "of tests too": gold + patch_of("tests/test_calc.py", CALC_TESTS, CALC_TESTS.replace("== 0", "== 1")),
            "deletes all": deletion("calc.py", CALC) + deletion("tests/test_calc.py", CALC_TESTS),
            "no newline at its end": gold.rstrip("\n"),
            "CRLF": gold.replace("\n", "\r\n"),
            "context moved": gold.replace("@@ -4", "@@ -9").replace("+4", "+9"),
            "fifty megabytes": gold + patch_of("big.txt", "", "x" * 50_000_000 + "\n"),
        }
    )
    assert {name: (verdict.resolved, verdict.applied) for name, verdict in found.items()} == {
        "does not apply": (False, False),
        "no patch": (False, False),
        # swebench puts the instance's tests back
        "of tests too": (True, True),
        "deletes all": (False, True),
        # patch(1), swebench's last resort, takes both
        "no newline at its end": (True, True),
        "CRLF": (True, True),
        "context moved": (True, True),
        "fifty megabytes": (False, True),
    }
    assert found["does not apply"].reason == "failed: the patch does not apply"
    assert "33554432" in found["fifty megabytes"].reason
    assert {verdict.kind for verdict in found.values()} <= {"", "model"}


async def test_tests_that_hang_fork_fill_the_disk_or_print_nothing_come_to_a_verdict(grader: Grader) -> None:
    found = await grader.verdicts(
        {
            "fills the disk": before("open('/opt/tmp/x', 'wb').write(bytes(200 << 20))\n"),
            "prints nothing": before("import os\nos.closerange(1, 100)\nos._exit(0)\n"),
            "prints without end": before("import os\nwhile True:\n    os.write(2, b'x' * 65536)\n"),
        },
        timeout_s=60,
    )
    found |= await grader.verdicts(
        {
            "hangs": before("import time\ntime.sleep(1000)\n"),
            "forks": before("import os\nwhile True:\n    os.fork()\n"),
            "forks sessions": before("import os\nwhile True:\n    if not os.fork():\n        os.setsid()\n"),
        },
        timeout_s=5,
    )
    assert {name for name, verdict in found.items() if verdict.resolved} == set()
    assert found["hangs"].timed_out and "time limit" in found["hangs"].reason
    assert found["hangs"].kind == "ambiguous"
    assert found["fills the disk"].kind == "model"
    assert found["prints nothing"].kind == "ambiguous"
    assert found["hangs"].limits["memory_mib"] == 512
    for name in ("forks", "forks sessions"):
        assert found[name].timed_out or found[name].oom_kills, name


async def test_want_of_memory_is_the_kernels_word_and_the_models_where_gold_passes(grader: Grader) -> None:
    greedy = before("found = bytearray(2 << 30)\nfound[:] = b'x' * len(found)\n")
    says_so = before("import os\nprint('Cannot allocate memory', flush=True)\nos._exit(1)\n")
    unknown = await grader.verdict(greedy)
    assert unknown.kind == "environment" and unknown.oom_kills and "out of memory" in unknown.reason
    assert (await grader.verdict(greedy, gold_passes=True)).kind == "model"
    printed = await grader.verdict(says_so)
    assert (printed.kind, printed.oom_kills) == ("ambiguous", 0)
