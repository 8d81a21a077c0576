from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from stackbench.engine.asking import with_prefill
from stackbench.errors import GenerationError, ModelNotAvailableError
from stackbench.models import ModelOptions
from stackbench.models.hf import HFModel
from stackbench.thoughts import without_thoughts
from stackbench.types import FinishReason, Generation, Message, Request, Sampling, ToolCall, ToolSpec
from tests.conftest import MODELS

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("model")]

PROMPTS = [
    "def add(a, b):\n",
    "The capital of France is",
    "import os\n\ndef list_files(folder):\n    '''All files below a folder, sorted.'''\n",
    "1 2 3 4",
]


EXACT = "float32"
"""Bfloat16 rounds so coarsely that a near tie falls either way with the shape of the batch."""


@pytest.fixture(scope="module")
async def model(small_model: str):
    made = HFModel(f"hf:{small_model}", small_model, ModelOptions(home=MODELS.parent, max_batch=8, dtype=EXACT))
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
    reference = AutoModelForCausalLM.from_pretrained(MODELS / small_model, dtype=getattr(torch, EXACT))
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


async def test_rows_of_unlike_lengths_answer_as_they_do_alone(model: HFModel) -> None:
    words = "one two three four five six seven eight nine ten "
    long = [ask(f"{start}: {words * times}", max_tokens=40) for start, times in (("A", 50), ("B", 101), ("C", 102))]
    requests = [long[0], ask(PROMPTS[0], max_tokens=60), long[1], ask(PROMPTS[1]), long[2]]
    together = [answer.text for answer in await model.generate(requests)]
    assert together == await one_by_one(model, requests)
    (counted,) = await model.generate([long[1]])
    assert counted.prompt_tokens < 1024 < counted.prompt_tokens + 40  # on its way it comes to be a long one


async def test_memory_that_holds_anything_changes_nothing(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch fills all memory that nobody has written with NaN; the cache tells whether its own was among it."""
    import torch

    from stackbench.models.kv_cache import GrowingLayer

    reserve = GrowingLayer.reserve
    poisoned: list[bool] = []

    def watched(layer: GrowingLayer, like_k: torch.Tensor, like_v: torch.Tensor, room: int) -> None:
        reserve(layer, like_k, like_v, room)
        for held in (layer.room_k, layer.room_v):
            assert held is not None
            poisoned.append(bool(held[:, :, layer.length :].isnan().all()))

    requests = [ask(f"{prompt} {'and ' * 9 * (i % 5)}", max_tokens=4 + 2 * i) for i, prompt in enumerate(PROMPTS * 3)]
    clean = await one_by_one(model, requests)
    monkeypatch.setattr(GrowingLayer, "reserve", watched)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert [answer.text for answer in await model.generate(requests)] == clean
    finally:
        torch.use_deterministic_algorithms(False)
    assert poisoned and all(poisoned), "the cache's memory was not filled with NaN: this test checked nothing"


async def test_bfloat16_knows_what_float32_knows(model: HFModel, small_model: str) -> None:
    coarse, _ = await load(small_model, max_batch=8, dtype="bfloat16")
    choices = [Request(Sampling(), prompt=prompt, choices=("\n", " a", "1", " (")) for prompt in PROMPTS]
    try:
        (answer,) = await coarse.generate([ask(PROMPTS[0], max_tokens=40)])
        assert answer.completion_tokens == 40
        for exact, rounded in zip(await model.generate(choices), await coarse.generate(choices), strict=True):
            assert rounded.choice_logprobs == pytest.approx(exact.choice_logprobs, abs=0.3)
    finally:
        await coarse.close()


async def test_requests_wait_for_room_in_memory(
    model: HFModel, small_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = 2 * 30 * 3 * 64 * 4
    monkeypatch.setattr("stackbench.models.hf_loading.free_bytes", lambda placement: 5 * 1024 * token)
    tight = HFModel(f"hf:{small_model}", small_model, ModelOptions(home=MODELS.parent, max_batch=8, dtype=EXACT))
    await tight.start(lambda line: None)
    try:
        requests = [ask(PROMPTS[number % 4], max_tokens=20 + number) for number in range(7)]
        answers = asyncio.create_task(
            tight.generate([*requests, ask(PROMPTS[0], max_tokens=4000, stop=("a", "e", "\n"))])
        )
        seen: list[tuple[int, int]] = []
        while not answers.done():
            load = tight.load()
            assert load is not None
            seen.append((load.running, load.waiting))
            await asyncio.sleep(0.01)
        said = [answer.text for answer in await answers]
    finally:
        await tight.close()
    assert max(running for running, _ in seen) == 2
    assert max(waiting for _, waiting in seen) >= 5
    assert said[:7] == await one_by_one(model, requests)


async def test_where_memory_runs_out_requests_begin_again_in_smaller_batches(
    model: HFModel, small_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from stackbench.models.decoding import BatchDecoder

    forward = BatchDecoder._forward

    def short(self: BatchDecoder, ids: torch.Tensor, mask: torch.Tensor, past: int, cache: object) -> torch.Tensor:
        """Memory for two rows of up to 60 positions."""
        if ids.shape[0] > 2 or mask.shape[1] > 60:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20.00 MiB")
        return forward(self, ids, mask, past, cache)  # type: ignore[arg-type]

    hot = [ask(PROMPTS[1], temperature=1.5, seed=seed, stop=("\n",)) for seed in range(4)]
    streamed = replace(ask(PROMPTS[3], max_tokens=2, ignore_eos=True), stream=True)
    requests = [*(ask(prompt) for prompt in PROMPTS), *hot, streamed]
    said: list[str] = []
    tight = HFModel(f"hf:{small_model}", small_model, ModelOptions(home=MODELS.parent, max_batch=8, dtype=EXACT))
    await tight.start(said.append)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(BatchDecoder, "_forward", short)
            whole = tight.generate(requests)
            too_long = tight.generate([ask("word " * 80)])
            answers, problem = await asyncio.gather(whole, too_long, return_exceptions=True)
    finally:
        await tight.close()
    assert isinstance(answers, list), answers
    assert [answer.text for answer in answers] == await one_by_one(model, requests)
    assert answers[-1].completion_tokens == 2 and len(answers[-1].gaps_s) == 1
    assert str(problem) == "decoding failed: CUDA out of memory. Tried to allocate 20.00 MiB"
    assert any("out of memory with 8 requests under way: begun again, 4 at a time" in line for line in said)


class TokensRead:
    """Counts the tokens that go through a model, padding left out, whatever the decoder says of them."""

    def __init__(self, model: HFModel) -> None:
        assert model._thread.loaded is not None
        self.count = 0
        network = model._thread.loaded.decoder._model
        self.hook = network.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: object, positional: object, named: dict[str, Any]) -> None:
        self.count += int(named["attention_mask"][:, -named["input_ids"].shape[1] :].sum())


async def test_a_shared_prefix_is_read_once_and_changes_nothing(model: HFModel, small_model: str) -> None:
    from transformers import AutoTokenizer

    prefix = "".join(f"Question: what is {i} + {i}?\nAnswer: {i + i}\n\n" for i in range(12))
    requests = [ask(f"{prefix}Question: what is {i} + 1?\nAnswer:", max_tokens=6, ignore_eos=True) for i in range(6)]
    before, read = model.load(), TokensRead(model)
    together = await model.generate(requests)
    read.hook.remove()
    after = model.load()
    encode = AutoTokenizer.from_pretrained(MODELS / small_model).encode
    prompts = [encode(request.prompt) for request in requests]
    shared = next(at for at, tokens in enumerate(zip(*prompts, strict=False)) if len(set(tokens)) > 1)
    once = shared + sum(len(prompt) - shared for prompt in prompts)
    drawn = sum(answer.completion_tokens - 1 for answer in together)
    assert shared > 100 and read.count == once + drawn
    assert before is not None and after is not None
    found = after.prefix_hits - before.prefix_hits
    assert (after.prompt_tokens - before.prompt_tokens, found) == (sum(map(len, prompts)), shared * 5)
    backwards = await one_by_one(model, list(reversed(requests)))
    assert [answer.text for answer in together] == list(reversed(backwards))


async def test_a_long_prompt_is_read_in_chunks_and_answers_the_same(
    model: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = "".join(f"Line {number}: the number is {number * 7}.\n" for number in range(60))
    whole = await one_by_one(model, [ask(prompt)])
    loaded = model._thread.loaded
    assert loaded is not None
    monkeypatch.setattr(loaded.decoder, "_prefill_tokens", 200)
    widths: list[int] = []
    hook = loaded.decoder._model.register_forward_pre_hook(
        lambda _, __, named: widths.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    chunked = await one_by_one(model, [ask(prompt)])
    hook.remove()
    assert chunked == whole
    assert max(widths) == 200 and sum(width for width in widths if width > 1) > 600


async def test_long_prompts_of_one_haystack_are_read_once(model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = model._thread.loaded
    assert loaded is not None
    monkeypatch.setattr(loaded.decoder, "_prefill_tokens", 200)
    hay = [f"The {colour} box holds {n} apples.\n" * 40 for n, colour in enumerate(("red", "green"))]
    requests = [
        Request(Sampling(max_tokens=8), prompt=f"{text}Question {number}: how many?", shared_prefix=len(text))
        for text in hay
        for number in range(3)
    ]
    alone = await one_by_one(model, [replace(request, shared_prefix=0) for request in requests])
    before = model.load()
    together = [answer.text for answer in await model.generate(requests)]
    after = model.load()
    assert before is not None and after is not None
    asked, found = after.prompt_tokens - before.prompt_tokens, after.prefix_hits - before.prefix_hits
    assert together == alone
    assert found > 0.6 * asked


async def test_a_chat_that_goes_on_is_not_read_again_and_answers_the_same(model: HFModel) -> None:
    chats = [[Message("user", f"{topic} " * 20 + "Go on.")] for topic in ("red", "green and some", "blue", "one two")]
    read: list[int] = []
    found: list[list[str]] = []
    for keep_prefix in (True, False):
        turns = [list(chat) for chat in chats]
        answers: list[str] = []
        for _ in range(3):
            before = model.load()
            asked = [Request(Sampling(max_tokens=12), messages=tuple(chat), keep_prefix=keep_prefix) for chat in turns]
            said = [one.text for one in await model.generate(asked)]
            after = model.load()
            assert before is not None and after is not None
            read.append(after.prompt_tokens - before.prompt_tokens - (after.prefix_hits - before.prefix_hits))
            answers += said
            for chat, text in zip(turns, said, strict=True):
                chat += [Message("assistant", text), Message("user", "And then? " * (1 + len(chat)))]
        found.append(answers)
    assert found[0] == found[1]
    assert read[1] < read[0] / 2
    assert read[2] < read[0]


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


async def test_a_streamed_answer_has_the_times_of_its_tokens(model: HFModel) -> None:
    request = Request(Sampling(max_tokens=8, ignore_eos=True), prompt=PROMPTS[1], stream=True)
    (answer,) = await model.generate([request])
    assert answer.ttft_s is not None and 0 < answer.ttft_s < answer.latency_s
    assert len(answer.gaps_s) == answer.completion_tokens - 1 == 7
    assert answer.ttft_s + sum(answer.gaps_s) <= answer.latency_s


async def test_an_answer_goes_on_past_its_end_where_that_is_asked_for(model: HFModel) -> None:
    chat = Request(Sampling(max_tokens=40), messages=(Message("user", "Say hello."),))
    (ended,) = await model.generate([chat])
    assert ended.completion_tokens < 40
    (fixed,) = await model.generate([replace(chat, sampling=Sampling(max_tokens=40, ignore_eos=True))])
    assert (fixed.completion_tokens, fixed.finish_reason) == (40, FinishReason.LENGTH)


async def test_its_load_is_told(model: HFModel) -> None:
    before = model.load()
    assert before is not None
    await model.generate([ask("1 2 3", max_tokens=5, ignore_eos=True)])
    after = model.load()
    assert after is not None
    assert after.completion_tokens - before.completion_tokens == 5
    assert after.prompt_tokens > before.prompt_tokens
    assert (after.running, after.waiting) == (0, 0)


async def load(small_model: str, **options: object) -> tuple[HFModel, list[str]]:
    said: list[str] = []
    model = HFModel(f"hf:{small_model}", small_model, ModelOptions(home=MODELS.parent, **options))  # type: ignore[arg-type]
    try:
        await model.start(said.append)
    except ModelNotAvailableError:
        await model.close()
        raise
    return model, said


async def test_a_shorter_window_refuses_longer_prompts_naming_both_lengths(small_model: str) -> None:
    model, _ = await load(small_model, max_model_len=32)
    with pytest.raises(GenerationError, match=r"the prompt has \d+ tokens, the model's window holds 32"):
        await model.generate([ask("word " * 100)])
    (answer,) = await model.generate([ask("one two three", max_tokens=100)])
    assert answer.prompt_tokens + answer.completion_tokens <= 32
    await model.close()


@pytest.mark.parametrize("quantization", ["bitsandbytes", "bitsandbytes-8bit"])
async def test_weights_are_quantised_while_they_load(small_model: str, quantization: str) -> None:
    pytest.importorskip("bitsandbytes", reason="needs the bitsandbytes extra")
    model, said = await load(small_model, quantization=quantization)
    assert any(quantization in line for line in said)
    assert model.describe()["quantization"] == quantization
    (answer,) = await model.generate([ask("The capital of France is", max_tokens=8)])
    assert "Paris" in answer.text
    await model.close()


async def test_a_quantisation_that_this_machine_cannot_do_says_so(small_model: str) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("says what a machine without a GPU cannot do")
    with pytest.raises(ModelNotAvailableError, match="fp8 needs a GPU of compute capability 8.9"):
        await load(small_model, quantization="fp8")


async def test_a_checkpoint_whose_package_is_missing_names_it(small_model: str, tmp_path: Path) -> None:
    if find_spec("gptqmodel") is not None:
        pytest.skip("says what is missing without gptqmodel")
    for file in (MODELS / small_model).iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "config.json").unlink()
    config = json.loads((MODELS / small_model / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelNotAvailableError, match="pip install gptqmodel"):
        await load(str(tmp_path))


TEMPLATE = """{% if tools %}Call as <tool_call>: {% for tool in tools %}{{ tool.function.name }} {% endfor %}{% endif %}
{% for m in messages %}{{ m.role }}: {{ m.content }}
{% for c in m.tool_calls or [] %}{{ c.function.arguments.path }}{% endfor %}
{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"""


async def test_tools_reach_a_template_that_has_them(small_model: str, tmp_path: Path) -> None:
    for file in (MODELS / small_model).iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "chat_template.jinja").unlink(missing_ok=True)
    (tmp_path / "chat_template.jinja").write_text(TEMPLATE)
    model, _ = await load(str(tmp_path))
    try:
        assert model.native_tools and model.window and model.window > 1000
        call = ToolCall("c1", "read", '{"path": "a.txt"}')
        chat = (Message("user", "Q"), Message("assistant", "", (call,)), Message("tool", "text", tool_call_id="c1"))
        tools = (ToolSpec("read_something_from_a_file", "Reads.", '{"type": "object"}'),)
        plain = Request(Sampling(max_tokens=4), chat)
        changed = replace(plain, tools=tools)
        without, with_tools = [(await model.generate([one]))[0] for one in (plain, changed)]
        assert with_tools.prompt_tokens > without.prompt_tokens + 5
        assert with_tools.tool_calls == ()
    finally:
        await model.close()


def test_a_tagged_call_in_the_text_becomes_a_call() -> None:
    from stackbench.models.prompting import with_calls

    said = Generation('I look.<tool_call>{"name": "read", "arguments": {"path": "a"}}</tool_call>')
    found = with_calls(said)
    assert isinstance(found, Generation)
    assert (found.text, found.finish_reason) == ("I look.", FinishReason.TOOL_CALLS)
    assert found.tool_calls == (ToolCall("call_1", "read", '{"path": "a"}'),)
    assert with_calls(Generation("plain")) == Generation("plain")


def test_an_empty_thought_that_the_prefill_begins_leaves_the_answer() -> None:
    from stackbench.models.chat_template import ChatTemplate
    from stackbench.models.prompting import PromptReader

    class Letters:
        def encode(self, text: str, **_: Any) -> list[int]:
            return [ord(letter) for letter in text]

    changed: list[Any] = []
    template = ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}", {})
    reader = PromptReader(Letters(), template, 1000)
    request = Request(Sampling(), messages=(Message("user", "Q"),), prefill="<think>\n")
    reader.row(request, changed.append).done(Generation("</think>\nThe answer is B."))
    template.close()
    found = without_thoughts(with_prefill(changed[0], request.prefill))
    assert (found.text, found.thought) == ("The answer is B.", "")


def test_a_call_that_is_only_drafted_in_a_thought_is_none() -> None:
    from stackbench.models.prompting import with_calls

    call = '<tool_call>{"name": "read", "arguments": {"path": "a"}}</tool_call>'
    found = with_calls(Generation(f"<think>\nShall I? {call}\n</think>\nNo."))
    assert isinstance(found, Generation)
    assert (found.text, found.tool_calls, found.finish_reason) == ("No.", (), FinishReason.STOP)
    assert call in found.thought
    found = with_calls(Generation(f"Shall I? {call}\n</think>\n{call}"))
    assert isinstance(found, Generation)
    assert len(found.tool_calls) == 1
