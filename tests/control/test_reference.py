from __future__ import annotations

from pathlib import Path

from stackbench.control.reference import protocol_page


def test_the_protocol_s_page_is_that_of_the_models() -> None:
    page = Path(__file__).parents[2] / "docs" / "protocol.md"
    assert page.read_text(encoding="utf-8") == protocol_page(), (
        "the messages have changed; run: python -m stackbench.control.reference > docs/protocol.md"
    )
