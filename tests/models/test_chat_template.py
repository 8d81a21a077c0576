"""Chat templates: what they render is what Transformers renders, and none takes more than a bounded time and memory."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from stackbench.errors import GenerationError
from stackbench.models import chat_template, template_worker
from stackbench.models.chat_template import ChatTemplate, TemplateLimitError, own_templates, template_sha256
from stackbench.types import Message, ToolCall, ToolSpec

CHAT = (Message("system", "Be brief."), Message("user", "Hi  "), Message("assistant", "Yes?"), Message("user", "Go ö"))
TOOLS = (ToolSpec("read", "Reads <a> file.", '{"type": "object", "properties": {"path": {"type": "string"}}}'),)
CHATML = """{%- if tools %}{{- '<|im_start|>system\\n' }}
{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}{{- '<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}
    {%- set content = message.content | trim %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
LLAMA = """{{ bos_token }}{% set ns = namespace(first=true) %}
{% for m in messages %}
{% if m.role == 'assistant' %}
    {% generation %}{{ m.content }}{% endgeneration %}{{ eos_token }}
{% elif m.tool_calls is defined %}{{ m.tool_calls[0].function.arguments.path | tojson(indent=2) }}
{% else %}[{{ loop.index }}] {{ m['role'].upper() }}: {{ m.content }}{{ '' if ns.first else '!' }}
{% set ns.first = false %}
{% endif %}
{% if loop.index > 3 %}{% break %}{% endif %}
{% endfor %}
{% if add_generation_prompt is defined and add_generation_prompt %}A:{% endif %}"""
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.fixture
def make() -> Iterator[Callable[[str], ChatTemplate]]:
    made: list[ChatTemplate] = []

    def one(text: str) -> ChatTemplate:
        made.append(ChatTemplate(text, SPECIAL))
        return made[-1]

    yield one
    for template in made:
        template.close()


@pytest.mark.parametrize("text", [CHATML, LLAMA])
@pytest.mark.parametrize("tools", [(), TOOLS])
def test_it_renders_what_transformers_renders(make: Callable[[str], ChatTemplate], text: str, tools: tuple) -> None:
    pytest.importorskip("transformers", reason="needs the local extra")
    from transformers.utils.chat_template_utils import render_jinja_template

    from stackbench.models.tool_calls import chat_for_template, tools_for_template

    template = make(text)
    for messages in (CHAT, CHAT[1:2], (*CHAT, Message("assistant", "", (ToolCall("c", "read", '{"path": "ä"}'),)))):
        (expected,), _ = render_jinja_template(
            [chat_for_template(messages)], tools=tools_for_template(tools), chat_template=text,
            add_generation_prompt=True, **SPECIAL,
        )  # fmt: skip
        assert template.render(messages, tools) == expected


@pytest.mark.parametrize("text", [CHATML, LLAMA])
@pytest.mark.parametrize("prefill", ["Sure", "```python\n", "  two  ", "ö {{ x }} </s>", "<think>\n\n</think>\n\n"])
def test_a_given_beginning_is_continued_as_transformers_does(
    make: Callable[[str], ChatTemplate], text: str, prefill: str
) -> None:
    pytest.importorskip("transformers", reason="needs the local extra")
    from transformers.utils.chat_template_utils import render_jinja_template

    from stackbench.models.tool_calls import chat_for_template

    chat = [*chat_for_template(CHAT[:2]), {"role": "assistant", "content": prefill}]
    (expected,), _ = render_jinja_template([chat], chat_template=text, continue_final_message=True, **SPECIAL)
    found = make(text).render(CHAT[:2], prefill=prefill)
    assert found == expected
    assert found.rstrip().endswith(prefill.strip())


def test_a_template_that_leaves_answers_out_takes_no_beginning(make: Callable[[str], ChatTemplate]) -> None:
    template = make("{% for m in messages if m.role != 'assistant' %}{{ m.content }}{% endfor %}")
    with pytest.raises(GenerationError, match="leaves out parts of an answer"):
        template.render(CHAT, prefill="Sure")
    with pytest.raises(GenerationError, match="writes no contents"):
        make("{{ messages | length }}").render(CHAT, prefill="Sure")


REFUSALS = [
    (
        "{{ raise_exception('Conversation roles must alternate') }}",
        "refuses the chat: Conversation roles must alternate",
    ),
    ("{{ raise_exception('') }}", "refuses the chat"),
    ("{{ message.content }}", "'message' is undefined"),
    ("{{ messages[0].nothing.more }}", "has no attribute 'nothing'"),
    ("{% for m in messages %}", "refuses the chat: .*end of template"),
    ("{{ 1 / 0 }}", "ZeroDivisionError"),
    ("{{ messages | nofilter }}", "No filter named 'nofilter'"),
    ("{{ messages.append(1) }}", "is unsafe"),
    ("{{ namespace(_x=1) }}", "_x"),
    ("{% for x in range(10**11) %}a{% endfor %}", "Range too big"),
    ("{% include 'other' %}", "refuses the chat"),
]


@pytest.mark.parametrize(("text", "words"), REFUSALS)
def test_a_refusal_is_an_error_in_the_templates_words(
    make: Callable[[str], ChatTemplate], text: str, words: str
) -> None:
    template = make(text)
    for _ in range(5):  # it is asked anew for every chat, since it may take another
        with pytest.raises(GenerationError, match=words) as caught:
            template.render(CHAT)
        assert len(str(caught.value).splitlines()) == 1
    assert not isinstance(caught.value, TemplateLimitError)


ENDLESS = [
    "{{ 'a' * 10**11 }}",
    "{{ ('a' * 10**6) * 10**6 }}",
    "{{ [0] * 10**10 }}",
    "{{ 'a'.rjust(10**11) }}",
    "{{ 'a' | center(10**11) }}",
    "{{ '%0100000000000d' % 1 }}",
    "{{ '{:>100000000000}'.format('a') }}",
    "{{ messages | tojson(indent=10**10) }}",
    "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "{% for i in range(99999) %}{{ 'a' * 10000 }}{% endfor %}",
    "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
]


@pytest.mark.parametrize("text", ENDLESS)
def test_what_takes_too_much_memory_is_one_error(make: Callable[[str], ChatTemplate], text: str) -> None:
    with pytest.raises(TemplateLimitError, match="the chat template goes too far: ") as caught:
        make(text).render(CHAT)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ (7**(9**8)) | string | length }}",  # within one call of Python's own, where no signal is handled
    ],
)
def test_what_takes_too_long_is_one_error_and_not_tried_for_ever(
    make: Callable[[str], ChatTemplate], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    quick = tmp_path / "worker.py"
    quick.write_text(Path(template_worker.__file__).read_text().replace("CPU_S = 5", "CPU_S = 1"))
    monkeypatch.setattr(template_worker, "__file__", str(quick))
    monkeypatch.setattr(chat_template, "GIVES_UP_AFTER", 1)
    template = make(text)
    with pytest.raises(TemplateLimitError, match="the chat template did not end within 5 s"):
        template.render(CHAT)
    with pytest.raises(TemplateLimitError, match="1 times in a row took too much time or memory"):
        template.render(CHAT)


def test_after_an_error_the_next_chat_is_rendered(make: Callable[[str], ChatTemplate]) -> None:
    template = make("{% if messages | length > 1 %}{{ 'a' * 10**11 }}{% endif %}{{ messages[0].content }}")
    with pytest.raises(TemplateLimitError):
        template.render(CHAT)
    assert template.render(CHAT[:1]) == "Be brief."


def test_odd_text_and_long_chats_come_through(make: Callable[[str], ChatTemplate]) -> None:
    template = make("{{ messages[0].content }}")
    for text in ("", "\x00", "\ud800", "🎉", "x" * 3_000_000):
        assert template.render([Message("user", text)]) == text


def test_the_worker_keeps_within_its_memory(make: Callable[[str], ChatTemplate]) -> None:
    """This process, with an address space hardly above what it has, sees the error and goes on."""
    program = """
import resource, sys
from stackbench.models.chat_template import ChatTemplate, TemplateLimitError, own_templates, template_sha256
from stackbench.types import Message
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
for text in ("{{ 'a' * 10**11 }}", "{% for i in range(99999) %}{{ 'a' * 10000 }}{% endfor %}"):
    template = ChatTemplate(text, {})
    try:
        template.render([Message("user", "x")])
    except TemplateLimitError as error:
        print("refused")
    template.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("refused\nrefused\n", "")


def test_nothing_is_left_when_it_is_closed() -> None:
    template = ChatTemplate("x", {})
    template.close()
    template.render(CHAT)
    template.close()
    template.close()
    running = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    assert [child for child in running if "template_worker" in " ".join(child.cmdline())] == []


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"chat_template.jinja": CHATML, "tokenizer_config.json": '{"chat_template": "old"}'}, (CHATML,)),
        ({"chat_template.json": json.dumps({"chat_template": CHATML})}, (CHATML,)),
        ({"tokenizer_config.json": json.dumps({"chat_template": CHATML})}, (CHATML,)),
        (
            {
                "tokenizer_config.json": json.dumps(
                    {"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}
                )
            },
            ("d", "t"),
        ),
        ({"tokenizer_config.json": "{}"}, ()),
        ({"tokenizer_config.json": "[" * 100_000}, ()),
        ({"tokenizer_config.json": "[1]", "chat_template.jinja": ""}, ("",)),
        ({}, ()),
    ],
    ids=range(8),
)
def test_the_templates_among_a_models_files_are_found(
    tmp_path: Path, files: dict[str, str], found: tuple[str, ...]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert own_templates(tmp_path) == found
    assert all(template_sha256(text) == hashlib.sha256(text.encode()).hexdigest() for text in found)
