"""Whether a model obeys an attention mask that hides tokens, tried on a row before training."""

from typing import Any

import torch
from transformers import PreTrainedModel

from elusive.common.errors import InputError
from elusive.common.lm.context import find_longest_sequence
from elusive.common.lm.packing import Sequence, pack_row, sample_attention_mask

BESIDE = 8
"""Most tokens of the second sequence of the row that is tried."""
TOLERANCES = {torch.float32: 1e-3, torch.float64: 1e-6}
LOW_PRECISION = 0.1
"""Largest difference of logits that counts as rounding, in their standard deviations."""


def check_mask_hides(model: PreTrainedModel, rows: list[dict[str, Any]]) -> None:
    """Check that a model computes with the mask of rows that have hidden tokens, and no other.

    Models with sliding windows lose them under such a mask, once a text is longer than the window;
    those that build a mask or biases of positions themselves may ignore it or fail; recurrent
    layers know no mask. What happens is tried on as many tokens as the longest sequence has.

    Args:
        model: the model without an adapter.
        rows: packed rows.

    Raises:
        InputError: the model does not obey the mask.
    """
    length, _ = find_longest_sequence(rows)
    is_training = model.training
    model.eval()
    try:
        first, second = (_take_tokens(rows, count) for count in (length, min(length, BESIDE)))
        problem = _find_problem(model, first, second)
    except torch.OutOfMemoryError:
        raise
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        problem = f"it fails with {type(error).__name__}"
    finally:
        model.train(is_training)
    if problem:
        raise InputError(
            f"tokens cannot be hidden from {type(model).__name__} in texts of {length} tokens "
            f"({problem}), but corrupt 'unseen' and 'partly-unseen' and objective "
            "'attention-dropout' hide some: choose others, or another model"
        )


def _take_tokens(rows: list[dict[str, Any]], length: int) -> list[int]:
    """Take some tokens of the rows, from the first on; repeated if there are not enough."""
    ids = [token for row in rows for token in row["input_ids"][0].tolist()]
    return (ids * (length // len(ids) + 1))[:length]


@torch.no_grad()
def _find_problem(model: PreTrainedModel, first: list[int], second: list[int]) -> str | None:
    """Say what is wrong with a row of two sequences, in the first of which a token is hidden."""
    # 1) A mask that hides nothing gives each sequence the logits that it has alone.
    alone = [_compute_alone(model, ids) for ids in (first, second)]
    packed = _compute_packed(model, first, second, [0.0] * len(first))
    expected = torch.cat(alone)
    limit = TOLERANCES.get(model.dtype, LOW_PRECISION) * float(expected.std())
    if not (packed - expected).abs().max() <= limit:
        return "a mask that hides nothing changes what it predicts"
    # 2) Another token in the place of the hidden one changes nothing that is predicted later.
    place = len(first) // 2
    hidden = [float(index == place) for index in range(len(first))]
    changed = [*first]
    changed[place] = next(token for token in {*first, *second, 0, 1} if token != first[place])
    before, after = (_compute_packed(model, ids, second, hidden) for ids in (first, changed))
    if torch.equal(before[place], after[place]):
        return "it does not read the token itself"
    if not torch.allclose(before[place + 1 :], after[place + 1 :], atol=limit / 10, rtol=0):
        return "it reads hidden tokens"
    return None


def _compute_alone(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    inputs = torch.tensor([ids], device=model.device)
    return model(input_ids=inputs, use_cache=False).logits[0].float()  # (token, vocabulary)


def _compute_packed(
    model: PreTrainedModel, first: list[int], second: list[int], hidden: list[float]
) -> torch.Tensor:
    """Compute the logits of a row as training does.  # (token, vocabulary)."""
    row = pack_row([Sequence(first, first, hidden=hidden), Sequence(second, second, hidden=[0.0])])
    positions = row["position_ids"]
    shares = torch.zeros(positions.shape)
    shares[0, : len(hidden)] = torch.tensor(hidden)
    mask = sample_attention_mask(positions, shares, [0, 0], model.dtype)
    return (
        model(
            input_ids=row["input_ids"].to(model.device),
            position_ids=positions.to(model.device),
            attention_mask=mask.to(model.device),
            use_cache=False,
        )
        .logits[0]
        .float()
    )
