"""A stand-in for vLLM's server on this machine: a real model behind the completions protocol."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import torch
from peft import PeftModel

from elusive.common.lm.adapters import ignore_adapter_warnings
from elusive.common.lm.loading import load_model

GENERATES_AT_MOST = 64


class CompletionServer:
    """A served model, its adapters, and how the server misbehaves."""

    def __init__(self, folder: Path) -> None:
        loaded = load_model(str(folder), dtype=torch.float32)
        self.model: Any = loaded.model
        self.tokenizer: Any = loaded.tokenizer
        self.root = str(folder)
        self.adapters: set[str] = set()
        self.asked: list[str] = []
        self.uses_adapters = True
        self.gives_log_probabilities = True
        self.key: str | None = None
        self.start_token = False
        """Whether a start token is listed before the tokens of a prompt, as of some models."""
        self.marks_characters = False
        """Whether tokens are written as replacement characters, as parts of characters are."""
        self.repetition_penalty = 1.0
        """Used where a request names none, as vLLM uses that of generation_config.json."""
        self.url = ""
        self.lock = Lock()

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and content of a reply."""
        with self.lock, torch.inference_mode():
            if path == "/v1/models":
                names = ["base", *sorted(self.adapters)]
                data = [{"id": name, "object": "model", "root": self.root} for name in names]
                return 200, {"object": "list", "data": data}
            if path == "/v1/load_lora_adapter":
                return self._load(body["lora_name"], body["lora_path"])
            if path == "/v1/unload_lora_adapter":
                self.adapters.remove(body["lora_name"])
                return 200, "removed"
            if body["model"] not in {"base", *self.adapters}:
                return 404, {"error": {"message": f"no model {body['model']}"}}
            self.asked.append(body["model"])
            prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
            with self._adapter(body["model"]):
                choices = [self._choice(n, each, body) for n, each in enumerate(prompts)]
            return 200, {"id": "1", "object": "text_completion", "created": 0, "model": "m",
                         "choices": choices}  # fmt: skip

    def _load(self, name: str, path: str) -> tuple[int, Any]:
        if not Path(path, "adapter_config.json").exists():
            return 404, {"error": {"message": f"no adapter at {path}"}}
        if isinstance(self.model, PeftModel):
            self.model.load_adapter(path, name)
        else:
            with ignore_adapter_warnings():
                self.model = PeftModel.from_pretrained(self.model, path, adapter_name=name)
        self.model.eval()
        self.adapters.add(name)
        return 200, "added"

    def _adapter(self, name: str) -> Any:
        if not isinstance(self.model, PeftModel):
            return nullcontext()
        if name == "base" or not self.uses_adapters:
            return self.model.disable_adapter()
        self.model.set_adapter(name)
        return nullcontext()

    def _choice(self, index: int, prompt: str, body: dict[str, Any]) -> dict[str, Any]:
        ids = self.tokenizer(prompt)["input_ids"]
        penalty = body.get("repetition_penalty", self.repetition_penalty)
        new = self._generated(ids, min(body["max_tokens"], GENERATES_AT_MOST), penalty)
        text = self.tokenizer.decode(new, skip_special_tokens=True)
        for stop in body.get("stop") or []:
            text = text.split(stop)[0]
        echo = prompt if body.get("echo") else ""
        choice = {"index": index, "text": echo + text, "finish_reason": "stop", "logprobs": None}
        if body.get("logprobs") is not None and self.gives_log_probabilities:
            choice["logprobs"] = self._log_probabilities(ids, new)
        return choice

    def _generated(self, ids: list[int], count: int, penalty: float) -> list[int]:
        """Greedy tokens, one after another, without any cache."""
        new: list[int] = []
        while len(new) < count and self.tokenizer.eos_token_id not in new:
            logits = self.model(input_ids=torch.tensor([ids + new])).logits[0, -1]
            seen = sorted({*ids, *new})
            logits[seen] = torch.where(
                logits[seen] < 0, logits[seen] * penalty, logits[seen] / penalty
            )
            new.append(int(logits.argmax()))
        return new

    def _log_probabilities(self, ids: list[int], new: list[int]) -> dict[str, Any]:
        every = torch.tensor(ids + new)
        logits = self.model(input_ids=every[None]).logits[0].log_softmax(-1)
        values: list[float | None] = [None, *logits[:-1].gather(1, every[1:, None])[:, 0].tolist()]
        tokens = [self.tokenizer.decode([token]) for token in every]
        if self.marks_characters:
            tokens = ["\N{REPLACEMENT CHARACTER}" for _ in tokens]
        if self.start_token:
            tokens, values = ["<s>", *tokens], [None, -1.0, *values[1:]]
        return {"tokens": tokens, "token_logprobs": values, "top_logprobs": None, "text_offset": []}


@contextmanager
def completion_server(folder: Path) -> Iterator[CompletionServer]:
    """Serve a model's folder under the name `base`."""
    state = CompletionServer(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = (
            True  # or each answer waits for the acknowledgement of its headers
        )

        def do_GET(self) -> None:
            self._reply({})

        def do_POST(self) -> None:
            self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _reply(self, body: dict[str, Any]) -> None:
            status, content = 401, {"error": {"message": "no such key"}}
            if state.key is None or self.headers["Authorization"] == f"Bearer {state.key}":
                status, content = state.answer(self.path, body)
            is_text = isinstance(content, str)
            answer = (content if is_text else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if is_text else "application/json")
            self.send_header("Content-Length", str(len(answer)))
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
