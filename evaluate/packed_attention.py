"""Attention over packed rows that costs what its sequences cost, not what the row's square does.

Without FlashAttention, transformers masks packed sequences with a dense mask over the whole row. Here the
row is cut at its sequence borders for the attention call alone; all other layers see it unpadded.
"""

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

IMPLEMENTATION = "elusive_packed"
PLAIN_CAUSAL = ("llama", "mistral", "qwen2", "qwen3", "phi3", "olmo2", "smollm3")
"""Architectures whose attention is a plain causal one and which hand `cu_seq_lens_q` to it."""


def use_packed_attention(model: PreTrainedModel) -> bool:
    """Switch a model to packed attention if its architecture allows it; says whether it did."""
    config = model.config
    plain = config.model_type in PLAIN_CAUSAL and not getattr(config, "sliding_window", None)
    if plain:
        model.set_attn_implementation(IMPLEMENTATION)
    return plain


def border_columns(lengths: list[int]) -> dict[str, torch.Tensor | int]:
    """Where sequences of a row begin and end, under the names that transformers hands to attention."""
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
    dropout: float = 0.0,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each sequence of a packed row."""
    borders = kwargs["cu_seq_lens_q"]
    assert isinstance(borders, torch.Tensor)
    starts, lengths = borders[:-1].long(), borders.diff().long()
    offsets = torch.arange(int(lengths.max()), device=query.device)
    real = offsets < lengths[:, None]  # (sequence, token)
    index = (starts[:, None] + offsets).clamp(max=query.shape[2] - 1)
    groups = query.shape[1] // key.shape[1]
    cut = [
        states[0].transpose(0, 1)[index].transpose(1, 2)  # (sequence, head, token, channel)
        for states in (query, key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1))
    ]
    # What pads a sequence stands after it, where causal attention does not look.
    output = scaled_dot_product_attention(*cut, is_causal=True, scale=scaling, dropout_p=dropout)
    return output.transpose(1, 2)[real][None], None  # (1, token, head, channel)


AttentionInterface.register(IMPLEMENTATION, _attend_packed)
