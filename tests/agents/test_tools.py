"""The tools of an agent, at their edges, in a real sandbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from stackbench.agents.tools import TOOLS, ToolOutcome, Workspace, call_tool, list_tools
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.records import HttpRoute

pytestmark = pytest.mark.docker


@pytest.fixture
async def workspace(pool: SandboxPool) -> AsyncIterator[Workspace]:
    async with pool.lease() as session:
        workspace = Workspace(session)
        yield workspace
        await workspace.close()


async def call(workspace: Workspace, name: str, **arguments: Any) -> ToolOutcome:
    return (await call_tool(name, json.dumps(arguments), workspace)).outcome


async def put(workspace: Workspace, path: str, data: bytes) -> None:
    await workspace.session.write(path, data)


async def got(workspace: Workspace, path: str) -> bytes:
    return (await workspace.session.read(path)).data


# -- read


async def test_a_file_is_read_in_parts_that_name_the_next(workspace: Workspace) -> None:
    await put(workspace, "log.txt", b"".join(b"line %d\n" % n for n in range(1, 2501)))
    whole = await call(workspace, "read", path="log.txt")
    assert whole.text.startswith("line 1\n")
    assert whole.text.endswith("line 2000\n\n[lines 1-2000; the file goes on, read it with offset=2001]")
    rest = await call(workspace, "read", path="log.txt", offset=2001)
    assert rest.text.startswith("line 2001\n") and "[lines 2001-2500, the end of the file]" in rest.text
    few = await call(workspace, "read", path="log.txt", offset=10, limit=2)
    assert few.text.startswith("line 10\nline 11\n\n[lines 10-11;")
    past = await call(workspace, "read", path="log.txt", offset=9999)
    assert past.failed and "log.txt has no line 9999" in past.text


async def test_a_file_of_50_mb_is_read_at_its_far_end(workspace: Workspace) -> None:
    await workspace.session.run("seq 1 7000000 > big.txt && ls -l big.txt")
    outcome = await call(workspace, "read", path="big.txt", offset=6_999_999, limit=5)
    assert outcome.text.startswith("6999999\n7000000")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20, "is a PNG image of 28 bytes"),
        (b"RIFF1234WEBPVP8 ", "is a WebP image"),
        (b"abc\0def\n", "is a binary file"),
        (b"x\xe9\n", "is not UTF-8 text (byte 1)"),
    ],
)
async def test_what_is_no_text_is_refused(workspace: Workspace, data: bytes, said: str) -> None:
    await put(workspace, "thing", data)
    outcome = await call(workspace, "read", path="thing")
    assert outcome.failed and said in outcome.text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nothing.txt", "nothing.txt"),
        ("../etc/passwd", "workspace"),
        ("/etc/passwd", "workspace"),
        ("link", "workspace"),
        (".", "."),
    ],
)
async def test_paths_that_cannot_be_read_are_errors_the_model_sees(workspace: Workspace, path: str, said: str) -> None:
    await workspace.session.run("ln -s /etc/passwd link")
    outcome = await call(workspace, "read", path=path)
    assert outcome.failed
    assert outcome.text.startswith("error: ")
    assert said in outcome.text or "outside" in outcome.text or "leads" in outcome.text
    assert "root:" not in outcome.text


async def test_empty_crlf_and_unicode_files_are_read(workspace: Workspace) -> None:
    await put(workspace, "empty", b"")
    assert (await call(workspace, "read", path="empty")).text == "(an empty file)"
    await put(workspace, "dos.txt", "\ufeffeins\r\nzwei é\r\n".encode())
    assert (await call(workspace, "read", path="dos.txt")).text == "eins\nzwei é"
    await put(workspace, "wide.txt", b"x" * 120_000 + b"\nend\n")
    wide = (await call(workspace, "read", path="wide.txt")).text
    assert "characters of this line left out" in wide and "offset=2" in wide


# -- write and edit


async def test_parents_are_made_and_files_replaced(workspace: Workspace) -> None:
    made = await call(workspace, "write", path="a/b/c.txt", content="é\n")
    assert made.text == "created a/b/c.txt, 3 bytes"
    again = await call(workspace, "write", path="a/b/c.txt", content="")
    assert again.text == "replaced a/b/c.txt, 0 bytes"
    assert (await call(workspace, "write", path="a/b", content="x")).failed
    assert (await call(workspace, "write", path="../x", content="x")).failed


async def test_one_exact_place_is_edited(workspace: Workspace) -> None:
    await put(workspace, "code.py", b"a = 1\nb = 2\na = 1\n")
    twice = await call(workspace, "edit", path="code.py", oldText="a = 1", newText="a = 3")
    assert twice.failed and "found 2 times" in twice.text
    absent = await call(workspace, "edit", path="code.py", oldText="c = 1", newText="")
    assert absent.failed and "was not found; the closest is line 1: a = 1" in absent.text
    assert "Nothing was changed" in absent.text
    assert (await call(workspace, "edit", path="code.py", oldText="", newText="x")).failed
    done = await call(workspace, "edit", path="code.py", oldText="b = 2\na = 1", newText="b = 4\na = 5")
    assert done.text == "edited code.py at line 2"
    assert await got(workspace, "code.py") == b"a = 1\nb = 4\na = 5\n"


async def test_line_endings_and_byte_order_marks_stay(workspace: Workspace) -> None:
    await put(workspace, "dos.txt", "\ufeffone\r\ntwo\r\nthree\r\n".encode())
    outcome = await call(workspace, "edit", path="dos.txt", oldText="one\ntwo", newText="1\n2\n2b")
    assert not outcome.failed
    assert await got(workspace, "dos.txt") == "\ufeff1\r\n2\r\n2b\r\nthree\r\n".encode()


async def test_edits_at_once_do_not_undo_each_other(workspace: Workspace) -> None:
    await put(workspace, "list.txt", b"".join(b"<%d>\n" % n for n in range(20)))
    edits = [call(workspace, "edit", path="list.txt", oldText=f"<{n}>", newText=f"[{n}]") for n in range(20)]
    assert not any(outcome.failed for outcome in await asyncio.gather(*edits))
    assert await got(workspace, "list.txt") == b"".join(b"[%d]\n" % n for n in range(20))


# -- apply_patch

PATCH = """*** Begin Patch
*** Add File: new/readme.md
+# New
+
*** Update File: app.py
@@ def second():
-    return 2
+    return 22
@@
 def third():
-    return 3
+    return 33
*** Update File: old.txt
*** Move to: moved/old.txt
@@
-last
+LAST
*** End of File
*** Delete File: gone.txt
*** End Patch"""
APP = "def first():\n    return 2\n\ndef second():\n    return 2\n\ndef third():\n    return 3\n"


async def files_for_patch(workspace: Workspace) -> None:
    await put(workspace, "app.py", APP.encode())
    await put(workspace, "old.txt", b"last\nmiddle\nlast\n")
    await put(workspace, "gone.txt", b"x\n")


async def test_a_patch_changes_several_files(workspace: Workspace) -> None:
    await files_for_patch(workspace)
    outcome = await call(workspace, "apply_patch", input=PATCH)
    assert outcome.text.splitlines() == [
        "added new/readme.md", "changed app.py", "changed old.txt, now moved/old.txt", "deleted gone.txt",
    ]  # fmt: skip
    assert await got(workspace, "new/readme.md") == b"# New\n\n"
    assert (
        await got(workspace, "app.py")
        == APP.replace("second():\n    return 2", "second():\n    return 22").replace("return 3", "return 33").encode()
    )
    assert await got(workspace, "moved/old.txt") == b"last\nmiddle\nLAST\n"
    names = [entry.path for entry in await workspace.session.list(".")]
    assert "gone.txt" not in names and "old.txt" not in names


async def test_a_patch_that_fails_half_way_changes_nothing(workspace: Workspace) -> None:
    await files_for_patch(workspace)
    before = await workspace.session.snapshot()
    outcome = await call(workspace, "apply_patch", input=PATCH.replace("-    return 3\n", "-    return 4\n"))
    assert outcome.failed
    assert "app.py: hunk 2: these lines are not there in this order" in outcome.text
    assert "Nothing was changed" in outcome.text
    after = await workspace.session.snapshot()
    assert {path: entry.sha256 for path, entry in before.entries.items()} == {
        path: entry.sha256 for path, entry in after.entries.items()
    }


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("hello", "begins with the line '*** Begin Patch'"),
        ("*** Begin Patch\n*** End Patch", "changes no file"),
        ("*** Begin Patch\n*** Add File: x\nno plus\n*** End Patch", "line 3 of the patch"),
        ("*** Begin Patch\n*** Add File: app.py\n+x\n*** End Patch", "app.py is there already"),
        ("*** Begin Patch\n*** Delete File: nothing\n*** End Patch", "nothing"),
        ("*** Begin Patch\n*** Update File: app.py\n*** End Patch", "changes nothing in app.py"),
        ("*** Begin Patch\n*** Update File: app.py\n@@ def ninth():\n+x\n*** End Patch", "no line 'def ninth():'"),
        ("*** Begin Patch\n*** Add File: ../out\n+x\n*** End Patch", ".."),
        ("*** Begin Patch\n*** Update File: app.py\n@@\n-x", "ends with the line"),
    ],
)
async def test_a_patch_that_cannot_be_applied_says_why(workspace: Workspace, patch: str, said: str) -> None:
    await files_for_patch(workspace)
    outcome = await call(workspace, "apply_patch", input=patch)
    assert outcome.failed and said in outcome.text, outcome.text
    assert await got(workspace, "app.py") == APP.encode()


async def test_white_space_at_line_ends_does_not_keep_a_hunk_from_its_place(workspace: Workspace) -> None:
    await put(workspace, "ws.py", b"def f():   \n    x = 1\t\n    return x\n")
    patch = "*** Begin Patch\n*** Update File: ws.py\n@@\n def f():\n-    x = 1\n+    x = 2\n*** End Patch"
    assert not (await call(workspace, "apply_patch", input=patch)).failed
    assert await got(workspace, "ws.py") == b"def f():   \n    x = 2\n    return x\n"


# -- exec and process


async def test_a_command_answers_with_output_and_exit_code(workspace: Workspace) -> None:
    fine = await call(workspace, "exec", command="echo out; echo err >&2")
    assert (fine.text, fine.failed, fine.details["exit_code"]) == ("out\nerr", False, 0)
    bad = await call(workspace, "exec", command="echo half; exit 3")
    assert (bad.text, bad.failed) == ("half\n[exited with code 3]", True)
    assert (await call(workspace, "exec", command="true")).text == "(no output)"
    killed = await call(workspace, "exec", command="kill -9 $$")
    assert "[killed by signal 9]" in killed.text


async def test_folder_environment_and_time_limit(workspace: Workspace) -> None:
    await call(workspace, "exec", command="mkdir -p sub")
    outcome = await call(workspace, "exec", command='echo "$PWD $WHO"', workdir="sub", env={"WHO": "me"})
    assert outcome.text == "/workspace/sub me"
    assert "leads out of the workspace" in (await call(workspace, "exec", command="pwd", workdir="../etc")).text
    slow = await call(workspace, "exec", command="echo begun; sleep 60", timeoutSeconds=0.5)
    assert slow.failed and slow.text == "begun\n[timed out]"
    assert (await call(workspace, "exec", command="  ")).failed


async def test_long_output_keeps_its_head_and_tail(workspace: Workspace) -> None:
    outcome = await call(workspace, "exec", command="seq 1 20000")
    assert outcome.text.startswith("1\n2\n") and outcome.text.endswith("19999\n20000")
    assert "characters left out" in outcome.text and len(outcome.text) < 31_000


async def test_what_takes_longer_goes_on_in_the_background(workspace: Workspace) -> None:
    outcome = await call(workspace, "exec", command="echo one; sleep 0.6; echo two; exit 4", yieldMs=150)
    assert outcome.text == "running in the background, sessionId s1\none\n"
    assert outcome.details["status"] == "running"
    listed = await call(workspace, "process", action="list")
    assert listed.text.startswith("s1  running  ")

    async def ended() -> ToolOutcome:
        while True:
            polled = await call(workspace, "process", action="poll", sessionId="s1")
            if polled.details["status"] == "ended":
                return polled
            await asyncio.sleep(0.05)

    last = await asyncio.wait_for(ended(), 10)
    assert last.details["exit_code"] == 4
    log = await call(workspace, "process", action="log", sessionId="s1")
    assert log.text == "one\ntwo\n[lines 0-1 of 2; exited with code 4]"
    assert (await call(workspace, "process", action="log", sessionId="s1", offset=1, limit=1)).text.startswith("two\n")
    assert (await call(workspace, "process", action="clear")).text == "forgot 1 commands that had ended"
    assert (await call(workspace, "process", action="list")).text == "no background commands"


async def test_a_background_command_is_typed_to(workspace: Workspace) -> None:
    await call(workspace, "exec", command='while read line; do echo "got $line"; done; echo bye', background=True)
    typed = await call(workspace, "process", action="write", sessionId="s1", data="hello\n")
    assert "got hello" in typed.text
    submitted = await call(workspace, "process", action="submit", sessionId="s1", text="again")
    assert "got again" in submitted.text
    ended = await call(workspace, "process", action="write", sessionId="s1", eof=True)
    assert "bye" in ended.text and "exited with code 0" in ended.text
    late = await call(workspace, "process", action="write", sessionId="s1", data="x")
    assert late.failed and "takes no input any more" in late.text


async def test_a_terminal_takes_keys(workspace: Workspace) -> None:
    await call(workspace, "exec", command="test -t 0 && echo terminal; cat; echo over", pty=True, background=True)
    typed = await call(workspace, "process", action="send-keys", sessionId="s1", keys=["abc", "Enter"])
    assert "abc" in typed.text
    stopped = await call(workspace, "process", action="send-keys", sessionId="s1", keys=["C-d"])
    log = await call(workspace, "process", action="log", sessionId="s1")
    assert "terminal" in log.text and "over" in log.text and stopped.details["status"] == "ended"
    wrong = await call(workspace, "process", action="send-keys", sessionId="s1", keys=[])
    assert wrong.failed


async def test_commands_are_killed_and_removed(workspace: Workspace) -> None:
    await call(workspace, "exec", command="trap '' TERM; sleep 600 & wait", background=True)
    await call(workspace, "exec", command="sleep 601", background=True)
    killed = await call(workspace, "process", action="kill", sessionId="s2")
    assert "killed by signal 15" in killed.text
    assert "had killed by signal 15 already" in (await call(workspace, "process", action="kill", sessionId="s2")).text
    await call(workspace, "process", action="remove", sessionId="s1")
    gone = await call(workspace, "process", action="poll", sessionId="s1")
    assert gone.failed and "there is no command s1; there are: s2" in gone.text
    assert (await call(workspace, "process", action="poll")).text == "error: poll needs a sessionId; list shows them"


# -- HTTP

PAGE = b"""<!doctype html><html><head><title>A page</title><script>var secret = 1;</script></head><body><nav>menu</nav>
<main><h1>Head</h1><p>Text with <a href="/x">a link</a>.</p><ul><li>one</li><li>two</li></ul></main></body></html>"""


@pytest.fixture
async def base(workspace: Workspace) -> str:
    port = await workspace.session.start_http(
        [
            HttpRoute("/page", headers={"Content-Type": "text/html; charset=utf-8"}, body=PAGE),
            HttpRoute("/data", headers={"Content-Type": "application/json"}, body=b'{"b":1,"a":[1,2]}'),
            HttpRoute("/data", "HEAD", headers={"X-Rows": "7"}),
            HttpRoute("/items", "POST", 201, body=b"made"),
            HttpRoute("/moved", status=302, headers={"Location": "/page"}),
            HttpRoute("/loop", status=302, headers={"Location": "/loop"}),
            HttpRoute("/bytes", body=b"\x00\x01\xff"),
            HttpRoute("/long", body=b"word " * 20_000),
        ]
    )
    return f"http://127.0.0.1:{port}"


async def test_a_request_is_made_as_it_was_asked_for(workspace: Workspace, base: str) -> None:
    outcome = await call(
        workspace, "http_request", method="POST", url=f"{base}/items", query={"q": "a b", "on": True},
        headers={"X-Mine": "yes"}, json={"name": "é"},
    )  # fmt: skip
    assert outcome.details["status"] == 201
    assert outcome.text.splitlines()[0].startswith("HTTP/1.1 201") and outcome.text.endswith("made")
    (logged,) = (await workspace.session.http_log()).requests
    assert (logged.method, logged.path, logged.query) == ("POST", "/items", "q=a+b&on=true")
    assert (logged.headers["X-Mine"], logged.headers["Content-Type"]) == ("yes", "application/json")
    assert json.loads(logged.body) == {"name": "é"}


async def test_requests_at_their_edges(workspace: Workspace, base: str) -> None:
    moved = await call(workspace, "http_request", method="GET", url=f"{base}/moved")
    assert moved.details["status"] == 302 and "Location: /page" in moved.text
    head = await call(workspace, "http_request", method="HEAD", url=f"{base}/data")
    assert head.details["status"] == 200 and "X-Rows: 7" in head.text
    absent = await call(workspace, "http_request", method="GET", url=f"{base}/none")
    assert (absent.details["status"], absent.failed) == (404, False)
    assert "3 bytes that are no text" in (await call(workspace, "http_request", method="GET", url=f"{base}/bytes")).text
    refused = await call(workspace, "http_request", method="GET", url="http://127.0.0.1:9/")
    assert refused.failed and "http://127.0.0.1:9/" in refused.text
    for url, said in (("file:///etc/passwd", "no http or https"), (f"{base}/a b", "white space"), ("x", "no http")):
        assert said in (await call(workspace, "http_request", method="GET", url=url)).text
    both = await call(workspace, "http_request", method="POST", url=base, json={}, body="x")
    assert "not both" in both.text
    bad = await call(workspace, "http_request", method="GET", url=base, headers={"@/etc/passwd": "x"})
    assert "is no header" in bad.text


SLOW = """
import socket, time
s = socket.create_server(("127.0.0.1", 8099))
print("ready", flush=True)
while True:
    c, _ = s.accept()
    asked = c.recv(1000)
    if b"/chunked" in asked:
        c.sendall(b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n")
        c.sendall(b"4\\r\\nWiki\\r\\n5\\r\\npedia\\r\\n0\\r\\n\\r\\n")
    elif b"/short" in asked:
        c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\nonly this")
    else:
        time.sleep(5)
    c.close()
"""


async def test_chunks_cut_bodies_and_timeouts(workspace: Workspace) -> None:
    await put(workspace, "slow.py", SLOW.encode())
    await call(workspace, "exec", command="python3 slow.py", yieldMs=1)
    async with asyncio.timeout(20):
        while "ready" not in (await call(workspace, "process", action="log", sessionId="s1")).text:
            await asyncio.sleep(0.05)
    address = "http://127.0.0.1:8099"
    chunked = await call(workspace, "http_request", method="GET", url=f"{address}/chunked")
    assert chunked.text.endswith("Wikipedia")
    short = await call(workspace, "http_request", method="GET", url=f"{address}/short")
    assert short.failed and "only this" in short.text and "ended early" in short.text
    slow = await call(workspace, "http_request", method="GET", url=f"{address}/slow", timeout=0.3)
    assert slow.failed and "timed out" in slow.text.lower()


async def test_a_page_is_made_readable(workspace: Workspace, base: str) -> None:
    page = (await call(workspace, "web_fetch", url=f"{base}/page")).text
    assert page.startswith("# A page\n\n# Head\n\nText with [a link](/x).")
    assert "* one" in page and "secret" not in page and "menu" not in page
    plain = (await call(workspace, "web_fetch", url=f"{base}/page", extractMode="text")).text
    assert plain.startswith("A page\n\nHead\n") and "[" not in plain
    data = (await call(workspace, "web_fetch", url=f"{base}/data")).text
    assert json.loads(data) == {"b": 1, "a": [1, 2]} and "\n" in data
    moved = await call(workspace, "web_fetch", url=f"{base}/moved")
    assert moved.text.startswith(f"[redirected to {base}/page]\n")
    long = await call(workspace, "web_fetch", url=f"{base}/long", maxChars=100)
    assert "more characters; maxChars is 100" in long.text
    loop = await call(workspace, "web_fetch", url=f"{base}/loop")
    assert loop.failed
    absent = await call(workspace, "web_fetch", url=f"{base}/none")
    assert absent.failed and absent.text.startswith("[HTTP 404]\n")


# -- calls that are wrong


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("exec_", "{}", 'there is no tool "exec_". Did you mean "exec"?'),
        ("read", "{not json", "the arguments are not JSON"),
        ("read", "[]", "the arguments are no object"),
        ("read", "{}", "path: Field required. Its parameters: path, offset, limit"),
        ("read", '{"path": "x", "offset": 0}', "offset: Input should be greater than or equal to 1"),
        ("edit", '{"path": "x", "oldText": "a"}', "newText: Field required"),
        ("process", '{"action": "dance"}', "action: Input should be"),
        ("write", '{"path": "x", "content": "y", "mode": 7}', "mode: Extra inputs are not permitted"),
    ],
)
async def test_a_malformed_call_is_told_apart_and_can_be_mended(
    workspace: Workspace, name: str, arguments: str, said: str
) -> None:
    result = await call_tool(name, arguments, workspace)
    assert not result.valid and result.outcome.failed
    assert said in result.outcome.text


def test_schemas_are_those_that_models_are_sent() -> None:
    listed = {tool["function"]["name"]: tool["function"] for tool in list_tools()}
    assert list(listed) == list(TOOLS) == [
        "ls", "read", "write", "edit", "apply_patch", "exec", "process", "web_fetch", "http_request", "ask_user",
    ]  # fmt: skip
    assert listed["edit"]["parameters"]["required"] == ["path", "edits"]
    replacement = listed["edit"]["parameters"]["properties"]["edits"]["items"]
    assert replacement["required"] == ["oldText", "newText"]
    assert "$ref" not in json.dumps(listed) and '"title": "' not in json.dumps(listed)
    assert set(listed["exec"]["parameters"]["properties"]) == {
        "command", "workdir", "env", "yieldMs", "background", "timeoutSeconds", "pty", "title",
    }  # fmt: skip
    assert set(listed["http_request"]["parameters"]["properties"]) == {
        "method", "url", "headers", "query", "json", "body", "timeout",
    }  # fmt: skip
    json.dumps(listed)


async def test_a_folder_is_listed_in_parts(workspace: Workspace) -> None:
    await workspace.session.run("mkdir -p d/sub && cd d && echo abc > b.txt && ln -s b.txt c && mkfifo p")
    assert (await call(workspace, "ls", path="d")).text == "b.txt  4 bytes\nc -> b.txt\np  (fifo)\nsub/"
    assert (await call(workspace, "ls", path="d", limit=2)).text.endswith("\n[2 more; go on with after=c]")
    assert (await call(workspace, "ls", path="d", after="c")).text == "p  (fifo)\nsub/"
    assert (await call(workspace, "ls", path="d/sub")).text == "(an empty folder)"
    assert (await call(workspace, "ls", path="none")).failed


async def test_a_long_line_is_read_on_from_a_character(workspace: Workspace) -> None:
    line = "".join(chr(97 + n % 26) for n in range(120_000))
    await put(workspace, "one.txt", f"{line}\nlast\n".encode())
    first = await call(workspace, "read", path="one.txt", limit=1)
    assert first.text.startswith(
        line[:51_200] + " [... 68800 characters of this line left out; go on with cursor=51200]"
    )
    rest = await call(workspace, "read", path="one.txt", limit=1, cursor=102_400)
    assert rest.text.startswith(line[102_400:] + "\n\n[lines 1-1;")


async def test_a_file_that_is_not_there(workspace: Workspace) -> None:
    await put(workspace, "notes/summary_2025.txt", b"x")
    missing = await call(workspace, "read", path="notes/summary-2025.txt")
    assert missing.failed and missing.text.endswith("did you mean notes/summary_2025.txt?")
    optional = await call(workspace, "read", path="notes/other", optional=True)
    assert (optional.failed, optional.text) == (False, "(there is no notes/other)")


async def test_several_edits_are_made_together_or_not_at_all(workspace: Workspace) -> None:
    await put(workspace, "f", b"a = 1\nb = 2\nc = 3\n")
    edits = [{"oldText": "c = 3", "newText": "c = a"}, {"oldText": "a = 1", "newText": "a = c = 3"}]
    done = await call(workspace, "edit", path="f", edits=edits)
    assert (done.text, await got(workspace, "f")) == ("edited f at lines 1, 3", b"a = c = 3\nb = 2\nc = a\n")
    for second, said in (
        ({"oldText": "none", "newText": ""}, "oldText of edit 2 was not found"),
        ({"oldText": "2\nc", "newText": ""}, "two edits overlap"),
        ({"oldText": "c", "newText": ""}, "oldText of edit 2 was found 2 times"),
        ({"oldText": "", "newText": ""}, "oldText of edit 2 is empty"),
    ):
        refused = await call(workspace, "edit", path="f", edits=[{"oldText": "b = 2", "newText": "b"}, second])
        assert refused.failed and said in refused.text
    assert await got(workspace, "f") == b"a = c = 3\nb = 2\nc = a\n"


async def test_writing_what_is_there_changes_nothing(workspace: Workspace) -> None:
    await call(workspace, "write", path="f", content="x")
    again = await call(workspace, "write", path="f", content="x")
    assert (again.failed, again.text) == (False, "no changes: f holds that already")


async def test_a_poll_waits_for_news(workspace: Workspace) -> None:
    begun = await call(workspace, "exec", command="sleep 0.4; echo one; sleep 60", background=True)
    session = begun.details["session_id"]
    waited = await call(workspace, "process", action="poll", sessionId=session, timeout=20_000)
    assert waited.text == "one\n[running]"
    nothing = await call(workspace, "process", action="poll", sessionId=session, timeout=10)
    assert nothing.text == "[running, no new output]"


async def test_keys_bytes_and_text_are_typed(workspace: Workspace) -> None:
    begun = await call(workspace, "exec", command="head -c 5 | od -An -c", pty=True, yieldMs=50)
    session = begun.details["session_id"]
    typed = await call(workspace, "process", action="send-keys", sessionId=session, hex=["41", "0a"], literal="b\\\n")
    assert "A" in typed.text
    refused = await call(workspace, "process", action="send-keys", sessionId=session, hex=["zz"])
    assert refused.failed


async def test_the_old_name_of_a_time_limit_is_answered_with_the_new_one(workspace: Workspace) -> None:
    refused = await call_tool("exec", '{"command": "ls", "timeout": 3}', workspace)
    assert (refused.valid, "it is called timeoutSeconds" in refused.outcome.text) == (False, True)


async def test_questions_are_answered_by_whoever_plays_the_user(pool: SandboxPool) -> None:
    async with pool.lease() as session:
        workspace = Workspace(session, user=lambda question: f"you asked: {question}")
        options = [{"label": "A", "description": "the first"}, {"label": "B"}]
        asked = [{"id": "q", "header": "Which", "question": "A or B?", "options": options}]
        done = await call(workspace, "ask_user", questions=asked)
        assert json.loads(done.text) == {"answers": {"q": "you asked: Which\nA or B?\nA the first\nB"}}
        assert (await call(workspace, "ask_user", questions=asked * 2)).failed
        assert not (await call_tool("ask_user", '{"questions": []}', workspace)).valid
        nobody = await call(Workspace(session), "ask_user", questions=asked)
        assert "the user is not there" in nobody.text
