"""Scoring, training and answering on a GPU, as Markdown tables: seconds, tokens and memory.

python benchmarks/gpu.py --out /tmp/gpu.md

Weights of models other than nano-large are random and built on the spot, in the shapes of
SmolLM2-135M and Llama 3.2 1B; nothing is downloaded. Ways that are compared take turns, and a time
is the median of their turns. Memory is the peak that PyTorch allocates on top of what it held
before. What does not end within `--seconds` is left out. On a CPU, the same runs more slowly, and
without memory:

python benchmarks/gpu.py --models nano-large --lengths 128,512 --texts 8 --steps 4 --questions 20
"""

import gc
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from elusive.augment.scores.column_sums import compute_attention_received
from elusive.augment.scores.model_scores import BATCH_TOKENS, pad_texts, score_attention
from elusive.augment.scores.units import encode
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.questions import generate_questions, generate_shots
from elusive.common.lm.batches import batch_by_length
from elusive.common.lm.loading import (
    LoadedModel,
    choose_device,
    describe_device,
    load_model,
    load_model_tokenizer,
)
from elusive.common.lm.packing import build_text_sequence
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.answering.prompts import split_shots
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.training.lora import open_lora_model
from elusive.evaluate.training.sequences import pack_epochs
from elusive.evaluate.training.train import train

DTYPES = {"bf16": torch.bfloat16, "f32": torch.float32}
SHAPES: dict[str, dict[str, Any]] = {
    "135M": {
        **{"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30},
        **{"num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152},
    },
    "1B": {
        **{"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16},
        **{"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256},
    },
}
"""SmolLM2-135M's shape, and Llama 3.2 1B's."""
WARM_UP = 3
"""Training steps that do not count."""
BATCH_SIZES = (8, 64)
"""Texts per training step: the default, and what a GPU may like better."""
ANSWER_BATCH = 64


WAYS = ("blocks", "gradient", "forward with logits")
TABLES = {
    "Scoring biographies": ("model", "batch", *WAYS, "augment's score"),
    "Training LoRA": ("model", "texts", "step", "tokens/s", "peak"),
    "Five-shot answers": ("model", "batch", "questions/s"),
    "One text": ("model", "tokens", *WAYS),
}


@dataclass
class Report:
    """Tables that are shown row by row and written to a file, and the end of the time."""

    out: Path | None
    deadline: float
    lines: list[str] = field(default_factory=list)
    """Lines around the tables."""
    rows: dict[str, list[list[str]]] = field(default_factory=lambda: {name: [] for name in TABLES})

    def add(self, table: str, *cells: object) -> None:
        """Add a row to a table."""
        self.rows[table].append([str(cell) for cell in cells])
        click.echo(f"{table}: {' | '.join(map(str, cells))}")
        if self.out:
            self.out.write_text(self.render(), encoding="utf-8")

    def render(self) -> str:
        """Render all tables as Markdown."""
        lines = list(self.lines)
        for name, rows in self.rows.items():
            table = [list(TABLES[name]), ["---"] * len(TABLES[name]), *rows]
            lines += ["", f"### {name}", "", *(f"| {' | '.join(row)} |" for row in table)]
        return "\n".join(lines) + "\n"

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.perf_counter() > self.deadline


def wait() -> None:
    """Wait until the GPU has done all that it was asked for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@dataclass
class Clock:
    """When each training step ended."""

    ends: list[float] = field(default_factory=list)

    def tick(self) -> None:
        """Note that a step has ended."""
        wait()
        self.ends.append(time.perf_counter())


def start_peak() -> int:
    """Forget the peak of the allocated memory so far; return the bytes allocated now."""
    if not torch.cuda.is_available():
        return 0
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def read_peak(before: int) -> str:
    """Return the MiB that were allocated at the peak on top of `before`."""
    if not torch.cuda.is_available():
        return "? MiB"
    return f"{(torch.cuda.max_memory_allocated() - before) / 2**20:.0f} MiB"


def take_turns(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, str]:
    """Measure each way in every round; return its median milliseconds and its peak MiB."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    peaks: dict[str, str] = {}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            wait()
            before = start_peak()
            start = time.perf_counter()
            try:
                way()
                wait()
            except torch.OutOfMemoryError:
                seconds[name] = []
                continue
            if turn:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
            peaks[name] = read_peak(before)
    return {
        name: f"{1000 * statistics.median(taken):.1f} ms, {peaks.get(name, '')}"
        if taken
        else "out of memory"
        for name, taken in seconds.items()
    }


def save_random_model(name: str, folder: Path) -> str:
    """Save a model with random weights and nano-large's tokenizer; return its folder."""
    tokenizer = load_model_tokenizer("nano-large")
    config = LlamaConfig(
        **SHAPES[name],
        max_position_embeddings=16384,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,  # type: ignore[arg-type]
        eos_token_id=tokenizer.eos_token_id,  # type: ignore[arg-type]
        pad_token_id=tokenizer.pad_token_id,  # type: ignore[arg-type]
    )
    with choose_device():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder / name)
    tokenizer.save_pretrained(folder / name)
    return str(folder / name)


def open_models(
    names: list[str], folder: Path, report: Report
) -> Iterator[tuple[LoadedModel, str, bool]]:
    """Yield each model in each precision, its name with it, and whether it is not quantized."""
    has_bits = importlib.util.find_spec("bitsandbytes") is not None
    for name in names:
        reference = save_random_model(name, folder) if name in SHAPES else name
        free()
        for precision in ("bf16", "f32", *(("8bit", "4bit") if has_bits else ())):
            if report.is_over:
                return
            is_whole = precision in DTYPES
            dtype = DTYPES.get(precision, torch.bfloat16)
            loaded = load_model(reference, dtype, "none" if is_whole else precision)
            yield loaded, f"{name}, {precision}", is_whole
            del loaded
            free()


def free() -> None:
    """Give memory back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def run_forward(model, ids: torch.Tensor, mask: torch.Tensor) -> None:
    """Run the plain forward pass with logits."""
    with torch.inference_mode():
        model(input_ids=ids, attention_mask=mask, use_cache=False)


def build_ways(model, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, Callable]:
    """Return the ways to read batches of texts, by name."""

    def read_all(read: Callable) -> None:
        for ids, mask in batches:
            read(model, ids, mask)

    return {
        "blocks": partial(read_all, partial(compute_attention_received, fused=False)),
        "gradient": partial(read_all, partial(compute_attention_received, fused=True)),
        "forward with logits": partial(read_all, run_forward),
    }


def report_lengths(report: Report, loaded: LoadedModel, name: str, lengths: list[int]) -> None:
    """Measure one text by its length."""
    for length in lengths:
        if report.is_over:
            return
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(5, 4000, (1, length), generator=generator).to(loaded.model.device)
        ways = build_ways(loaded.model, [(ids, torch.ones_like(ids))])
        report.add("One text", name, length, *take_turns(ways, 5 if length <= 2048 else 3).values())


def report_biographies(report: Report, loaded: LoadedModel, name: str, texts: int) -> None:
    """Measure batches of biographies, of the batch size that scoring uses and of larger ones."""
    documents = list(generate_biographies(BiogenConfig(people=texts, start=8000)))
    encoded = [encode(document.text, loaded.tokenizer) for document in documents]
    lengths = [len(text.input_ids) for text in encoded]
    for batch_tokens in (BATCH_TOKENS, 8 * BATCH_TOKENS):
        if report.is_over:
            return
        batches = [
            pad_texts([encoded[index] for index in batch], loaded.model.device)
            for batch in batch_by_length(lengths, batch_tokens)
        ]
        ways = build_ways(loaded.model, batches)
        if batch_tokens == BATCH_TOKENS:
            ways["as augment scores"] = partial(score_attention, documents, loaded)
        cells = take_turns(ways, 3)
        report.add(
            "Scoring biographies", name, batch_tokens, *cells.values(), *["-"] * (4 - len(cells))
        )


def report_training(report: Report, loaded: LoadedModel, name: str, steps: int) -> None:
    """Measure LoRA training on packed biographies."""
    for batch_size in BATCH_SIZES:
        if report.is_over:
            return
        config = TrainingConfig(epochs=1, batch_size=batch_size)
        people = BiogenConfig(people=batch_size, start=8000)
        sequences = [
            build_text_sequence(document.text, loaded.tokenizer)
            for document in generate_biographies(people)
        ]
        (row,) = pack_epochs(lambda _, s=sequences: s, [], 1, batch_size, np.random.default_rng(0))
        clock = Clock()
        free()
        before = start_peak()
        with open_lora_model(loaded, config, 0) as model:
            train(model, [row] * steps, config, 0, clock.tick)
        step = statistics.median(np.diff(clock.ends)[WARM_UP - 1 :])
        cells = (f"{1000 * step:.0f} ms", f"{row['input_ids'].numel() / step:,.0f}")
        report.add("Training LoRA", name, batch_size, *cells, read_peak(before))


def report_answering(report: Report, loaded: LoadedModel, name: str, count: int) -> None:
    """Measure five-shot answers; a model with random weights always writes the longest ones."""
    if report.is_over:
        return
    config = BiogenConfig(people=count // 5, start=8000, num_shot_people=20)
    questions = list(generate_questions(config))[:count]
    shots, _ = split_shots(list(generate_shots(config)), 5, 0)
    seconds = []
    for _ in range(2):
        wait()
        start = time.perf_counter()
        answer_questions(loaded.model, loaded.tokenizer, questions, shots, ANSWER_BATCH)
        seconds.append(time.perf_counter() - start)
    report.add("Five-shot answers", name, ANSWER_BATCH, f"{len(questions) / min(seconds):.0f}")


@click.command()
@click.option("--models", default="nano-large,135M,1B")
@click.option("--lengths", default="128,256,512,1024,2048,4096,8192")
@click.option("--texts", default=100, help="Biographies to score.")
@click.option("--steps", default=12, help="Training steps of each setting.")
@click.option("--questions", default=220)
@click.option("--seconds", default=220.0, help="Measurements that would begin later are left out.")
@click.option("--out", type=click.Path(path_type=Path), help="File for the tables.")
def main(
    models: str,
    lengths: str,
    texts: int,
    steps: int,
    questions: int,
    seconds: float,
    out: Path | None,
) -> None:
    report = Report(out, time.perf_counter() + seconds)
    report.lines.append(f"{describe_device(choose_device())}, PyTorch {torch.__version__}")
    with tempfile.TemporaryDirectory() as scratch:
        for loaded, name, is_whole in open_models(models.split(","), Path(scratch), report):
            measures = [partial(report_training, steps=steps)]
            if is_whole:
                measures += [
                    partial(report_biographies, texts=texts),
                    partial(report_answering, count=questions),
                    partial(report_lengths, lengths=list(map(int, lengths.split(",")))),
                ]
            for measure in measures:
                try:
                    measure(report, loaded, name)
                except RuntimeError as error:  # out of memory, or a kernel that is missing
                    report.lines.append(f"- {name}: {str(error).splitlines()[0]}")
    taken = seconds - (report.deadline - time.perf_counter())
    report.lines.append(f"{texts} biographies; {taken:.0f} s in all")
    click.echo(report.render())
    if out:
        out.write_text(report.render(), encoding="utf-8")


if __name__ == "__main__":
    main()
