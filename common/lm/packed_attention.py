"""Attention over packed rows that costs what its sequences cost, not what the row's square does.

Without FlashAttention, transformers masks packed sequences with a dense mask over the whole row.
Here the row is cut at its sequence borders for the attention call alone; all other layers see it
unpadded.
"""

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

IMPLEMENTATION = "elusive_packed"
PLAIN_CAUSAL = ("llama", "mistral", "qwen2", "qwen3", "phi3", "olmo2", "smollm3")
"""Architectures whose attention is a plain causal one and which hand `cu_seq_lens_q` to it."""

SHORT = 256
"""Tokens up to which attention is written out."""


def use_packed_attention(model: PreTrainedModel) -> bool:
    """Switch a model to packed attention if its architecture allows it; says whether it did."""
    config = model.config
    plain = config.model_type in PLAIN_CAUSAL and not getattr(config, "sliding_window", None)
    if plain:
        model.set_attn_implementation(IMPLEMENTATION)
    return plain


def border_columns(lengths: list[int]) -> dict[str, torch.Tensor | int]:
    """Where a row's sequences begin and end, under the names that transformers gives attention."""
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
    """Causal attention within each sequence of a packed row."""
    borders = kwargs["cu_seq_lens_q"]
    assert isinstance(borders, torch.Tensor)
    padded, real = _places(borders)
    shape = (*padded.shape, query.shape[1], query.shape[3])
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    query, key, value = (
        states[0].transpose(0, 1).index_select(0, padded.flatten()).view(shape).transpose(1, 2)
        for states in (query, key, value)
    )  # (sequence, head, token, channel)
    attend = _attend_short if padded.shape[1] <= SHORT else _attend_long
    output = attend(query, key, value, scaling).transpose(1, 2)  # (sequence, token, head, channel)
    return output.reshape(-1, *shape[2:]).index_select(0, real)[None], None


def _places(borders: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each place of the padded sequences stands in the row, and the reverse.

    What pads a sequence stands after it, where causal attention does not look: any token will do.

    Returns:
        Index into the row.  # (sequence, token)
        Index into the flattened sequences of each token of the row.  # (row token,)
    """
    lengths = borders.diff()
    places = torch.arange(int(lengths.max()), device=borders.device)
    is_real = places < lengths[:, None]  # (sequence, token)
    padded = torch.where(is_real, borders[:-1, None] + places, 0)
    return padded, is_real.flatten().nonzero()[:, 0]


def _attend_long(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """Fused causal attention, memory linear in length."""
    return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)


def _attend_short(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """The same written out: in bfloat16 on a CPU the fused backward pass takes thrice as long."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    logits = (query @ key.transpose(2, 3)).float() * scale  # (sequence, head, query, key)
    future = torch.ones(logits.shape[-2:], dtype=torch.bool, device=query.device).triu(1)
    return logits.masked_fill(future, -torch.inf).softmax(-1).to(value.dtype) @ value


AttentionInterface.register(IMPLEMENTATION, _attend_packed)
