from __future__ import annotations

import re

import pytest

from stackbench.errors import ModelNotAvailableError, UsageError
from stackbench.models import ModelOptions, create_model, parse_model_name
from stackbench.models.pull import locate, locate_gguf
from stackbench.models.registry import OPENAI_URL
from stackbench.types import Message, Request, Sampling
from tests.fake_endpoint import FakeEndpoint


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
        ("openai:gpt-4o-mini", "openai", "gpt-4o-mini", OPENAI_URL),
    ],
)
def test_model_names_are_taken_apart(name: str, kind: str, target: str, url: str) -> None:
    parsed = parse_model_name(name)
    assert (parsed.kind, parsed.target, parsed.url) == (kind, target, url)


@pytest.mark.parametrize("name", ["", "gpt-4", "hf:", "hf", "openai:m@", "openai:@http://h", "openai:@h", "x:y"])
def test_other_names_are_refused_with_the_known_forms(name: str) -> None:
    with pytest.raises(UsageError, match="hf:NAME_OR_PATH|openai:MODEL@http"):
        parse_model_name(name)


async def test_openai_s_own_models_need_a_key_and_are_sent_it(
    endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackbench.models.registry.OPENAI_URL", endpoint.url)  # the machine has no way to the real one
    endpoint.key = "a-key-of-somebody"
    name = f"openai:{endpoint.model}"
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelNotAvailableError, match="OPENAI_API_KEY is not set; set it, name another"):
        create_model(name, ModelOptions())
    monkeypatch.setenv("MY_KEY", "  ")
    with pytest.raises(ModelNotAvailableError, match="MY_KEY is not set"):
        create_model(name, ModelOptions(api_key_env="MY_KEY"))
    create_model(name, ModelOptions(headers=("authorization: Bearer x",)))
    monkeypatch.setenv("OPENAI_API_KEY", endpoint.key)
    model = create_model(name, ModelOptions())
    try:
        await model.start(lambda line: None)
        (answer,) = await model.generate([Request(Sampling(max_tokens=5), (Message("user", "hi"),))])
        assert answer.text == "an answer"
        assert endpoint.headers[-1]["Authorization"] == f"Bearer {endpoint.key}"
    finally:
        await model.close()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Qwen/Qwen2.5-Coder-0.5B", "write hf:Qwen/Qwen2.5-Coder-0.5B or vllm:Qwen/Qwen2.5-Coder-0.5B"),
        ("qwen2.5-coder-0.5b-instruct", "hf:qwen2.5-coder-0.5b-instruct or vllm:"),
        ("smollm2-135m-instruct", "vllm:smollm2-135m-instruct or gguf:smollm2-135m-instruct"),
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


def test_a_mistyped_name_behind_its_kind_is_answered_with_the_nearest(tmp_path) -> None:
    for find in (locate, locate_gguf):
        with pytest.raises(UsageError, match=r'\(did you mean "smollm2-135m-instruct"\?\)'):
            find("smolm2-135m-instruct", tmp_path, lambda line: None)


async def test_an_unknown_hf_name_is_refused_before_anything_loads(tmp_path) -> None:
    model = create_model("hf:no-such-model", ModelOptions(home=tmp_path))
    with pytest.raises(UsageError, match="no such file or folder.*models list"):
        await model.start(lambda line: None)
    await model.close()
