"""A small store behind the HTTP service: a collection of items, or one document, that answers as it was last changed.

GET lists or gives one, POST adds, PUT replaces, PATCH merges (RFC 7396), DELETE removes. A body that does not fit the
schema is refused with 422 and changes nothing. With entity tags a change needs If-Match: without it 428 (RFC 6585),
with another tag 412.
"""

from __future__ import annotations

import hashlib
import json
import re

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

JSON = {"Content-Type": "application/json"}
KINDS: dict[str, Any] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
MOST_ITEMS = 10_000


class Collection:
    def __init__(self, path: str, given: dict[str, Any]):
        self.path = path
        self.key = given["key"]
        self.methods = given["methods"]
        self.schema = given["schema"]
        self.etag = given["etag"]
        self.adds = given["adds"]
        self.ids = list(given["ids"])
        self.document = given["document"]
        self.items = list(given["items"])

    def holds(self, path: str):
        """Whether a path is this collection's or one of its items'."""
        if path == self.path:
            return True
        rest = path[len(self.path) + 1 :]
        return self.document is None and path.startswith(f"{self.path}/") and bool(rest) and "/" not in rest

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes):
        """Status, headers and body of the answer."""
        looks = "GET" if method == "HEAD" else method
        one = self.document is not None or path != self.path
        allowed = [name for name in self.methods if name == "GET" or one != (name == "POST")]
        if looks not in allowed:
            return 405, {"Allow": ", ".join(allowed)}, b"method not allowed\n"
        if looks == "POST":
            return self.add(body)
        if not one:
            return self.shown(200, self.items)
        found = self.document if self.document is not None else self.find(path.rpartition("/")[2])
        if found is None:
            return problem(404, "there is no such item")
        if looks == "GET":
            if self.etag and tag_of(found) in tags(headers.get("if-none-match", "")):
                return 304, {"ETag": tag_of(found)}, b""
            return self.shown(200, found)
        if self.etag:
            wanted = tags(headers.get("if-match", ""))
            if not wanted:
                return problem(428, "a change needs If-Match with the entity tag of what it changes")
            if tag_of(found) not in wanted:
                return problem(412, "the document has changed since; read it again")
        return self.change(looks, found, body)

    def find(self, name: str):
        return next((item for item in self.items if str(item.get(self.key)) == name), None)

    def add(self, body: bytes):
        item, why = self.read(body)
        if why:
            return problem(422, why)
        if len(self.items) >= MOST_ITEMS:
            return problem(507, "there is no room for more")
        name = self.ids.pop(0) if self.ids else self.next_number()
        made = {self.key: name, **item, **self.adds} if self.key not in item else {**item, **self.adds}
        self.items.append(made)
        return self.shown(201, made, {"Location": f"{self.path}/{made[self.key]}"})

    def next_number(self):
        known = [item[self.key] for item in self.items if type(item.get(self.key)) is int]
        return max(known, default=0) + 1

    def change(self, method: str, found: dict[str, Any], body: bytes):
        if method == "DELETE":
            self.items = [item for item in self.items if item is not found]
            return 204, {}, b""
        given, why = self.read(body, partly=method == "PATCH")
        if why:
            return problem(422, why)
        made = merged(found, given) if method == "PATCH" else {**self.kept(found), **given}
        found.clear()
        found.update(made)
        return self.shown(200, found)

    def kept(self, found: dict[str, Any]):
        """What a replacement keeps: an item's name."""
        return {} if self.document is not None else {self.key: found[self.key]}

    def read(self, body: bytes, *, partly: bool = False):
        """The object in a body, and what is wrong with it."""
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            return {}, "the body is no JSON"
        if not isinstance(given, dict):
            return {}, "the body is no object"
        return given, misfit(given, self.schema, "", partly) if self.schema else ""

    def shown(self, status: int, value: Any, more: dict[str, str] | None = None):
        tag = {"ETag": tag_of(value)} if self.etag else {}
        return status, {**JSON, **tag, **(more or {})}, json.dumps(value, ensure_ascii=False).encode()


def problem(status: int, why: str):
    return status, JSON, json.dumps({"error": why}).encode()


def tag_of(value: Any):
    return f'"{hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]}"'


def tags(header: str):
    return [one.strip() for one in header.split(",") if one.strip()]


def merged(old: dict[str, Any], given: dict[str, Any]):
    made = dict(old)
    for name, value in given.items():
        if value is None:
            made.pop(name, None)
        elif isinstance(value, dict) and isinstance(made.get(name), dict):
            made[name] = merged(made[name], value)
        else:
            made[name] = value
    return made


def misfit(value: Any, schema: dict[str, Any], place: str, partly: bool = False) -> str:
    """Why a value does not fit a schema (type, properties, required, additionalProperties, enum, pattern, minimum, of
    JSON Schema); empty where it does. `partly`: members may be left out."""
    name = place or "the body"
    kind = schema.get("type")
    if kind is not None and not (isinstance(value, KINDS[kind]) and (type(value) is bool) == (kind == "boolean")):
        return f"{name} must be of type {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{name} must be one of {', '.join(map(str, schema['enum']))}"
    if "pattern" in schema and isinstance(value, str) and re.search(schema["pattern"], value) is None:
        return f"{name} must match {schema['pattern']}"
    if "minimum" in schema and isinstance(value, (int, float)) and value < schema["minimum"]:
        return f"{name} must be at least {schema['minimum']}"
    if not isinstance(value, dict):
        return ""
    members = schema.get("properties", {})
    missing = [] if partly else [one for one in schema.get("required", ()) if one not in value]
    if missing:
        return f"{', '.join(missing)} missing in {name}"
    if schema.get("additionalProperties") is False and not members.keys() >= value.keys():
        return f"{', '.join(sorted(value.keys() - members.keys()))} unknown in {name}"
    for one, inner in members.items():
        if one in value:
            why = misfit(value[one], inner, f"{place}.{one}" if place else one)
            if why:
                return why
    return ""
