"""A stand-in for the Hugging Face Hub on this machine: one model repository, read only."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def handler_for(repository: str, folder: Path) -> type[BaseHTTPRequestHandler]:
    """Request handler that serves `folder` as the model `repository`, and 404 for all else."""
    files = {path.name: path for path in folder.iterdir()}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            resolve = f"/{repository}/resolve/"
            if path.startswith(f"/api/models/{repository}/tree/"):
                entries = [
                    {
                        "type": "file",
                        "path": name,
                        "size": file.stat().st_size,
                        "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
                    }
                    for name, file in files.items()
                ]
                self.send(200, json.dumps(entries).encode(), with_body, "application/json")
            elif path.startswith(f"/api/models/{repository}"):
                info = {
                    "id": repository,
                    "sha": COMMIT,
                    "siblings": [{"rfilename": name} for name in files],
                }
                self.send(200, json.dumps(info).encode(), with_body, "application/json")
            elif path.startswith(resolve) and path.rsplit("/", 1)[1] in files:
                content = files[path.rsplit("/", 1)[1]].read_bytes()
                self.send(200, content, with_body, "application/octet-stream")
            else:
                self.send(404, b'{"error": "Repository not found"}', with_body, "application/json")

        def send(self, status: int, body: bytes, with_body: bool, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Keep quiet."""

    return Handler


@contextmanager
def stand_in_hub(repository: str, folder: Path) -> Iterator[str]:
    """Serve `folder` as a model repository; gives the endpoint's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(repository, folder))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
