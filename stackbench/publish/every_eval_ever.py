"""Files of Every Eval Ever, schema 0.3.0 (evalevalai.com): an aggregate a benchmark, and a line for each attempt.

Its own validator, the package every-eval-ever, needs Python 3.12; `scripts/validators` makes an environment for it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from stackbench.nesting import is_array, is_object, object_of
from stackbench.publish.attempt_rows import Key, Turn, attempt_rows, transcripts
from stackbench.publish.hub_benchmarks import known_elsewhere
from stackbench.publish.publication import Publication, stable_uuid
from stackbench.report.results_model import BenchmarkReport, Measure, RunReport, section
from stackbench.store import Queries

__all__ = ["every_eval_ever_files"]

SCHEMA_VERSION = "0.3.0"
FOLDER = "every-eval-ever"
SAMPLING = ("temperature", "top_p", "top_k", "max_tokens")


def every_eval_ever_files(publication: Publication, queries: Queries) -> Iterator[tuple[str, str]]:
    """Names and texts."""
    for run in publication.runs:
        agents = dict(transcripts(queries, run.run_id))
        rows = groupby(attempt_rows(queries, run.run_id), key=lambda row: str(row["benchmark"]))
        samples = {name: list(_sample_lines(publication, run, name, found, agents)) for name, found in rows}
        for one in run.benchmarks:
            if one.head is None:
                continue
            place = f"data/{one.name}/{publication.model_id}/{stable_uuid(run.run_id, one.name)}"
            text = "".join(samples.get(one.name, ()))
            yield f"{FOLDER}/{place}.json", _aggregate(publication, run, one, place, text)
            if text:
                yield f"{FOLDER}/{place}_samples.jsonl", text


def _evaluation_id(publication: Publication, run: RunReport, benchmark: str) -> str:
    return f"{benchmark}/{publication.model_id}/{run.run_id}"


def _result_id(run: RunReport, benchmark: str, measure: str, category: str = "") -> str:
    return "/".join(part for part in (run.run_id, benchmark, measure, category) if part)


def _aggregate(publication: Publication, run: RunReport, one: BenchmarkReport, place: str, samples: str) -> str:
    ended = str(int(publication.ended_at.timestamp()))
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": _evaluation_id(publication, run, one.name),
        "evaluation_timestamp": ended,
        "retrieved_timestamp": ended,
        "source_metadata": {
            "source_name": "stackbench",
            "source_type": "evaluation_run",
            "source_organization_name": publication.authors[0],
            "evaluator_relationship": publication.evaluator,
            "additional_details": {"run_id": run.run_id, "url": publication.source_url or "not published yet"},
        },
        "eval_library": {
            "name": "stackbench",
            "version": str(run.environment.get("stackbench") or "unknown"),
            "additional_details": {"commit": run.git_commit or "unknown"},
        },
        "model_info": _model(publication, run),
        "evaluation_results": [_result(run, one, measure) for measure in one.measures],
    }
    if samples:
        document["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": f"{place}_samples.jsonl",
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(samples.encode()).hexdigest(),
            "total_rows": samples.count("\n"),
        }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _model(publication: Publication, run: RunReport) -> dict[str, Any]:
    model = section(run.environment, "model")
    kind = run.model.partition(":")[0]
    engine = {"hf": "transformers", "vllm": "vllm", "gguf": "llama.cpp"}.get(kind)
    details = {
        "deployment_type": "self_deployed" if publication.self_deployed else "unknown",
        "model_availability": "open_weights" if publication.self_deployed else "unknown",
        "run_as": run.model,
        **{name: str(model[name]) for name in ("sha256", "dtype", "quantization") if model.get(name)},
    }
    found: dict[str, Any] = {
        "name": publication.model_id.partition("/")[2],
        "id": publication.model_id,
        "developer": publication.model_id.partition("/")[0],
        "additional_details": details,
    }
    if engine is not None:
        version = section(run.environment, "packages").get(engine) or model.get(engine)
        found["inference_engine"] = {"name": engine, "version": str(version or "unknown")}
    return found


def _result(run: RunReport, one: BenchmarkReport, measure: Measure) -> dict[str, Any]:
    share = measure.at_most == 1.0
    details = {"run_id": run.run_id, "tasks_completed": str(one.tasks_completed), "errors": str(one.errors)}
    if one.partial:
        details["partial"] = "; ".join(one.partial.values())
    return {
        "evaluation_result_id": _result_id(run, one.name, measure.name, measure.category),
        "evaluation_name": f"{one.name}/{measure.category}" if measure.category else one.name,
        "source_data": _source(one),
        "metric_config": {
            "evaluation_description": one.description or one.title,
            "metric_id": _metric_id(measure.name),
            "metric_name": measure.name,
            "metric_unit": "proportion" if share else "as named",
            "lower_is_better": _lower_is_better(measure.name),
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0 if share else "Infinity",
        },
        "score_details": {"score": measure.value, "details": details, "uncertainty": _uncertainty(measure)},
        "generation_config": _generation(one),
    }


def _metric_id(name: str) -> str:
    return name.replace("pass@", "pass_at_").replace("pass^", "pass_hat_")


def _lower_is_better(name: str) -> bool:
    """Times, and rates of what should not happen."""
    times = name.endswith(("_ms", "_s")) and not name.endswith("_tok_s")
    return times or "_ms_" in name or (name.endswith("_call_rate"))


def _uncertainty(measure: Measure) -> dict[str, Any]:
    found: dict[str, Any] = {"num_samples": measure.n}
    if measure.stderr is not None and math.isfinite(measure.stderr):
        found["standard_error"] = {"value": measure.stderr, "method": "analytic"}
    if measure.interval == "confidence":
        found["confidence_interval"] = {
            "lower": measure.low,
            "upper": measure.high,
            "confidence_level": 0.95,
            "method": "see docs/statistics.md of stackbench",
        }
    return found


def _source(one: BenchmarkReport) -> dict[str, Any]:
    known = known_elsewhere(one.name)
    hashes = {f"sha256 of {name}": value for name, value in one.settings.datasets.items()}
    if known is None:
        return {"dataset_name": one.name, "source_type": "other", "additional_details": hashes}
    return {
        "dataset_name": known.title,
        "source_type": "hf_dataset",
        "hf_repo": known.dataset,
        "hf_split": known.split,
        "samples_number": one.tasks_planned,
        "additional_details": hashes,
    }


def _generation(one: BenchmarkReport) -> dict[str, Any]:
    settings = one.settings
    arguments = {
        name: settings.sampling[name]
        for name in SAMPLING
        if isinstance(settings.sampling.get(name), int | float)
        and (name != "max_tokens" or settings.sampling[name] >= 1)
    }
    details = {
        "prompt_form": settings.prompt_form,
        "examples": "none" if settings.shots is None else str(settings.shots),
        "attempts_per_task": f"{settings.attempts_per_task:.4g}",
        "seeds": ", ".join(map(str, settings.seeds)),
        "extraction": settings.extraction or "not recorded",
        "options": json.dumps(settings.options),
        "sampling": json.dumps(settings.sampling),
    }
    return {"generation_args": arguments, "additional_details": details}


def _sample_lines(
    publication: Publication,
    run: RunReport,
    benchmark: str,
    rows: Iterator[Mapping[str, Any]],
    agents: Mapping[Key, Sequence[Turn]],
) -> Iterator[str]:
    """A line for each completed attempt, under the benchmark's headline."""
    one = next((found for found in run.benchmarks if found.name == benchmark), None)
    if one is None or one.head is None or one.head.interval == "range":
        return
    for row in rows:
        if row["status"] != "completed" or row["score"] is None:
            continue
        turns = agents.get((benchmark, row["task_id"], row["attempt"], row["seed"]))
        answer, prompt = row["completion"] or "", row["prompt"] or ""
        body: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "evaluation_id": _evaluation_id(publication, run, benchmark),
            "model_id": publication.model_id,
            "evaluation_name": benchmark,
            "evaluation_result_id": _result_id(run, benchmark, one.head.name),
            "sample_id": row["task_id"],
            "sample_hash": hashlib.sha256(prompt.encode()).hexdigest(),
            "interaction_type": "single_turn" if turns is None else "agentic",
            "input": {"raw": prompt, "reference": []},
            "output": None,
            "messages": None,
            "answer_attribution": [],
            "evaluation": {"score": row["score"], "is_correct": bool(row["passed"])},
            "token_usage": _tokens(row),
            "performance": {"latency_ms": max(0.0, (row["latency_s"] or 0.0) * 1000)},
            "metadata": {
                "attempt": row["attempt"],
                "seed": row["seed"],
                "category": row["category"],
                "reason": row["reason"],
            },
        }
        if turns is None:
            thought = row["thought"]
            body["output"] = {"raw": [answer], **({"reasoning_trace": [thought]} if thought else {})}
            taken, method = (row["program"], "parsers of stackbench") if row["program"] else (answer, "whole answer")
            body["answer_attribution"] = [
                {
                    "turn_idx": 0,
                    "source": "output.raw",
                    "extracted_value": taken,
                    "extraction_method": method,
                    "is_terminal": True,
                }
            ]
        else:
            body["messages"] = list(_messages(turns))
            calls = sum(len(message.get("tool_calls") or ()) for message in body["messages"])
            body["evaluation"] |= {"num_turns": max(1, len(body["messages"])), "tool_calls_count": calls}
        yield json.dumps(body, ensure_ascii=False) + "\n"


def _tokens(row: Mapping[str, Any]) -> dict[str, int]:
    sent, received = row["prompt_tokens"] or 0, row["completion_tokens"] or 0
    return {"input_tokens": sent, "output_tokens": received, "total_tokens": sent + received}


def _messages(turns: Sequence[Turn]) -> Iterator[dict[str, Any]]:
    """An agent's chat in order; calls that it wrote into its text stay in the text."""
    number = 0
    for kind, payload in turns:
        if kind == "agent_start":
            for role, content in (("system", payload.get("system")), ("user", payload.get("task"))):
                yield {"turn_idx": number, "role": role, "content": content}
                number += 1
            continue
        if kind == "model_call":
            message: dict[str, Any] = {"turn_idx": number, "role": "assistant", "content": payload.get("text")}
            if payload.get("thought"):
                message["reasoning_trace"] = payload["thought"]
            written = payload.get("tool_calls")
            calls = [_call(call, index) for index, call in enumerate(written)] if is_array(written) else []
            message |= {"tool_calls": calls} if calls else {}
        else:
            message = {"turn_idx": number, "role": "tool", "content": payload.get("text")}
            message["tool_call_id"] = [str(payload.get("call", ""))]
        yield message
        number += 1


def _call(call: Any, index: int) -> dict[str, Any]:
    found: dict[str, Any] = call if is_object(call) else {}
    written = str(found.get("arguments", ""))
    arguments = object_of(written)
    shown = {"written": written} if arguments is None else {name: _text(value) for name, value in arguments.items()}
    return {"id": str(found.get("id") or index), "name": str(found.get("name", "")), "arguments": shown}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
