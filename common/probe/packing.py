"""Find how the sequences of a training row are kept apart."""

from functools import partial

import torch

from elusive.common.lm.loaded_model import LoadedModel, get_attention
from elusive.common.lm.packed_attention import IMPLEMENTATION
from elusive.common.lm.packing import (
    ALONE,
    CUT,
    MASK,
    POSITIONS,
    Packing,
    RowReading,
    Sequence,
    build_row_columns,
    pack_row,
)
from elusive.common.probe.finding import (
    Finding,
    Way,
    choose_tolerance,
    compare,
    find_way,
    keep_finding,
)
from elusive.common.probe.texts import (
    build_probe_texts,
    choose_probe_length,
    find_untested_window,
    get_text_config,
    read_logits,
)

ATTENTION_DROPOUTS = ("attention_dropout", "attn_pdrop", "attention_probs_dropout_prob")
"""Settings by which models drop attention in training; cut attention drops none."""


def find_packing(loaded: LoadedModel) -> Packing:
    """Find how a model reads rows; one sequence at a time always works."""
    packing = keep_finding(loaded, "packing", lambda: probe_packing(loaded))
    masks = keep_finding(loaded, "masks", lambda: probe_masks(loaded))
    assert packing.way in (CUT, POSITIONS, MASK, ALONE)
    return Packing(packing.way, find_untested_window(loaded.model), masks.way is not None)


def probe_packing(loaded: LoadedModel) -> Finding:
    """Probe which ways to read a row give what each sequence gives alone."""
    ways = [
        Way(CUT, partial(_measure, loaded, CUT)),
        Way(POSITIONS, partial(_measure, loaded, POSITIONS)),
        Way(MASK, partial(_measure, loaded, MASK)),
        Way(ALONE, lambda: 0.0),
    ]
    return find_way(ways, choose_tolerance(loaded))


def probe_masks(loaded: LoadedModel) -> Finding:
    """Probe whether a mask decides what each token attends to."""

    def measure() -> float:
        return max(_measure(loaded, MASK), _measure_hidden(loaded))

    return find_way([Way(MASK, measure)], choose_tolerance(loaded))


def _measure_hidden(loaded: LoadedModel) -> float:
    """Measure how far another token in the place of a hidden one moves later logits."""
    model = loaded.model
    text, other = build_probe_texts(loaded.tokenizer, [choose_probe_length(model)] * 2)
    place = next(index for index in range(3, len(text)) if text[index] != other[index])
    hidden = [float(index == place) for index in range(len(text))]
    later = []
    for ids in (text, [*text[:place], other[place], *text[place + 1 :]]):
        row = pack_row([Sequence(ids, ids, hidden=hidden)])
        inputs = {name: row[name] for name in ("input_ids", "position_ids")}
        inputs |= build_row_columns(row, MASK, model.dtype)
        inputs = {name: value.to(model.device) for name, value in inputs.items()}
        later.append(model(**inputs, use_cache=False).logits[0, place + 1 :].float())
    return compare(*later)


def _measure(loaded: LoadedModel, way: RowReading) -> float:
    """Measure how far the logits of a packed row are from those of its sequences alone."""
    model = loaded.model
    config = get_text_config(model)
    if way == CUT and not model._can_set_attn_implementation():
        raise ValueError("its attention cannot be replaced")
    if way == CUT and any(getattr(config, name, 0.0) for name in ATTENTION_DROPOUTS):
        raise ValueError("it drops attention in training")
    texts = build_probe_texts(loaded.tokenizer, [9, choose_probe_length(model), 2])
    row = pack_row([Sequence(text, text) for text in texts])
    columns = {"input_ids": row["input_ids"], "position_ids": row["position_ids"]}
    columns |= build_row_columns(row, way, model.dtype)
    inputs = {
        name: value.to(model.device) if isinstance(value, torch.Tensor) else value
        for name, value in columns.items()
    }
    plain = torch.cat([read_logits(model, text) for text in texts])
    if way != CUT:
        return compare(model(**inputs, use_cache=False).logits[0].float(), plain)
    attention = get_attention(model)
    model.set_attn_implementation(IMPLEMENTATION)
    try:
        return compare(model(**inputs, use_cache=False).logits[0].float(), plain)
    finally:
        model.set_attn_implementation(attention)
