"""A language model in memory, with its tokenizer."""

from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from elusive.common.lm.references import ModelSource


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model with its tokenizer."""

    source: ModelSource
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    weights_hash: str
    """SHA-256 over the weight files, which tells models of the same name apart."""


def get_attention(model: PreTrainedModel) -> str:
    """Return the name of the attention implementation that a model currently uses."""
    return model.config._attn_implementation or "eager"


def is_quantized(model: PreTrainedModel) -> bool:
    """Whether a model computes with quantized weights."""
    return getattr(model, "is_quantized", False)
