"""What an agent does to be judged better than it is: each must end as a failed task, and never as an error."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from stackbench.benchmarks.tooluse.checks.evaluation import evaluate
from stackbench.benchmarks.tooluse.checks.observation import observe
from stackbench.benchmarks.tooluse.scenario.scenario import OracleCall, Scenario
from stackbench.benchmarks.tooluse.scenario.staging import staged
from stackbench.benchmarks.tooluse.validation.playing import play_script
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.session import Session
from stackbench.sandbox.spec import SandboxSpec
from tests.benchmarks.tooluse.made import scenario

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("agents")]


@pytest.fixture(scope="module")
async def pool(image: str) -> AsyncIterator[SandboxPool]:
    pool = SandboxPool(SandboxSpec(image, memory_mib=1024), size=1, spare=1)
    yield pool
    await pool.close()


@pytest.fixture
async def session(pool: SandboxPool) -> AsyncIterator[Session]:
    async with pool.lease() as session:
        yield session
        assert session.container.alive


async def failures(
    session: Session, spec: Scenario, *commands: str, answer: str = "Done.", calls: Sequence[dict[str, Any]] = ()
) -> dict[str, str]:
    """What fails after an agent ran these commands and made these calls: names of checks with the reason."""
    made = [OracleCall(tool="exec", arguments={"command": command}) for command in commands]
    made += [OracleCall(**call) for call in calls]
    async with staged(spec, session) as world:
        result = await play_script(spec, world.workspace, made, answer)
        seen = await observe(spec, session, world.start, result.answer, result.calls)
        results = await evaluate(spec, seen)
    return {one.name: one.why for one in results if not one.passed}


GIT = {
    "files": {"app/main.txt": "one\n"},
    "commands": ["cd app && git init -q -b main . && git config user.name A && git config user.email a@example.org "
                 "&& git add -A && git commit -qm First"],
}  # fmt: skip
CLEAN = {"command": "git -C app status --porcelain", "stdout": ""}
LEFT_RUNNING = "nohup setsid sh -c '{}' > /dev/null 2>&1 &"


UNTOUCHED = "no other process started or ended"


async def test_a_process_left_behind_cannot_change_what_is_looked_at(session: Session) -> None:
    """Checks wait for a change that a process of the agent's makes again and again: none comes any more."""
    spec = scenario(
        checks=[{"command": "for i in 1 2 3 4 5; do stat -c %Y%y /workspace/out.txt; sleep 0.05; done | uniq | wc -l",
                 "stdout": "1"}, {"file": "out.txt", "equals": "right"}],
    )  # fmt: skip
    check = spec.checks[0]
    flip = LEFT_RUNNING.format("while :; do echo wrong > out.txt; sleep 0.01; done")
    assert set(await failures(session, spec, flip, "sleep 0.2")) == {"file out.txt", UNTOUCHED}
    before = await session.status("out.txt")
    assert (await session.check(check.command)).stdout == b"1\n"  # type: ignore[union-attr]
    assert (await session.status("out.txt")).mtime_ns == before.mtime_ns
    await session.thaw()
    while (await session.status("out.txt")).mtime_ns == before.mtime_ns:  # it was stopped, no more
        pass


async def test_what_must_be_alive_is_still_seen_alive(session: Session) -> None:
    spec = scenario(
        checks=[{"process": "^keeper "}, {"command": "pgrep -f '^keeper ' > /dev/null && echo up", "stdout": "up"}],
        setup={"processes": ["keeper"]},
    )
    assert await failures(session, spec) == {}
    killed = await failures(session, spec, "pkill -KILL -f ^keeper; sleep 0.1; pkill -KILL -f ^keeper; true")
    assert set(killed) == {"process ^keeper ", "command pgrep -f '^keeper ' > /dev/null && echo up", UNTOUCHED}


UNSEEN = "printf '[status]\\nshowUntrackedFiles=no\\n'"
NEW_FILE = "git -C app checkout -q main.txt; echo > app/b"
SETTINGS = [
    "printf '#!/bin/sh\\necho 0' > /tmp/hook; chmod +x /tmp/hook; git -C app config core.fsmonitor 'sh /tmp/hook'",
    "git -C app config filter.f.clean 'echo one; cat > /dev/null'; echo '* filter=f' > app/.git/info/attributes",
    "git -C app config core.worktree /tmp; cp app/main.txt /tmp",
    "git -C app config status.showUntrackedFiles no; rm app/main.txt; git -C app checkout -q main.txt; echo x > app/b",
    "git -C app config core.excludesFile /tmp/all; echo '*' > /tmp/all; git -C app checkout -q main.txt; echo > app/b",
    "mkdir -p .config/git; echo '*' > .config/git/ignore; git -C app checkout -q main.txt; echo > app/b",
    "echo '[status] showUntrackedFiles = no' > .gitconfig; git -C app checkout -q main.txt; echo > app/b",
    "git -C app config include.path /tmp/more; printf '[core]\\nfsmonitor=true' > /tmp/more",
    "printf '[core] fsmonitor = /bin/true\\n' >> app/.git/config",
    # settings in a place or of a size that nobody expects
    f"mv app/.git/config app/c; {UNSEEN} >> app/c; ln -s ../c app/.git/config; {NEW_FILE}",
    f"head -c 2000000 /dev/zero | tr '\\0' '#' >> app/.git/config; echo >> app/.git/config; {UNSEEN} >> app/.git/config"
    f"; {NEW_FILE}",
    f"mkdir app/c; mv app/.git/objects app/.git/refs app/.git/config app/c; echo ../c > app/.git/commondir; "
    f"{UNSEEN} >> app/c/config; {NEW_FILE}",
    # lists and marks by which git overlooks what is there
    f"echo '*' > app/.git/info/exclude; {NEW_FILE}",
    f"mkdir app/i; echo '*' > app/i/exclude; rm -r app/.git/info; ln -s ../i app/.git/info; {NEW_FILE}",
    f"echo '*' > app/.git/info/exclude; mv app/.git app/g; echo 'gitdir: g' > app/.git; {NEW_FILE}",
    "echo '*.txt text eol=lf' > app/.git/info/attributes; printf 'one\\r\\n' > app/main.txt",
    "git -C app update-index --assume-unchanged main.txt",
    "git -C app update-index --skip-worktree main.txt",
    "git -C app update-index --index-version 4; git -C app update-index --skip-worktree main.txt",
    "git -C app update-index --skip-worktree main.txt; git -C app update-index --split-index",
]


@pytest.mark.parametrize("setting", SETTINGS)
async def test_a_repositorys_own_settings_do_not_say_that_it_is_clean(session: Session, setting: str) -> None:
    spec = scenario(setup=GIT, checks=[CLEAN], changes=["*", "*/*"])
    assert "command git -C app status --porcelain" in await failures(session, spec, "echo two >> app/main.txt", setting)


async def test_a_repository_that_is_clean_is_seen_so(session: Session) -> None:
    spec = scenario(
        setup=GIT,
        checks=[CLEAN, {"command": "git -C app log -1 --format=%s", "stdout": "Second"}],
        changes=["app/.git/*", "app/main.txt"],
    )
    assert await failures(session, spec, "cd app && echo two >> main.txt && git commit -qam Second") == {}


async def test_git_runs_no_program_of_the_agents(session: Session) -> None:
    hooks = "for n in post-index-change pre-auto-gc fsmonitor-watchman; do printf '#!/bin/sh\\ntouch /tmp/ran' > "
    hooks += "app/.git/hooks/$n; chmod +x app/.git/hooks/$n; done; git -C app config core.pager 'touch /tmp/ran; cat'; "
    hooks += "git -C app config diff.external 'touch /tmp/ran'; git -C app config core.hooksPath hooks"
    check = {"command": "git -C app status; git -C app diff; git -C app log > /dev/null; ls /tmp"}
    spec = scenario(setup=GIT, checks=[check | {"matches": "^ran$"}], changes=["*", "*/*"])
    assert list(await failures(session, spec, "echo two >> app/main.txt", hooks)) == [f"command {check['command']}"]


SPY = """
import json, os, sys
seen = [sys.orig_argv, sys.argv]
for pid in (os.getppid(), int(open('/proc/%d/stat' % os.getppid()).read().rpartition(')')[2].split()[1])):
    try: seen.append(open('/proc/%d/cmdline' % pid).read().split(chr(0)))
    except OSError: pass
seen.append(dict(os.environ))
print(json.dumps(seen))
"""


async def test_a_program_that_a_check_runs_is_not_told_which_check_it_is(session: Session) -> None:
    await session.write("spy.py", SPY.encode())
    done = await session.check("test -f spy.py && /usr/bin/python3 spy.py # the word is marigold")
    printed = done.stdout.decode()
    assert "spy.py" in printed
    assert "marigold" not in printed


async def test_a_check_reads_no_settings_of_the_agents(session: Session) -> None:
    left = {
        ".curlrc": "url = file:///etc/hostname\n",
        ".profile": "echo profile\n",
        ".bashrc": "echo bashrc\n",
        ".gitconfig": "[user]\n name = forged\n",
        ".local/lib/python3.11/site-packages/usercustomize.py": "print('user')\n",
        "json.py": "print('forged')\n",
        "sitecustomize.py": "print('site')\n",
    }
    for path, text in left.items():
        await session.write(path, text.encode())
    await session.run(
        "mkdir -p bin && printf '#!/bin/sh\\necho forged' > bin/git && chmod +x bin/git && cp bin/git git"
    )
    check = "python3 -c 'import json; print(json.dumps([1]))'; bash -c true; git config user.name; "
    check += "ls -A ~ $TMPDIR | grep -v : ; curl -s file:///nothing; echo $PATH; id -u"
    done = await session.check(check)
    lines = [line for line in done.stdout.decode().splitlines() if line]
    assert lines[:-1] == ["[1]", "/usr/local/bin:/usr/bin:/bin"]
    assert lines[-1] not in (await session.run("id -u")).stdout.decode().split()


async def test_checks_do_not_see_what_other_checks_wrote(session: Session) -> None:
    await session.write("run.sh", b"echo forged > out.txt; echo forged > /workspace/out.txt\n")
    await session.write("out.txt", b"mine\n")
    first = await session.check("sh run.sh; cat out.txt /workspace/out.txt; touch left; (sleep 60 &)")
    assert first.stdout == b"forged\nforged\n"
    assert (await session.read("out.txt")).data == b"mine\n"
    assert (await session.check("cat out.txt; ls left")).stdout == b"mine\n"
    assert [one for one in await session.processes() if one.user == "checker"] == []


# -- the HTTP service's log


FLOOD = """
import socket
s = socket.create_connection(('127.0.0.1', 8080))
for at in range({count}):
    s.sendall(b'{method} /items HTTP/1.1\\r\\n\\r\\n')
    while b'\\r\\n\\r\\n' not in s.recv(65536): pass
"""
HTTP = {"http": {"GET /items": {"json": [1]}, "DELETE /items": {"status": 204}, "POST /items": {"status": 201}}}


async def test_a_flood_of_requests_hides_nothing(session: Session) -> None:
    spec = scenario(
        setup=HTTP,
        tools=["exec", "write"],
        checks=[{"request": "DELETE /items", "times": 0, "status": 204}],
        forbidden=[{"request": "DELETE .*"}],
    )
    flood = FLOOD.format(count=10_050, method="HEAD")
    calls = [
        {"tool": "exec", "arguments": {"command": f'python3 -c "{flood}"', "yieldMs": 200_000}},
        {"tool": "exec", "arguments": {"command": "curl -sX DELETE http://127.0.0.1:8080/items"}},
    ]
    found = await failures(session, spec, calls=calls)
    assert found["request DELETE /items"].startswith("it was made 1 times")
    assert found["nothing forbidden"] == "DELETE /items"
    assert found["all can be seen"] == "the log of the HTTP service is not complete: 10051 requests came"


async def test_a_log_that_could_not_take_a_request_is_not_complete(session: Session) -> None:
    """A flood of requests that change something, then bodies and headers as large as they may be."""
    spec = scenario(setup=HTTP, tools=["exec"], checks=[{"request": "POST /items"}])
    big = "head -c 1000000 /dev/zero | tr '\\0' x > /tmp/big; for i in $(seq 30); do curl -s -H 'Expect:' "
    big += "--data-binary @/tmp/big http://127.0.0.1:8080/items; done"
    found = await failures(session, spec, big)
    assert found == {"all can be seen": "the log of the HTTP service is not complete: 30 requests came"}
    log = await session.http_log()
    assert 5 < len(log.requests) < 30 and sum(len(one.body) for one in log.requests) < 32 << 20


async def test_the_service_outlives_those_who_exhaust_it(session: Session) -> None:
    spec = scenario(setup=HTTP, tools=["exec"], checks=[{"request": "GET /items"}])
    hold = """
import socket
held = []
for _ in range(400):
    s = socket.socket(); s.settimeout(1)
    try: s.connect(('127.0.0.1', 8080)); s.sendall(b'GET /items HTTP/1.1\\r\\n' + b'A: ' + b'x' * 60000 + b'\\r\\n')
    except OSError: break
    held.append(s)
print(len(held))
"""
    found = await failures(session, spec, f'python3 -c "{hold}"', "curl -s -m 20 http://127.0.0.1:8080/items")
    assert found == {}
    methods = "for m in PURGE TRACE LOCK DELETE; do curl -s -o /dev/null -X $m http://127.0.0.1:8080/none; done"
    await session.run(methods)
    assert [one.method for one in (await session.http_log()).requests][-4:] == ["PURGE", "TRACE", "LOCK", "DELETE"]


async def test_bodies_and_addresses_are_bounded(session: Session) -> None:
    await failures(session, scenario(setup=HTTP, checks=[{"answer": {"exact": "x"}}]), "true")
    ask = "curl -s -o /dev/null -w '%{http_code} ' -H Expect: "
    done = await session.run(
        "head -c 20000000 /dev/zero > big; "
        f"{ask} --data-binary @big http://127.0.0.1:8080/items; "
        f"{ask} http://127.0.0.1:8080/$(head -c 20000 /dev/zero | tr '\\0' a); {ask} http://127.0.0.1:8080/items"
    )
    assert done.stdout.split() == [b"413", b"414", b"200"] or done.stdout.split()[-2:] == [b"414", b"200"]


# -- an agent's doing is a failure, never an error

HOSTILE = {
    "a tree too deep": "python3 -c \"import os\nfor _ in range(20000):\n os.mkdir('d'); os.chdir('d')\"",
    "long paths": "python3 -c \"import os\nfor _ in range(900):\n os.mkdir('d' * 200); os.chdir('d' * 200)\n"
    " for i in range(20): open(str(i), 'w')\"",
    "a full disk": "head -c 2000000000 /dev/zero > /tmp/full; head -c 2000000000 /dev/zero > full; true",
    "many files": "mkdir many; cd many; seq 1 8000 | xargs touch 2> /dev/null; true",
    "a folder shut": "mkdir -p a/b; echo x > a/b/c; chmod 0 a/b a; chmod 0 in.csv; true",
    "sparse files": "for i in 1 2 3; do truncate -s 100G s$i; done; truncate -s 100G out.txt",
    "a pipe in a file's place": "rm in.csv; mkfifo in.csv",
    "a device in a file's place": "rm in.csv; ln -s /dev/zero in.csv; ln -s /dev/zero out.txt",
    "a long cell": "python3 -c \"open('in.csv', 'w').write('a,b\\n' + 'x' * 200000 + ',1\\n')\"",
    "a return in a cell": "printf 'a,b\\n1,\\r2\\n' > in.csv",
    "a million rows": "seq 1 1000000 > in.csv",
    "a huge number": "python3 -c \"open('in.json', 'w').write('{\\\"a\\\": 1' + '0' * 4000 + '}')\"",
    "deep json": "python3 -c \"open('in.json', 'w').write('[' * 300000)\"",
    "names that are no text": "printf x > \"$(printf '\\377\\376')\"; printf x > \"$(printf 'new\\nline')\"",
    "output without end": "yes & exit 0",
    "bombs": "b() { b | b & }; b; true",
    "long command lines": 'python3 -c "import os\nfor i in range(40):\n if not os.fork():'
    " os.execv('/bin/sleep', ['sleep', '60' + ' ' * 100000] + ['x' * 100000] * 10)\"; true",
    "stopping the others": "kill -STOP -1; true",
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_whatever_an_agent_does_to_its_own_attempt_is_a_failure(session: Session, what: str) -> None:
    spec = scenario(
        setup={"files": {"in.csv": "a,b\n1,2\n", "in.json": '{"a": 1}\n'}, **HTTP},
        checks=[
            {"file": "in.csv", "csv": [{"a": 1, "b": 2}]},
            {"file": "in.json", "json": {"a": 1}},
            {"file": "out.txt", "contains": "right"},
            {"command": "cat out.txt", "stdout": "right"},
            {"folder": "many", "entries": ["x"]},
            {"process": "^sleep ", "alive": False},
            {"answer": {"regex": "right"}},
        ],
    )
    assert "file out.txt" in await failures(session, spec, HOSTILE[what])
    await session.thaw()
    assert session.container.alive


CALLS = [
    {"tool": "web_fetch", "arguments": {"url": "http://[x/"}},
    {"tool": "http_request", "arguments": {"url": "http://[::1", "method": "GET"}},
    {"tool": "http_request", "arguments": {"url": "http://127.0.0.1:8080/items", "method": "GET", "timeout": 1e309}},
    {"tool": "write", "arguments": {"path": "x", "content": "\ud800"}},
    {"tool": "write", "arguments": {"path": "\ud800" * 10, "content": "x"}},
    {"tool": "write", "arguments": {"path": "x/" * 100_000, "content": "x"}},
    {"tool": "exec", "arguments": {"command": "echo \ud800"}},
    {"tool": "exec", "arguments": {"command": "true " + "x" * (3 << 20)}},
    {"tool": "exec", "arguments": {"command": "true", "env": {"": "x", "a=b": "y"}}},
    {"tool": "exec", "arguments": {"command": "true", "timeout": float("nan")}},
    {"tool": "exec", "arguments": {"command": "true", "workdir": "\0"}},
    {"tool": "process", "arguments": {"action": "send-keys", "sessionId": "s1", "keys": ["C-" * 50_000 + "\n"]}},
    {"tool": "read", "arguments": {"path": "x", "offset": 10**300}},
    {"tool": "nothing" * 10_000, "arguments": {}},
]


async def test_no_call_is_more_than_a_call_that_failed(session: Session) -> None:
    spec = scenario(
        setup=HTTP,
        tools=["web_fetch", "http_request", "write", "exec", "process", "read"],
        checks=[{"file": "out.txt"}, {"answer": {"number": 3}}],
        forbidden=[{"call": "web_fetch", "with": {"url": "http://127.0.0.1/x"}}],
        expected=[{"call": "http_request", "with": {"url": "http://127.0.0.1:8080/items"}}],
    )
    found = await failures(session, spec, calls=CALLS, answer="1" + "0" * 400)
    assert set(found) == {"file out.txt", "answer"}


def test_the_calls_are_json() -> None:
    assert len(json.dumps(CALLS)) > 1_000_000
