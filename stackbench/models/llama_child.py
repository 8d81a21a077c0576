"""The process that llama.cpp's server runs in. Usage: llama_child.py, with settings as JSON on its first line of input.

It writes one line of JSON, `{"url": ...}` or `{"error": ...}`, and ends when its standard input closes: in whatever way
stackbench ends, no server is left. A process of its own, since loading a model holds Python's global lock for seconds,
and since what ends llama.cpp (a failed assertion, no memory) must not end a run. Needs xllamacpp alone.
"""

# xllamacpp has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any


def main() -> None:
    settings: dict[str, Any] = json.loads(sys.stdin.readline())
    try:
        xllamacpp: Any = import_module("xllamacpp")
    except ImportError as error:
        tell({"error": f"xllamacpp cannot be imported: {error}"})
        return
    params: Any = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["name"]}
    params.api_keys = [settings["key"]]
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["slots"] * settings["window"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.cache_ram_mib = settings["cache_mib"]
    params.chat_template = settings["chat_template"]
    params.ui = False
    params.verbosity = 1  # errors, to the log that is standard error
    # What a request does not say is neutral, and penalties look at all tokens, not at the last 64.
    params.sampling.temp, params.sampling.top_k, params.sampling.top_p, params.sampling.min_p = 0.0, 0, 1.0, 0.0
    params.sampling.penalty_last_n = settings["window"]
    try:
        server = xllamacpp.Server(params)
    except Exception as error:  # llama.cpp's own exceptions, in whatever form they arrive
        tell({"error": str(error)})
        return
    tell({"url": server.listening_address, "version": xllamacpp.__version__})
    sys.stdin.read()
    os._exit(0)  # without the end of requests that nobody waits for any more


def tell(line: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
