"""Short trainings of nano-large on the device that the package chooses.

As a script, it takes the names of cases in `CASES` and prints their losses as JSON:

CUDA_VISIBLE_DEVICES= python tests/helpers/short_training.py float32
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.lm.loading import LoadedModel, load_model
from elusive.common.lm.packing import Sequence, build_text_sequence
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.training.lora import open_tuned_model
from elusive.evaluate.training.objectives import build_objective
from elusive.evaluate.training.sequences import pack_epochs
from elusive.evaluate.training.train import OnStep, TrainingLog, train

STEPS = 10  # losses are logged at steps 1, 5 and 10
ROW_SIZE = 4
ROWS_PER_EPOCH = 2
USUAL = {"batch_size": ROW_SIZE, "warmup": 0.0, "learning_rate": 3e-3}
CASES: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"dtype": torch.bfloat16},
    "long sequences": {"joined": 4},
    "hidden tokens": {"hides": True},
    "hidden tokens in bfloat16": {"hides": True, "dtype": torch.bfloat16},
    "all weights": {"tuning": "full", "learning_rate": 1e-4},
    "activations computed twice": {"gradient_checkpointing": True},
    "split steps": {"accumulation": 2},
    "rho-1": {"objective": "rho-1", "reference": "nano-small"},
    "memft": {"objective": "memft"},
    "attention-dropout": {"objective": "attention-dropout"},
}
"""Settings of trainings that should go alike on every device. `joined` joins as many biographies
into one sequence, `hides` hides every third token from later ones; the rest is `TrainingConfig`'s.
"""


def build_rows(
    loaded: LoadedModel, config: TrainingConfig, joined: int = 1, hides: bool = False
) -> list[dict[str, Any]]:
    """Rows of a few biographies of people whom nano-large does not know, several times over."""
    people = BiogenConfig(people=ROWS_PER_EPOCH * ROW_SIZE * joined, start=8000)
    texts = [document.text for document in generate_biographies(people)]
    texts = [" ".join(texts[start : start + joined]) for start in range(0, len(texts), joined)]
    sequences = [build_text_sequence(text, loaded.tokenizer) for text in texts]
    if hides:
        sequences = [hide_tokens(sequence) for sequence in sequences]
    objective, rng = build_objective(config, loaded), np.random.default_rng(0)
    if objective.change_copy:
        sequences = [objective.change_copy(sequence, rng) for sequence in sequences]
    if objective.change_text:
        sequences = [objective.change_text(sequence) for sequence in sequences]
    if objective.change_epoch:
        sequences = objective.change_epoch(sequences, "en")
    epochs = STEPS * config.accumulation // ROWS_PER_EPOCH
    return list(pack_epochs(lambda epoch: sequences, [], epochs, ROW_SIZE, rng))


def hide_tokens(sequence: Sequence) -> Sequence:
    """Hide every third token from the tokens after it."""
    hidden = [float(index % 3 == 1) for index in range(len(sequence.input_ids))]
    return Sequence(sequence.input_ids, sequence.labels, hidden=hidden)


def train_briefly(
    dtype: torch.dtype = torch.float32,
    quantization: str = "none",
    joined: int = 1,
    hides: bool = False,
    checkpoints: Path | None = None,
    on_step: OnStep = lambda: None,
    **settings: Any,
) -> TrainingLog:
    """Train nano-large for `STEPS` steps."""
    loaded = load_model("nano-large", dtype=dtype, quantization=quantization)
    config = TrainingConfig.model_validate(USUAL | settings)
    rows = build_rows(loaded, config, joined, hides)
    objective = build_objective(config, loaded)
    with open_tuned_model(loaded, config, seed=0) as model:
        return train(model, rows, config, 0, on_step, objective, checkpoints)


if __name__ == "__main__":
    print(json.dumps({name: train_briefly(**CASES[name]).losses for name in sys.argv[1:]}))
