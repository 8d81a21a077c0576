"""How an endpoint is reached: through the environment's proxy, or not; over TLS with an authority of one's own."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from stackbench.errors import ModelNotAvailableError
from stackbench.models import ModelOptions
from stackbench.models.openai import OpenAIModel
from stackbench.models.openai.proxies import is_loopback, proxy_for
from stackbench.types import Message, Request, Sampling
from tests.conftest import Program
from tests.fake_endpoint import FakeEndpoint

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUEST_METHOD")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("http://models.example/v1", {}, None),
        ("http://models.example/v1", {"http_proxy": "http://p:1"}, "http://p:1"),
        ("http://models.example/v1", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("http://models.example/v1", {"https_proxy": "http://p:1"}, None),
        ("https://models.example/v1", {"https_proxy": "p:1"}, "http://p:1"),
        ("https://models.example/v1", {"all_proxy": "http://p:1"}, "http://p:1"),
        ("http://models.example/v1", {"http_proxy": "http://p:1", "no_proxy": "models.example"}, None),
        ("http://a.models.example/v1", {"http_proxy": "http://p:1", "no_proxy": ".models.example"}, None),
        ("http://a.models.example/v1", {"http_proxy": "http://p:1", "no_proxy": "x, models.example"}, None),
        ("http://models.example:81/v1", {"http_proxy": "http://p:1", "no_proxy": "models.example:81"}, None),
        ("http://models.example:82/v1", {"http_proxy": "http://p:1", "no_proxy": "models.example:81"}, "http://p:1"),
        ("http://models.example/v1", {"http_proxy": "http://p:1", "no_proxy": "*"}, None),
        ("http://10.1.2.3/v1", {"http_proxy": "http://p:1", "no_proxy": "10.0.0.0/8"}, None),
        ("http://11.1.2.3/v1", {"http_proxy": "http://p:1", "no_proxy": "10.0.0.0/8"}, "http://p:1"),
        ("http://localhost:8000/v1", {"http_proxy": "http://p:1"}, None),
        ("http://127.0.0.1:8000/v1", {"http_proxy": "http://p:1"}, None),
        ("http://127.8.8.8/v1", {"all_proxy": "http://p:1"}, None),
        ("http://[::1]:8000/v1", {"http_proxy": "http://p:1"}, None),
        ("http://0.0.0.0:8000/v1", {"http_proxy": "http://p:1"}, None),
    ],
)
def test_which_proxy_an_address_has(
    monkeypatch: pytest.MonkeyPatch, url: str, environment: dict[str, str], proxy: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


def test_what_is_this_machine() -> None:
    assert all(map(is_loopback, ("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1.2.3", "::1", "::")))
    assert not any(map(is_loopback, ("localhost.example", "128.0.0.1", "example", "", "::2")))


@pytest.fixture
async def proxy(endpoint: FakeEndpoint) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """A forward proxy that sends all to the endpoint, and what passed."""
    passed: list[web.Request] = []

    async def forward(request: web.Request) -> web.Response:
        passed.append(request)
        kept = {n: v for n, v in request.headers.items() if n.lower() in ("content-type", "x-stackbench")}
        to = endpoint.url.removesuffix("/v1") + request.rel_url.raw_path
        async with ClientSession() as session, session.request(
            request.method, to, data=await request.read(), headers=kept
        ) as answer:  # fmt: skip
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", forward)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}", passed
    await runner.cleanup()


async def test_requests_go_through_the_proxy_with_its_own_password(
    endpoint: FakeEndpoint, proxy: tuple[str, list[web.Request]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, passed = proxy
    monkeypatch.setenv("http_proxy", f"http://me:pass-word-1@{address}")
    model = OpenAIModel("x", "fake", "http://models.internal.example/v1", ModelOptions(retries=0))
    await model.start(lambda line: None)
    (found,) = await model.generate([Request(Sampling(), (Message("user", "Q"),))])
    await model.close()
    assert found.text == "an answer"
    assert {request.headers["Host"] for request in passed} == {"models.internal.example"}
    assert all(request.headers["Proxy-Authorization"].startswith("Basic ") for request in passed)
    assert "pass-word-1" not in str(model.describe())


async def test_a_proxy_that_does_not_answer_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:pass-word-1@127.0.0.1:9")
    model = OpenAIModel("x", "fake", "http://models.internal.example/v1", ModelOptions(retries=0))
    with pytest.raises(ModelNotAvailableError, match=r"nothing answers at .*127\.0\.0\.1:9") as raised:
        await model.start(lambda line: None)
    assert "pass-word-1" not in str(raised.value)
    assert "ssl" not in str(raised.value)  # plain http


async def test_a_proxy_of_an_unknown_kind_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://me:pass-word-1@127.0.0.1:9")
    model = OpenAIModel("x", "fake", "http://models.internal.example/v1", ModelOptions(retries=0))
    with pytest.raises(ModelNotAvailableError, match=r"proxy is socks5://\.\.\.") as raised:
        await model.start(lambda line: None)
    assert "pass-word-1" not in str(raised.value)


async def test_this_machine_is_reached_without_a_proxy(endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    model = OpenAIModel("x", "fake", endpoint.url, ModelOptions(retries=0))
    await model.start(lambda line: None)
    await model.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine that its own key signed."""
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", str(made[0]), "-keyout", str(made[1])]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs openssl to make a certificate")
    return made


@pytest.mark.e2e
async def test_a_certificate_of_ones_own_authority(
    program: Program, endpoint: FakeEndpoint, certificate: tuple[Path, Path]
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def forward(request: web.Request) -> web.StreamResponse:
        async with ClientSession() as session, session.request(
            request.method, endpoint.url.removesuffix("/v1") + request.path, data=await request.read()
        ) as answer:  # fmt: skip
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", forward)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    name = f"openai:fake@https://localhost:{runner.addresses[0][1]}/v1"
    arguments: tuple[Any, ...] = ("eval", "gsm8k", "-m", name, "--limit", "1", "--json")
    refused = await program.run_beside(*arguments)
    accepted = await program.run_beside(*arguments, SSL_CERT_FILE=str(certificate[0]))
    await runner.cleanup()
    assert refused.returncode == 2
    assert "SSL_CERT_FILE" in refused.stderr
    assert accepted.returncode == 0, accepted.stderr
