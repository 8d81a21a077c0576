"""What a run's settings make of a benchmark's requests."""

from __future__ import annotations

from typing import Any

import pytest

from stackbench.config import Settings, load_settings
from stackbench.engine.asking import run_sampling, with_prefill, with_run_texts
from stackbench.errors import AttemptError, ConfigError
from stackbench.types import Generation, Message, Request, Sampling, ToolSpec

CHAT = Request(Sampling(), messages=(Message("user", "Q"),))
BARE = Request(Sampling(), prompt="P")


def sampling(settings: Settings, defaults: dict[str, float] | None = None, **more: Any) -> Sampling:
    given = {"temperature": 0.0, "temperature_set": False, "max_tokens": 9, "stop": ("\nQ:",), "seed": 7, **more}
    return run_sampling(settings, defaults or {}, **given)


def test_what_the_user_sets_is_asked_for() -> None:
    settings = Settings(
        top_p=0.9, top_k=5, min_p=0.1, presence_penalty=0.5, frequency_penalty=-0.5, repetition_penalty=1.2,
        stop=("END", "\nQ:"),
    )  # fmt: skip
    assert sampling(settings) == Sampling(
        0.0, 0.9, 9, ("\nQ:", "END"), 7, top_k=5, min_p=0.1, presence_penalty=0.5, frequency_penalty=-0.5,
        repetition_penalty=1.2,
    )  # fmt: skip


def test_a_checkpoint_sets_what_the_user_left_neutral() -> None:
    checkpoint = {"temperature": 0.6, "top_p": 0.8, "top_k": 20, "min_p": 0.0, "repetition_penalty": 1.05}
    found = sampling(Settings(), checkpoint)
    assert (found.temperature, found.top_p, found.top_k, found.repetition_penalty) == (0.6, 0.8, 20, 1.05)
    found = sampling(Settings(top_k=3), checkpoint, temperature=0.0, temperature_set=True)
    assert (found.temperature, found.top_p, found.top_k) == (0.0, 0.8, 3)
    assert sampling(Settings()) == Sampling(0.0, max_tokens=9, stop=("\nQ:",), seed=7)


def test_the_system_prompt_stands_before_every_chat() -> None:
    settings = Settings(system_prompt="Be brief.")
    request, prefill = with_run_texts(CHAT, settings)
    assert request.messages == (Message("system", "Be brief."), Message("user", "Q"))
    assert (request.prefill, prefill) == ("", "")
    own = Request(Sampling(), messages=(Message("system", "Tools."), Message("user", "Q")))
    assert with_run_texts(own, settings)[0].messages[0] == Message("system", "Be brief.\n\nTools.")
    with pytest.raises(AttemptError, match="a system prompt needs a chat"):
        with_run_texts(BARE, settings)


def test_a_given_beginning_is_asked_for_and_is_part_of_the_answer() -> None:
    settings = Settings(prefill="Sure: ")
    request, prefill = with_run_texts(CHAT, settings)
    assert request.prefill == prefill == "Sure: "
    bare, prefill = with_run_texts(BARE, settings)
    assert (bare.prompt, bare.prefill, prefill) == ("PSure: ", "", "Sure: ")
    assert with_prefill(Generation("4"), prefill).text == "Sure: 4"
    assert with_prefill(Generation("4"), "") == Generation("4")
    agent = Request(Sampling(), messages=CHAT.messages, tools=(ToolSpec("t", "T.", "{}"),))
    assert with_run_texts(agent, settings) == (agent, "")


def test_a_beginning_of_a_thought_that_was_told_apart_is_no_part_of_the_answer() -> None:
    kept_apart = Generation("4", thought="two and two")
    assert with_prefill(kept_apart, "<think>\n") == kept_apart
    assert with_prefill(kept_apart, "<think>\n\n</think>\n").text == "<think>\n\n</think>\n4"
    assert with_prefill(Generation("so</think>4"), "<think>\n").text == "<think>\nso</think>4"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("top_k", -1), ("top_k", 1.5), ("min_p", 1.1), ("min_p", -0.1), ("min_p", float("nan")),
        ("repetition_penalty", 0), ("repetition_penalty", -1), ("repetition_penalty", float("inf")),
        ("presence_penalty", 2.1), ("frequency_penalty", -2.1), ("stop", ("",)), ("stop", ("a", "")),
        ("system_prompt", ""), ("system_prompt", "@/nowhere/x"), ("prefill", "@/nowhere/x"),
        ("generation_config", "auto"), ("top_p", 0),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line_that_names_the_flag(
    key: str, value: object, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        load_settings({key: value})
    assert str(caught.value).startswith(f"--{key.replace('_', '-')}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_texts_are_read_from_files(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "s.txt").write_text("Be brief.\nAlways.\n")
    settings = load_settings({"system_prompt": f"@{tmp_path}/s.txt", "prefill": "@@home"}).settings
    assert (settings.system_prompt, settings.prefill) == ("Be brief.\nAlways.\n", "@home")
    (tmp_path / "stackbench.toml").write_text('prefill = "@s.txt"\nstop = ["END"]\n')
    settings = load_settings({}).settings
    assert (settings.prefill, settings.stop) == ("Be brief.\nAlways.\n", ("END",))
    (tmp_path / "s.txt").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read as text"):
        load_settings({})
    (tmp_path / "s.txt").write_text("x" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="more than 1,048,576 characters"):
        load_settings({})
