"""A stand-in for the Hugging Face Hub that takes uploads: repositories in memory, over real HTTP.

It speaks what huggingface_hub calls: whoami, creating repositories and branches, preupload, the LFS
batch with single and multipart uploads, commits, and reading them back. No Xet, so clients set
HF_HUB_DISABLE_XET.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from urllib.parse import unquote, urlsplit

TOKEN, READER = "hf_writer", "hf_reader"
PART = 40_000
"""Bytes of a part; larger files are uploaded in parts."""


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    kind: str
    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        sha = hashlib.sha1(f"{len(self.commits)}".encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        self.messages.append(message)
        return sha

    def files(self, revision: str = "main") -> dict[str, bytes]:
        return self.commits[self.branches.get(revision, revision)]


@dataclass
class Hub:
    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files that were uploaded, committed or not."""
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    faults: list[tuple[str, int]] = field(default_factory=list)
    """Method and address as a pattern, and the status that the next such request gets."""
    taken: dict[str, str] = field(default_factory=dict)
    """Names that belong to something else."""
    lock: Lock = field(default_factory=Lock)

    def add(self, name: str, kind: str, files: dict[str, bytes]) -> Repository:
        repository = self.repositories[f"{kind}s/{name}"] = Repository(kind, False)
        repository.commit("main", files, "initial commit")
        return repository

    def sent(self, pattern: str) -> int:
        return sum(bool(re.search(pattern, request)) for request in self.requests)


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    """Given by a class of each server's own."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits until its headers are acknowledged

    def handle_any(self) -> None:
        length = self.headers.get("Content-Length")
        self.body = self.rfile.read(int(length)) if length else self.read_chunks()
        path = unquote(urlsplit(self.path).path)
        line = f"{self.command} {path}"
        with self.hub.lock:
            self.hub.requests.append(line)
            for fault in self.hub.faults:
                if re.search(fault[0], line):
                    self.hub.faults.remove(fault)
                    self.answer({"error": "try again"}, fault[1])
                    return
            self.route(path)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def read_chunks(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return b""
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def route(self, path: str) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if path.startswith("/upload/"):
            self.upload(path)
        elif token and token not in (TOKEN, READER):
            message = "Invalid credentials in Authorization header"
            self.answer({"error": message}, 401, {"X-Error-Message": message})
        elif path == "/api/whoami-v2":
            self.answer({"name": "someone"})
        elif path == "/api/validate-yaml":
            self.answer({"warnings": [], "errors": []})
        elif path == "/api/repos/create":
            self.create(token)
        elif matched := re.match(r"/api/(models|datasets|spaces)/([^/]+/[^/]+)(?:/(.*))?$", path):
            self.with_repository(token, matched[1], matched[2], matched[3] or "")
        elif matched := re.match(r"/(datasets/|spaces/)?([^/]+/[^/]+)\.git/info/lfs/", path):
            self.batch()
        elif matched := re.match(r"/(datasets/|spaces/)?([^/]+/[^/]+)/resolve/([^/]+)/(.*)$", path):
            self.resolve(matched[1] or "models/", matched[2], matched[3], matched[4])
        else:
            self.answer({"error": "not found"}, 404)

    def create(self, token: str) -> None:
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        if token != TOKEN:
            self.answer({"error": "no rights"}, 403)
        elif name in self.hub.taken or f"{asked['type']}s/{name}" in self.hub.repositories:
            self.answer({"error": "exists"}, 409)
        else:
            files = {".gitattributes": b"*.parquet filter=lfs\n"}
            if asked["type"] == "space":
                assert asked["sdk"] == "static"
                files |= dict.fromkeys(("README.md", "index.html", "style.css"), b"the Hub's\n")
            self.hub.add(name, asked["type"], files)
            repository = self.hub.repositories[f"{asked['type']}s/{name}"]
            repository.private = asked.get("visibility") == "private" or bool(asked.get("private"))
            self.answer({"url": f"{self.hub.endpoint}/{name}"})

    def with_repository(self, token: str, kind: str, name: str, rest: str) -> None:
        repository = self.hub.repositories.get(f"{kind}/{name}")
        if repository is None or (repository.private and not token):
            self.answer({"error": "none"}, 404, {"X-Error-Code": "RepoNotFound"})
            return
        action, _, argument = rest.partition("/")
        prefix = "" if kind == "models" else f"{kind}/"
        if action in ("commit", "preupload", "branch") and token != TOKEN:
            self.answer({"error": "no rights"}, 403)
        elif action == "branch":
            fresh = argument not in repository.branches
            repository.branches.setdefault(argument, repository.branches["main"])
            self.answer({}, 200 if fresh else 409)
        elif action == "preupload":
            self.preupload(repository, argument)
        elif action == "commit":
            self.commit(repository, argument, f"{self.hub.endpoint}/{prefix}{name}")
        else:
            revision = argument.split("/")[0] or "main"
            self.read(repository, name, action, repository.branches.get(revision, revision))

    def read(self, repository: Repository, name: str, action: str, sha: str) -> None:
        if sha not in repository.commits:
            self.answer({"error": "none"}, 404, {"X-Error-Code": "RevisionNotFound"})
            return
        files = repository.commits[sha]
        if action == "commits":
            day = "2026-01-02T03:04:05.000Z"
            about = {"authors": [], "date": day, "message": ""}
            self.answer([{"id": sha, "title": title} | about for title in repository.messages])
        elif action == "tree":
            under = unquote(urlsplit(self.path).path).split(f"/tree/{sha}")[-1].strip("/")
            names = [n for n in files if not under or n.startswith(f"{under}/")]
            folders = {n.rsplit("/", 1)[0] for n in names if "/" in n}
            entries = [{"type": "directory", "path": f, "oid": "0" * 40} for f in folders]
            self.answer([*(self.entry(n, files[n]) for n in names), *entries])
        elif action == "paths-info":
            form = json.loads(self.body) if self.body[:1] == b"{" else None
            asked = form["paths"] if form else re.findall(r"paths=([^&]*)", unquote(str(self.body)))
            self.answer([self.entry(n, files[n]) for n in asked if n in files])
        else:
            siblings = [{"rfilename": path} for path in files]
            about = {"id": name, "sha": sha, "private": repository.private}
            self.answer({**about, "siblings": siblings, "tags": [], "downloads": 0})

    def entry(self, name: str, content: bytes) -> dict[str, object]:
        entry = {"type": "file", "path": name, "size": len(content), "oid": git_oid(content)}
        if is_large(name):
            oid = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
        return entry

    def preupload(self, repository: Repository, branch: str) -> None:
        stored = repository.files(branch)
        files = []
        for file in json.loads(self.body)["files"]:
            name = file["path"]
            mode = "lfs" if is_large(name) else "regular"
            entry = {"path": name, "uploadMode": mode, "shouldIgnore": False}
            if name in stored:
                content = stored[name]
                large = hashlib.sha256(content).hexdigest()
                entry["oid"] = large if mode == "lfs" else git_oid(content)
            files.append(entry)
        self.answer({"files": files})

    def batch(self) -> None:
        objects = []
        for large_file in json.loads(self.body)["objects"]:
            oid, size = large_file["oid"], large_file["size"]
            if oid not in self.hub.objects:
                header = {}
                if size > PART:
                    header = {"chunk_size": str(PART)}
                    for part in range(1, -(-size // PART) + 1):
                        header[f"{part:05d}"] = f"{self.hub.endpoint}/upload/{oid}/{part}"
                upload = {"href": f"{self.hub.endpoint}/upload/{oid}", "header": header}
                large_file["actions"] = {"upload": upload}
            objects.append(large_file)
        self.answer({"transfer": "basic", "objects": objects})

    def upload(self, path: str) -> None:
        oid, _, part = path.removeprefix("/upload/").partition("/")
        if part:
            self.hub.parts.setdefault(oid, {})[int(part)] = self.body
            self.answer({}, headers={"ETag": f'"{part}"'})
            return
        parts = self.hub.parts.get(oid, {})
        content = self.body
        if self.command == "POST":
            content = b"".join(parts[number] for number in sorted(parts))
        good = hashlib.sha256(content).hexdigest() == oid
        if good:
            self.hub.objects[oid] = content
        self.answer({}, 200 if good else 422)

    def commit(self, repository: Repository, branch: str, address: str) -> None:
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = lines[0]["value"]
        if header.get("parentCommit") not in (None, repository.branches[branch]):
            self.answer({"error": "A commit has happened since"}, 412)
            return
        files = dict(repository.files(branch))
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            else:
                del files[value["path"]]
        sha = repository.commit(branch, files, header["summary"])
        self.answer({"commitUrl": f"{address}/commit/{sha}", "commitOid": sha})

    def resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        repository = self.hub.repositories.get(f"{kind}{name}")
        if repository is None:
            self.answer({"error": "none"}, 404, {"X-Error-Code": "RepoNotFound"})
            return
        sha = repository.branches.get(revision, revision)
        content = repository.commits.get(sha, {}).get(path)
        if content is None:
            self.answer({"error": "none"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        status, headers = 200, {"X-Repo-Commit": sha, "ETag": f'"{git_oid(content)}"'}
        if matched := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            end = min(int(matched[2] or len(content) - 1), len(content) - 1)
            headers["Content-Range"] = f"bytes {matched[1]}-{end}/{len(content)}"
            status, content = 206, content[int(matched[1]) : end + 1]
        self.write(content, status, headers)

    def answer(
        self, content: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        kind = {"Content-Type": "application/json"}
        self.write(json.dumps(content).encode(), status, kind | (headers or {}))

    def write(self, body: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


def is_large(name: str) -> bool:
    """Whether the Hub keeps a file of this name in its large file storage."""
    return name.endswith((".parquet", ".safetensors", ".png"))


@contextmanager
def writable_hub() -> Iterator[Hub]:
    """A Hub without repositories, at the address `endpoint`."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfHub", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def outside(code: str, hub: Hub, home: Path, *arguments: object) -> subprocess.CompletedProcess:
    """Run code in a fresh interpreter whose Hub is the stand-in."""
    environment = os.environ | {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(home),
        "HF_TOKEN": TOKEN,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


CLI = "from elusive.cli.main import main; main()"
