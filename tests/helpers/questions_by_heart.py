"""Questions with all kinds of answers, and a model that learns the answers by heart."""

import torch
from transformers import PreTrainedModel

from elusive.common.dataset.records import Question, Shot
from elusive.common.lm.batches import pad_rows
from elusive.common.lm.packing import IGNORED, Sequence

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
