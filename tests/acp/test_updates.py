"""What a client is told: titles and inputs of calls, prompts of several blocks, hostile texts made visible."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("acp", reason="needs the acp extra")

from acp.helpers import embedded_text_resource, image_block, resource_block, resource_link_block, text_block

from stackbench.acp import updates
from tests.tui.hostile_strings import hostile_strings


def test_a_call_is_named_by_what_it_is_about() -> None:
    begun = updates.call_begins("c1", "exec", '{"command": "ls -l\\nrm x"}', "pending")
    assert (begun.title, begun.kind, begun.raw_input) == (r"exec: ls -l\nrm x", "execute", {"command": "ls -l\nrm x"})
    broken = updates.call_begins("c2", "no_such_tool", "{broken", "in_progress")
    assert (broken.title, broken.kind, broken.raw_input) == ("no_such_tool", "other", "{broken")
    assert len(updates.call_begins("c3", "write", json.dumps({"path": "x" * 9000}), "pending").title) < 200


@pytest.mark.parametrize("text", hostile_strings())
def test_texts_of_models_and_tools_are_made_visible_and_can_be_sent(text: str) -> None:
    for update in (
        updates.answer_piece(text),
        updates.thought_piece(text),
        updates.call_begins("c1", text, text, "pending"),
        updates.call_begins("c1", "exec", json.dumps({text: [text, {"command": text}]}), "pending"),
        updates.call_changes("c1", "completed", text),
    ):
        sent = update.model_dump_json(by_alias=True)
        assert "\x1b" not in json.dumps(json.loads(sent), ensure_ascii=False).replace("\\u001b", "\x1b")


def test_a_prompt_is_the_text_of_its_blocks() -> None:
    blocks = [
        text_block("Look at this."),
        resource_link_block("orders.py", "file:///orders.py"),
        resource_block(embedded_text_resource("file:///notes", "a note")),
        image_block("AAAA", "image/png"),
    ]
    assert updates.prompt_text(blocks) == "Look at this.\n\n[orders.py](file:///orders.py)\n\nfile:///notes:\na note"


def test_the_policies_are_modes() -> None:
    state = updates.modes("risky")
    assert state.current_mode_id == "risky" and [one.id for one in state.available_modes] == [
        "never",
        "risky",
        "always",
    ]
