"""The users of a container: those of samples, the agent, its checks, the HTTP service or judges, the compiler."""

from __future__ import annotations

import os

FIRST = int(os.environ.get("STACKBENCH_FIRST_UID", "1000000"))
COUNT = int(os.environ.get("STACKBENCH_UIDS", "2000"))
SAMPLES = COUNT - 5
SIGNALLER = FIRST + COUNT - 5  # who signals others, so that they cannot signal back
CHECKER = FIRST + COUNT - 4
AGENT = FIRST + COUNT - 3
SERVICE = FIRST + COUNT - 2
COMPILER = FIRST + COUNT - 1
JUDGE = SERVICE  # containers that run samples have no HTTP service, and what compiles their text is somebody else
# Not a sample's: nothing of theirs is cleaned up between samples.
LASTING = frozenset((AGENT, CHECKER, SIGNALLER, SERVICE, COMPILER))
WORKSPACE = os.environ.get("STACKBENCH_WORKDIR", "/workspace")
CHECKS = "/check"
"""Where checks run, each in a folder of its own with a copy of the workspace; the agent cannot write there."""
BY_NAME = {"agent": AGENT, "checker": CHECKER}


def become(uid: int):
    """Gives up root for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def name_of(uid: int):
    names = {0: "root", AGENT: "agent", CHECKER: "checker", SERVICE: "service", COMPILER: "compiler"}
    return names.get(uid, "sample" if FIRST <= uid < FIRST + SAMPLES else str(uid))
