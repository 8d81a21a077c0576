"""Every screen at three sizes, as a picture and as text: what changes is looked at before it is accepted.

`python -m pytest tests/tui/test_snapshots.py --snapshot-update` accepts.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from tests.tui.scenes import SCENES

SIZES = [(80, 24), (120, 40), (200, 60)]


class Picture(SingleFileSnapshotExtension):
    """An SVG file of its own for each."""

    file_extension = "svg"
    _write_mode = WriteMode.TEXT


class Words(SingleFileSnapshotExtension):
    """A text file beside it."""

    file_extension = "text"
    _write_mode = WriteMode.TEXT


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("scene", SCENES)
async def test_screen(scene: str, size: tuple[int, int], snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    async with SCENES[scene](tmp_path, size) as screens:
        await screens.until(lambda: screens.text().splitlines()[-1].strip(), "the foot of the screen")  # it comes last
        text, picture = screens.text(), screens.app.export_screenshot()
    assert text == snapshot(extension_class=Words)
    assert picture == snapshot(extension_class=Picture)
