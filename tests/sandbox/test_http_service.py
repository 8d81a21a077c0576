"""The HTTP service of fixtures: faults, authorisation, rate limits, pages, entity tags."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.records import HttpAnswer, HttpPages, HttpRate, HttpRoute, HttpStore
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

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], str]:
        flags = [flag for name, value in headers.items() for flag in ("-H", f"{name.replace('_', '-')}: {value}")]
        data = [] if body is None else ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        return await self.ask(path, "-X", method, *flags, *data)

    async def json(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        status, _, text = await self.send(method, path, body, **headers)
        return status, json.loads(text) if text.startswith(("{", "[")) else text

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


async def test_a_collection_answers_as_it_was_changed(serve: Any) -> None:
    items = [{"id": 3, "team": "a"}, {"id": 4, "team": "b", "more": {"x": 1, "y": 2}}]
    client = await serve(HttpRoute("/users", "STORE", store=HttpStore(items, ids=["T-9"], adds={"state": "open"})))
    assert await client.json("GET", "/users") == (200, items)
    assert await client.json("PATCH", "/users/4", {"team": "c", "more": {"x": None}}) == (
        200, {"id": 4, "team": "c", "more": {"y": 2}},
    )  # fmt: skip
    assert await client.json("PUT", "/users/3", {"team": "z"}) == (200, {"id": 3, "team": "z"})
    assert await client.json("POST", "/users", {"team": "n"}) == (201, {"id": "T-9", "team": "n", "state": "open"})
    assert (await client.json("POST", "/users", {"team": "n"}))[1]["id"] == 5
    assert (await client.send("DELETE", "/users/3"))[0] == 204
    assert [(await client.send(method, "/users/3"))[0] for method in ("GET", "DELETE")] == [404, 404]
    assert [item["id"] for item in (await client.json("GET", "/users"))[1]] == [4, "T-9", 5]
    assert [(await client.send(method, path))[0] for method, path in (("PUT", "/users"), ("GET", "/users/4/x"))] == [
        405, 404,
    ]  # fmt: skip


async def test_a_store_refuses_what_does_not_fit_and_keeps_what_it_had(serve: Any) -> None:
    schema = {
        "type": "object",
        "required": ["sku", "n"],
        "additionalProperties": False,
        "properties": {
            "sku": {"type": "string", "pattern": "^P"},
            "n": {"type": "integer", "minimum": 1},
            "to": {"type": "object", "required": ["c"], "properties": {"c": {"enum": ["DE", "NO"]}}},
        },
    }
    client = await serve(HttpRoute("/orders", "STORE", store=HttpStore(schema=schema, methods=("GET", "POST"))))
    for body, why in (
        ({"sku": "P1"}, "n missing in the body"),
        ({"sku": "P1", "n": "2"}, "n must be of type integer"),
        ({"sku": "P1", "n": True}, "n must be of type integer"),
        ({"sku": "P1", "n": 0}, "n must be at least 1"),
        ({"sku": "x", "n": 1}, "sku must match ^P"),
        ({"sku": "P1", "n": 1, "to": {"c": "Norway"}}, "to.c must be one of DE, NO"),
        ({"sku": "P1", "n": 1, "b": 1}, "b unknown in the body"),
        ([1], "the body is no object"),
    ):
        assert await client.json("POST", "/orders", body) == (422, {"error": why})
    assert await client.json("GET", "/orders") == (200, [])
    assert (await client.json("POST", "/orders", {"sku": "P1", "n": 1, "to": {"c": "NO"}}))[0] == 201
    assert (await client.send("DELETE", "/orders/1"))[0] == 405


async def test_a_document_is_changed_only_under_its_present_tag(serve: Any) -> None:
    store = HttpStore(document={"limit": 1}, etag=True, methods=("GET", "PUT"))
    client = await serve(HttpRoute("/policy", "STORE", store=store))
    _, headers, _ = await client.send("GET", "/policy")
    old = headers["etag"]
    assert (await client.json("PUT", "/policy", {"limit": 2}))[0] == 428
    assert (await client.json("PUT", "/policy", {"limit": 2}, if_match='"x"'))[0] == 412
    assert (await client.json("PUT", "/policy", {"limit": 2}, if_match="*"))[0] == 412
    assert await client.json("PUT", "/policy", {"limit": 2}, if_match=old) == (200, {"limit": 2})
    assert (await client.json("PUT", "/policy", {"limit": 3}, if_match=old))[0] == 412
    _, headers, body = await client.send("GET", "/policy")
    assert (headers["etag"] != old, body) == (True, '{"limit": 2}')
    assert (await client.send("GET", "/policy", if_none_match=headers["etag"]))[0] == 304


async def test_faults_and_limits_of_a_store_are_those_of_changes(serve: Any) -> None:
    client = await serve(HttpRoute("/s", "STORE", store=HttpStore(), faults=[HttpAnswer(503)], rate=HttpRate(2, 600.0)))
    statuses = [
        (await client.json(method, "/s", {} if method == "POST" else None))[0]
        for method in ("GET", "POST", "GET", "POST", "POST")
    ]
    assert statuses == [200, 503, 200, 201, 429]
