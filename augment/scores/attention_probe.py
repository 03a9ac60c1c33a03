"""Find how a model's attention is read, or refuse the model."""

from collections.abc import Callable

import torch

from elusive.augment.scores.column_sums import compute_attention_received
from elusive.common.errors import InputError
from elusive.common.lm.batches import mask_rows, pad_rows
from elusive.common.lm.loaded_model import LoadedModel
from elusive.common.probe.finding import (
    Finding,
    Way,
    choose_tolerance,
    compare,
    find_way,
    keep_finding,
)
from elusive.common.probe.texts import build_probe_texts, choose_probe_length, read_logits

SUMS, MAPS = "column sums", "maps"


def read_attention(
    loaded: LoadedModel,
    input_ids: torch.Tensor,
    mask: torch.Tensor,
    queries: torch.Tensor | None = None,
    own_query: bool = False,
    last_layer: int | None = None,
    reduce_heads: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    """Compute the attention received as `compute_attention_received` does, as the model allows.

    Raises:
        InputError: the model's attention cannot be read.
    """
    from_maps = choose_attention_way(loaded) == MAPS
    return compute_attention_received(
        *(loaded.model, input_ids, mask, queries, own_query, last_layer),
        from_maps=from_maps,
        reduce_heads=reduce_heads,
    )


def choose_attention_way(loaded: LoadedModel) -> str:
    """Choose how a model's attention is read: `column sums` or `maps`.

    Raises:
        InputError: neither way works.
    """
    finding = keep_finding(loaded, "attention", lambda: probe_attention(loaded))
    if finding.way is None:
        raise InputError(
            f"the attention of {loaded.source.reference!r} (architecture "
            f"{loaded.model.config.model_type!r}) cannot be read ({finding.describe_failures()}): "
            "choose a decoder with attention in all layers, such as llama, qwen2, gemma2 or gpt2, "
            "or an arm that reads no attention"
        )
    return finding.way


def probe_attention(loaded: LoadedModel) -> Finding:
    """Probe whether column sums are those of the maps that the model returns.

    Maps count if the model predicts the same with them as without.
    """
    model = loaded.model
    texts = build_probe_texts(loaded.tokenizer, [choose_probe_length(model), 11])
    inputs = pad_rows(texts, device=model.device), mask_rows(texts, device=model.device)
    tolerance = choose_tolerance(loaded)

    def measure_sums() -> float:
        maps = compute_attention_received(model, *inputs, from_maps=True)
        return compare(compute_attention_received(model, *inputs), maps)

    def measure_maps() -> float:
        compute_attention_received(model, *inputs, from_maps=True)
        before = model.config._attn_implementation
        model.config._attn_implementation = "eager"
        try:
            eager = [read_logits(model, text, output_attentions=True) for text in texts]
        finally:
            model.config._attn_implementation = before
        plain = [read_logits(model, text) for text in texts]
        return max(compare(*pair) for pair in zip(eager, plain, strict=True))

    maps = find_way([Way(MAPS, measure_maps)], tolerance)
    return (
        maps
        if maps.way is None
        else find_way(
            [Way(SUMS, measure_sums), Way(MAPS, lambda: maps.difference or 0.0)], tolerance
        )
    )
