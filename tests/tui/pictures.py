"""Makes the pictures of docs/tui.md from the program itself.

Usage: python -m tests.tui.pictures    Writes docs/images/tui-*.svg.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tests.tui.scenes import SCENES

FOLDER = Path(__file__).parents[2] / "docs" / "images"
SIZE = (120, 34)
WIDE = (160, 44)


async def draw() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, scene in SCENES.items():
        with tempfile.TemporaryDirectory() as folder:
            async with scene(Path(folder), WIDE if name == "live" else SIZE) as screens:
                picture = screens.app.export_screenshot(title="stackbench")
        (FOLDER / f"tui-{name}.svg").write_text(picture)


if __name__ == "__main__":
    asyncio.run(draw())
