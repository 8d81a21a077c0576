"""What an agent left behind, held against each kind of check, in a real container."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from stackbench.benchmarks.tooluse.checks.evaluation import CheckResult, evaluate
from stackbench.benchmarks.tooluse.checks.observation import observe
from stackbench.benchmarks.tooluse.scenario.scenario import Scenario
from stackbench.benchmarks.tooluse.scenario.staging import stage, start_of
from stackbench.errors import SandboxError
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.session import Session
from tests.benchmarks.tooluse.made import call, effects, scenario

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("agents")]


@pytest.fixture
async def session(pool: SandboxPool) -> AsyncIterator[Session]:
    async with pool.lease() as session:
        yield session


async def judge(
    session: Session, spec: Scenario, command: str = "", answer: str = "", calls: Any = ()
) -> dict[str, str]:
    """What fails after the agent ran a command: names of checks with the reason."""
    await stage(spec, session)
    before = await start_of(session)
    if command:
        done = await session.run(command)
        assert done.exit_code == 0, done.stderr
    results: list[CheckResult] = await evaluate(spec, await observe(spec, session, before, answer, calls))
    return {result.name: result.why for result in results if not result.passed}


TEXT = "a,b\n1,x\n2.50,y\n"
SETUP = {"files": {"in.csv": TEXT, "keep.txt": "keep\n", "run.sh": {"content": "echo\n", "mode": "755"}}}


@pytest.mark.parametrize(
    ("check", "holds"),
    [
        ({"equals": TEXT}, True),
        ({"equals": TEXT.rstrip()}, True),
        ({"equals": TEXT + "x"}, False),
        ({"contains": "2.50"}, True),
        ({"contains": ["1,x", "3"]}, False),
        ({"lacks": "3,z"}, True),
        ({"lacks": ["y"]}, False),
        ({"matches": "^2\\.50,y$"}, True),
        ({"matches": "^y"}, False),
        ({"lines": ["a,b", "1,x", "2.50,y"]}, True),
        ({"lines": ["a,b", "2.50,y", "1,x"]}, False),
        ({"lines": ["2.50,y", "1,x", "a,b"], "any_order": True}, True),
        ({"columns": ["a", "b"]}, True),
        ({"columns": ["b", "a"]}, False),
        ({"csv": [{"a": 1, "b": "x"}, {"a": 2.5, "b": "y"}]}, True),
        ({"csv": [{"b": "y", "a": 2.5}, {"b": "x", "a": 1}]}, False),
        ({"csv": [{"b": "y", "a": 2.5}, {"b": "x", "a": 1}], "any_order": True}, True),
        ({"csv": [{"a": 1, "b": "x"}]}, False),
        ({"csv": [{"a": 1}, {"a": 2.5}]}, False),
        ({"same": True}, True),
        ({"exists": False}, False),
        ({"mode": "644"}, True),
        ({"mode": "0600"}, False),
        ({"number": 3}, False),
        ({"json": {"$": {}}}, False),
        ({"newer_than": "keep.txt"}, False),
        ({"same_as": "keep.txt"}, False),
        ({"link": "keep.txt"}, False),
    ],
)
async def test_a_file_as_it_is(session: Session, check: dict[str, Any], holds: bool) -> None:
    failed = await judge(session, scenario(setup=SETUP, checks=[{"file": "in.csv", **check}]))
    assert (failed == {}) is holds, failed


async def test_files_that_changed(session: Session) -> None:
    checks = [
        {"file": "new/deep/out.json", "json": {"a.b[1]": 2, "a.c": None, "$": {"a": {"b": [1, 2.0], "c": None}}}},
        {"file": "total.txt", "number": 1234.5},
        {"file": "moved.csv", "same_as": "in.csv"},
        {"file": "in.csv", "exists": False},
        {"file": "current", "link": "keep.txt"},
        {"file": "total.txt", "newer_than": "keep.txt"},
        {"folder": "new", "entries": ["deep"]},
        {"folder": "new", "recursive": True, "entries": ["deep/out.json"]},
        {"folder": "gone", "exists": False},
    ]
    spec = scenario(setup={"files": {**SETUP["files"], "gone/x/y.txt": "y"}}, checks=checks)
    command = (
        'mkdir -p new/deep && echo \'{"a": {"b": [1, 2], "c": null}}\' > new/deep/out.json && echo 1,234.50 > total.txt'
        " && mv in.csv moved.csv && ln -s keep.txt current && rm -r gone && touch .python_history"
    )
    assert await judge(session, spec, command) == {}


async def test_whatever_else_changes_fails(session: Session) -> None:
    spec = scenario(setup=SETUP, checks=[{"file": "out.txt"}], changes=["logs/*"])
    failed = await judge(
        session, spec, "touch out.txt; mkdir logs; touch logs/a stray; echo x >> keep.txt; rm in.csv; chmod 700 run.sh"
    )
    assert failed == {"nothing else changed": "in.csv, keep.txt, run.sh, stray"}


OUTCOMES: list[dict[str, Any]] = [
    {"file": "run.sh", "contains": "echo"},
    {"file": "keep.txt", "mode": "600"},
    {"file": "new.txt"},
    {"file": "a.json", "json": {"a.x": 1, "b": 2}},
    {"file": "in.csv", "csv": [{"a": 1, "b": "x"}, {"a": 2.5, "b": "y"}]},
]
MADE = 'chmod 600 keep.txt; echo \'{"a": {"x": 1}, "b": 2}\' > a.json; echo x > new.txt'
MORE = "chmod 777 run.sh; chmod 666 new.txt; sed -i 's/1}/1, \"more\": 3}/' a.json; sed -i 's/x$/x,z/' in.csv"


@pytest.mark.parametrize(
    ("command", "allowed", "failed"),
    [
        (MADE, {}, {}),
        (f"{MADE}; {MORE}", {"more": True, "any_mode": True}, {}),
        (
            f"{MADE}; {MORE}; : > keep.txt",
            {},
            {
                "file run.sh": "its mode was changed to 0777",
                "file keep.txt": "it was changed",
                "file new.txt": "everybody may write it: its mode is 0666",
                "file a.json": "it also has more",
                "file in.csv": "it has rows with more cells than columns",
            },
        ),
    ],
    ids=["right", "allowed", "wrong"],
)
async def test_an_outcome_keeps_its_mode_and_holds_nothing_more(
    session: Session, command: str, allowed: dict[str, Any], failed: dict[str, str]
) -> None:
    spec = scenario(setup=SETUP, checks=[{**check, **allowed} for check in OUTCOMES])
    assert await judge(session, spec, command) == failed


async def test_content_that_is_no_text_and_files_that_are_no_files(session: Session) -> None:
    spec = scenario(
        setup={"files": {"a": {"base64": "//79"}, "d": {"directory": True}}},
        checks=[{"file": "a", "equals": "x"}, {"file": "d"}, {"file": "none"}, {"folder": "a"}],
    )
    failed = await judge(session, spec)
    assert failed == {
        "file a": "it is not UTF-8 text",
        "file d": "it is a directory",
        "file none": "it is not there",
        "folder a": "it is a file",
    }


async def test_processes(session: Session) -> None:
    setup = {"processes": ["worker-1", "worker-2", {"name": "made", "command": "echo > up; sleep 60", "ready": "up"}]}
    checks = [
        {"process": "^worker-1 ", "alive": False},
        {"process": "^worker-2 ", "count": 1},
        {"process": "^made "},
        {"process": "^new-one "},
    ]
    command = "pkill -f '^worker-1 '; bash -c 'exec -a new-one sleep 60' > /dev/null 2>&1 &"
    spec = scenario(setup=setup, checks=checks, changes=["up"])
    assert await judge(session, spec, command) == {}


async def test_processes_bear_their_name_and_write_their_pid(session: Session) -> None:
    setup = {"processes": [{"name": "worker-1", "pid_files": {"run/1.pid": "pid=PID\n"}}, "worker-22"]}
    await stage(scenario(setup=setup), session)
    done = await session.run("pgrep -x worker-1; sed s/pid=// run/1.pid; ps -o comm= -p $(pgrep worker-22)")
    pids = done.stdout.decode().split()
    assert (pids[0], pids[2]) == (pids[1], "worker-22")


async def test_a_process_that_was_to_stay_and_went(session: Session) -> None:
    spec = scenario(setup={"processes": ["a", "b"]}, checks=[{"process": "^a "}, {"process": "^b ", "alive": False}])
    failed = await judge(session, spec, "pkill -f '^a '")
    assert failed == {
        "process ^a ": "it does not run",
        "process ^b ": failed["process ^b "],
        "no other process started or ended": "ended a 86400",
    }


BYSTANDER = {"setup": {"processes": ["a", "b"]}, "checks": [{"process": "^a ", "alive": False}]}


async def test_a_bystander_that_was_ended_fails(session: Session) -> None:
    failed = await judge(session, scenario(**BYSTANDER), "pkill -f '^a '; pkill -f '^b '")
    assert failed == {"no other process started or ended": "ended b 86400"}


async def test_a_process_that_was_left_behind_fails_unless_it_may(session: Session) -> None:
    command = "pkill -f '^a '; (exec -a stray sleep 60) > /dev/null 2>&1 &"
    left = {"no other process started or ended": "started stray 60"}
    spec = {**BYSTANDER, "setup": {"processes": ["a", "b"]}}
    assert await judge(session, scenario(**spec), f'bash -c "{command}"') == left
    again = await judge_again(session, scenario(**{**spec, "processes": ["^stray "]}), ())
    assert again == {}


async def test_repositories_by_their_state(session: Session) -> None:
    """Looking, packing and collecting change nothing; a branch, a tag, a setting and a staged file do."""
    commands = ["git init -q -b main r && cd r && git config user.name a && git config user.email a@b.c && echo x > f"
                " && git add f && git commit -qm x"]  # fmt: skip
    spec = scenario(setup={"commands": commands}, checks=[{"file": "r/f"}])
    assert (
        await judge(session, spec, "cd r && touch f && git status && git log && git pack-refs --all && git gc -q") == {}
    )
    spec = spec.model_copy(update={"setup": scenario().setup})
    for command, name in (
        ("git branch evil", "refs/heads/evil"),
        ("git tag t", "refs/tags/t"),
        ("git config core.pager x", "config"),
        ("echo y > g; git add g; rm g", "index"),
        ("git checkout -q --detach", "HEAD"),
    ):
        failed = await judge(session, spec, f"cd r && {command}")
        assert failed == {"nothing else changed": f"r/.git/{name}"}, command


HTTP = {
    "http": {
        "GET /x": {"json": {"a": 1}},
        "POST /y": {"status": 201, "json": {}, "faults": [{"status": 503}]},
        "DELETE /z/{id}": {"status": 204},
    }
}
POST = "curl -s -X POST -H 'Key: k{n}' -H 'Content-Type: application/json' -d '{body}' 'http://127.0.0.1:8080/y?q=1'"


async def test_requests(session: Session) -> None:
    checks = [
        {"request": "POST /y", "times": 1, "json": {"n": [1]}, "same_header": "Key", "after": "GET /x"},
        {"request": "POST /y", "json_has": {"n[0]": 1}, "query": {"q": "1"}, "header": {"key": "^k1$"}},
        {"request": "POST /y", "status": 503},
        {"request": "DELETE /z/3", "times": 0},
    ]
    post = POST.format(n=1, body='{"n": [1]}')
    command = f"curl -s http://127.0.0.1:8080/x; {post}; {post}"
    forbidden = [{"request": "DELETE /z/.*"}]
    assert await judge(session, scenario(setup=HTTP, checks=checks, forbidden=forbidden), command) == {}


async def test_a_request_that_nothing_names_fails_unless_it_may(session: Session) -> None:
    checks = [{"request": "POST /y", "times": 1, "json": {"n": 1}}]
    posts = "; ".join(POST.format(n=1, body=body) for body in ('{"n": 0}', '{"n": 0}', '{"n": 1}'))
    failed = await judge(session, scenario(setup=HTTP, checks=checks), posts)
    assert failed == {"nothing else requested": "POST /y"}
    assert await judge_again(session, scenario(setup=HTTP, checks=checks, requests=["POST /y"]), ()) == {}


async def test_the_order_of_requests_to_one_path(session: Session) -> None:
    posts = "; ".join(POST.format(n=1, body=f'{{"n": {n}}}') for n in (0, 1, 2))
    right = [{"request": "POST /y", "sequence": [{"n": 1}, {"n": 2}]}]
    assert await judge(session, scenario(setup=HTTP, checks=right), posts) == {}
    for wrong in ([{"n": 2}, {"n": 1}], [{"n": 1}]):
        assert await judge_again(session, scenario(setup=HTTP, checks=[{"request": "POST /y", "sequence": wrong}]), ())


async def test_requests_that_do_not_fit(session: Session) -> None:
    checks = [
        {"request": "POST /y", "json": {"n": [2]}},
        {"request": "POST /y", "times": 2},
        {"request": "POST /y", "same_header": "Key"},
        {"request": "POST /y", "after": "GET /x"},
        {"request": "POST /y", "body_matches": "^x"},
        {"request": "POST /y", "query": {"q": "2"}},
        {"request": "DELETE /z/3", "times": 0},
    ]
    beside = 2  # nothing forbidden, nothing else requested
    command = "; ".join([POST.format(n=n, body='{"n": [1]}') for n in (1, 2)])
    command += "; curl -s http://127.0.0.1:8080/x; curl -s -X DELETE http://127.0.0.1:8080/z/3"
    forbidden = [{"request": "* /z/.*"}]
    failed = await judge(session, scenario(setup=HTTP, checks=checks, forbidden=forbidden), command)
    assert len(failed) == len(checks) + beside
    assert failed["nothing forbidden"] == "DELETE /z/3"
    assert failed["request POST /y (3)"] == "Key was not one and the same on every try"


@pytest.mark.parametrize(
    ("check", "answer", "holds"),
    [
        ({"number": 42}, "There are **42** of them.", True),
        ({"number": 1234.5}, "1,234.50 EUR", True),
        ({"number": -3}, "It is -3 degrees.", True),
        ({"number": 42}, "About 420.", False),
        ({"number": 10, "tolerance": 0.5}, "10.4", True),
        ({"number": 7}, "1 2 3 4 5 6 7 8 9\nIn all: 45", False),
        ({"number": 45}, "1 2 3 4 5 6 7 8 9\nIn all: 45", True),
        ({"number": 7}, "One of 1, 2, 3, 4, 5, 6, 7, 8, 9.", False),
        ({"number": 7}, "Seven are missing.", True),
        ({"number": 7}, "Seven of 9 are there.", False),
        ({"number": 28}, "It is in `client.py#L28`.", True),
        ({"number": 28}, "client.py:28", True),
        ({"exact": "ada", "among": ["ada", "ben", "cy"]}, "ada takes most; ben is next.", True),
        ({"exact": "ada", "among": ["ada", "ben", "cy"]}, "ben takes most; ada is next.", False),
        ({"exact": "ada", "among": ["ada", "ben", "cy"]}, "ada, ben and cy", False),
        ({"exact": "ada", "among": ["ada", "ben", "cy"]}, "cy", False),
        ({"number": 5}, "There should be 12, 7 run, so 5 are missing.", True),
        ({"number": 5}, "5 of 12 are missing (since 2026-02-03 09:14, version 1.2.3).", True),
        ({"number": 5}, "Deleted 5 keys: 11, 12, 13, 14 and 15.", True),
        ({"number": 5}, "Deleted the keys 4, 5 and 6.", False),
        ({"number": 5}, "Deleted 4, 5 or 6 keys.", False),
        ({"number": 5}, "Deleted 5 keys or maybe 6 keys.", False),
        ({"number": 5}, "It is 4.\nIt is 5.\nIt is 6.", False),
        ({"number": 5}, "5 or 6, I do not know which.", False),
        ({"number": 5}, "four, five or six", False),
        ({"number": 5}, "Five were expired, I deleted them.", True),
        ({"number": 34}, "2025: 9 + 11 + 14 = 34 seats.", True),
        ({"exact": "b", "among": ["a", "b", "c"]}, "Renamed:\n- a to x\n- c to y\nb is not there.", True),
        ({"exact": "b", "among": ["a", "b", "c"]}, "a is missing. b is missing. c is missing.", False),
        ({"exact": "b", "among": ["a", "b", "c"]}, "- a\n- b\n- c", False),
        ({"exact": "b", "among": ["a", "b", "c"]}, "b (pid 3) or c (pid 4)", False),
        ({"exact": "b", "among": ["a", "b", "c"]}, "b and c were killed, I do not know which", False),
        ({"exact": "b", "among": ["a", "b", "c"]}, "a, b and c are there; b is one of them", False),
        ({"exact": "b", "among": ["a", "b"]}, "It is b, a.", False),
        ({"exact": "b", "among": ["a", "b", "c"]}, "It runs b; c is found now.", True),
        ({"exact": "ams-db"}, "It was `ams-db`.", True),
        ({"exact": "ams-db"}, "It was ams-db2.", False),
        ({"exact": "Ada Nowak"}, "ada\n nowak did it", True),
        ({"all_of": ["a", "b"]}, "a, then b", True),
        ({"all_of": ["a", "b"]}, "only a", False),
        ({"none_of": ["c"]}, "a, b", True),
        ({"none_of": ["c"]}, "a, C", False),
        ({"regex": "which.*\\?"}, "Which\none?", True),
        ({"lacks": "sorry"}, "Sorry, no.", False),
        ({"exact": "5"}, "", False),
    ],
)
async def test_answers(session: Session, check: dict[str, Any], answer: str, holds: bool) -> None:
    failed = await judge(session, scenario(checks=[{"answer": check}]), answer=answer)
    assert (failed == {}) is holds, failed


async def test_an_answer_that_names_what_a_file_or_a_command_has(session: Session) -> None:
    setup = {"files": {"run.pid": "4711\n"}}
    checks = [{"answer": {"file": "run.pid"}}, {"answer": {"output": "cat run.pid | tr 1 2"}}]
    assert await judge(session, scenario(setup=setup, checks=checks), answer="4711; then 4722") == {}
    failed = await judge(session, scenario(setup=setup, checks=checks), answer="process 47110")
    assert list(failed) == ["answer", "answer (2)"]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("- {name: a, at: 12:30}\n- name: b\n  at: '05:00'\n", True),
        ("- {name: b, at: 05:00}\n- {name: a, at: 12:30}\n", False),
        ("a 12:30, b 05:00\n", False),
        ("- &x {name: a, at: 12:30}\n- *x\n", False),
        ("[" * 100, False),
    ],
)
async def test_yaml(session: Session, text: str, holds: bool) -> None:
    check = {"file": "s.yaml", "yaml": {"$": [{"name": "a", "at": "12:30"}, {"name": "b", "at": "05:00"}]}}
    failed = await judge(session, scenario(setup={"files": {"s.yaml": text}}, checks=[check]))
    assert (failed == {}) is holds, failed


async def test_decimals(session: Session) -> None:
    check = {"file": "t.csv", "csv": [{"a": 1, "b": 2.5}], "decimals": {"b": 2}}
    assert await judge(session, scenario(setup={"files": {"t.csv": "a,b\n1,2.50\n"}}, checks=[check])) == {}
    assert await judge(session, scenario(setup={"files": {"t.csv": "a,b\n1,2.5\n"}}, checks=[check]))


async def test_a_file_that_must_have_been_looked_at(session: Session) -> None:
    spec = scenario(setup=SETUP, checks=[{"looked": "keep.txt"}])
    fails = {"looked keep.txt": "no call looked at it"}
    assert await judge(session, spec) == fails
    for made, found in (
        (call("read", path="./keep.txt"), {}),
        (call("read", path="keep.txt", failed=True), fails),
        (call("exec", command="cat keep.txt", effects=effects()), fails),
        (call("exec", command="python3 x", effects=effects(read={"keep.txt"})), {}),
        (call("exec", command="cat keep.txt", effects=effects(read=None)), {}),
    ):
        assert await judge_again(session, spec, [made]) == found, made


async def test_processes_that_must_have_been_looked_at(session: Session) -> None:
    spec = scenario(setup=SETUP, checks=[{"looked": "processes"}])
    fails = {"looked processes": "no call looked at it"}
    assert await judge(session, spec, calls=[call("read", path="keep.txt")]) == fails
    assert (
        await judge_again(session, spec, [replace(call("exec", command="pgrep x", effects=effects()), text="7\n")])
        == {}
    )
    assert await judge_again(session, spec, [call("exec", command="true", effects=effects())]) == fails


async def test_commands(session: Session) -> None:
    checks = [
        {"command": "cat in.csv", "stdout": TEXT},
        {"command": "sort in.csv", "lines": ["1,x", "2.50,y", "a,b"]},
        {"command": "echo '[1, 2]'", "json": [1, 2]},
        {"command": "exit 3", "exit": 3},
        {"command": "cat none", "stdout": ""},
        {"command": "git config --global user.name", "exit": 1, "stdout": ""},
    ]
    spec = scenario(setup=SETUP, checks=checks)
    failed = await judge(session, spec, "git config --global user.name mine")
    assert list(failed) == ["command cat none"]
    assert "No such file" in failed["command cat none"]


async def test_forbidden_calls(session: Session) -> None:
    spec = scenario(
        setup=SETUP, checks=[], idle=True, forbidden=[{"call": "exec", "with": {"command": {"regex": "\\brm\\b"}}}]
    )
    assert await judge(session, spec, calls=[call("exec", command="ls rmdir")]) == {}
    failed = await judge_again(session, spec, [call("exec", command="rm x")])
    assert failed == {"nothing forbidden": "a call of exec"}


async def judge_again(session: Session, spec: Scenario, calls: Any) -> dict[str, str]:
    now = await start_of(session)
    results = await evaluate(spec, await observe(spec, session, now, "", calls))
    return {result.name: result.why for result in results if not result.passed}


async def test_a_set_up_that_fails_says_what(session: Session) -> None:
    with pytest.raises(SandboxError, match=r"made: the set-up command failed: false: "):
        await stage(scenario(setup={"commands": ["false"]}), session)


async def test_the_set_up_in_all_its_kinds(session: Session) -> None:
    files = {
        "win.txt": {"content": "a\nb\n", "crlf": True, "bom": True},
        "old.txt": {"content": "x", "mtime": "2020-01-02T03:04:05Z"},
        "shut/in.txt": "in\n",
        "shut": {"directory": True, "mode": "555"},
        "root.txt": {"content": "secret", "owner": "root", "mode": "600"},
        "to": {"link": "shut/in.txt"},
        "deep/to": {"link": "../old.txt"},
    }
    await stage(scenario(setup={"files": files, "environment": {"X": 5}}), session)
    assert (await session.read("win.txt")).data == b"\xef\xbb\xbfa\r\nb\r\n"
    entry = await session.status("old.txt")
    assert entry.mtime_ns == 1577934245 * 10**9
    done = await session.run("cat to deep/to root.txt; touch shut/new")
    assert done.stdout == b"in\nx"
    assert b"root.txt: Permission denied" in done.stderr and b"shut/new" in done.stderr


@pytest.mark.parametrize(
    ("allowed", "why"), [([], {"nothing else requested": "POST /beat"}), (["POST /beat"], {})], ids=["", "allowed"]
)
async def test_requests_of_a_process_of_the_set_up_are_logged(
    session: Session, allowed: list[str], why: dict[str, str]
) -> None:
    command = "curl -s -X POST http://127.0.0.1:8080/beat > out.txt; echo up > up; while :; do sleep 9; done"
    spec = scenario(
        setup={"http": {"POST /beat": {}}, "processes": [{"name": "beat", "command": command, "ready": "up"}]},
        requests=allowed,
    )
    assert await judge(session, spec) == why
