from __future__ import annotations

import pytest

from stackbench.errors import SandboxError
from stackbench.sandbox.image import build_image, find_image, image_tag

pytestmark = pytest.mark.docker


def test_the_tag_names_the_recipe(image: str) -> None:
    assert image == image_tag() == find_image()
    assert image_tag("python:3.12") != image_tag()


def test_an_image_is_made_from_a_base_that_is_there(image: str) -> None:
    said: list[str] = []
    assert build_image(said.append, base=image) == image_tag(image)
    assert said == []


def test_a_base_that_cannot_be_pulled_is_one_clear_error() -> None:
    with pytest.raises(SandboxError, match="cannot be pulled"):
        build_image(lambda line: None, base="no-such-registry.invalid/none:1")
