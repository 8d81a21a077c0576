"""What the HTTP service of fixtures answers: routes with faults, authorisation, rate limits, pages, entity tags and
stores."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from urllib.parse import parse_qs

from .collection import Collection

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

CHANGING = ("PUT", "PATCH", "DELETE")
LOOKING = ("GET", "HEAD", "OPTIONS")


class Answer:
    """`keep` bytes of the body are sent when it is not None, under the whole body's length."""

    def __init__(
        self,
        status: int = 200,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        delay_s: float = 0.0,
        keep: int | None = None,
    ):
        self.status = status
        self.headers = dict(headers or {})
        self.body = body
        self.delay_s = delay_s
        self.keep = keep


class Fixtures:
    """The routes, and how often each was asked."""

    def __init__(self, routes: list[dict[str, Any]]):
        self.routes = [Route(route) for route in routes]
        self.lock = threading.Lock()

    def answer(self, method: str, path: str, query: str, headers: dict[str, str], now: float, body: bytes = b""):
        """`headers` has lower-case names; `now` is in seconds of a steady clock."""
        found = [route for route in self.routes if route.holds(path)]
        if not found:
            return Answer(404, body=b"not found\n")
        wanted = "GET" if method == "HEAD" else method
        chosen = [route for route in found if route.method in (method, wanted)]
        chosen.sort(key=lambda route: route.method != method)
        chosen = chosen or [route for route in found if route.collection is not None]
        if not chosen:
            allowed = ", ".join(sorted({route.method for route in found}))
            return Answer(405, {"Allow": allowed}, b"method not allowed\n")
        with self.lock:
            return chosen[0].answer(method, path, query, headers, now, body)


class Route:
    """One route; `{name}` in its path stands for one segment."""

    def __init__(self, given: Any):
        self.method = given.get("method", "GET")
        parts = re.split(r"(\{[^{}/]+\})", given["path"])
        text = "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts)
        self.pattern = re.compile(text + r"\Z")
        self.path = given["path"]
        self.usual = self.of(given)
        self.auth = given.get("auth", "")
        self.rate = given.get("rate")
        self.pages = given.get("pages")
        self.etag = given.get("etag", False)
        store = given.get("store")
        self.collection = None if store is None else Collection(given["path"], store)
        self.faults = [(fault.get("times", 1), self.of(fault)) for fault in given.get("faults", [])]
        self.asked = 0
        self.times = []

    def holds(self, path: str):
        return bool(self.pattern.match(path)) if self.collection is None else self.collection.holds(path)

    @staticmethod
    def of(given: Any):
        return Answer(
            given.get("status", 200),
            given.get("headers"),
            base64.b64decode(given.get("body", "")),
            given.get("delay_s", 0.0),
            given.get("keep"),
        )

    def answer(self, method: str, path: str, query: str, headers: dict[str, str], now: float, body: bytes):
        looks = self.collection is not None and method in LOOKING  # faults and limits are of what changes a store
        limited = None if looks else self.limited(now)
        if limited is not None:
            return limited
        if self.auth and not self.authorised(headers.get("authorization", "")):
            scheme = self.auth.split(" ")[0]
            return Answer(401, {"WWW-Authenticate": f'{scheme} realm="fixture"'}, b"authorisation needed\n")
        self.asked += not looks
        last = 0
        for times, fault in self.faults if not looks else ():
            last += times
            if self.asked <= last:
                return fault
        if self.collection is not None:
            return Answer(*self.collection.answer(method, path, headers, body))
        if self.etag:
            return self.tagged(method, headers)
        if self.pages is not None:
            return self.page(query)
        return self.usual

    def limited(self, now: float):
        """A sliding window: so many requests in so many seconds; more get 429 and how long to wait."""
        if self.rate is None:
            return None
        window = self.rate["per_s"]
        self.times = [at for at in self.times if now - at < window]
        if len(self.times) < self.rate["requests"]:
            self.times.append(now)
            return None
        wait = max(1, int(self.times[0] + window - now + 0.999))
        return Answer(429, {"Retry-After": str(wait)}, b"too many requests\n")

    def authorised(self, given: Any):
        scheme, _, secret = self.auth.partition(" ")
        if scheme.lower() == "basic":
            secret = base64.b64encode(secret.encode()).decode()
        found, _, credentials = given.partition(" ")
        return found.lower() == scheme.lower() and credentials.strip() == secret

    def tagged(self, method: str, headers: dict[str, str]):
        tag = f'"{hashlib.sha256(self.usual.body).hexdigest()[:16]}"'
        wanted = [one.strip() for one in headers.get("if-match", "").split(",") if one.strip()]
        known = [one.strip() for one in headers.get("if-none-match", "").split(",") if one.strip()]
        if method in CHANGING and wanted and "*" not in wanted and tag not in wanted:
            return Answer(412, {"ETag": tag}, b"precondition failed\n")
        if method in ("GET", "HEAD") and (tag in known or "*" in known):
            return Answer(304, {"ETag": tag})
        usual = self.usual
        return Answer(usual.status, {**usual.headers, "ETag": tag}, usual.body, usual.delay_s, usual.keep)

    def page(self, query: str):
        """By number (`?page=2&per_page=20`, a Link header) or by cursor (`?cursor=...`, `next_cursor` in the body)."""
        asked: dict[str, Any] = {name: values[-1] for name, values in parse_qs(query).items()}
        items, size = self.pages["items"], self.pages["size"]
        json_type = {"Content-Type": "application/json"}
        if self.pages.get("style") == "cursor":
            start = unhidden(asked.get("cursor", ""))
            if start is None or not 0 <= start <= len(items):
                return Answer(400, json_type, b'{"error": "invalid cursor"}')
            end = start + size
            cursor = hidden(end) if end < len(items) else None
            body = {"items": items[start:end], "next_cursor": cursor}
            return Answer(200, json_type, json.dumps(body).encode())
        try:
            number = int(asked.get("page", 1))
            size = min(size, int(asked.get("per_page", size)))
        except ValueError:
            number = 0
        if number < 1 or size < 1:
            return Answer(400, json_type, b'{"error": "page and per_page are numbers above 0"}')
        last = max(1, -(-len(items) // size))
        links = []
        for name, other in (("next", number + 1), ("prev", number - 1), ("last", last)):
            if 1 <= other <= last:
                links.append(f'<{self.path}?page={other}&per_page={size}>; rel="{name}"')
        body = json.dumps(items[(number - 1) * size : number * size]).encode()
        return Answer(200, {**json_type, "Link": ", ".join(links), "X-Total-Count": str(len(items))}, body)


def hidden(place: int):
    """A cursor that does not look like a number to count up."""
    return base64.urlsafe_b64encode(b"after:%d" % place).decode()


def unhidden(cursor: str):
    if not cursor:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
        return int(number) if word == "after" else None
    except ValueError:
        return None
