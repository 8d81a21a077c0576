"""The HTTP service of fixtures: faults, authorisation, rate limits, pages, entity tags."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.records import HttpAnswer, HttpPages, HttpRate, HttpRoute
from stackbench.sandbox.session import Session

pytestmark = pytest.mark.docker


class Client:
    """Asks the service with the container's curl."""

    def __init__(self, session: Session, port: int) -> None:
        self.session = session
        self._base = f"http://127.0.0.1:{port}"

    async def ask(self, path: str, *flags: str) -> tuple[int, dict[str, str], str]:
        done = await self.session.run(["curl", "-s", "-i", *flags, self._base + path])
        head, _, body = done.stdout.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(first.split()[1]), headers, body

    async def statuses(self, path: str, times: int, *flags: str) -> list[int]:
        return [(await self.ask(path, *flags))[0] for _ in range(times)]


@pytest.fixture
async def serve(pool: SandboxPool) -> AsyncIterator[Any]:
    async with pool.lease() as session:

        async def start(*routes: HttpRoute) -> Client:
            return Client(session, await session.start_http(routes))

        yield start


async def test_faults_come_first_and_in_order(serve: Any) -> None:
    faults: Sequence[HttpAnswer] = (
        HttpAnswer(503, {"Retry-After": "1"}, times=2),
        HttpAnswer(200, body=b'{"half": '),
    )
    client = await serve(HttpRoute("/flaky", body=b'{"ok": true}', faults=faults))
    assert await client.statuses("/flaky", 2) == [503, 503]
    assert (await client.ask("/flaky"))[2] == '{"half": '
    assert [(await client.ask("/flaky"))[2] for _ in range(2)] == ['{"ok": true}'] * 2
    assert [request.status for request in (await client.session.http_log()).requests] == [503, 503, 200, 200, 200]


async def test_a_body_is_cut_and_an_answer_delayed(serve: Any) -> None:
    cut = HttpAnswer(200, body=b"0123456789", keep=4)
    client = await serve(HttpRoute("/cut", faults=[cut], body=b"whole"), HttpRoute("/slow", body=b"late", delay_s=0.4))
    done = await client.session.run(["curl", "-s", client._base + "/cut"])
    assert (done.stdout, done.exit_code) == (b"0123", 18)  # curl's code for a partial file
    assert (await client.ask("/cut"))[2] == "whole"
    slow = await client.session.run(["curl", "-s", "--max-time", "0.1", client._base + "/slow"])
    assert slow.exit_code == 28
    assert (await client.ask("/slow"))[2] == "late"


async def test_authorisation_is_asked_for(serve: Any) -> None:
    client = await serve(
        HttpRoute("/token", auth="Bearer abc", body=b"in"), HttpRoute("/user", auth="Basic me:pass word", body=b"in")
    )
    status, headers, _ = await client.ask("/token")
    assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="fixture"')
    assert await client.statuses("/token", 1, "-H", "Authorization: Bearer xyz") == [401]
    assert await client.statuses("/token", 1, "-H", "Authorization: bearer abc") == [200]
    assert await client.statuses("/user", 1, "-u", "me:wrong") == [401]
    assert (await client.ask("/user", "-u", "me:pass word"))[2] == "in"


async def test_too_many_requests_are_told_when_to_come_again(serve: Any) -> None:
    client = await serve(HttpRoute("/few", body=b"x", rate=HttpRate(2, 600.0)))
    assert await client.statuses("/few", 2) == [200, 200]
    status, headers, _ = await client.ask("/few")
    assert status == 429
    assert 590 <= int(headers["retry-after"]) <= 600


async def test_pages_by_number(serve: Any) -> None:
    client = await serve(HttpRoute("/items", pages=HttpPages(list(range(25)), 10)))
    status, headers, body = await client.ask("/items")
    assert (status, json.loads(body), headers["x-total-count"]) == (200, list(range(10)), "25")
    assert headers["link"] == '</items?page=2&per_page=10>; rel="next", </items?page=3&per_page=10>; rel="last"'
    _, headers, body = await client.ask("/items?page=3&per_page=10")
    assert json.loads(body) == [20, 21, 22, 23, 24] and 'rel="next"' not in headers["link"]
    assert json.loads((await client.ask("/items?per_page=99"))[2]) == list(range(10))
    assert json.loads((await client.ask("/items?page=9"))[2]) == []
    assert await client.statuses("/items?page=none", 1) == [400]


async def test_pages_by_cursor(serve: Any) -> None:
    client = await serve(HttpRoute("/feed", pages=HttpPages([{"n": n} for n in range(5)], 2, "cursor")))
    seen: list[int] = []
    path = "/feed"
    while path:
        page = json.loads((await client.ask(path))[2])
        seen += [item["n"] for item in page["items"]]
        path = f"/feed?cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert seen == [0, 1, 2, 3, 4]
    assert await client.statuses("/feed?cursor=5", 1) == [400]


async def test_entity_tags(serve: Any) -> None:
    client = await serve(
        HttpRoute("/doc", body=b"text", etag=True), HttpRoute("/doc", "PUT", status=204, body=b"text", etag=True)
    )
    _, headers, _ = await client.ask("/doc")
    tag = headers["etag"]
    status, _, body = await client.ask("/doc", "-H", f"If-None-Match: {tag}")
    assert (status, body) == (304, "")
    assert await client.statuses("/doc", 1, "-X", "PUT", "-H", 'If-Match: "other"') == [412]
    assert await client.statuses("/doc", 1, "-X", "PUT", "-H", f"If-Match: {tag}") == [204]


async def test_paths_methods_and_heads(serve: Any) -> None:
    client = await serve(
        HttpRoute("/users/{id}", body=b"a user"), HttpRoute("/users/{id}", "DELETE", status=204), HttpRoute("/a.b")
    )
    assert (await client.ask("/users/42"))[2] == "a user"
    assert await client.statuses("/users/42", 1, "-X", "DELETE") == [204]
    assert await client.statuses("/users/42/more", 1) == [404]
    assert await client.statuses("/aXb", 1) == [404]
    status, headers, _ = await client.ask("/users/42", "-X", "POST")
    assert (status, headers["allow"]) == (405, "DELETE, GET")
    status, headers, body = await client.ask("/users/42", "--head")
    assert (status, headers["content-length"], body) == (200, "6", "")
