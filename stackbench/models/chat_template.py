"""A model's chat template, rendered as Transformers does, in a process whose memory and time are bounded."""

from __future__ import annotations

import hashlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from stackbench.errors import GenerationError, ModelNotAvailableError, one_line
from stackbench.models import template_worker
from stackbench.models.template_worker import CPU_S, HEADER, LONGEST
from stackbench.models.tool_calls import chat_for_template, tools_for_template
from stackbench.nesting import is_array, is_object
from stackbench.types import Message, ToolSpec

__all__ = ["ChatTemplate", "TemplateLimitError", "own_templates", "read_template", "template_sha256"]

ANSWERS_WITHIN_S = 60.0
"""Of the clock, in case the worker can neither go on nor end."""
END = "STACKBENCH_END_OF_PREFILL"
"""Stands behind an answer's given beginning until the rest is cut off there."""
LONGEST_TEMPLATE = 1 << 20
LARGEST_CONFIGURATION = 16 << 20
GIVES_UP_AFTER = 3
"""A template that never ends is not asked again and again."""
CHUNK = 1 << 20


class TemplateLimitError(GenerationError):
    """The template took more time or memory than a chat can need."""


class ChatTemplate:
    """Renders chats with `template`; `variables` are those that every render has (the special tokens).

    Not thread-safe: one thread owns it. The worker is started when it is first needed and after each that ended.
    """

    def __init__(self, template: str, variables: Mapping[str, Any], tools_template: str = "") -> None:
        """`tools_template` is used in place of `template` where there are tools, unless it is empty."""
        self.text = template
        self.tools_text = tools_template or template
        self._variables = dict(variables)
        self._limits_in_a_row = 0
        self._worker: subprocess.Popen[bytes] | None = None

    @property
    def sha256(self) -> str:
        return template_sha256(self.text)

    @property
    def takes_tools(self) -> bool:
        """Whether it writes tools in the format of which answers are read."""
        return "tools" in self.tools_text and "<tool_call>" in self.tools_text

    def render(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = (), prefill: str = "") -> str:
        """The prompt of a chat, up to where the model's answer begins, or goes on after `prefill`.

        Raises:
            GenerationError: the template refuses the chat, in its words.
            TemplateLimitError: it took too much time or memory.
        """
        if self._limits_in_a_row >= GIVES_UP_AFTER:
            raise TemplateLimitError(f"the chat template {GIVES_UP_AFTER} times in a row took too much time or memory")
        template = self.tools_text if tools else self.text
        chat = chat_for_template(messages)
        if prefill:
            if "content" not in template:
                raise GenerationError("the chat template writes no contents, so an answer's beginning cannot be given")
            # The space tells afterwards whether the template strips contents.
            chat.append({"role": "assistant", "content": f"{prefill}{END} "})
        variables = {
            **self._variables,
            "messages": chat,
            "tools": tools_for_template(tools),
            "documents": None,
            "add_generation_prompt": not prefill,
        }
        self._limits_in_a_row += 1
        try:
            text = self._ask({"template": template, "variables": variables})
        except TemplateLimitError:
            raise
        except GenerationError:
            self._limits_in_a_row = 0
            raise
        self._limits_in_a_row = 0
        return _cut_after(prefill, text) if prefill else text

    def close(self) -> None:
        """Ends the worker."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.kill()
        for stream in (worker.stdin, worker.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # what was still to be written to it is of no use
        worker.wait()

    def _ask(self, request: Mapping[str, Any]) -> str:
        content = json.dumps(request).encode()
        if self._worker is None or self._worker.poll() is not None:
            self.close()
            self._worker = subprocess.Popen(
                [sys.executable, "-P", template_worker.__file__],  # -P: the folder of this file is no place for modules
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )  # fmt: skip
        worker = self._worker
        assert worker.stdin is not None and worker.stdout is not None
        try:
            _write_all(worker.stdin, HEADER.pack(len(content)) + content)
            answer = json.loads(_read_frame(worker.stdout))
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            worker.kill()
            raise TemplateLimitError(f"the chat template {_why_ended(worker.wait(), error)}") from error
        finally:
            if worker.poll() is not None:
                self.close()
        if "error" not in answer:
            return str(answer["text"])
        words = one_line(answer["error"], 1000)
        if answer["kind"] == "limit":
            raise TemplateLimitError(f"the chat template goes too far: {words}")
        raise GenerationError(f"the chat template refuses the chat: {words}")


def read_template(named: str) -> str:
    """The template in a file, or `named` itself where it is Jinja. Raises ModelNotAvailableError."""
    if "{" in named:
        return named
    try:
        with Path(named).expanduser().open(encoding="utf-8") as file:
            text = file.read(LONGEST_TEMPLATE + 1)
        if len(text) > LONGEST_TEMPLATE:
            raise ModelNotAvailableError(f"--chat-template {named}: more than {LONGEST_TEMPLATE:,} characters")
        return text
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else one_line(error)
        raise ModelNotAvailableError(f"--chat-template {named}: {(why or 'cannot be read').lower()}") from error


def own_templates(folder: Path) -> tuple[str, ...]:
    """The chat templates among a model's files, the default first; empty where it has none that can be read."""
    try:
        return (_bounded_text(folder / "chat_template.jinja"),)
    except (OSError, ValueError):
        pass
    for name in ("chat_template.json", "tokenizer_config.json"):
        try:
            found = json.loads(_bounded_text(folder / name)).get("chat_template")
        except (OSError, ValueError, AttributeError, RecursionError):
            continue
        if isinstance(found, str):
            return (found,)
        if is_array(found):
            named = {str(one.get("name")): str(one.get("template")) for one in found if is_object(one)}
            return tuple(named[name] for name in sorted(named, key=lambda name: name != "default"))
    return ()


def template_sha256(text: str) -> str:
    """Of a template's UTF-8."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _bounded_text(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        text = file.read(LARGEST_CONFIGURATION + 1)
    if len(text) > LARGEST_CONFIGURATION:
        raise ValueError(f"{path} is too large")
    return text


def _cut_after(prefill: str, text: str) -> str:
    """What stands before the mark, as Transformers cuts a final message that is continued."""
    at = text.rfind(END)
    if at < 0 or prefill.strip() not in text:
        raise GenerationError("the chat template leaves out parts of an answer, so its beginning cannot be given")
    keeps_space = text.startswith(f"{END} ", at)
    return text[:at] if keeps_space else text[:at].rstrip()


def _write_all(stream: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def _read_frame(stream: IO[bytes]) -> bytes:
    deadline = time.monotonic() + ANSWERS_WITHIN_S
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)

        def read(count: int) -> bytes:
            parts = bytearray()
            while len(parts) < count:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError
                part = stream.read(min(CHUNK, count - len(parts)))
                if not part:
                    raise EOFError
                parts += part
            return bytes(parts)

        length = HEADER.unpack(read(HEADER.size))[0]
        if length > 12 * LONGEST:  # a character is at most 12 bytes of JSON
            raise ValueError(f"an answer of {length} bytes")
        return read(length)


def _why_ended(code: int, error: Exception) -> str:
    if code == -signal.SIGXCPU:
        return f"did not end within {CPU_S} s"
    if isinstance(error, TimeoutError):
        return f"did not end within {ANSWERS_WITHIN_S:g} s"
    return f"ended the process that renders it (exit code {code})"
