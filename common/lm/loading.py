"""Loading a language model and its tokenizer; the precision, device and threads that it uses."""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GgufConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from elusive.common.errors import InputError
from elusive.common.large.devices import ONE, Devices
from elusive.common.large.placement import (
    choose_map_options,
    choose_sharing_options,
    is_shared,
    is_spread,
)
from elusive.common.large.processes import count_processes
from elusive.common.lm.loaded_model import LoadedModel, is_quantized
from elusive.common.lm.loading_report import (
    check_loading_report,
    check_weight_files,
    explain_failures,
    silence_loading_report,
)
from elusive.common.lm.references import (
    BUILT_IN_NAMES,
    ModelSource,
    find_model,
    find_weight_files,
    hash_weights,
)
from elusive.common.lm.tokenizer_checks import require_embedding
from elusive.common.probe.causality import check_causality

PACKAGES = {
    "gptq": (("optimum", "gptqmodel"), "optimum gptqmodel"),
    "awq": (("gptqmodel",), "gptqmodel"),
    "bitsandbytes": (("bitsandbytes",), "bitsandbytes"),
    "compressed-tensors": (("compressed_tensors",), "compressed-tensors"),
}
"""Modules that read weights quantized by a method, and how to install them."""
UNPACKED = ("compressed-tensors", "fp8", "mxfp4")
"""Methods whose weights are unpacked when they are loaded, so that they compute on any device and
can be adapted with LoRA."""


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
    """Return bfloat16 if the hardware computes faster in it, else float32.

    On a CPU, only AMX makes it faster: with AVX512-BF16 alone, a training step of SmolLM2-135M took
    1.5 times as long as in float32.
    """
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = torch.cpu._is_amx_tile_supported()
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
    what = f"model {source.reference!r} has no usable tokenizer"
    with explain_failures(what, "copy or download its files again if they are broken"):
        tokenizer = AutoTokenizer.from_pretrained(
            source.folder, gguf_file=source.gguf_file, trust_remote_code=False
        )
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
    reference: str,
    dtype: torch.dtype | None = None,
    quantization: str = "none",
    devices: Devices = ONE,
) -> LoadedModel:
    """Load a causal language model in evaluation mode; several processes load their shares of it.

    Args:
        reference: Hub id, local folder, GGUF file or alias.
        dtype: of the weights; `choose_model_dtype(reference)` if None.
        quantization: `none`, or `8bit` or `4bit` (NF4) by bitsandbytes.
        devices: whether its layers are spread over devices. Their number of processes is that of
            this process and of those that were started with it.

    Raises:
        InputError: there is no such model, it is not a decoder, its tokenizer reports no offsets,
            its files cannot be read or do not fit each other, its tokenizer has more tokens than
            its embedding, or a package is not installed.
    """
    source = find_model(reference)
    check_weight_files(reference, find_weight_files(source))
    dtype = dtype or choose_model_dtype(reference)
    options = _choose_options(source, dtype, quantization)
    if count_processes() > 1:
        options |= choose_sharing_options(reference, load_config(source), quantization)
    else:
        options |= choose_map_options(devices)
    tokenizer = load_tokenizer(source)
    disable_progress_bar()
    with silence_loading_report(), explain_failures(f"cannot load model {reference!r}"):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source.folder,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, with their shapes
            trust_remote_code=False,
            use_safetensors=None if source.gguf_file else True,
            **options,
        )
    model, report = loaded
    check_loading_report(reference, report)
    embedding: Any = model.get_input_embeddings()
    require_embedding(tokenizer, embedding.weight.shape[0], reference)
    if not is_quantized(model) and not is_spread(model):  # others have been placed
        model.to(choose_device())  # type: ignore[arg-type]
    if model.device.type == "meta":
        raise InputError(
            f"the memory does not hold the embedding of {reference!r}, where reading begins: raise "
            "resources.memory_gib, or choose a smaller model"
        )
    _keep_4bit_weights_trainable(model)
    model.eval()
    if is_shared(model):
        _prepare_shared(model)
    loaded = LoadedModel(source, model, tokenizer, hash_weights(source))
    check_causality(loaded)
    return loaded


def _prepare_shared(model: PreTrainedModel) -> None:
    """Freeze the weights that processes share, and read a token with the whole model.

    Freezing them later could miss some, as modules hold either the parts or the whole of them. And
    shared weights refuse to be read by a part of the model first.
    """
    model.requires_grad_(False)
    with torch.no_grad():
        model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=model.device), use_cache=False)


def _keep_4bit_weights_trainable(model: PreTrainedModel) -> None:
    """Keep bitsandbytes from repacking 4-bit weights when the model is evaluated on some CPUs.

    It does so for good where the CPU has AVX512-BF16, and no gradient flows through such weights:
    only the last layer's adapters would be trained after an evaluation.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010


def load_config(source: ModelSource) -> PreTrainedConfig:
    """Load a model's config.

    Raises:
        InputError: it cannot be read, or transformers does not know the architecture.
    """
    place = source.gguf_file or "config.json"
    options = {"gguf_file": source.gguf_file} if source.gguf_file else {}
    with explain_failures(f"cannot read {place} of model {source.reference!r}"):
        return AutoConfig.from_pretrained(source.folder, trust_remote_code=False, **options)


def _choose_options(source: ModelSource, dtype: torch.dtype, quantization: str) -> dict[str, Any]:
    """Choose how weights are unpacked or packed, as options of `from_pretrained`."""
    if source.gguf_file:
        _check_not_packed(source, "GGUF", quantization)
        # Packed GGUF weights cannot be adapted with LoRA, and compute in float32 only.
        return {
            "gguf_file": source.gguf_file,
            "quantization_config": GgufConfig(dequantize=True),
        }
    config = load_config(source)
    settings = getattr(config, "quantization_config", None)
    if settings:
        method = settings.get("quant_method") or "bitsandbytes"
        _check_not_packed(source, method, quantization)
        _check_packages(source, method)
        if method in UNPACKED:
            config.quantization_config = settings | {"dequantize": True}
        return {"config": config}
    if quantization == "none":
        return {}
    return {"quantization_config": _configure_bitsandbytes(quantization, dtype)}


def _check_not_packed(source: ModelSource, method: str, quantization: str) -> None:
    if quantization != "none":
        raise InputError(
            f"quantization {quantization!r} does not work with {source.reference!r}, whose weights "
            f"are quantized with {method} already: choose none, or another model"
        )


def _check_packages(source: ModelSource, method: str) -> None:
    """Raise InputError if reading quantized weights needs a package that is not installed."""
    modules, install = PACKAGES.get(method, ((), ""))
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"the weights of model {source.reference!r} are quantized with {method}, and "
            f"{' and '.join(missing)} is not installed: pip install {install}"
        )


def _configure_bitsandbytes(quantization: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            f"quantization {quantization!r} needs bitsandbytes: pip install bitsandbytes"
        )
    if quantization == "8bit":
        # It would say at every matrix product that it computes in float16.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )
