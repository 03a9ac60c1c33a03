"""Attention received by each token, as column sums taken inside the attention call.

The attention map of a whole layer is never kept. Queries are handled in blocks, and only the sum
over each block's queries remains. For long texts on a GPU, attention is fused, and the sums are the
gradient of its output with respect to the values: output = map @ values, so with an upstream
gradient of 1 for every query that counts, each channel of the values' gradient is the map's sum
over these queries.
"""

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial

import torch
from torch.nn.functional import pad
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from elusive.common.errors import InputError
from elusive.common.large.placement import gather_heads
from elusive.common.lm.loaded_model import get_attention
from elusive.common.probe.texts import get_text_config

IMPLEMENTATION = "elusive_column_sums"
QUERY_BLOCK = 256
FUSED_FROM = 1024
"""Tokens from which a GPU takes the sums as gradients of fused attention: on an H200, blocks are
faster for shorter texts, and 6 times slower at 8,192 tokens (nano-large, bfloat16)."""
LEAST_EVEN = 1e-6
"""Sum of even attention below which no query sees the token; less than one query's among a million
keys."""


@dataclass
class _Collection:
    """What the attention calls of one forward pass count, and the sums that they have added."""

    last_layer: int
    """The forward pass ends after the attention of this layer."""
    queries: torch.Tensor
    """1 for queries that count, 0 for others and for padding; moved to the device of each layer.
    # (batch, group, query)"""
    own_query: bool
    fused: bool
    reduce_heads: Callable[[torch.Tensor], torch.Tensor] | None = None
    """Reduces the heads of a layer's sums at once, to keep less; None keeps every head."""
    sums: dict[int, torch.Tensor] = field(default_factory=dict)
    """Column sums by layer.  # each (batch, head, group, key)"""
    even: dict[int, torch.Tensor] = field(default_factory=dict)
    """Column sums by layer if each query attended evenly to all keys that it may see.
    # each (batch, group, key)"""
    _masks: dict[int, tuple[torch.Tensor | None, torch.Tensor]] = field(default_factory=dict)
    """Masks by their ids, with the column sums of even attention under each."""

    def add(self, layer: int, sums: torch.Tensor, mask: torch.Tensor | None) -> None:
        """Add the column sums of a layer, whose queries see what a mask allows.

        Layers share masks, so the sums of even attention are computed once per mask.
        """
        if id(mask) not in self._masks:
            visible = None if _is_causal(mask) else mask
            even = _sum_even_attention(self.queries, self.own_query, visible)
            self._masks[id(mask)] = mask, even
        if self.reduce_heads:
            sums = self.reduce_heads(sums)
        self.sums[layer], self.even[layer] = sums, self._masks[id(mask)][1]


class _AllLayersSeen(Exception):
    """Ends a forward pass, as scores need nothing that follows the attention of the last layer."""


_collection: ContextVar[_Collection] = ContextVar("collection")


def compute_attention_received(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    mask: torch.Tensor,
    queries: torch.Tensor | None = None,
    own_query: bool = False,
    last_layer: int | None = None,
    fused: bool | None = None,
    from_maps: bool = False,
    reduce_heads: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    """Compute the attention that each token receives from later tokens, by layer and head.

    For token j, this is the sum of A[i, j] over the later queries i > j, divided by what the sum
    would be if each of these queries attended evenly to all the keys that it may see. So 1 means
    "as much as any other token", wherever the token stands: a plain mean of A[i, j] falls with j
    even if attention is even, because later queries see more keys. Row i of A (the softmax over
    keys) sums to 1. The paper's released scoring code sums over keys instead, which gives 1 for
    every query, whatever the model reads.

    Args:
        model: a decoder that uses transformers' attention interface; with `from_maps`, one that
            returns its attention maps.
        input_ids: token ids, padded on the right.  # (batch, token)
        mask: 1 where a token is real, 0 on padding.  # (batch, token)
        queries: 1 for the queries that count; all real ones if None.  # (batch, token), or, for
            sums over the queries of each of several groups, (batch, group, token)
        own_query: also count a token's attention to itself (i >= j).
        last_layer: last layer to read; later layers are not computed. None for all layers.
        fused: take the sums as gradients of fused attention; if None, for long texts on a GPU.
            Layers that cap their logits or have a sliding window are handled in blocks anyway, and
            so are groups of queries.
        from_maps: read the maps that the model returns, which takes more time and memory.
        reduce_heads: reduces the heads of each layer's sums, (batch, head, group, token), at once,
            so that long texts with many groups need less memory; None returns every head.

    Returns:
        Attention received; NaN for padding and for tokens that no query sees, about which it says
        nothing.  # (layer, head, batch, token), or (layer, head, batch, group, token)

    Raises:
        InputError: the architecture exposes no attention.

    Source: arXiv 2409.17954, section on data augmentation; it does not say how attention is
    averaged over queries. The comparison with even attention is this toolkit's own.
    """
    # 1) Sum the attention of the queries that count, layer by layer.
    is_grouped = queries is not None and queries.ndim == 3
    counted = mask[:, None].float()  # (batch, group, token)
    if queries is not None:
        counted = counted * (queries if is_grouped else queries[:, None])
    last = count_layers(model) - 1 if last_layer is None else last_layer
    is_long = input_ids.is_cuda and input_ids.shape[1] >= FUSED_FROM
    use_fused = (is_long if fused is None else fused) and not is_grouped
    reduce = partial(_reduce_all_heads, reduce_heads, model) if reduce_heads else None
    collection = _Collection(last, counted, own_query, use_fused, reduce)
    collect = _collect_from_maps if from_maps else _collect_from_calls
    collect(model, input_ids, mask, collection)
    if sorted(collection.sums) != list(range(last + 1)):
        raise _build_no_attention_error(model, len(collection.sums))
    layers = range(last + 1)
    parts = [collection.sums[layer].to(input_ids.device) for layer in layers]
    sums = torch.stack(parts)  # (layer, batch, head, group, token)
    if reduce_heads is None:
        sums = gather_heads(sums, model)
    # 2) Compare with even attention.
    parts = [collection.even[layer].to(input_ids.device) for layer in layers]
    even = torch.stack(parts)[:, None]
    received = sums.transpose(1, 2) / even  # (layer, head, batch, group, token)
    is_seen = (even > LEAST_EVEN) & mask[:, None].bool()
    received = torch.where(is_seen, received, torch.nan)
    return received if is_grouped else received[..., 0, :]


def _reduce_all_heads(
    reduce_heads: Callable[[torch.Tensor], torch.Tensor],
    model: PreTrainedModel,
    sums: torch.Tensor,
) -> torch.Tensor:
    """Reduce the heads of a layer, those of other processes included."""
    return reduce_heads(gather_heads(sums[None], model)[0])


def count_layers(model: PreTrainedModel) -> int:
    """Count the layers of the text decoder."""
    return int(get_text_config(model).num_hidden_layers)


def _sum_even_attention(
    queries: torch.Tensor, own_query: bool, mask: torch.Tensor | None
) -> torch.Tensor:
    """Sum the attention of queries that attend evenly to all keys that they may see.

    Args:
        queries: 1 for those that count in a group.  # (batch, group, query)
        own_query: also count a token's attention to itself.
        mask: True where a query sees a key; None where it sees all keys up to itself.
            # (batch or 1, 1, query, key)

    Returns:
        Column sums.  # (batch, group, key)
    """
    if mask is None:
        shares = queries / torch.arange(1, queries.shape[-1] + 1, device=queries.device)
        with_own = shares.flip(-1).cumsum(-1).flip(-1)
        return with_own if own_query else with_own - shares
    weights = mask / mask.sum(-1, keepdim=True).clamp(min=1)  # (batch or 1, 1, query, key)
    weights = weights.expand(len(queries), -1, -1, -1)
    return _sum_queries(weights, 0, queries, own_query)[:, 0]


def _collect_from_calls(
    model: PreTrainedModel, input_ids: torch.Tensor, mask: torch.Tensor, collection: _Collection
) -> None:
    """Collect the column sums from the attention calls of one forward pass."""
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
    """Collect the column sums from the maps that a model returns.

    Maps are large, so texts are read one at a time.
    """
    rows: list[list[tuple[torch.Tensor, torch.Tensor]]] = []
    for row, length in enumerate(mask.sum(-1).tolist()):
        queries, own_query = collection.queries[row : row + 1, :, :length], collection.own_query
        maps = _read_maps(model, input_ids[row : row + 1, :length])[: collection.last_layer + 1]
        fill = (0, mask.shape[1] - length)
        # A key that is hidden from a query, by a window for instance, has no weight at all.
        pairs = [
            (
                _sum_queries(layer.float(), 0, queries, own_query)[0],
                _sum_even_attention(queries, own_query, layer[:, :1] > 0)[0],
            )
            for layer in maps
        ]
        rows.append([(pad(sums, fill), pad(even, fill)) for sums, even in pairs])
    for layer, by_row in enumerate(zip(*rows, strict=True)):
        sums = torch.stack([sums for sums, _ in by_row])
        collection.sums[layer] = collection.reduce_heads(sums) if collection.reduce_heads else sums
        collection.even[layer] = torch.stack([even for _, even in by_row])


def _read_maps(model: PreTrainedModel, input_ids: torch.Tensor) -> list[torch.Tensor]:
    """Read the attention map of each layer; none if the maps are not those of a decoder."""
    before = get_attention(model)
    # Falcon, for one, builds masks for the implementation in its config: with any but eager
    # attention, its maps look ahead.
    model.config._attn_implementation = "eager"
    try:
        with torch.no_grad():
            output = model.base_model(input_ids=input_ids, output_attentions=True, use_cache=False)
    finally:
        model.config._attn_implementation = before
    maps = getattr(output, "attentions", None) or []
    maps = [layer.to(input_ids.device) for layer in maps if layer is not None]
    return [] if any(layer.triu(1).any() for layer in maps) else maps


def _build_no_attention_error(model: PreTrainedModel, num_layers: int) -> InputError:
    exposes = f"attention in {num_layers} layers only" if num_layers else "no attention"
    return InputError(f"architecture {model.config.model_type!r} exposes {exposes}")


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
    """Attend as transformers asks for it, and add the layer's column sums to the collection."""
    if kwargs.get("s_aux") is not None or kwargs.get("position_bias") is not None:
        raise InputError(
            f"{type(module).__name__} has attention sinks or biases, which are not supported: use "
            "another model"
        )
    groups = query.shape[1] // key.shape[1]
    key = key.repeat_interleave(groups, dim=1)  # (batch, head, key, channel)
    value = value.repeat_interleave(groups, dim=1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    collection, layer = _collection.get(), int(module.layer_idx)  # type: ignore[arg-type]
    collection.queries = collection.queries.to(query.device)
    if collection.fused and softcap is None and _is_causal(attention_mask):
        output, sums = _attend_fused(query, key, value, scale, collection)
    else:
        output, sums = _attend_in_blocks(
            query, key, value, attention_mask, scale, softcap, collection
        )
    collection.add(layer, sums, attention_mask)
    if layer == collection.last_layer:
        raise _AllLayersSeen
    return output.transpose(1, 2).contiguous(), None


def _attend_in_blocks(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scale: float,
    softcap: float | None,
    collection: _Collection,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return output (batch, head, query, channel) and column sums (batch, head, group, key)."""
    num_groups = collection.queries.shape[1]
    sums = torch.zeros((*key.shape[:2], num_groups, key.shape[2]), device=query.device)
    outputs = []
    for start in range(0, query.shape[2], QUERY_BLOCK):
        end = min(start + QUERY_BLOCK, query.shape[2])
        # 1) Logits of the block's queries. Keys after the last of them are masked for all of them.
        logits = query[:, :, start:end] @ key[:, :, :end].transpose(2, 3)
        # 2) A bias that hides masked keys.  # (batch or 1, 1, query, key)
        if attention_mask is None:
            positions = torch.arange(end, device=query.device)
            allowed = (positions[None, :] <= positions[start:, None])[None, None]
        else:
            allowed = attention_mask[:, :, start:end, :end]
        bias = torch.where(allowed, 0.0, torch.finfo(torch.float32).min)
        # 3) Scale in float32; Gemma 2 also squashes the logits into (-softcap, softcap).
        if softcap is None:
            logits = torch.add(bias, logits, alpha=scale)
        else:
            logits = torch.tanh(logits.float() * (scale / softcap)) * softcap + bias
        # 4) Attend, and sum over the queries what each key receives.
        weights = logits.softmax(-1)  # (batch, head, query, key)
        outputs.append(weights.to(value.dtype) @ value[:, :, :end])
        queries = collection.queries[:, :, start:end]
        sums[..., :end] += _sum_queries(weights, start, queries, collection.own_query)
    return torch.cat(outputs, dim=2), sums


def _sum_queries(
    weights: torch.Tensor, start: int, queries: torch.Tensor, own_query: bool
) -> torch.Tensor:
    """Sum attention over the queries that count.

    Args:
        weights: attention of consecutive queries.  # (batch, head, query, key)
        start: position of the first of these queries.
        queries: 1 for those that count in a group.  # (batch, group, query)
        own_query: also count a token's attention to itself.

    Returns:
        Column sums.  # (batch, head, group, key)
    """
    counted = queries[:, None]  # (batch, 1, group, query)
    sums = counted @ weights
    if not own_query:
        own = weights.diagonal(start, 2, 3)  # (batch, head, query)
        sums[..., start:] -= own[:, :, None] * counted
    return sums


def _attend_fused(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    collection: _Collection,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `_attend_in_blocks` returns for a single group of queries, from fused causal
    attention and its gradient.

    Padding follows the text, so no real query sees it.
    """
    # 1) Fused attention, also with the logarithm of each softmax's denominator, which the public
    #    function does not return.  # (batch, head, query, channel), (batch, head, query)
    with torch.enable_grad():
        values = value.detach().requires_grad_()
        if query.is_cuda:
            attend = torch.ops.aten._scaled_dot_product_efficient_attention
            output, log_sums, *_ = attend(
                query, key, values, None, True, is_causal=True, scale=scale
            )
        else:
            attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
            output, log_sums = attend(query, key, values, is_causal=True, scale=scale)
        # 2) The gradient by the values, with 1 upstream for each query that counts.
        counted = collection.queries[..., None].to(value.dtype)  # (batch, 1, query, 1)
        (gradient,) = torch.autograd.grad(output, values, counted.expand_as(output))
    sums = gradient.float().mean(-1)  # (batch, head, key); all channels are alike
    # 3) Subtract each token's attention to itself.
    if not collection.own_query:
        own = (query.float() * key.float()).sum(-1) * scale - log_sums[..., : query.shape[2]]
        sums -= own.exp() * collection.queries
    return output.detach(), sums.clamp(min=0)[:, :, None]


def _is_causal(mask: torch.Tensor | None) -> bool:
    """Return whether a mask hides nothing but later tokens and padding that follows the text."""
    if mask is None:
        return True
    real = mask[:, :, -1:]  # keys that the last query sees
    return bool((mask == real & mask.new_ones(mask.shape[-2:]).tril()).all())


AttentionInterface.register(IMPLEMENTATION, _attend_and_sum)
# The boolean mask that sdpa gets: None where attention is purely causal.
AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
