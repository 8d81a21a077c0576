"""Renders chat templates in a process of its own, whose memory and time are bounded: templates come from anywhere.

Reads a request as a frame from standard input (8 bytes of length, big-endian, then JSON: `template`, `variables`),
writes the answer as a frame to standard output (`text`, or `error` and `kind`), until its input ends. A template that
takes more processor time than a render may have ends the process (SIGXCPU). Standard library and jinja2 only, started
as `python -P template_worker.py`.

The environment is that of Transformers' `apply_chat_template`: the immutable sandbox with trimmed blocks, loop
controls, `{% generation %}`, `raise_exception`, `strftime_now`, `namespace`, `dict`, and `tojson` without escapes.
"""

from __future__ import annotations

import json
import math
import resource
import struct
import sys
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import IO, Any

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

CPU_S = 5
"""Of one render."""
MEMORY_BYTES = 512 << 20
"""Address space of the process."""
LONGEST = 16 << 20
"""Characters of a rendered chat."""
HEADER = struct.Struct(">Q")


class TooLongError(Exception):
    """A template wrote more than `LONGEST`."""


class GenerationBlock(Extension):
    """`{% generation %}` marks what a model wrote, for training; here it only holds its text."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(line)

    def _text(self, caller: Callable[[], str]) -> str:
        return caller()


class PublicNamespace(Namespace):
    """A `namespace(...)` that keeps no attribute of Python's own."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # so that `namespace(self=...)` is one
        attributes = dict(*args[1:], **kwargs)
        for name in attributes:
            _check_public(name)
        Namespace.__init__(args[0], attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_public(name)
        super().__setitem__(name, value)


def _check_public(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace holds no attribute {name!r}")


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _make_environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationBlock, loopcontrols]
    )
    made.filters["tojson"] = _to_json
    known: dict[str, Any] = {
        "raise_exception": _raise, "strftime_now": _now, "dict": dict, "namespace": PublicNamespace,
    }  # fmt: skip
    made.globals.update(known)
    return made


ENVIRONMENT = _make_environment()
compiled = lru_cache(maxsize=8)(ENVIRONMENT.from_string)


def render(template: str, variables: dict[str, Any]) -> str:
    """The text. Raises whatever the template does, and TooLongError."""
    parts: list[str] = []
    length = 0
    for part in compiled(template).generate(**variables):
        parts.append(part)
        length += len(part)
        if length > LONGEST:
            raise TooLongError(f"it wrote more than {LONGEST:,} characters")
    return "".join(parts)


def answer_to(request: dict[str, Any]) -> dict[str, str]:
    """The text, or the error in the template's words."""
    try:
        return {"text": render(request["template"], request["variables"])}
    except MemoryError:
        return {"kind": "limit", "error": f"it needs more than {MEMORY_BYTES >> 20} MiB of memory"}
    except (TooLongError, RecursionError) as error:
        return {"kind": "limit", "error": str(error)[:2000]}
    except TemplateError as error:
        return {"kind": "template", "error": str(error)[:2000] or type(error).__name__}
    except Exception as error:
        return {"kind": "template", "error": f"{type(error).__name__}: {error}"[:2000]}


def main(requests: IO[bytes], answers: IO[bytes]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while len(header := requests.read(HEADER.size)) == HEADER.size:
        request = json.loads(requests.read(HEADER.unpack(header)[0]))
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(
            resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime) + CPU_S, resource.RLIM_INFINITY)
        )
        content = json.dumps(answer_to(request)).encode()
        del request
        answers.write(HEADER.pack(len(content)) + content)
        answers.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
