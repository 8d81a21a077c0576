from pathlib import Path

import pytest

from tests.command_line import said_by


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("eval humanevil", 'unknown benchmark "humanevil" (did you mean "humaneval"?); known: '),
        ("evl humaneval", 'there is no command "evl" (did you mean "eval"?); see "stackbench --help"'),
        ("btch", 'there is no command "btch" (did you mean "attach"?); see "stackbench --help"'),
        ("eval --tempratur 1", 'there is no option --tempratur (did you mean "--temperature"?); see "stackbench eval'),
        ("--batch smoke --limt 1", '(did you mean "--limit"?); see "stackbench --batch --help"'),
        ("--batch smok", 'unknown suite "smok" (did you mean "smoke"?); built in: '),
        (
            "list bencmarks",
            '(did you mean "benchmarks"?); lists: baselines, benchmarks, models, ',
        ),
        ("models pull qwen2.5-coder-0.5b-instuct", '(did you mean "qwen2.5-coder-0.5b-instruct"?)'),
        ("eval humaneval --limit three", "error: --limit: takes a whole number (got 'three'); see"),
        ("eval humaneval -T 0 --temperature warm", "error: --temperature: takes a number (got 'warm'); see"),
        ("--web --port 99999", "error: --port: is to be at most 65535 (got '99999'); see"),
        ("models pull smolm2", 'unknown model "smolm2" (did you mean "smollm2-'),
        ("doctor -m smolm2", 'nothing is known of the model "smolm2" (did you mean "smollm2-'),
        ("data pull humanevl", 'unknown dataset "humanevl" (did you mean "humaneval"?)'),
        ("ctl puase", 'there is no verb "puase" (did you mean "pause"?)'),
        ("doctor -m foo", 'nothing is known of the model "foo"; name one of "stackbench models list"'),
        ("eval gsm8k -m Qwen/Qwen2.5", "looks like a hub id; write hf:Qwen/Qwen2.5 or vllm:Qwen/Qwen2.5"),
        ("eval gsm8k -m openai:m@host:1/v1", "has no http://; write openai:m@http://host:1/v1"),
        ("eval gsm8k -m null --seed 1 --seed 1", "--seed: 1 is named twice"),
        ("eval tooluse -m null -T categores=api", '(did you mean "categories"?); its options: '),
        ("serve openai:m@http://h/v1", 'serve starts a vLLM server, and "openai:m@http://h/v1" has no weights to load'),
        ("serve hf:m", 'leave "hf:" out'),
        ("score x.jsonl -b humaneval --top-p 1", 'there is no option --top-p; see "stackbench score --help"'),
    ],
)
def test_a_mistyped_name_ends_in_one_line_that_says_what_was_meant(tmp_path: Path, line: str, said: str) -> None:
    code, out, err = said_by(*line.split(), folder=tmp_path, STACKBENCH_HOME=str(tmp_path / "home"))

    assert (code, out) == (2, "")
    assert err.startswith("stackbench: error: ")
    assert said in err
    assert err.count("\n") == 1
    assert "stackbench batch" not in err


def test_doctor_names_a_folder_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")

    code, _, err = said_by("doctor", "-m", str(tmp_path))

    assert code == 2
    assert "config.json is not of a language model that stackbench knows" in err
    assert "KeyError" not in err
