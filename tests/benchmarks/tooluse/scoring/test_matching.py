"""Tool call accuracy, parameter correctness and workflow success on cases computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from stackbench.benchmarks.tooluse.scoring.matching import score_calls
from tests.benchmarks.tooluse.made import call, effects, request, scenario

API = "http://127.0.0.1:8080"

READ_THEN_WRITE = [
    {"id": "look", "call": "read", "with": {"path": "in.txt"}},
    {"id": "note", "call": "write", "with": {"path": "out.txt"}, "after": "look"},
]


def test_the_whole_plan_in_order() -> None:
    calls = [call("read", path="in.txt"), call("write", path="out.txt", content="x")]
    score = score_calls(scenario(expected=READ_THEN_WRITE), calls, completed=True)
    assert (score.accuracy, score.parameters, score.whole) == (1.0, 1.0, True)
    assert dict(score.pairs) == {0: 0, 1: 1}


def test_the_wrong_order_leaves_one_unmatched() -> None:
    """write before read: one of the two can be matched, and neither is wrong by what it did: 1 / 2."""
    calls = [
        call("write", path="out.txt", content="x", effects=effects(added={"out.txt"})),
        call("read", path="in.txt"),
    ]
    score = score_calls(scenario(expected=READ_THEN_WRITE), calls, completed=True)
    assert score.accuracy == pytest.approx(1 / 2)
    assert not score.whole


def test_independent_calls_match_in_any_order() -> None:
    plan = [{"call": "read", "with": {"path": "a"}}, {"call": "read", "with": {"path": "b"}}]
    score = score_calls(scenario(expected=plan), [call("read", path="b"), call("read", path="./a")], completed=True)
    assert (score.accuracy, score.parameters) == (1.0, 1.0)
    assert dict(score.pairs) == {0: 1, 1: 0}


def test_a_look_around_is_no_error_a_stray_change_is() -> None:
    """2 expected, both made. Looking more changes nothing; one stray change makes it 2 / 3, two make it 2 / 4."""
    calls = [
        call("exec", command="ls -la | head", effects=effects(read={"."})),
        call("read", path="in.txt"),
        call("write", path="out.txt", content="", effects=effects(added={"out.txt"})),
    ]
    spec = scenario(expected=READ_THEN_WRITE)
    assert score_calls(spec, calls, completed=True).accuracy == 1.0
    stray = call("write", path="other.txt", content="", effects=effects(added={"other.txt"}))
    assert score_calls(spec, [*calls, stray], completed=True).accuracy == pytest.approx(2 / 3)
    removed = call("exec", command="rm x", effects=effects(removed={"x"}))
    assert score_calls(spec, [*calls, stray, removed], completed=True).accuracy == pytest.approx(0.5)


def test_a_call_that_does_its_work_and_harm_beside_it_is_wrong() -> None:
    """Both expected calls are there, and the write changed something else as well: 2 / (2 + 1)."""
    calls = [
        call("read", path="in.txt"),
        call("write", path="out.txt", content="", effects=effects(added={"out.txt"}, removed={"in.txt"})),
    ]
    score = score_calls(scenario(expected=READ_THEN_WRITE), calls, completed=False)
    assert (score.accuracy, list(score.wrong)) == (pytest.approx(2 / 3), [1])


def test_a_malformed_call_is_an_error_and_matches_nothing() -> None:
    calls = [call("read", valid=False, failed=True, pth="in.txt"), call("write", path="out.txt", content="")]
    score = score_calls(scenario(expected=READ_THEN_WRITE), calls, completed=False)
    assert score.accuracy == pytest.approx(1 / 3)


def test_parameters_are_counted_over_matched_calls() -> None:
    """read: path wrong, 0 of 1. write: path right, content judged by completion: 1 of 2. In all 1 of 3."""
    calls = [call("read", path="else.txt"), call("write", path="out.txt", content="x")]
    score = score_calls(scenario(expected=READ_THEN_WRITE), calls, completed=False)
    assert (score.correct, score.counted) == (1, 3)
    assert score.parameters == pytest.approx(1 / 3)
    assert score_calls(scenario(expected=READ_THEN_WRITE), calls, completed=True).parameters == pytest.approx(2 / 3)


def test_incidental_parameters_do_not_count_unless_asked_for() -> None:
    made = [call("exec", command="make", timeoutSeconds=9, yieldMs=10)]
    plain = scenario(expected=[{"call": "exec", "with": {"command": "make"}}])
    assert score_calls(plain, made, completed=False).counted == 1
    asked = scenario(expected=[{"call": "exec", "with": {"command": "make", "pty": True, "timeoutSeconds": 9}}])
    score = score_calls(asked, made, completed=False)
    assert (score.correct, score.counted) == (2, 3)
    assert score_calls(asked, made, completed=True).correct == 3


def test_in_a_completed_task_a_command_is_right_however_it_is_written() -> None:
    spec = scenario(expected=[{"call": "exec", "with": {"command": {"contains": "kill"}}}])
    made = [call("exec", command="python3 -c 'import os; os.remove(\"x\")'", effects=effects(removed={"out.txt"}))]
    assert score_calls(spec, made, completed=True).parameters == 1.0
    assert score_calls(spec, made, completed=False).pairs == {}


def test_one_script_does_the_work_of_several_calls() -> None:
    """It read in.txt and wrote out.txt: both expected calls are made, in order."""
    plan = [
        {"id": "look", "call": ["read", "exec"], "with": {"path": "in.txt"}},
        {"id": "ask", "call": ["http_request", "exec"], "with": {"method": "GET", "url": f"{API}/x"}, "after": "look"},
        {"id": "note", "call": ["write", "exec"], "with": {"path": "out.txt"}, "after": "ask"},
    ]
    did = effects(read={"in.txt"}, added={"out.txt"}, requests=[request("GET", "/x", query="page=2")])
    score = score_calls(scenario(expected=plan), [call("exec", command="./all", effects=did)], completed=True)
    assert (dict(score.pairs), score.accuracy, score.parameters, score.whole) == ({0: 0, 1: 0, 2: 0}, 1.0, 1.0, True)
    less = effects(read={"in.txt"}, added={"out.txt"})
    score = score_calls(scenario(expected=plan), [call("exec", command="./all", effects=less)], completed=True)
    assert dict(score.pairs) == {0: 0, 2: 0}


def test_a_look_stands_for_no_call_whose_work_it_did_not_do() -> None:
    plan = [{"id": "look", "call": ["read", "exec"], "with": {"path": "in.txt"}}]
    other = call("exec", command="cat in.txt.bak", effects=effects(read={"in.txt.bak"}))
    assert score_calls(scenario(expected=plan), [other], completed=True).pairs == {}
    unknown = call("exec", command="cat in.txt", effects=effects(read=None))
    assert score_calls(scenario(expected=plan), [unknown], completed=True).pairs == {0: 0}


def test_matching_prefers_calls_that_would_count_as_wrong_otherwise() -> None:
    """Both edits may stand for the expected one; the refused one is wrong unless it does."""
    spec = scenario(expected=[{"call": "edit"}], checks=[{"file": "out.txt"}])
    calls = [
        call("edit", path="out.txt", oldText="a", newText="b", effects=effects(changed={"out.txt"})),
        call("edit", path="out.txt", oldText="a", newText="b", failed=True, effects=effects()),
    ]
    score = score_calls(spec, calls, completed=True)
    assert (dict(score.pairs), score.accuracy) == ({0: 1}, 1.0)


def test_a_call_that_may_be_made_in_several() -> None:
    """Three refused tries stand for the one that may be repeated; without that two of them are wrong."""
    plan = [{"call": "http_request", "with": {"method": "POST", "url": f"{API}/x"}}]
    tried = [
        call("http_request", method="POST", url=f"{API}/x", details={"status": 409}, effects=effects())
        for _ in range(3)
    ]
    assert score_calls(scenario(expected=plan), tried, completed=True).accuracy == pytest.approx(1 / 3)
    repeated = score_calls(scenario(expected=[{**plan[0], "repeat": True}]), tried, completed=True)
    assert (repeated.accuracy, repeated.counted, repeated.correct) == (1.0, 6, 6)


def test_the_best_of_the_matchings_is_taken() -> None:
    """Both reads may stand for the one expected; the one with the right path counts."""
    spec = scenario(expected=[{"call": "read", "with": {"path": "b"}}])
    score = score_calls(spec, [call("read", path="a"), call("read", path="b")], completed=True)
    assert (dict(score.pairs), score.parameters) == ({0: 1}, 1.0)


def test_more_matches_go_before_better_parameters() -> None:
    """The write may stand for either; the only matching of size 2 gives it to the second."""
    plan = [{"id": "a", "call": ["edit", "write"]}, {"id": "b", "call": "write", "with": {"path": "y"}}]
    calls = [call("edit", path="x", oldText="a", newText="b"), call("write", path="z", content="")]
    assert dict(score_calls(scenario(expected=plan), calls, completed=True).pairs) == {0: 0, 1: 1}


def test_the_order_is_kept_across_calls_between() -> None:
    """a before b before c, and c was made before b: two of the three at most; none is wrong by what it did: 2 / 3."""
    plan = [
        {"id": "a", "call": "read"},
        {"id": "b", "call": "write", "after": "a"},
        {"id": "c", "call": "http_request", "after": "b"},
    ]
    calls = [
        call("read", path="x"),
        call("http_request", method="POST", url="http://localhost/x", effects=effects()),
        call("write", path="out.txt", content="", effects=effects(added={"out.txt"})),
    ]
    score = score_calls(scenario(expected=plan), calls, completed=True)
    assert (len(score.pairs), len(score.wrong)) == (2, 0)
    assert score.accuracy == pytest.approx(2 / 3)


def test_alternatives_the_best_plan_counts() -> None:
    spec = scenario(
        expected=READ_THEN_WRITE, alternatives=[[{"call": "exec", "with": {"command": {"contains": "out.txt"}}}]]
    )
    score = score_calls(spec, [call("exec", command="sort in.txt > out.txt")], completed=True)
    assert (score.accuracy, score.parameters, score.whole, len(score.plan)) == (1.0, 1.0, True, 1)


def test_a_look_is_told_by_what_was_looked_at_by_whatever_tool() -> None:
    plan = [{"id": "look", "call": ["exec", "read"], "with": {"path": {"regex": "homes"}}}]
    for made in (
        call("ls", path="homes/ada"),
        call("exec", command="python3 walk.py", effects=effects(read={"homes", "homes/ada"})),
        call("read", path="/workspace/homes/ada/a.txt"),
    ):
        assert score_calls(scenario(expected=plan), [made], completed=True).accuracy == 1.0, made
    for made in (
        call("ls", path="other"),
        call("ls", path="homes", failed=True),
        call("exec", command="echo homes", effects=effects(read=set())),
    ):
        assert score_calls(scenario(expected=plan), [made], completed=True).accuracy == 0.0, made


def test_a_change_or_a_request_is_told_by_its_effect_by_whatever_tool() -> None:
    plan = [{"call": "exec", "with": {"url": f"{API}/x", "method": "POST"}}]
    posted = call("http_request", method="POST", url=f"{API}/x", details={"status": 201}, effects=effects())
    assert score_calls(scenario(expected=plan), [posted], completed=True).pairs == {0: 0}
    assert score_calls(scenario(expected=plan), [call("web_fetch", url=f"{API}/x")], completed=True).pairs == {}
    write = [{"call": "edit", "with": {"path": "out.txt"}}]
    moved = call("apply_patch", input="...", effects=effects(added={"out.txt"}))
    assert score_calls(scenario(expected=write), [moved], completed=True).pairs == {0: 0}
    assert score_calls(scenario(expected=write), [call("read", path="out.txt")], completed=True).pairs == {}


def test_in_a_completed_task_what_leaves_no_trace_is_not_missed() -> None:
    """A look at processes was expected, and one at a file: 1 of 1 where the task was completed, else 1 of 2."""
    plan = [
        {"id": "list", "call": "exec", "with": {"command": {"contains": "ps"}}},
        {"id": "look", "call": "read", "with": {"path": "a"}},
        {"id": "try", "call": "write", "with": {"path": "b"}, "optional": True},
    ]
    score = score_calls(scenario(expected=plan), [call("read", path="a")], completed=True)
    assert (score.accuracy, score.whole, score.spared) == (1.0, True, {0, 2})
    assert score_calls(scenario(expected=plan), [call("read", path="a")], completed=False).accuracy == 1 / 3
    assert score_calls(scenario(expected=plan[:2]), [], completed=True).accuracy == 0.0
    asked = [{"call": ["ask_user"]}]
    assert score_calls(scenario(expected=asked), [], completed=True).accuracy == 0.0
    alone = score_calls(scenario(expected=plan[:1]), [], completed=True)
    assert (alone.accuracy, alone.parameters, alone.whole) == (1.0, 1.0, True)


def test_degenerate_cases() -> None:
    nothing = scenario(idle=True, checks=[])
    assert (score_calls(nothing, [], completed=True).accuracy, score_calls(nothing, [], completed=True).parameters) == (
        1,
        1,
    )
    assert score_calls(nothing, [call("exec", command="ls", effects=effects())], completed=True).accuracy == 1.0
    removed = call("exec", command="rm x", effects=effects(removed={"x"}))
    assert score_calls(nothing, [removed], completed=False).accuracy == 0.0
    spec = scenario(expected=READ_THEN_WRITE)
    assert (score_calls(spec, [], completed=False).accuracy, score_calls(spec, [], completed=False).parameters) == (
        0,
        0,
    )


@pytest.mark.parametrize(
    ("matcher", "given", "fits"),
    [
        ({"regex": "^GET|POST$"}, "POST", True),
        ({"regex": "^x"}, "yx", False),
        ({"contains": "b c"}, "a b c d", True),
        ({"one_of": ["GET", "HEAD"]}, "HEAD", True),
        ({"json": {"a": [1, 2.0]}}, {"a": [1.0, 2]}, True),
        ({"json": {"a": 1}}, '{"a": 1}', True),
        ({"json": {"a": True}}, {"a": 1}, False),
        ({"set": ["b", "a"]}, ["a", "b"], True),
        ({"number": 3, "tolerance": 0.1}, "3.05", True),
        ({"number": 3}, 3.05, False),
        ({"any": True}, None, True),
        ("text", " text\n", True),
        ("text", "Text", False),
    ],
)
def test_matchers(matcher: Any, given: Any, fits: bool) -> None:
    spec = scenario(expected=[{"call": "http_request", "with": {"body": matcher}}])
    made = [call("http_request", method="GET", url="http://localhost/", body=given)]
    score = score_calls(spec, made, completed=False)
    assert score.counted == 3
    assert score.correct == (3 if fits else 2)


@pytest.mark.parametrize(
    ("wanted", "given", "fits"),
    [
        ("http://127.0.0.1:8080/a?x=1&y=2", "http://localhost:8080/a/?y=2&x=1", True),
        ("http://127.0.0.1:8080/a", "http://127.0.0.1:8080/b", False),
        ("http://127.0.0.1:8080/a", "http://127.0.0.1:8081/a", False),
    ],
)
def test_addresses_are_compared_as_addresses(wanted: str, given: str, fits: bool) -> None:
    spec = scenario(expected=[{"call": "http_request", "with": {"url": wanted}}])
    assert score_calls(spec, [call("http_request", method="GET", url=given)], completed=True).correct == 1 + fits


def test_further_calls_repeat_the_expected_call_that_they_fit() -> None:
    """A further read belongs to the call that may be repeated whose path it has; one elsewhere is a look."""
    plan = [
        {"id": "rules", "call": "read", "with": {"path": {"regex": "rules/"}}, "repeat": True},
        {"id": "papers", "call": "read", "with": {"path": {"regex": "papers/"}}, "repeat": True},
    ]
    paths = ["rules/a", "papers/1", "rules/b", "papers/2", "else/where"]
    score = score_calls(scenario(expected=plan), [call("read", path=path) for path in paths], completed=True)
    assert (dict(score.pairs), dict(score.repeats)) == ({0: 0, 1: 1}, {2: 0, 3: 1})
    assert (score.accuracy, score.parameters) == (1.0, 1.0)


def test_a_patch_does_what_it_did_and_may_do_several() -> None:
    plan = [
        {"id": "a", "call": ["write", "apply_patch"], "with": {"path": "a.txt"}},
        {"id": "b", "call": ["write", "apply_patch"], "with": {"path": "b.txt"}, "after": "a"},
    ]
    both = call("apply_patch", input="...", effects=effects(added={"a.txt"}, changed={"b.txt"}))
    assert dict(score_calls(scenario(expected=plan), [both], completed=True).pairs) == {0: 0, 1: 0}
    one = call("apply_patch", input="...", effects=effects(added={"a.txt"}))
    assert dict(score_calls(scenario(expected=plan), [one], completed=True).pairs) == {0: 0}


def test_a_refused_call_stands_for_none_that_asks_for_another_address() -> None:
    """The refused POST is the expected one, not the DELETE: each has its own, and all parameters are right."""
    plan = [
        {"id": "book", "call": "http_request", "with": {"method": "POST"}, "repeat": True},
        {"id": "cancel", "call": "http_request", "with": {"method": "DELETE"}, "after": "book"},
    ]
    made = [
        call("http_request", method="POST", url=f"{API}/a", details={"status": 201}),
        call("http_request", method="POST", url=f"{API}/b", details={"status": 422}),
        call("http_request", method="DELETE", url=f"{API}/a/1", details={"status": 204}),
    ]
    score = score_calls(scenario(expected=plan), made, completed=True)
    assert (score.pairs[1], score.accuracy, score.parameters) == (2, 1.0, 1.0)
