"""A stand-in for the Hugging Face Hub on this machine: one repository, read only."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def handler_for(repository: str, folder: Path, kind: str) -> type[BaseHTTPRequestHandler]:
    """Request handler that serves `folder` as `repository`, and 404 for all else."""
    files = {path.name: path for path in folder.iterdir()}
    api = f"/api/{kind}/{repository}"
    resolve = f"/{repository}/resolve/" if kind == "models" else f"/{kind}/{repository}/resolve/"

    def entry(name: str) -> dict[str, object]:
        content = files[name].read_bytes()
        return {
            "type": "file",
            "path": name,
            "size": len(content),
            "oid": hashlib.sha1(content).hexdigest(),
        }

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            if urlsplit(self.path).path.startswith(f"{api}/paths-info/"):
                asked = json.loads(body)["paths"] if body[:1] == "{" else parse_qs(body)["paths"]
                self.send_json([entry(name) for name in asked if name in files], True)
            else:
                self.send(404, b'{"error": "Repository not found"}', True, "application/json")

        def answer(self, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            if path.startswith(f"{api}/tree/"):
                self.send_json([entry(name) for name in files], with_body)
            elif path == api or path.startswith(f"{api}/revision/"):
                siblings = [{"rfilename": name} for name in files]
                self.send_json({"id": repository, "sha": COMMIT, "siblings": siblings}, with_body)
            elif path.startswith(resolve) and path.rsplit("/", 1)[1] in files:
                content = files[path.rsplit("/", 1)[1]].read_bytes()
                self.send(200, content, with_body, "application/octet-stream")
            else:
                self.send(404, b'{"error": "Repository not found"}', with_body, "application/json")

        def send_json(self, content: object, with_body: bool) -> None:
            self.send(200, json.dumps(content).encode(), with_body, "application/json")

        def send(self, status: int, body: bytes, with_body: bool, content_type: str) -> None:
            etag = f'"{hashlib.sha256(body).hexdigest()}"'
            byte_range = self.headers.get("Range", "").removeprefix("bytes=")
            first, _, last = byte_range.partition("-")
            self.send_response(206 if byte_range and status == 200 else status)
            if byte_range and status == 200:
                end = int(last) if last else len(body) - 1
                self.send_header("Content-Range", f"bytes {first}-{end}/{len(body)}")
                body = body[int(first) : end + 1]
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", etag)
            self.send_header("X-Repo-Commit", COMMIT)
            if status == 404:
                known = repository in unquote(self.path)
                self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Keep quiet."""

    return Handler


@contextmanager
def stand_in_hub(repository: str, folder: Path, kind: str = "models") -> Iterator[str]:
    """Serve `folder` as a repository of models or datasets; gives the endpoint's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(repository, folder, kind))
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
