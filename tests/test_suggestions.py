import pytest

from stackbench.suggestions import did_you_mean, nearest


@pytest.mark.parametrize(
    ("given", "known", "found"),
    [
        ("humanevil", ["gsm8k", "humaneval"], "humaneval"),
        ("smolm2", ["qwen2.5-coder-0.5b-instruct", "smollm2-135m-instruct"], "smollm2-135m-instruct"),
        ("coder-instuct", ["smollm2", "qwen2.5-0.5b-coder-instruct"], "qwen2.5-0.5b-coder-instruct"),
        ("SmolM2", ["SmolLM2-135M-Instruct"], "SmolLM2-135M-Instruct"),
        ("foo", ["food-and-more-of-it"], None),
        ("nonesuch", ["smollm2-135m-instruct"], None),
        ("", ["a"], None),
        ("x" * 10, [], None),
    ],
)
def test_the_nearest_name_is_found_by_the_whole_or_by_its_beginning_or_end(
    given: str, known: list[str], found: str | None
) -> None:
    assert nearest(given, known) == found
    assert did_you_mean(given, known) == (f' (did you mean "{found}"?)' if found else "")
