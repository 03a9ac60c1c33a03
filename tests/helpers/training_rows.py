"""Rows to train on, questions to answer, and tiny models that learn."""

import warnings
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny import VOCABULARY, tiny_model
from transformers import PreTrainedModel

from elusive.common.dataset.records import Question, Shot
from elusive.common.lm.batches import pad_rows
from elusive.common.lm.packing import IGNORED, Sequence
from elusive.evaluate.training.rows import build_text_sequence, pack_epochs

FIRMS = {
    "Ada": "Hill-Irwin Inc.",
    "Bo": "Oslo",
    "Cy": '"Who?"',
    "Di": "(1987)",
    "Eve": "May 7, 1987",
    "Flo": "Where was Inc.",
}
SHOTS = [Shot("Gus", "firm", "Which firm did Gus join?", "Rome Inc."),
         Shot("Hal", "firm", "Which firm did Hal join?", "A. B.")]  # fmt: skip


def adapted(name: str) -> PeftModel:
    """A tiny model with a LoRA adapter that does something."""
    torch.manual_seed(0)
    lora = LoraConfig(
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        init_lora_weights=False,
        fan_in_fan_out=name == "gpt2",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        return get_peft_model(tiny_model(name), lora)  # pyright: ignore[reportReturnType]


def row(length: int = 30) -> dict[str, Any]:
    """Two sequences in a row, some labels of which do not count."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(2, VOCABULARY, (1, length), generator=generator)
    labels = ids.clone()
    labels[0, [0, 7, 8, length // 2]] = -100
    positions = torch.arange(length)[None] % (length // 2)
    return {"input_ids": ids, "labels": labels, "position_ids": positions}


def gradients(model: PeftModel, loss: torch.Tensor) -> list[torch.Tensor]:
    """Gradients of the adapter."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return list(torch.autograd.grad(loss, trained))


def some_rows(tokenizer, count: int = 24) -> list[dict[str, torch.Tensor]]:
    texts = [f"Ada Byron {number} was born in Rome." for number in range(8)]
    sequences = [build_text_sequence(text, tokenizer) for text in texts]
    return list(pack_epochs(lambda epoch: sequences, [], count // 2, 4, np.random.default_rng(0)))


def some_questions() -> tuple[list[Question], list[Shot]]:
    names = ["Ada Byron", "Bo", "Cleo von der Heide", "Dan Ek", "Eve Lee"]
    questions = [
        Question(
            f"{i}/{field}", str(i), name, field, f"{field} of {name}?", ["Rome", "x y"], "test"
        )
        for i, name in enumerate(names)
        for field in ("city", "major")
    ]
    shots = [
        Shot(f"Shot {i}", field, f"{field} of Shot {i}?", "Oslo")
        for i in range(3)
        for field in ("city", "major")
    ]
    return questions, shots


def ask_about_firms() -> list[Question]:
    return [
        Question(name, name, name, "firm", f"Which firm did {name} join?", [firm, "x"], "test")
        for name, firm in FIRMS.items()
    ]


def teach(model: PreTrainedModel, sequences: list[Sequence], steps: int = 150) -> None:
    """Train all weights until the labels are learned by heart."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0)
    model.train()
    input_ids = pad_rows([sequence.input_ids for sequence in sequences])
    labels = pad_rows([sequence.labels for sequence in sequences], IGNORED)
    for _ in range(steps):
        loss = model(input_ids=input_ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    model.eval()
