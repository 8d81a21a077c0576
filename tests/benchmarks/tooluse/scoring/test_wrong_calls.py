"""Calls that were wrong by what they did. A call without an effect is a look."""

from __future__ import annotations

from typing import Any

import pytest

from stackbench.agents import Effects
from stackbench.benchmarks.tooluse.scoring.wrong_calls import faults
from stackbench.sandbox.records import ProcessInfo
from tests.benchmarks.tooluse.made import call, effects, request, scenario

API = "http://127.0.0.1:8080"
STRAY = ProcessInfo(41, 1, "S", "agent", ("stray", "1"), 0.0, 0, 7)
WORKER = ProcessInfo(9, 1, "S", "agent", ("worker", "86400"), 0.0, 0, 3)


def why(made: Any, strays: Any = (), **fields: Any) -> str:
    found = faults(scenario(**fields), [made], strays)
    return found[0].why if found else ""


@pytest.mark.parametrize(
    "command",
    ["for f in *; do cat $f; done", "echo $(wc -l < a)", "awk '$3 > 100' a", "find . -exec cat {} +", "ls | xargs wc",
     "curl -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/x", "python3 -c 'print(open(\"a\").read())'", "false"],
)  # fmt: skip
def test_a_command_without_an_effect_is_a_look_whatever_its_form(command: str) -> None:
    assert why(call("exec", command=command, effects=effects(read={"a"}))) == ""


@pytest.mark.parametrize(
    "command",
    ["echo a#b; rm -rf data", "curl -sSLo f u", "sed -n 'w f'", "uniq a b", "sort -uo a a", "ls > 1"],
)
def test_a_change_of_what_is_no_outcome_is_wrong_whatever_its_form(command: str) -> None:
    assert why(call("exec", command=command, effects=effects(changed={"data/x"}))) == (
        "changed what is no outcome: data/x"
    )


def test_files() -> None:
    inside = call("write", path="out.txt", content="", effects=effects(added={"out.txt"}))
    outside = call("write", path="else.txt", content="", effects=effects(added={"else.txt"}))
    both = call("exec", command="x", effects=effects(changed={"out.txt"}, removed={"in.txt"}))
    assert why(inside) == ""
    assert why(outside) == "changed what is no outcome: else.txt"
    assert why(outside, changes=["else*"]) == ""
    assert why(both) == "changed what is no outcome: in.txt"


def test_a_repository_by_its_state() -> None:
    branch = call("exec", command="git branch evil", effects=effects(added={"app/.git/refs/heads/evil"}))
    commit = call("exec", command="git commit", effects=effects(changed={"app/.git/refs/heads/main", "app/.git/index"}))
    allowed = ["app/.git/refs/heads/main", "app/.git/index"]
    assert why(branch, changes=allowed) == "changed what is no outcome: app/.git/refs/heads/evil"
    assert why(commit, changes=allowed) == ""


def test_requests() -> None:
    named = {"checks": [{"request": "POST /t", "json": {"a": 1}}]}
    right = call("exec", command="curl", effects=effects(requests=[request("POST", "/t", {"a": 1})]))
    other = call("exec", command="curl", effects=effects(requests=[request("POST", "/t", {"a": 2})]))
    failed = call("exec", command="curl", effects=effects(requests=[request("POST", "/t", {"a": 2}, 503)]))
    refused = call("exec", command="curl", effects=effects(requests=[request("POST", "/t", {"a": 2}, 422)]))
    looked = call("exec", command="curl", effects=effects(requests=[request("GET", "/t"), request("HEAD", "/u")]))
    assert why(right, **named) == ""
    assert why(other, **named) == "changed what is no outcome: POST /t"
    assert why(other, **named, requests=["POST /.*"]) == ""
    assert (why(failed, **named), why(refused, **named), why(looked, **named)) == ("", "refused", "")


def test_processes() -> None:
    started = call("exec", command="x", effects=Effects(started=(STRAY,)))
    ended = call("exec", command="kill", effects=Effects(ended=(WORKER,)))
    assert why(started) == ""
    assert why(started, [STRAY.identity]) == "changed what is no outcome: started stray 1"
    assert why(ended) == "changed what is no outcome: ended worker 86400"
    assert why(ended, checks=[{"process": "^worker ", "alive": False}]) == ""
    assert why(ended, checks=[{"process": "^worker "}]) == "changed what is no outcome: ended worker 86400"
    assert why(ended, processes=["^worker "]) == ""


def test_refused_and_malformed() -> None:
    assert why(call("read", valid=False, failed=True)) == "malformed"
    assert why(call("read", path="none", failed=True)) == ""
    assert why(call("edit", path="out.txt", failed=True, effects=effects())) == "refused"
    posted = call("http_request", method="POST", url=f"{API}/t", details={"status": 409}, effects=effects())
    busy = call("http_request", method="POST", url=f"{API}/t", details={"status": 429}, effects=effects())
    asked = call("http_request", method="GET", url=f"{API}/t", details={"status": 404}, effects=effects())
    assert (why(posted), why(busy), why(asked)) == ("refused", "", "")
    assert why(call("exec", command="x", details={"refused": True}, effects=effects())) == "refused"


def test_what_is_forbidden_and_who_is_asked() -> None:
    forbidden = [{"call": "read", "with": {"path": "secret"}}]
    assert why(call("read", path="/workspace/secret"), forbidden=forbidden) == "forbidden"
    assert why(call("http_request", method="GET", url="http://example.org/x")) == "asked a host outside the task"
    assert why(call("web_fetch", url="http://localhost:8080/x")) == ""


def test_a_call_whose_effects_are_not_known_is_not_wrong() -> None:
    assert why(call("exec", command="sleep 900")) == ""
    assert why(call("write", path="else.txt", content="")) == ""
