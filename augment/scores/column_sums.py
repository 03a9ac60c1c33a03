"""Attention received by each token, as column sums taken inside the attention call.

No attention map of a whole layer is kept. On a CPU queries are handled in blocks, and of each block
only the sum over its queries remains. On a GPU attention is fused, and the sums are the gradient of
its output by the values: output = map @ values, so with an upstream gradient of 1 for every query
that counts, each channel of the values' gradient is the map's sum over these queries.
"""

from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

import torch
from torch.nn.functional import pad
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from elusive.common.errors import InputError
from elusive.common.lm.loading import get_attention

IMPLEMENTATION = "elusive_column_sums"
QUERY_BLOCK = 256


@dataclass
class _Collection:
    """Column sums by layer index, up to the last layer of a model."""

    last_layer: int
    queries: torch.Tensor
    """1 for queries that count, 0 for others and for padding.  # (batch, query)"""
    own_query: bool
    fused: bool
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
    fused: bool | None = None,
) -> torch.Tensor:
    """Mean attention that each token receives from the tokens after it, by layer and head.

    For token j: the mean over later queries i > j of A[i, j], where row i of A (the softmax over
    keys) sums to 1. The paper's released scoring code sums over keys instead, which gives 1 for
    every query whatever the model reads.

    Args:
        model: a decoder that uses transformers' attention interface, or else one that returns its
            attention maps, which takes more time and memory.
        input_ids: token ids, padded on the right.  # (batch, token)
        mask: 1 where a token is real, 0 on padding.  # (batch, token)
        queries: 1 for the queries that count; all real ones if None.  # (batch, token)
        own_query: whether a token's attention to itself counts, too (i >= j).
        last_layer: the last layer that is needed; nothing after it is computed.
        fused: whether sums are taken as gradients of fused attention; on a GPU if None. Layers that
            cap their logits or see a window alone are handled in blocks all the same.

    Returns:
        Attention received; 0 for tokens that no query follows, and on padding.
        # (layer, head, batch, token)

    Raises:
        InputError: the architecture exposes no attention.

    Source: arXiv 2409.17954, section on data augmentation.
    """
    counted = (mask if queries is None else mask * queries).float()  # (batch, token)
    last = model.config.num_hidden_layers - 1 if last_layer is None else last_layer
    use_fused = input_ids.is_cuda if fused is None else fused
    collection = _Collection(last, counted, own_query, use_fused)
    if model._can_set_attn_implementation():
        _collect_column_sums(model, input_ids, mask, collection)
    else:
        _collect_from_maps(model, input_ids, mask, collection)
    if sorted(collection.sums) != list(range(last + 1)):
        raise _no_attention(model, len(collection.sums))
    sums = torch.stack([collection.sums[layer] for layer in range(last + 1)])
    sums = sums.transpose(1, 2)  # (layer, head, batch, token)
    later_queries = counted.sum(-1, keepdim=True) - counted.cumsum(-1)  # (batch, token)
    num_queries = later_queries + counted if own_query else later_queries
    return torch.where(num_queries > 0, sums / num_queries.clamp(min=1), 0.0) * mask


def _collect_column_sums(
    model: PreTrainedModel, input_ids: torch.Tensor, mask: torch.Tensor, collection: _Collection
) -> None:
    """Column sums of every layer up to the last, from the attention calls of one forward pass."""
    before = get_attention(model)
    model.set_attn_implementation(IMPLEMENTATION)
    token = _collection.set(collection)
    try:
        with suppress(_AllLayersSeen), torch.no_grad():
            model.base_model(input_ids=input_ids, attention_mask=mask, use_cache=False)
    finally:
        _collection.reset(token)
        model.set_attn_implementation(before)


def _collect_from_maps(
    model: PreTrainedModel, input_ids: torch.Tensor, mask: torch.Tensor, collection: _Collection
) -> None:
    """Column sums of the maps that a model returns, one text at a time: they are large."""
    rows: list[list[torch.Tensor]] = []
    for row, length in enumerate(mask.sum(-1).tolist()):
        one = replace(collection, queries=collection.queries[row : row + 1, :length])
        maps = _maps(model, input_ids[row : row + 1, :length])[: collection.last_layer + 1]
        sums = [_received(layer.float(), 0, one) for layer in maps]  # each (1, head, key)
        rows.append([pad(layer[0], (0, mask.shape[1] - length)) for layer in sums])
    collection.sums |= {layer: torch.stack(of) for layer, of in enumerate(zip(*rows, strict=True))}


def _maps(model: PreTrainedModel, input_ids: torch.Tensor) -> list[torch.Tensor]:
    """The attention maps of each layer; none if they are not those of a decoder.

    Falcon's, for one, look ahead unless its masks are made for eager attention.
    """
    before = get_attention(model)
    model.config._attn_implementation = "eager"
    try:
        with torch.no_grad():
            output = model.base_model(input_ids=input_ids, output_attentions=True, use_cache=False)
    finally:
        model.config._attn_implementation = before
    maps = [each for each in getattr(output, "attentions", None) or [] if each is not None]
    return maps if not any(layer.triu(1).any() for layer in maps) else []


def _no_attention(model: PreTrainedModel, layers: int) -> InputError:
    """Error for models whose attention cannot be read, in `layers` of their layers at most."""
    exposes = f"exposes attention in {layers} layers only" if layers else "exposes no attention"
    return InputError(
        f"architecture {model.config.model_type!r} {exposes}: use a decoder with transformers' "
        "attention interface, such as llama, qwen2, gemma2 or gpt2"
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
    if collection.fused and softcap is None and _is_causal(attention_mask):
        output, sums = _fused(query, key, value, scale, collection)
    else:
        output, sums = _in_blocks(query, key, value, attention_mask, scale, softcap, collection)
    collection.sums[layer] = sums
    if layer == collection.last_layer:
        raise _AllLayersSeen
    return output.transpose(1, 2).contiguous(), None


def _in_blocks(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scale: float,
    softcap: float | None,
    collection: _Collection,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Output (batch, head, query, channel) and column sums (batch, head, key), block by block."""
    sums = torch.zeros(key.shape[:3], device=query.device)  # (batch, head, key)
    outputs = []
    for start in range(0, query.shape[2], QUERY_BLOCK):
        end = min(start + QUERY_BLOCK, query.shape[2])
        # Keys after the block's last query are masked for all of its queries.
        logits = query[:, :, start:end] @ key[:, :, :end].transpose(2, 3)
        closed = _closed(attention_mask, start, end, query.device)
        weights = _scaled(logits, closed, scale, softcap).softmax(-1)  # (batch, head, query, key)
        outputs.append(weights.to(value.dtype) @ value[:, :, :end])
        sums[:, :, :end] += _received(weights, start, collection)
    return torch.cat(outputs, dim=2), sums


def _fused(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    collection: _Collection,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same from fused causal attention and its gradient by the values.

    Padding stands behind the text, where no real query sees it.
    """
    counted = collection.queries[:, None, :, None].to(value.dtype)  # (batch, 1, query, 1)
    with torch.enable_grad():
        values = value.detach().requires_grad_()
        output, log_sums = _causal_attention(query, key, values, scale)
        (gradient,) = torch.autograd.grad(output, values, counted.expand_as(output))
    sums = gradient.float().mean(-1)  # (batch, head, key); all channels are alike
    if not collection.own_query:
        own = (query.float() * key.float()).sum(-1) * scale - log_sums[..., : query.shape[2]]
        sums -= own.exp() * collection.queries[:, None]
    return output.detach(), sums.clamp(min=0)


def _causal_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fused attention, and the logarithm of each softmax's denominator, which the public function
    does not give.  # (batch, head, query, channel), (batch, head, query)."""
    if query.is_cuda:
        attend = torch.ops.aten._scaled_dot_product_efficient_attention
        return attend(query, key, value, None, True, is_causal=True, scale=scale)[:2]
    attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return attend(query, key, value, is_causal=True, scale=scale)


def _is_causal(mask: torch.Tensor | None) -> bool:
    """Whether all that a mask forbids is to look ahead, or at padding behind the text."""
    if mask is None:
        return True
    real = mask[:, :, -1:]  # keys that the last query sees
    return bool((mask == real & mask.new_ones(mask.shape[-2:]).tril()).all())


def _scaled(
    logits: torch.Tensor, closed: torch.Tensor, scale: float, softcap: float | None
) -> torch.Tensor:
    """Attention logits in float32, scaled and masked; squashed into (-softcap, softcap) where
    there is one, as Gemma 2 does."""
    if softcap is None:
        return torch.add(closed, logits, alpha=scale)
    return torch.tanh(logits.float() * (scale / softcap)) * softcap + closed


def _closed(mask: torch.Tensor | None, start: int, end: int, device: torch.device) -> torch.Tensor:
    """0 where the queries of a block may read a key, the lowest number elsewhere.

    # (batch or 1, 1, query, key)
    """
    if mask is None:
        queries = torch.arange(start, end, device=device)[:, None]
        allowed = (torch.arange(end, device=device)[None, :] <= queries)[None, None]
    else:
        allowed = mask[:, :, start:end, :end]
    return torch.where(allowed, 0.0, torch.finfo(torch.float32).min)


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
