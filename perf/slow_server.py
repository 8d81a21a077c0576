"""An OpenAI-compatible server that answers every request after 20 ms. Usage: python -m perf.slow_server PORT"""

from __future__ import annotations

import argparse
import asyncio

from aiohttp import web

DELAY_S = 0.02
ANSWER = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"fake","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"Two and two make four.\\n#### 4"}}],'
    b'"usage":{"prompt_tokens":120,"completion_tokens":9,"total_tokens":129}}'
)


async def answer(request: web.Request) -> web.Response:
    await request.read()
    await asyncio.sleep(DELAY_S)
    return web.Response(body=ANSWER, content_type="application/json")


async def models(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "fake", "object": "model"}]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    port: int = parser.parse_args().port
    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    app.router.add_get("/v1/models", models)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main()
