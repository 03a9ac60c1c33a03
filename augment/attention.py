"""Attention received by each token, as column sums taken inside the attention call.

No attention map of a whole layer is kept: queries are handled in blocks, and of each block only
the sum over its heads and queries remains.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from elusive.common.errors import InputError
from elusive.common.models import attention_of

IMPLEMENTATION = "elusive_column_sums"
QUERY_BLOCK = 256


@dataclass
class _Collection:
    """Column sums by layer index, up to the last layer of a model."""

    last_layer: int
    sums: dict[int, torch.Tensor] = field(default_factory=dict)  # each (batch, key)


class _AllLayersSeen(Exception):
    """Ends a forward pass: scores need nothing of what comes after the last layer's attention."""


_collection: ContextVar[_Collection] = ContextVar("collection")


def attention_received(
    model: PreTrainedModel, input_ids: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Mean attention that each token receives from the tokens after it, by layer.

    For token j: the mean over heads and over later queries i > j of A[i, j], where row i of A (the
    softmax over keys) sums to 1. A token's attention to itself is left out. The paper's released
    scoring code sums over keys instead, which gives 1 for every query whatever the model reads.

    Args:
        model: a decoder that uses transformers' attention interface.
        input_ids: token ids, padded on the right.  # (batch, token)
        mask: 1 where a token is real, 0 on padding.  # (batch, token)

    Returns:
        Attention received; 0 for the last real token, which no query follows, and on padding.
        # (layer, batch, token)

    Raises:
        InputError: the architecture exposes no attention.

    Source: arXiv 2409.17954, section on data augmentation.
    """
    with (
        _column_sums(model) as collected,
        suppress(_AllLayersSeen),
        torch.inference_mode(),
    ):
        model.base_model(input_ids=input_ids, attention_mask=mask, use_cache=False)
    if not collected:
        raise _no_attention(model)
    sums = torch.stack([collected[layer] for layer in sorted(collected)])  # (layer, batch, token)
    real = mask.to(sums.dtype)
    later_queries = real.sum(-1, keepdim=True) - real.cumsum(-1)  # (batch, token)
    return torch.where(later_queries > 0, sums / later_queries.clamp(min=1), 0.0) * real


@contextmanager
def _column_sums(model: PreTrainedModel) -> Iterator[dict[int, torch.Tensor]]:
    """Collect column sums by layer index from every attention call of `model` inside the block."""
    before = attention_of(model)
    if not model._can_set_attn_implementation():
        raise _no_attention(model)
    model.set_attn_implementation(IMPLEMENTATION)
    collection = _Collection(last_layer=model.config.num_hidden_layers - 1)
    token = _collection.set(collection)
    try:
        yield collection.sums
    finally:
        _collection.reset(token)
        model.set_attn_implementation(before)


def _no_attention(model: PreTrainedModel) -> InputError:
    """Error for models whose attention cannot be read."""
    return InputError(
        f"architecture {model.config.model_type!r} exposes no attention: use a decoder with "
        "transformers' attention interface, such as llama, qwen2, gemma2 or gpt2"
    )


def _attend_and_sum(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it; adds this layer's column sums to the collection."""
    if kwargs.get("s_aux") is not None or kwargs.get("position_bias") is not None:
        raise InputError(f"{type(module).__name__} has attention sinks or biases, not supported")
    groups = query.shape[1] // key.shape[1]
    key = key.repeat_interleave(groups, dim=1)  # (batch, head, key, channel)
    value = value.repeat_interleave(groups, dim=1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    sums = torch.zeros(query.shape[0], key.shape[2], device=query.device)  # (batch, key)
    outputs = []
    for start in range(0, query.shape[2], QUERY_BLOCK):
        end = min(start + QUERY_BLOCK, query.shape[2])
        # Keys after the block's last query are masked for all of its queries.
        logits = query[:, :, start:end] @ key[:, :, :end].transpose(2, 3)
        logits = _softcapped(logits.float() * scale, softcap)  # (batch, head, query, key)
        allowed = _allowed(attention_mask, start, end, query.device)
        weights = logits.masked_fill_(~allowed, torch.finfo(logits.dtype).min).softmax(-1)
        outputs.append(weights.to(value.dtype) @ value[:, :, :end])
        sums[:, :end] += _received(weights, start, attention_mask)
    collection, layer = _collection.get(), int(module.layer_idx)  # type: ignore[arg-type]
    collection.sums[layer] = sums
    if layer == collection.last_layer:
        raise _AllLayersSeen
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


def _softcapped(logits: torch.Tensor, softcap: float | None) -> torch.Tensor:
    """Attention logits squashed into (-softcap, softcap), as Gemma 2 does."""
    return logits if softcap is None else torch.tanh(logits / softcap) * softcap


def _allowed(mask: torch.Tensor | None, start: int, end: int, device: torch.device) -> torch.Tensor:
    """Which keys the queries of a block may read.  # (batch or 1, 1, query, key)."""
    if mask is not None:
        return mask[:, :, start:end, :end]
    queries = torch.arange(start, end, device=device)[:, None]
    return (torch.arange(end, device=device)[None, :] <= queries)[None, None]


def _received(weights: torch.Tensor, start: int, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean over heads, sum over the block's real queries but a token's own.  # (batch, key)."""
    mean = weights.mean(1)  # (batch, query, key)
    end = mean.shape[-1]
    queries = torch.arange(start, end, device=mean.device)
    mean[:, torch.arange(end - start, device=mean.device), queries] = 0.0
    if mask is not None:
        # A padded query is one that may not even read itself.
        real = mask[:, 0, queries, queries].to(mean.dtype)  # (batch, query)
        mean = mean * real[:, :, None]
    return mean.sum(1)


AttentionInterface.register(IMPLEMENTATION, _attend_and_sum)
# The boolean mask that sdpa gets: None where attention is purely causal.
AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
