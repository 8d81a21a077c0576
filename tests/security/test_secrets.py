"""A key that a server repeats is in no database, log, export or line on the screen."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from stackbench.errors import GenerationError, ModelNotAvailableError
from stackbench.redaction import REPLACEMENT, Redaction
from stackbench.types import Message, Request, Sampling
from tests.conftest import Connect, Program
from tests.fake_endpoint import FakeEndpoint, completion, is_probe, raw_stream, refusal

KEY = 'sk-te"st/0123+4567&89abc='
HEADER = "hunter2-Header-value-77"
FORMS = [
    KEY,
    json.dumps(KEY)[1:-1],
    json.dumps(json.dumps(KEY)[1:-1])[1:-1],
    "".join(f"\\u{ord(c):04x}" for c in KEY),
    KEY.replace("/", "\\/").replace('"', '\\"'),
    quote(KEY, safe=""),
    quote(KEY),
    base64.b64encode(KEY.encode()).decode(),
    base64.b64encode(f"user:{KEY}".encode()).decode(),
    base64.urlsafe_b64encode(f"ab{KEY}cd".encode()).decode(),
    KEY.encode().hex(),
    KEY.upper(),
    f"Bearer {KEY}",
]


def traces(text: str) -> list[str]:
    """What of the key or of the header's value stands in a text."""
    return [form for form in (*FORMS[:6], *FORMS[7:8], *FORMS[10:12], KEY[:12], HEADER, HEADER[:12]) if form in text]


@pytest.mark.parametrize("form", [*FORMS, HEADER], ids=range(len(FORMS) + 1))
async def test_a_key_in_any_form_is_replaced_in_an_answer(
    connect: Connect, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    model = await connect(api_key_env="MY_KEY", headers=(f"X-Pass: {HEADER}",), retries=0)
    call = {"id": form, "function": {"name": form, "arguments": {form: form}}}
    whole = {"content": f"a {form} b", "reasoning": form, "tool_calls": [call]}
    endpoint.respond = lambda request, body: completion(message=whole)
    request = Request(Sampling(), (Message("user", "Q"),))
    (found,) = await model.generate([request])
    assert not traces(repr(found) + found.text + found.tool_calls[0].arguments)
    assert found.text.startswith("a ") and found.text.endswith(" b")
    for filler in (0, 290, 295, 299):  # over the length at which messages are cut
        endpoint.respond = lambda request, body, filler=filler: refusal("x" * filler + form, 400)
        with pytest.raises(GenerationError) as raised:
            await model.generate([request])
        assert (
            not traces(str(raised.value)) and KEY[:6] not in str(raised.value) and HEADER[:6] not in str(raised.value)
        )


@pytest.mark.parametrize("size", [1, 2, 5, 100])
async def test_a_key_in_pieces_of_a_stream_is_replaced_and_not_shown(
    connect: Connect, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    model = await connect(api_key_env="MY_KEY")
    text = f"before {KEY} between {KEY[:9]} after"
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    deltas = [{"content": part, "reasoning": part} for part in parts]
    deltas += [
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": part}}]} for part in parts
    ]
    events = [{"choices": [{"delta": delta}]} for delta in deltas] + [
        {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    ]
    written = b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events)
    endpoint.respond = lambda request, body: raw_stream(
        request, *(written[at : at + 37] for at in range(0, len(written), 37))
    )
    shown: list[str] = []
    (found,) = await model.generate([Request(Sampling(), (Message("user", "Q"),), stream=True, on_text=shown.append)])
    wanted = f"before {REPLACEMENT} between {KEY[:9]} after"
    assert (found.text, found.thought, "".join(shown)) == (wanted, wanted, wanted)
    assert found.tool_calls[0].arguments == wanted


@pytest.mark.parametrize("key", ["EMPTY", "none", "dummy", "key", "x", "ollama", "not-needed", "lm-studio"])
async def test_a_key_that_is_a_word_leaves_answers_as_they_are(
    connect: Connect, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    model = await connect(api_key_env="MY_KEY")
    endpoint.reply = lambda body: f"if x is {key}: pass"
    (found,) = await model.generate([Request(Sampling(), (Message("user", "Q"),))])
    assert found.text == f"if x is {key}: pass"


async def test_a_list_of_models_that_holds_the_key(
    connect: Connect, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    endpoint.listed = {"data": [{"id": "fake", "owner": KEY, KEY: [FORMS[7]]}]}
    model = await connect(api_key_env="MY_KEY")
    assert not traces(str(model.describe()))
    endpoint.listed = {"data": [{"id": f"m-{KEY}"}]}
    with pytest.raises(ModelNotAvailableError) as raised:
        await connect(api_key_env="MY_KEY")
    assert not traces(str(raised.value))


def test_a_secret_is_held_back_from_its_first_letter() -> None:
    redaction = Redaction([KEY])
    assert redaction.held_back(f"text {KEY[:5]}") >= 5
    assert redaction.held_back("text ~") == 0
    assert not Redaction([]) and Redaction([]).answer("x") == "x"


def wrong(form: str) -> list[Callable[[web.Request], Any]]:
    """Twenty ways in which a server repeats what it was sent."""

    def message(**fields: Any) -> Callable[[web.Request], web.Response]:
        return lambda request: completion(message={"content": "#### 18", **fields})

    return [
        message(content=form),
        message(content=f"#### {form} 18"),
        message(content=[{"type": "text", "text": form}]),
        message(content={"type": form, "text": form}),
        message(reasoning_content=form),
        message(reasoning=[form]),
        message(refusal=form, content=None),
        message(tool_calls=[{"id": form, "function": {"name": form, "arguments": form}}]),
        message(tool_calls=form),
        message(content={form: form}),
        lambda request: completion(message={"content": "x"}, finish_reason=form, logprobs=form),
        lambda request: completion(message={"content": "x"}, usage={"prompt_tokens": form, form: 1}),
        lambda request: web.json_response({"choices": form}),
        lambda request: web.json_response({"choices": [form], form: form}),
        lambda request: web.json_response({"choices": None, "error": {"message": form, "code": 400, "param": form}}),
        lambda request: web.json_response({"choices": None, "error": form}),
        lambda request: web.Response(text=form),
        lambda request: web.Response(text=f"<html>{'x' * 280}{form}</html>", status=404),
        lambda request: refusal(form, 401),
        lambda request: refusal(form, 500),
        lambda request: refusal("x" * 285 + form, 422, param=form, code=form),
        lambda request: web.Response(status=302, headers={"Location": f"http://x.example/{quote(form)}"}),
        lambda request: web.Response(status=307, headers={"Location": f"http://x.example/?{quote(form)}"}),
        lambda request: web.Response(status=429, text=form, headers={"Retry-After": quote(form)}),
        lambda request: web.Response(status=503, text=json.dumps({"detail": [{"loc": [form], "msg": form}]})),
        lambda request: web.Response(body=b"\x1f\x8b" + form.encode(), headers={"Content-Encoding": "gzip"}),
    ]  # fmt: skip


@pytest.mark.e2e
async def test_a_whole_run_leaves_no_trace_of_key_and_header(
    program: Program, endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    ways = [way for form in (KEY, HEADER) for way in wrong(form)]
    endpoint.listed = {"data": [{"id": "fake", "owner": KEY, "more": {HEADER: HEADER}}]}

    def respond(request: web.Request, body: dict[str, Any]) -> Any:
        if is_probe(request):
            return refusal(f"tools and {KEY}, {HEADER}: no") if "tools" in body else None
        return ways[len(endpoint.requests) % len(ways)](request)

    endpoint.respond = respond
    exports = tmp_path / "exports"
    done = await program.run_beside(
        "eval", "gsm8k", "-m", endpoint.name, "--limit", str(len(ways)), "--concurrency", "1", "--retries", "0",
        "--max-error-rate", "1", "--header", f"X-Pass: {HEADER}", "--output", str(exports), OPENAI_API_KEY=KEY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(endpoint.requests) > len(ways)  # what the infrastructure failed is made again
    assert {headers["X-Pass"] for headers in endpoint.headers} == {HEADER}
    shown = [await program.run_beside("show", "last"), await program.run_beside("config")]
    tables = [json.dumps(program_rows) for program_rows in await _all_rows(program)]
    texts = [done.stdout, done.stderr, *(each.stdout + each.stderr for each in shown), *tables]
    texts += [
        path.read_bytes().decode(errors="replace")
        for folder in (program.home.path, exports)
        for path in folder.rglob("*")
        if path.is_file() and "models" not in path.parts
    ]
    assert len("".join(tables)) > 10_000
    for text in texts:
        assert not traces(text)
    (settings,) = [row for row in json.loads(tables[0]) if row]
    assert "[not recorded]" in json.dumps(settings)


async def _all_rows(program: Program) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    for table in ("runs", "attempts", "events", "tool_calls", "metrics"):
        done = await program.run_beside("query", f"SELECT * FROM {table}", "--format", "json")
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    return found


@pytest.mark.e2e
async def test_a_resumed_run_wants_its_headers_again(program: Program, endpoint: FakeEndpoint) -> None:
    endpoint.faults.extend([400] * 2)
    shared = ("--concurrency", "1", "--max-error-rate", "1")
    await program.run_beside(
        "eval", "gsm8k", "-m", endpoint.name, "--limit", "3", "--header", f"X-Pass: {HEADER}", *shared
    )
    (run,) = program.query("SELECT run_id FROM runs")
    refused = await program.run_beside("eval", "--resume", run["run_id"])
    assert refused.returncode == 2
    assert "give them again: --header X-Pass:VALUE" in refused.stderr
    resumed = await program.run_beside("eval", "--resume", run["run_id"], "--header", f"X-Pass: {HEADER}")
    assert resumed.returncode == 0, resumed.stderr


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--extra-body", "{broken"], "--extra-body: is not JSON"),
        (["--extra-body", "[1]"], "takes a JSON object"),
        (["--extra-body", '{"messages": []}'], "cannot set messages"),
        (["--extra-body", '{"a": NaN}'], "--extra-body: is not JSON: NaN is no JSON"),
        (["--extra-body", '{"a":' * 20000 + "1" + "}" * 20000], "--extra-body: is not JSON"),
        (["--header", "Content-Length: 3"], "--header: Content-Length cannot be set"),
        (["--header", "transfer-encoding: chunked"], "--header: transfer-encoding cannot be set"),
        (["--header", f"no colon {HEADER}"], "--header: header 1 is not of the form NAME:VALUE"),
        (["--header", f"X-A: {HEADER}\n"], "--header: header 1 is not of the form NAME:VALUE"),
    ],
)
def test_fields_and_headers_that_cannot_be_sent_are_one_line(program: Program, arguments: list[str], said: str) -> None:
    done = program.run("eval", "gsm8k", "-m", "openai:m@http://127.0.0.1:9/v1", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert len(done.stderr) < 1000
    assert HEADER not in done.stderr
