"""Loading a language model and its tokenizer; the precision, device and threads that it uses."""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
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
from elusive.common.lm.loaded_model import LoadedModel
from elusive.common.lm.references import BUILT_IN_NAMES, ModelSource, find_model, hash_weights
from elusive.common.lm.tokenizer_checks import require_embedding
from elusive.common.probe.causality import check_causality


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Let PyTorch compute with `count` CPU threads in a block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_dtype() -> torch.dtype:
    """Return bfloat16 if the hardware computes in it, else float32."""
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def choose_model_dtype(reference: str) -> torch.dtype:
    """Return the precision in which a model is loaded by default.

    The built-in models use float32: they are too small to gain from less, and they should give the
    same answers on all machines.
    """
    return torch.float32 if reference in BUILT_IN_NAMES else choose_dtype()


def choose_device() -> torch.device:
    """Return the first GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe_device(device: torch.device) -> str:
    """Name a GPU, or the vector instructions of the CPU: sums of floats depend on them."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({torch.backends.cpu.get_cpu_capability()})"


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """Load a tokenizer that reports character offsets.

    Raises:
        InputError: the model has no tokenizer, or its tokenizer reports no offsets.
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


def load_model_tokenizer(reference: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model, without its weights."""
    return load_tokenizer(find_model(reference))


def load_model(
    reference: str, dtype: torch.dtype | None = None, quantization: str = "none"
) -> LoadedModel:
    """Load a causal language model in evaluation mode.

    Args:
        reference: Hub id, local folder, GGUF file or alias.
        dtype: of the weights; `choose_model_dtype(reference)` if None.
        quantization: `none`, or `8bit` or `4bit` (NF4) by bitsandbytes.

    Raises:
        InputError: there is no such model, it is not a decoder, its tokenizer reports no offsets,
            it has more tokens than the embedding, or bitsandbytes is not installed.
    """
    source = find_model(reference)
    tokenizer = load_tokenizer(source)
    dtype = dtype or choose_model_dtype(reference)
    options: dict[str, Any] = {}
    if source.gguf_file:
        # Packed GGUF weights cannot be adapted with LoRA, and compute in float32 only.
        options["gguf_file"] = source.gguf_file
        options["quantization_config"] = GgufConfig(dequantize=True)
    if quantization != "none":
        options["quantization_config"] = _configure_bitsandbytes(
            quantization, bool(source.gguf_file), dtype
        )
    disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(source.folder, dtype=dtype, **options)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot load model {reference!r}: {reason}") from None
    embedding: Any = model.get_input_embeddings()
    require_embedding(tokenizer, embedding.weight.shape[0], reference)
    if quantization == "none":  # bitsandbytes places a model itself
        model.to(choose_device())  # type: ignore[arg-type]
    _keep_4bit_weights_trainable(model)
    model.eval()
    loaded = LoadedModel(source, model, tokenizer, hash_weights(source))
    check_causality(loaded)
    return loaded


def _keep_4bit_weights_trainable(model: PreTrainedModel) -> None:
    """Keep bitsandbytes from repacking 4-bit weights when the model is evaluated on some CPUs.

    It does so for good where the CPU has AVX512-BF16, and no gradient flows through such weights:
    only the last layer's adapters would be trained after an evaluation.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010


def _configure_bitsandbytes(
    quantization: str, is_gguf: bool, dtype: torch.dtype
) -> BitsAndBytesConfig:
    if is_gguf:
        raise InputError(
            f"quantization {quantization!r} does not work with a GGUF file: choose another model"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            f"quantization {quantization!r} needs bitsandbytes: pip install 'elusive[quantized]'"
        )
    if quantization == "8bit":
        # It would say at every matrix product that it computes in float16.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )
