"""Attention over packed rows whose cost grows with the sequences' squares, not with the row's.

Without FlashAttention, transformers masks packed sequences with a dense mask over the whole row.
Here the row is cut at the sequences' borders, only for the attention call; all other layers see the
row unpadded.
"""

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from elusive.common.errors import InputError

IMPLEMENTATION = "elusive_packed"
NOT_PLAIN = ("sliding_window", "softcap", "s_aux", "position_bias")
"""Arguments by which transformers asks for more than plain causal attention."""

SHORT = 256
"""Longest padded sequence, in tokens, for which attention is written out."""


def build_border_columns(lengths: list[int]) -> dict[str, torch.Tensor | int]:
    """Return where a row's sequences begin and end, under the names that transformers uses."""
    borders = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)  # (sequence + 1,)
    return {
        "cu_seq_lens_q": borders,
        "cu_seq_lens_k": borders,
        "max_length_q": max(lengths),
        "max_length_k": max(lengths),
    }


def _attend_packed(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """Attend causally within each sequence of a packed row.

    Raises:
        InputError: the model asks for another attention.
    """
    asked = [name for name in NOT_PLAIN if kwargs.get(name) is not None]
    if asked or "cu_seq_lens_q" not in kwargs:
        reason = f"it uses {', '.join(asked)}" if asked else "it passes no borders"
        raise InputError(f"attention of {type(module).__name__} cannot be cut at borders: {reason}")
    borders = kwargs["cu_seq_lens_q"]
    assert isinstance(borders, torch.Tensor)
    # 1) Cut the row into padded sequences. Padding follows its sequence, where causal attention
    # does not look, so any token will do as padding.
    lengths = borders.diff()
    offsets = torch.arange(int(lengths.max()), device=borders.device)
    is_real = offsets < lengths[:, None]  # (sequence, token)
    padded = torch.where(is_real, borders[:-1, None] + offsets, 0)  # index into the row
    shape = (*padded.shape, query.shape[1], query.shape[3])
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    query, key, value = (
        states[0].transpose(0, 1).index_select(0, padded.flatten()).view(shape).transpose(1, 2)
        for states in (query, key, value)
    )  # (sequence, head, token, channel)
    # 2) Attend, and put the tokens of all sequences back into one row.
    attend = _attend_short if padded.shape[1] <= SHORT else _attend_long
    output = attend(query, key, value, scaling).transpose(1, 2)  # (sequence, token, head, channel)
    real = is_real.flatten().nonzero()[:, 0]  # (row token,)
    return output.reshape(-1, *shape[2:]).index_select(0, real)[None], None


def _attend_long(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """Attend with the fused kernel, whose memory is linear in length."""
    return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)


def _attend_short(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """Attend with the formula written out: on a CPU, the fused bfloat16 backward is 3x slower."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    logits = (query @ key.transpose(2, 3)).float() * scale  # (sequence, head, query, key)
    future = torch.ones(logits.shape[-2:], dtype=torch.bool, device=query.device).triu(1)
    return logits.masked_fill(future, -torch.inf).softmax(-1).to(value.dtype) @ value


AttentionInterface.register(IMPLEMENTATION, _attend_packed)
