"""Loading a language model and its tokenizer, with the precision, device and threads it uses."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GgufConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from elusive.common.errors import InputError
from elusive.common.lm.references import BUILT_IN_NAMES, ModelSource, find_model, weights_hash


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model with its tokenizer."""

    source: ModelSource
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    weights_hash: str
    """SHA-256 over the weight files, so that equal names with other weights are told apart."""


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """Run a block in which PyTorch computes with `count` CPU threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def default_dtype() -> torch.dtype:
    """bfloat16 where the hardware computes in it, else float32."""
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def usual_dtype(reference: str) -> torch.dtype:
    """Precision in which a model is loaded unless another is asked for."""
    return torch.float32 if reference in BUILT_IN_NAMES else default_dtype()


def default_device() -> torch.device:
    """The first GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def attention_of(model: PreTrainedModel) -> str:
    """Name of the attention implementation that a model uses at present."""
    return model.config._attn_implementation or "eager"


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """A tokenizer that reports character offsets.

    Raises:
        InputError: the model has no tokenizer, or one without offsets.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.folder, gguf_file=source.gguf_file)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"model {source.reference!r} has no usable tokenizer: {reason}") from None
    if not tokenizer.is_fast:
        raise InputError(
            f"the tokenizer of {source.reference!r} ({type(tokenizer).__name__}) gives no "
            "character offsets: use a model with a fast tokenizer (tokenizer.json)"
        )
    return tokenizer


def end_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The token that ends a text, if the tokenizer has one."""
    end = tokenizer.eos_token_id
    return [end] if isinstance(end, int) else []


def tokenizer_of(reference: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, without loading its weights."""
    return load_tokenizer(find_model(reference))


def load_model(
    reference: str, dtype: torch.dtype | None = None, quantization: str = "none"
) -> LoadedModel:
    """Load a causal language model in evaluation mode, every weight dense.

    Args:
        reference: Hub id, local folder, GGUF file or alias.
        dtype: of the weights; if None, float32 for the built-in models, which are too small for
            less to pay and shall answer alike on all machines, and `default_dtype()` for others.
        quantization: `none`, or `8bit` or `4bit` (NF4) by bitsandbytes.

    Raises:
        InputError: there is no such model, it is no decoder, its tokenizer has no offsets, or
            bitsandbytes is not installed.
    """
    source = find_model(reference)
    tokenizer = load_tokenizer(source)
    options: dict[str, Any] = {}
    if source.gguf_file:
        # Packed GGUF weights cannot be adapted with LoRA, and compute in float32 only.
        options["gguf_file"] = source.gguf_file
        options["quantization_config"] = GgufConfig(dequantize=True)
    if quantization != "none":
        options["quantization_config"] = _bitsandbytes(quantization, bool(source.gguf_file))
    disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            source.folder, dtype=dtype or usual_dtype(reference), **options
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot load model {reference!r}: {reason}") from None
    if quantization == "none":  # others are placed where they are loaded
        model.to(default_device())  # type: ignore[arg-type]
    model.eval()
    return LoadedModel(source, model, tokenizer, weights_hash(source))


def _bitsandbytes(quantization: str, is_gguf: bool) -> BitsAndBytesConfig:
    """How bitsandbytes packs the weights.

    Raises:
        InputError: it is not installed, or the weights are a GGUF file's.
    """
    if is_gguf:
        raise InputError(
            f"quantization {quantization!r} cannot pack a GGUF file: use another model"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            f"quantization {quantization!r} needs bitsandbytes: pip install 'elusive[quantized]'"
        )
    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=default_dtype()
    )
