"""A stand-in for an OpenAI-compatible chat server on this machine."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread


class ChatServer:
    """What the server was asked, and the statuses that it gives before it answers."""

    def __init__(self, reply: Callable[[str], str]) -> None:
        self.reply = reply
        self.failures: list[int] = []
        self.prompts: list[str] = []
        self.max_tokens: list[int] = []
        self.url = ""
        self.lock = Lock()


@contextmanager
def chat_server(reply: Callable[[str], str]) -> Iterator[ChatServer]:
    """Serve chat completions; `reply` makes the answer from the last user message."""
    state = ChatServer(reply)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = (
            True  # or each answer waits for the acknowledgement of its headers
        )

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with state.lock:
                status = state.failures.pop(0) if state.failures else 200
                prompt = body["messages"][-1]["content"]
                state.prompts.append(prompt)
                state.max_tokens.append(body["max_tokens"])
            content: dict[str, object] = {"error": {"message": "not now"}}
            if status == 200:
                message = {"role": "assistant", "content": state.reply(prompt)}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                content = {
                    "id": "1",
                    "object": "chat.completion",
                    "created": 0,
                    "model": body["model"],
                    "choices": [choice],
                }
            answer = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.send_header("Retry-After", "0.01")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
