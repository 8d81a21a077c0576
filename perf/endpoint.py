"""2,000 GSM8K prompts at concurrency 64 against a server that answers in 20 ms: stackbench beside two peers.

Usage: python -m perf.endpoint [ROUNDS]    The peers are lm-eval 0.4.13 and inspect-ai 0.3.285. Each harness runs the
whole set and then a short one; the difference is what it takes once it runs, its start-up left out. Prints medians of
requests/s and of processor ms per request, and peak memory.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from perf.peers import Timed, data_dir, peer, served, stackbench, timed

PROMPTS = 2000
SHORT = 64
CONCURRENCY = 64

INSPECT = """
import json, sys
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import match
from inspect_ai.solver import generate
rows = [json.loads(line) for line in open(sys.argv[1])][: int(sys.argv[2])]
samples = [Sample(input=row["question"], target=row["answer"].split("####")[-1].strip()) for row in rows]
eval(Task(dataset=MemoryDataset(samples), solver=generate(), scorer=match(numeric=True)), model="openai-api/fake/fake",
     max_connections=64, max_samples=64, max_tasks=1, display="none", log_dir=sys.argv[3])
"""

LM_EVAL_TASK = """
task: endpoint_speed
dataset_path: json
dataset_kwargs:
  data_files:
    test: {path}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer.split('####')[-1].strip()}}}}"
generation_kwargs: {{until: [], max_gen_toks: 512, do_sample: false}}
metric_list:
  - metric: exact_match
"""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with tempfile.TemporaryDirectory() as name, served("perf.slow_server") as url:
        folder = Path(name)
        rows = (data_dir() / "gsm8k" / "test.jsonl").read_text().splitlines()
        (folder / "prompts.jsonl").write_text("\n".join((rows + rows)[:PROMPTS]) + "\n")
        harnesses: dict[str, Callable[[int], Timed]] = {
            "stackbench": lambda n: run_stackbench(folder, url, n),
            "lm-eval 0.4.13": lambda n: run_lm_eval(folder, url, n),
            "inspect-ai 0.3.285": lambda n: run_inspect(folder, url, n),
        }
        shorts: dict[str, list[Timed]] = {name: [] for name in harnesses}
        wholes: dict[str, list[Timed]] = {name: [] for name in harnesses}
        print(f"{PROMPTS} prompts, concurrency {CONCURRENCY}, answers after 20 ms; once running, start-up left out")
        for run in harnesses.values():
            run(SHORT)  # files of the packages into the page cache: a first start says nothing about the second
        for _ in range(rounds):
            for name, run in harnesses.items():
                shorts[name].append(run(SHORT))
                wholes[name].append(run(PROMPTS))
        rates: dict[str, float] = {}
        for name in harnesses:
            requests = PROMPTS - SHORT
            wall_s = statistics.median(t.wall_s for t in wholes[name])
            rates[name] = requests / (wall_s - statistics.median(t.wall_s for t in shorts[name]))
            cpu_s = statistics.median(t.cpu_s for t in wholes[name]) - statistics.median(t.cpu_s for t in shorts[name])
            peak = max(t.peak_mib for t in wholes[name])
            print(
                f"{name}: {rates[name]:.0f} requests/s, {1e3 * cpu_s / requests:.2f} ms of CPU per request, "
                f"{peak:.0f} MiB; whole command {wall_s:.1f} s"
            )
        for name in list(harnesses)[1:]:
            print(f"stackbench / {name}: {rates['stackbench'] / rates[name]:.1f}")


def run_stackbench(folder: Path, url: str, prompts: int) -> Timed:
    command = stackbench("eval", "gsm8k", "-m", f"openai:fake@{url}", "--limit", str(prompts // 2), "-n", "2", "--json")
    done = timed([*command, "--concurrency", str(CONCURRENCY), "--home", str(folder / "home")])
    assert json.loads(done.stdout)["results"][0]["attempts"] == prompts
    return done


def run_lm_eval(folder: Path, url: str, prompts: int) -> Timed:
    python = peer("lm-eval[api]==0.4.13", "torch==2.13.0")
    tasks = folder / "tasks"
    tasks.mkdir(exist_ok=True)
    (tasks / "speed.yaml").write_text(LM_EVAL_TASK.format(path=folder / "prompts.jsonl"))
    where = f"model=fake,base_url={url}/chat/completions,num_concurrent={CONCURRENCY},tokenized_requests=False"
    command = [str(python), "-m", "lm_eval", "--model", "local-chat-completions", "--model_args", where]
    command += [
        "--tasks",
        "endpoint_speed",
        "--include_path",
        str(tasks),
        "--limit",
        str(prompts),
        "--apply_chat_template",
    ]
    command += ["--output_path", str(folder / "lm-eval"), "--log_samples"]
    environment = {
        "OPENAI_API_KEY": "x",
        "HF_HOME": str(folder / "hf"),
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_OFFLINE": "1",
    }
    return timed(command, environment=environment)


def run_inspect(folder: Path, url: str, prompts: int) -> Timed:
    python = peer("inspect-ai==0.3.285", more=("openai",))
    script = folder / "inspect_speed.py"
    script.write_text(INSPECT)
    command = [str(python), str(script), str(folder / "prompts.jsonl"), str(prompts), str(folder / "logs")]
    return timed(command, environment={"FAKE_API_KEY": "x", "FAKE_BASE_URL": url})


if __name__ == "__main__":
    main()
