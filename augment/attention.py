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
    queries: torch.Tensor
    """1 for queries that count, 0 for others and for padding.  # (batch, query)"""
    own_query: bool
    sums: dict[int, torch.Tensor] = field(default_factory=dict)  # each (batch, head, key)


class _AllLayersSeen(Exception):
    """Ends a forward pass: scores need nothing of what comes after the last layer's attention."""


_collection: ContextVar[_Collection] = ContextVar("collection")


def attention_received(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    mask: torch.Tensor,
    queries: torch.Tensor | None = None,
    own_query: bool = False,
    last_layer: int | None = None,
) -> torch.Tensor:
    """Mean attention that each token receives from the tokens after it, by layer and head.

    For token j: the mean over later queries i > j of A[i, j], where row i of A (the softmax over
    keys) sums to 1. The paper's released scoring code sums over keys instead, which gives 1 for
    every query whatever the model reads.

    Args:
        model: a decoder that uses transformers' attention interface.
        input_ids: token ids, padded on the right.  # (batch, token)
        mask: 1 where a token is real, 0 on padding.  # (batch, token)
        queries: 1 for the queries that count; all real ones if None.  # (batch, token)
        own_query: whether a token's attention to itself counts, too (i >= j).
        last_layer: the last layer that is needed; nothing after it is computed.

    Returns:
        Attention received; 0 for tokens that no query follows, and on padding.
        # (layer, head, batch, token)

    Raises:
        InputError: the architecture exposes no attention.

    Source: arXiv 2409.17954, section on data augmentation.
    """
    counted = (mask if queries is None else mask * queries).float()  # (batch, token)
    last = model.config.num_hidden_layers - 1 if last_layer is None else last_layer
    with (
        _column_sums(model, _Collection(last, counted, own_query)) as collected,
        suppress(_AllLayersSeen),
        torch.inference_mode(),
    ):
        model.base_model(input_ids=input_ids, attention_mask=mask, use_cache=False)
    if not collected:
        raise _no_attention(model)
    sums = torch.stack([collected[layer] for layer in sorted(collected)])
    sums = sums.transpose(1, 2)  # (layer, head, batch, token)
    later_queries = counted.sum(-1, keepdim=True) - counted.cumsum(-1)  # (batch, token)
    num_queries = later_queries + counted if own_query else later_queries
    return torch.where(num_queries > 0, sums / num_queries.clamp(min=1), 0.0) * mask


@contextmanager
def _column_sums(
    model: PreTrainedModel, collection: _Collection
) -> Iterator[dict[int, torch.Tensor]]:
    """Collect column sums by layer index from every attention call of `model` inside the block."""
    before = attention_of(model)
    if not model._can_set_attn_implementation():
        raise _no_attention(model)
    model.set_attn_implementation(IMPLEMENTATION)
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
    collection, layer = _collection.get(), int(module.layer_idx)  # type: ignore[arg-type]
    sums = torch.zeros(key.shape[:3], device=query.device)  # (batch, head, key)
    outputs = []
    for start in range(0, query.shape[2], QUERY_BLOCK):
        end = min(start + QUERY_BLOCK, query.shape[2])
        # Keys after the block's last query are masked for all of its queries.
        logits = query[:, :, start:end] @ key[:, :, :end].transpose(2, 3)
        logits = _softcapped(logits.float() * scale, softcap)  # (batch, head, query, key)
        allowed = _allowed(attention_mask, start, end, query.device)
        weights = logits.masked_fill_(~allowed, torch.finfo(logits.dtype).min).softmax(-1)
        outputs.append(weights.to(value.dtype) @ value[:, :, :end])
        sums[:, :, :end] += _received(weights, start, collection)
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


def _received(weights: torch.Tensor, start: int, collection: _Collection) -> torch.Tensor:
    """Sum over the block's queries that count.

    (batch, head, query, key) -> (batch, head, key).
    """
    end = weights.shape[-1]
    counted = collection.queries[:, None, None, start:end]  # (batch, 1, 1, query)
    sums = (counted @ weights)[:, :, 0]
    if not collection.own_query:
        own = weights.diagonal(start, 2, 3)  # (batch, head, query)
        sums[:, :, start:end] -= own * counted[:, :, 0]
    return sums


AttentionInterface.register(IMPLEMENTATION, _attend_and_sum)
# The boolean mask that sdpa gets: None where attention is purely causal.
AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
