"""Stands in for the `vllm` program where there is no GPU to run out of memory: loads, serves, fails as it is told.

`FAKE_VLLM` holds a JSON object: `longest` (tokens of context that fit), `fraction` (most of the memory that is free),
`only` (the quantisation that fits), `crash_after` and `wedge_after` (requests), `lives` (servers that crash or wedge;
later ones do not), `child` (a process of its own session is left running), `refuse` (ends at once with a usage error),
`port_taken` (so many servers find the port taken), `slow` (seconds for an answer), `stages`.
`FAKE_VLLM_STATE` names a folder to count servers in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SAY = json.loads(os.environ.get("FAKE_VLLM", "{}"))
STATE = Path(os.environ["FAKE_VLLM_STATE"])
if folder := os.environ.get("VLLM_RPC_BASE_PATH"):  # a socket that it leaves behind, as vLLM does when it is killed
    (Path(folder) / "socket").touch()
    (STATE / "scratch").write_text(folder)


def main() -> None:
    flags = parse(sys.argv[2:])
    lives = len(list(STATE.glob("life-*")))
    while True:  # several may be started at once
        try:
            with (STATE / f"life-{lives}").open("x") as file:
                json.dump(sys.argv[1:], file)
            break
        except FileExistsError:
            lives += 1
    if SAY.get("child"):
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        (STATE / "child").write_text(str(child.pid))
    load(flags, lives)
    faulty = lives < SAY.get("lives", 1)
    serve(flags, faulty)


def parse(arguments: list[str]) -> dict[str, str]:
    return {
        name: arguments[at + 1] if at + 1 < len(arguments) else ""
        for at, name in enumerate(arguments)
        if name.startswith("--")
    } | {"model": arguments[0]}


def load(flags: dict[str, str], lives: int) -> None:
    log("(APIServer pid=1) INFO 11-24 10:00:00 [model.py:1] Resolved architecture: Qwen2ForCausalLM")
    log("(Worker pid=1) INFO 11-24 10:00:00 [runner.py:1] Starting to load model somewhere...")
    sys.stderr.write("Loading safetensors checkpoint shards:  50% Completed | 1/2 [00:00<00:00]\r")
    if SAY.get("refuse"):
        log("vllm serve: error: unrecognized arguments: --nonsense")
        sys.exit(2)
    if lives < SAY.get("port_taken", 0):
        log("ERROR 11-24 10:00:00 [x.py:1] OSError: [Errno 98] Address already in use")
        sys.exit(1)
    if SAY.get("damaged"):
        log("ERROR 11-24 10:00:00 [x.py:1] ValueError: the checkpoint is damaged")
        sys.exit(1)
    if SAY.get("only") and flags.get("--quantization") == SAY["only"]:
        return
    fraction = float(flags.get("--gpu-memory-utilization", 0.9))
    if fraction > SAY.get("fraction", 1.0):
        log(
            f"ValueError: Free memory on device (10.0/24.0 GiB) on startup is less than desired GPU memory utilization "
            f"({fraction}, 21.6 GiB)."
        )
        log("RuntimeError: Engine core initialization failed. See root cause above.")
        sys.exit(1)
    length = int(flags.get("--max-model-len", 32768))
    if length > SAY.get("longest", 1 << 30):
        hint = f" the estimated maximum model length is {SAY['hint']}." if "hint" in SAY else ""
        log(
            f"ValueError: To serve at least one request with the models's max seq len ({length}), 9.0 GiB KV cache is "
            f"needed, which is larger than the available KV cache memory (1.0 GiB).{hint}"
        )
        log("RuntimeError: Engine core initialization failed. See root cause above.")
        sys.exit(1)


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faulty = False
    name = ""
    asked = 0
    tokens = 0
    wedged = False
    lock = threading.Lock()

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(b"")
        elif self.path == "/version":
            self.answer(b'{"version": "0.0-fake"}')
        elif self.path == "/metrics":
            label = f'{{engine="0",model_name="{self.name}"}}'
            self.answer(
                (
                    "# TYPE vllm:num_requests_running gauge\n"
                    f"vllm:num_requests_running{label} 3.0\nvllm:num_requests_waiting{label} 2.0\n"
                    f"vllm:kv_cache_usage_perc{label} 0.25\nvllm:prompt_tokens_total{label} {10 * Server.asked}.0\n"
                    f"vllm:generation_tokens_total{label} {Server.tokens}.0\nvllm:prefix_cache_queries_total{label} 8\n"
                    f"vllm:prefix_cache_hits_total{label} 4\nvllm:num_preemptions_total{label} 1\n"
                ).encode()
            )
        else:
            self.answer(json.dumps({"data": [{"id": self.name, "object": "model"}]}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            text = body["prompt"] if "prompt" in body else " ".join(turn["content"] for turn in body["messages"])
            self.answer(json.dumps({"count": len(text.split()), "max_model_len": 100, "tokens": []}).encode())
            return
        if "X-Stackbench" not in self.headers:
            with self.lock:
                Server.asked += 1
                asked = Server.asked
            if asked <= SAY.get("errors", 0):
                self.answer(b'{"error": {"message": "busy"}}', 503)
                return
            if self.faulty and asked > SAY.get("crash_after", 1 << 30):
                log("ERROR 11-24 10:00:00 [x.py:1] EngineDeadError: the engine died")
                os._exit(1)
            if self.faulty and asked > SAY.get("wedge_after", 1 << 30):
                Server.wedged = True
            if Server.wedged:
                time.sleep(600)
            time.sleep(SAY.get("slow", 0))
            with self.lock:
                Server.tokens += 5
        chat = "chat" in self.path
        if body.get("stream"):
            self.stream(int(body["max_tokens"]), chat)
            return
        content: dict[str, Any] = {"message": {"content": "fine"}} if chat else {"text": "fine"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        self.answer(json.dumps({"choices": [{**content, "finish_reason": "stop"}], "usage": usage}).encode())

    def stream(self, tokens: int, chat: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        piece: dict[str, Any] = {"delta": {"content": "a"}} if chat else {"text": "a"}
        for _ in range(tokens):
            self.wfile.write(f"data: {json.dumps({'choices': [piece]})}\n\n".encode())
            time.sleep(0.002)
        usage = {"prompt_tokens": 10, "completion_tokens": tokens}
        self.wfile.write(f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n".encode())

    def answer(self, content: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if content.startswith(b"{") else "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def serve(flags: dict[str, str], faulty: bool) -> None:
    Server.name, Server.faulty = flags["--served-model-name"], faulty
    server = ThreadingHTTPServer((flags["--host"], int(flags["--port"])), Server)
    server.daemon_threads = True
    server.serve_forever()


def log(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
