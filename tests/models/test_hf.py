from __future__ import annotations

import asyncio

import pytest

from stackbench.errors import GenerationError
from stackbench.models import ModelOptions
from stackbench.models.hf import HFModel
from stackbench.types import FinishReason, Message, Request, Sampling
from tests.conftest import MODELS

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("model")]

PROMPTS = [
    "def add(a, b):\n",
    "The capital of France is",
    "import os\n\ndef list_files(folder):\n    '''All files below a folder, sorted.'''\n",
    "1 2 3 4",
]


@pytest.fixture(scope="module")
async def model(small_model: str):
    made = HFModel(f"hf:{small_model}", small_model, ModelOptions(home=MODELS.parent, max_batch=8))
    await made.start(lambda line: None)
    yield made
    await made.close()


def ask(prompt: str, **sampling: object) -> Request:
    return Request(Sampling(**{"max_tokens": 24, **sampling}), prompt=prompt)  # type: ignore[arg-type]


async def one_by_one(model: HFModel, requests: list[Request]) -> list[str]:
    return [(await model.generate([request]))[0].text for request in requests]


async def test_greedy_decoding_equals_transformers_own(model: HFModel, small_model: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODELS / small_model)
    reference = AutoModelForCausalLM.from_pretrained(
        MODELS / small_model, dtype=getattr(torch, model.describe()["dtype"])
    )
    answers = await model.generate([ask(prompt) for prompt in PROMPTS])
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        ids = tokenizer(prompt, return_tensors="pt")
        with torch.inference_mode():
            out = reference.generate(**ids, max_new_tokens=24, do_sample=False)
        assert answer.text == tokenizer.decode(out[0, ids.input_ids.shape[1] :], skip_special_tokens=True)


async def test_a_result_does_not_depend_on_its_batch_mates(model: HFModel) -> None:
    requests = [ask(prompt, max_tokens=6 + 2 * i) for i, prompt in enumerate(PROMPTS * 3)]
    together = [answer.text for answer in await model.generate(requests)]
    assert together == await one_by_one(model, requests)


async def test_requests_that_join_later_change_nothing(model: HFModel) -> None:
    first = asyncio.create_task(model.generate([ask(PROMPTS[2], max_tokens=40)]))
    late: list[str] = []
    for prompt in PROMPTS:
        late.append((await model.generate([ask(prompt)]))[0].text)
    assert late == await one_by_one(model, [ask(prompt) for prompt in PROMPTS])
    assert [(await first)[0].text] == await one_by_one(model, [ask(PROMPTS[2], max_tokens=40)])


async def test_a_shared_prefix_is_read_once_and_changes_nothing(model: HFModel) -> None:
    prefix = "".join(f"Question: what is {i} + {i}?\nAnswer: {i + i}\n\n" for i in range(12))
    requests = [ask(f"{prefix}Question: what is {i} + 1?\nAnswer:", max_tokens=6) for i in range(6)]
    together = [answer.text for answer in await model.generate(requests)]
    assert together == list(reversed(await one_by_one(model, list(reversed(requests)))))


async def test_seeds_are_honoured_per_request(model: HFModel) -> None:
    hot = [ask(PROMPTS[1], temperature=1.5, top_p=0.95, seed=seed) for seed in range(6)]
    first = [answer.text for answer in await model.generate(hot)]
    assert len(set(first)) > 3
    assert first == [answer.text for answer in await model.generate(hot)]
    assert first[2] == (await model.generate([hot[2]]))[0].text


async def test_sampling_follows_the_models_distribution(model: HFModel, small_model: str) -> None:
    """First tokens of 400 seeds against the softmax at that temperature (total variation distance)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODELS / small_model)
    reference = AutoModelForCausalLM.from_pretrained(MODELS / small_model, dtype=torch.float32)
    with torch.inference_mode():
        logits = reference(**tokenizer(PROMPTS[1], return_tensors="pt")).logits[0, -1]
    expected = torch.softmax(logits / 0.7, dim=-1)
    top = expected.topk(5).indices.tolist()
    requests = [ask(PROMPTS[1], temperature=0.7, seed=seed, max_tokens=1) for seed in range(400)]
    texts = [answer.text for answer in await model.generate(requests)]
    distance = sum(abs(texts.count(tokenizer.decode([t])) / 400 - float(expected[t])) for t in top) / 2
    assert distance < 0.08


async def test_stop_strings_end_a_generation_before_themselves(model: HFModel) -> None:
    (whole,) = await model.generate([ask(PROMPTS[0])])
    stop = whole.text[6:9]
    (cut,) = await model.generate([ask(PROMPTS[0], stop=(stop, "never there"))])
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason is FinishReason.STOP


async def test_length_ends_a_generation_and_tokens_are_counted(model: HFModel) -> None:
    (answer,) = await model.generate([ask(PROMPTS[3], max_tokens=5)])
    assert (answer.finish_reason, answer.completion_tokens) == (FinishReason.LENGTH, 5)
    assert answer.prompt_tokens > 0
    assert 0 < (answer.ttft_s or 0) <= answer.latency_s


async def test_chat_messages_go_through_the_template(model: HFModel) -> None:
    request = Request(Sampling(max_tokens=8), messages=(Message("user", "Say hello."),))
    (answer,) = await model.generate([request])
    assert model.chat
    assert answer.prompt_tokens > 10
    assert answer.text


async def test_choices_are_scored_by_the_next_token(model: HFModel) -> None:
    prompt = "Question: 1+1?\nA. 3\nB. 2\nC. 9\nD. 7\nAnswer:"
    (answer,) = await model.generate([Request(Sampling(), prompt=prompt, choices=(" A", " B", " C", " D"))])
    assert answer.choice_logprobs is not None
    assert len(answer.choice_logprobs) == 4
    assert all(value < 0 for value in answer.choice_logprobs)


@pytest.mark.parametrize(
    ("prompt", "said"), [("", "the prompt is empty"), ("word " * 9000, "tokens, the model's window holds 8192")]
)
async def test_prompts_that_cannot_be_are_errors_of_their_own(model: HFModel, prompt: str, said: str) -> None:
    good = asyncio.create_task(model.generate([ask(PROMPTS[0], max_tokens=4)]))
    with pytest.raises(GenerationError, match=said):
        await model.generate([ask(prompt)])
    assert (await good)[0].text


async def test_odd_text_is_taken(model: HFModel) -> None:
    for prompt in ("nul \x00 byte", "🎉🎉", "\n\n\n", "a" * 3000):
        (answer,) = await model.generate([ask(prompt, max_tokens=3)])
        assert answer.completion_tokens >= 1
