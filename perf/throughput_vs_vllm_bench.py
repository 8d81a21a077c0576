"""stackbench's throughput figures beside those of `vllm bench serve`: one server, one model, one workload, in turn.

Usage: python -m perf.throughput_vs_vllm_bench [ROUNDS]     STACKBENCH_VLLM_BIN names the vllm program.
Asked: within 5%. Prompts of a round are drawn anew, so that the prefix cache helps neither.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from platformdirs import user_data_path

from perf.peers import stackbench
from stackbench.benchmarks.throughput.workload import Ask, PromptMaker
from stackbench.models import ModelOptions
from stackbench.models.pull import locate
from stackbench.models.vllm import VllmModel
from stackbench.types import Generation, Request, Sampling

MODEL = "smollm2-135m-instruct"
STREAMS = 8
INPUT, OUTPUT = 128, 64
REQUESTS = 32
FIGURES = {
    "output_tok_s": "output_throughput",
    "total_tok_s": "total_token_throughput",
    "requests_s": "request_throughput",
    "ttft_ms_mean": "mean_ttft_ms",
    "ttft_ms_p50": "p50_ttft_ms",
    "tpot_ms_mean": "mean_tpot_ms",
    "tpot_ms_p50": "p50_tpot_ms",
    "itl_ms_mean": "mean_itl_ms",
    "e2el_ms_p50": "p50_e2el_ms",
    "e2el_ms_p99": "p99_e2el_ms",
}


def ours(url: str, home: str, number: int) -> dict[str, float]:
    options = [f"concurrency={STREAMS}", f"mixes={INPUT}x{OUTPUT}", f"requests={REQUESTS}"]
    command = stackbench("eval", "throughput", "-m", f"openai:{MODEL}@{url}", "--json", "-q", "--home", home)
    command += ["--seed", str(number), "-T", options[0], "-T", options[1], "-T", options[2]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    metrics = json.loads(done.stdout)["results"][0]["metrics"]
    return {name: metrics[f"{name}/{INPUT}x{OUTPUT}/c{STREAMS}"]["value"] for name in FIGURES}


def theirs(vllm: str, url: str, tokenizer: Path, prompts: list[str], folder: Path) -> dict[str, float]:
    """Three repeats, each with a warm-up of one request for each stream, as ours; medians."""
    results: list[dict[str, float]] = []
    for repeat in range(3):
        mine = prompts[repeat * REQUESTS : (repeat + 1) * REQUESTS]
        dataset = folder / "prompts.jsonl"
        dataset.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in mine))
        command = [
            vllm, "bench", "serve", "--backend", "openai", "--base-url", url.removesuffix("/v1"), "--endpoint",
            "/v1/completions", "--model", MODEL, "--tokenizer", str(tokenizer), "--dataset-name", "custom",
            "--dataset-path", str(dataset), "--custom-output-len", str(OUTPUT), "--skip-chat-template", "--ignore-eos",
            "--num-prompts", str(REQUESTS), "--max-concurrency", str(STREAMS), "--num-warmups", str(STREAMS),
            "--temperature", "0", "--disable-shuffle", "--percentile-metrics", "ttft,tpot,itl,e2el",
            "--metric-percentiles", "50,90,99", "--save-result", "--result-dir", str(folder),
            "--result-filename", "result.json",
        ]  # fmt: skip
        environment = os.environ | {"PATH": f"{Path(vllm).parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise SystemExit(f"vllm bench failed: {done.stderr[-2000:]}")
        result = json.loads((folder / "result.json").read_text())
        assert result["completed"] == REQUESTS, result
        results.append({name: result[theirs] for name, theirs in FIGURES.items()})
    return {name: statistics.median(result[name] for result in results) for name in FIGURES}


async def prompts_of(model: VllmModel, rounds: int) -> list[str]:
    async def send(ask: Ask) -> Generation:
        sampling = Sampling(max_tokens=ask.output_tokens, ignore_eos=True)
        return (await model.generate([Request(sampling, prompt=ask.prompt, stream=True)]))[0]

    maker = await PromptMaker.calibrate(send)
    return [maker.prompt(INPUT, f"peer {number}") for number in range(rounds * 3 * REQUESTS)]


async def compare(rounds: int) -> None:
    vllm = os.environ.get("STACKBENCH_VLLM_BIN", "vllm")
    home = user_data_path("stackbench", appauthor=False)
    tokenizer = locate(MODEL, home / "models", print)
    with tempfile.TemporaryDirectory() as folder:
        options = ModelOptions(home=home, logs=Path(folder), max_model_len=2048, vllm_bin=vllm, max_num_seqs=64)
        model = VllmModel(f"vllm:{MODEL}", MODEL, options)
        await model.start(lambda line: print(line, file=sys.stderr))
        try:
            prompts = await prompts_of(model, rounds)
            pairs: list[tuple[dict[str, float], dict[str, float]]] = []
            for number in range(rounds):
                part = prompts[number * 3 * REQUESTS :]
                first = await asyncio.to_thread(ours, model.url, folder, number)
                second = await asyncio.to_thread(theirs, vllm, model.url, tokenizer, part, Path(folder))
                pairs.append((first, second))
                print(
                    f"round {number + 1}: {first['output_tok_s']:.1f} and {second['output_tok_s']:.1f} tok/s",
                    flush=True,
                )
        finally:
            await model.close()
    print(f"{'figure':>14} {'stackbench':>11} {'vllm bench':>11} {'ratio':>6}")
    for name in FIGURES:
        mine, peer = (statistics.median(pair[side][name] for pair in pairs) for side in (0, 1))
        print(f"{name:>14} {mine:11.2f} {peer:11.2f} {mine / peer:6.3f}")


def main(rounds: int) -> None:
    # vllm bench serve needs pandas, which a plain vLLM does not bring.
    python = Path(os.environ.get("STACKBENCH_VLLM_BIN", "vllm")).with_name("python")
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "pandas"], check=False)
    asyncio.run(compare(rounds))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
