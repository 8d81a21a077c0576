"""Who is who in a container: users of our own for samples, the agent, the HTTP service or the judges, and the compiler."""

import os

FIRST = int(os.environ.get("STACKBENCH_FIRST_UID", "1000000"))
COUNT = int(os.environ.get("STACKBENCH_UIDS", "2000"))
SAMPLES = COUNT - 3
AGENT = FIRST + COUNT - 3
SERVICE = FIRST + COUNT - 2
COMPILER = FIRST + COUNT - 1
JUDGE = SERVICE  # containers that run samples have no HTTP service, and what compiles their text is somebody else
LASTING = frozenset((AGENT, SERVICE, COMPILER))  # not a sample's: nothing of theirs is cleaned up between samples
WORKSPACE = "/workspace"


def become(uid):
    """Gives up root for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def name_of(uid):
    names = {0: "root", AGENT: "agent", SERVICE: "service", COMPILER: "compiler"}
    return names.get(uid, "sample" if FIRST <= uid < FIRST + SAMPLES else str(uid))
