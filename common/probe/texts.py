"""Texts that probes read, and how they are read plainly."""

import re
from typing import TYPE_CHECKING, Any

import torch
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

if TYPE_CHECKING:
    from peft import PeftModel

LONGEST = 300
"""Longest window or chunk, in tokens, that a probe reads past; a longer one takes too long."""
TEXT = (
    "Nadia Ferrell was born on March 3, 1962 in Porto. She studied chemistry at the University of "
    "Leeds and later worked for Hill-Irwin Ltd. as an accountant, before she moved to Oslo."
)


def read_logits(
    model: "PreTrainedModel | PeftModel", ids: list[int], **options: Any
) -> torch.Tensor:
    """Read one text plainly.  # (token, vocabulary)."""
    inputs = torch.tensor([ids], device=model.device)
    with torch.no_grad():
        return model(input_ids=inputs, use_cache=False, **options).logits[0].float()


def build_probe_texts(tokenizer: PreTrainedTokenizerBase, lengths: list[int]) -> list[list[int]]:
    """Build texts of given lengths in tokens; no two begin alike."""
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    ids = ids * (2 + max(lengths) // len(ids))
    return [ids[number : number + length] for number, length in enumerate(lengths)]


def get_text_config(model: PreTrainedModel) -> PretrainedConfig:
    """Return the config of the text decoder, which is a part of a multimodal model's config."""
    return model.config.get_text_config(decoder=True)


def find_untested_window(model: PreTrainedModel) -> int | None:
    """Find the smallest window that probes do not read past, because it is too long."""
    return min((size for size in _list_windows(model) if size > LONGEST), default=None)


def choose_probe_length(model: PreTrainedModel) -> int:
    """Choose the length in tokens of a probe's longest text: past all windows that are short."""
    return max((size + 9 for size in _list_windows(model) if size <= LONGEST), default=24)


def _list_windows(model: PreTrainedModel) -> list[int]:
    """List the windows and chunks, in tokens, of a model's layers.

    Configs name them in their own ways: `sliding_window`, `window_size`, `attention_chunk_size`.
    """
    return [
        value
        for name, value in get_text_config(model).to_dict().items()
        if re.search("window|chunk", name) and "layer" not in name and "forward" not in name
        if isinstance(value, int) and value > 1
    ]
