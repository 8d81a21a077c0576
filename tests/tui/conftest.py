"""Homes with recorded runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackbench.config import Home
from tests.tui.recorded_home import make_home


@pytest.fixture
def recorded(tmp_path: Path) -> Home:
    """Three runs: completed, failed, and one whose engine was killed."""
    return make_home(tmp_path / "home")
