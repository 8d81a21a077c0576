"""A fake model server that streams tokens at a steady rate to every request, in as little processor time as it can."""

from __future__ import annotations

import asyncio
import json
import sys

CHUNK = b'data: {"id":"c","object":"text_completion","model":"fake","choices":[{"index":0,"text":" token","logprobs":null,"finish_reason":%s}]}\n\n'  # fmt: skip  # noqa: E501
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Stream:
    def __init__(self, writer: asyncio.StreamWriter, tokens: int, prompt_tokens: int) -> None:
        self.writer, self.left, self.tokens, self.prompt_tokens = writer, tokens, tokens, prompt_tokens
        self.ended = asyncio.get_running_loop().create_future()

    def tick(self) -> bool:
        self.left -= 1
        self.writer.write(chunked(CHUNK % (b'"length"' if self.left == 0 else b"null")))
        if self.left:
            return True
        usage = {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.tokens}
        last = f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n".encode()
        self.writer.write(chunked(last) + b"0\r\n\r\n")
        self.ended.set_result(None)
        return False


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Server:
    def __init__(self, tick_s: float) -> None:
        self.tick_s = tick_s
        self.streams: list[Stream] = []

    async def tick(self) -> None:
        """A quarter of the streams at a time, so that tokens do not come in one burst."""
        loop = asyncio.get_running_loop()
        turn, due = 0, loop.time()
        while True:
            due += self.tick_s / 4
            await asyncio.sleep(max(0.0, due - loop.time()))
            mine = self.streams[turn::4]
            gone = {id(stream) for stream in mine if not stream.tick()}
            if gone:
                self.streams = [stream for stream in self.streams if id(stream) not in gone]
            turn = (turn + 1) % 4

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next((int(line[15:]) for line in head.splitlines() if line.lower().startswith("content-length:")), 0)  # fmt: skip  # noqa: E501
                body = json.loads(await reader.readexactly(length)) if length else {}
                if not body.get("stream"):
                    self.answer(writer, head, body)
                    continue
                writer.write(HEAD)
                stream = Stream(writer, int(body["max_tokens"]), len(str(body.get("prompt", "")).split()))
                self.streams.append(stream)
                await stream.ended
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, writer: asyncio.StreamWriter, head: str, body: dict) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        choice = {"message": {"content": "x"}, "text": "x", "finish_reason": "stop"}
        document = {"data": [{"id": "fake"}]} if head.startswith("GET") else {"choices": [choice], "usage": usage}
        content = json.dumps(document).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content))  # fmt: skip  # noqa: E501


async def main(tick_s: float) -> None:
    fake = Server(tick_s)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await fake.tick()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
