"""Packed rows on a GPU: logits and gradients are those of one sequence at a time."""

from typing import Any

import pytest
import torch
from tiny import VOCABULARY, tiny_model
from transformers import PreTrainedModel

from elusive.common.lm.packed_attention import IMPLEMENTATION, SHORT
from elusive.common.lm.packing import CUT, Packing, RowReading, Sequence, pack_row
from elusive.evaluate.training.hf_trainer import RowCollator

pytestmark = pytest.mark.gpu

WAYS: dict[str, RowReading] = {
    "llama": "cut",
    "qwen2": "cut",
    "gemma2": "positions",
    "gpt2": "positions",
}
"""What a probe finds on a CPU."""
NAMES = list(WAYS)
LENGTHS = ([7, 1, 12, 33], [SHORT + 44, 40, 1])
"""Sequences for which attention is written out, and such that the fused kernel attends."""
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 4e-2}
"""Norm of the difference over the norm. On a CPU, it is at most 7e-7 in float32, and .023 in
bfloat16, which rounds by .4% in every layer; a sequence that sees another is off by .7 and more."""


def build_sequences(lengths: list[int]) -> list[Sequence]:
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(2, VOCABULARY, (length,), generator=generator) for length in lengths]
    return [Sequence(row.tolist(), row.tolist()) for row in rows]


def collate(model: PreTrainedModel, sequences: list[Sequence]) -> dict[str, Any]:
    """Inputs of a row as training builds them, on the model's device."""
    packing = Packing(WAYS[model.config.model_type])
    if packing.way == CUT:
        model.set_attn_implementation(IMPLEMENTATION)
    inputs = RowCollator(packing, model.dtype)([pack_row(sequences)])
    left_out = ("names", "labels", "way")
    tensors = {name: value for name, value in inputs.items() if name not in left_out}
    return {
        name: value.to(model.device) if isinstance(value, torch.Tensor) else value
        for name, value in tensors.items()
    }


def compute(
    name: str, dtype: torch.dtype, device: torch.device, rows: list[list[Sequence]]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits of all rows, and the gradients of a weighted sum of them by all weights."""
    model = tiny_model(name).to(device, dtype)  # type: ignore[arg-type]
    logits = torch.cat([model(**collate(model, row), use_cache=False).logits[0] for row in rows])
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    (logits.float() * weights.to(device)).sum().backward()
    return logits.detach().float(), [
        parameter.grad.float() for parameter in model.parameters() if parameter.grad is not None
    ]


def difference(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first - second).norm() / second.norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lengths", LENGTHS, ids=["short", "long"])
@pytest.mark.parametrize("name", NAMES)
def test_a_packed_row_equals_its_sequences(name: str, lengths: list[int], dtype, device):
    sequences = build_sequences(lengths)
    logits, gradients = compute(name, dtype, device, [sequences])
    apart, gradients_apart = compute(name, dtype, device, [[sequence] for sequence in sequences])
    assert difference(logits, apart) < TOLERANCE[dtype]
    assert len(gradients) == len(gradients_apart) > 10
    for packed, alone in zip(gradients, gradients_apart, strict=True):
        assert difference(packed, alone) < TOLERANCE[dtype]


@pytest.mark.parametrize("name", NAMES)
def test_a_sequence_that_saw_another_would_be_noticed(name: str, device):
    sequences = build_sequences(LENGTHS[0])
    joined = [token for sequence in sequences for token in sequence.input_ids]
    logits, _ = compute(name, torch.float32, device, [sequences])
    seeing, _ = compute(name, torch.float32, device, [[Sequence(joined, joined)]])
    assert difference(seeing, logits) > 2 * TOLERANCE[torch.bfloat16]
