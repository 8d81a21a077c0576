from __future__ import annotations

import re

import pytest

from stackbench.errors import UsageError
from stackbench.models import ModelOptions, create_model, parse_model_name


@pytest.mark.parametrize(
    ("name", "kind", "target", "url"),
    [
        ("oracle", "oracle", "", ""),
        ("null", "null", "", ""),
        ("hf:qwen2.5-coder-0.5b-instruct", "hf", "qwen2.5-coder-0.5b-instruct", ""),
        ("vllm:Qwen/Qwen2.5-Coder-7B-Instruct", "vllm", "Qwen/Qwen2.5-Coder-7B-Instruct", ""),
        ("gguf:/models/a b.gguf", "gguf", "/models/a b.gguf", ""),
        ("hf:./a folder", "hf", "./a folder", ""),
        ("replay:20260101-000000-abc", "replay", "20260101-000000-abc", ""),
        ("openai:org/m@http://h:1/v1", "openai", "org/m", "http://h:1/v1"),
        ("openai:m@2024@https://h/v1/", "openai", "m@2024", "https://h/v1"),
    ],
)
def test_model_names_are_taken_apart(name: str, kind: str, target: str, url: str) -> None:
    parsed = parse_model_name(name)
    assert (parsed.kind, parsed.target, parsed.url) == (kind, target, url)


@pytest.mark.parametrize("name", ["", "gpt-4", "hf:", "hf", "openai:m", "openai:m@ftp://h", "openai:@h", "x:y"])
def test_other_names_are_refused_with_the_known_forms(name: str) -> None:
    with pytest.raises(UsageError, match="hf:NAME_OR_PATH|openai:MODEL@http"):
        parse_model_name(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Qwen/Qwen2.5-Coder-0.5B", "write hf:Qwen/Qwen2.5-Coder-0.5B or vllm:Qwen/Qwen2.5-Coder-0.5B"),
        ("qwen2.5-coder-0.5b-instruct", "hf:qwen2.5-coder-0.5b-instruct or vllm:"),
        ("qwen2.5-coder-0.5b-instuct", 'did you mean "hf:qwen2.5-coder-0.5b-instruct"'),
        ("oracel", 'did you mean "oracle"'),
        ("vllmx:m", 'did you mean "vllm:m"'),
        ("openai:m@localhost:8000/v1", "has no http://; write openai:m@http://localhost:8000/v1"),
        ("oracle:x", "oracle takes no name"),
        ("vllm:", "vllm needs a name behind it; write vllm:NAME_OR_PATH"),
        ("replay:", "replay needs a name behind it; write replay:RUN_OR_FILE"),
        ("/", "is a path; a model there is written hf:/"),
    ],
)
def test_a_name_that_is_nearly_right_is_told_what_to_write(name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=re.escape(meant)):
        parse_model_name(name)


async def test_an_unknown_hf_name_is_refused_before_anything_loads(tmp_path) -> None:
    model = create_model("hf:no-such-model", ModelOptions(home=tmp_path))
    with pytest.raises(UsageError, match="no such file or folder.*models list"):
        await model.start(lambda line: None)
    await model.close()
