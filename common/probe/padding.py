"""Find whether texts that are padded on the right are read as each is alone."""

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

PADDED, ALONE = "padded", "alone"


def can_pad(loaded: LoadedModel) -> bool:
    """Whether a batch of texts, padded on the right, is read as each text alone."""
    return keep_finding(loaded, "padding", lambda: probe_padding(loaded)).way == PADDED


def probe_padding(loaded: LoadedModel) -> Finding:
    """Probe whether padding on the right changes what is read."""
    model = loaded.model
    texts = build_probe_texts(loaded.tokenizer, [choose_probe_length(model), 11, 2])

    def measure() -> float:
        logits = model(
            input_ids=pad_rows(texts, device=model.device),
            attention_mask=mask_rows(texts, device=model.device),
            use_cache=False,
        ).logits.float()
        return max(
            compare(row[: len(text)], read_logits(model, text))
            for row, text in zip(logits, texts, strict=True)
        )

    return find_way([Way(PADDED, measure), Way(ALONE, lambda: 0.0)], choose_tolerance(loaded))
