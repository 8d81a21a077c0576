"""An OpenAI-compatible server whose model calls a tool STEPS times, then answers.

Usage: python -m perf.calling_server PORT STEPS
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from aiohttp import web

CALL = {"name": "process", "arguments": '{"action": "list"}'}
USAGE = {"prompt_tokens": 900, "completion_tokens": 20, "total_tokens": 920}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("steps", type=int)
    given = parser.parse_args()
    steps: int = given.steps

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        turns = sum(message["role"] == "assistant" for message in body["messages"])
        message: dict[str, Any] = {"role": "assistant", "content": "Done."}
        if turns < steps:
            message = {"role": "assistant", "content": None}
            message["tool_calls"] = [{"index": 0, "id": f"c{turns}", "type": "function", "function": CALL}]
        reason = "stop" if turns >= steps else "tool_calls"
        about = {"id": "x", "created": 1, "model": "fake"}
        if not body.get("stream"):
            choice = {"index": 0, "finish_reason": reason, "message": message}
            return web.json_response({**about, "object": "chat.completion", "choices": [choice], "usage": USAGE})
        chunk = {**about, "object": "chat.completion.chunk"}
        pieces = [
            {**chunk, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
            {**chunk, "choices": [], "usage": USAGE},
        ]
        text = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
        return web.Response(text=text, content_type="text/event-stream")

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "fake", "object": "model"}]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    app.router.add_get("/v1/models", models)
    web.run_app(app, host="127.0.0.1", port=given.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
