"""A finished adapter on its base: whether they belong together, and the model that has both."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peft import PeftConfig, PeftModel, PeftModelForCausalLM, PeftType
from transformers import PreTrainedModel

from elusive.common.errors import InputError
from elusive.common.folders import MANIFEST, read_manifest
from elusive.common.lm.loading import LoadedModel
from elusive.common.lm.loading_report import explain_failures
from elusive.common.lm.references import BUILT_IN_NAMES, hash_adapter, hash_model_weights

CONFIG = "adapter_config.json"
TASKS = (None, "CAUSAL_LM")


@contextmanager
def ignore_adapter_warnings() -> Iterator[None]:
    """Ignore warnings about what PEFT calls, and about patterns that it makes itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        warnings.filterwarnings("ignore", message=".*_pattern keys did not match.*")
        yield


def get_base_model(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """Return the transformers model below an adapter, or the model itself."""
    return model.get_base_model() if isinstance(model, PeftModel) else model  # type: ignore[return-value]


def read_adapter_config(folder: Path) -> PeftConfig:
    """Read an adapter's settings, before any model is loaded.

    Raises:
        InputError: the folder contains no adapter, its settings cannot be read, or the adapter adds
            something else than weights to layers.
    """
    hash_adapter(folder)
    with explain_failures(f"cannot read {CONFIG} of adapter {folder}"):
        config = PeftConfig.from_pretrained(str(folder))
    if config.peft_type is None:
        raise InputError(f"{CONFIG} of adapter {folder} names no peft_type, such as LORA")
    if config.is_prompt_learning or config.is_adaption_prompt:
        kind = PeftType(config.peft_type).value
        raise InputError(
            f"adapter {folder} is of type {kind}, which adds prompts instead of weights: train one "
            "that adapts layers, such as LORA"
        )
    if config.task_type not in TASKS:
        raise InputError(
            f"adapter {folder} was trained for the task {config.task_type}: use one that was "
            "trained for CAUSAL_LM"
        )
    return config


def check_adapter_base(folder: Path, reference: str, weights_hash: str) -> None:
    """Check that an adapter was trained on a model, as far as its files say.

    A cell's manifest has the hash of its model's weights. Otherwise adapter_config.json names the
    base, whose weights are hashed if they are on this machine.

    Args:
        folder: of the adapter.
        reference: of the model.
        weights_hash: of the model.

    Raises:
        InputError: the adapter was trained on other weights.
    """
    wanted = _find_base_hash(folder)
    if wanted and wanted != weights_hash:
        raise InputError(
            f"adapter {folder} was trained on weights {wanted[:12]}, but those of {reference!r} "
            f"are {weights_hash[:12]}: name the model that it was trained on"
        )


def _find_base_hash(folder: Path) -> str | None:
    if (folder.parent / MANIFEST).exists():
        manifest = read_manifest(folder.parent, "cell")
        if manifest.kind == "cell":
            return manifest.parameters.get("weights")
    base = read_adapter_config(folder).base_model_name_or_path
    is_here = base and (base in BUILT_IN_NAMES or (Path(base) / "config.json").exists())
    return hash_model_weights(base) if base and is_here else None


@contextmanager
def open_adapted_model(loaded: LoadedModel, folder: Path) -> Iterator[PeftModelForCausalLM]:
    """Yield a model with a finished adapter, which is removed at the end.

    Raises:
        InputError: the adapter cannot be read, or does not fit the model: it was trained on other
            weights, has other shapes, or lacks tensors.
    """
    config = read_adapter_config(folder)
    check_adapter_base(folder, loaded.source.reference, loaded.weights_hash)
    what = f"adapter {folder} does not fit model {loaded.source.reference!r}"
    with ignore_adapter_warnings(), explain_failures(what):
        config.inference_mode = True
        model = PeftModelForCausalLM(loaded.model, config)
    try:
        with ignore_adapter_warnings(), explain_failures(what):
            report = model.load_adapter(str(folder), "default")  # type: ignore[arg-type]
        _check_tensors(what, report.missing_keys, report.unexpected_keys)
        yield model  # type: ignore[misc]
    finally:
        model.unload()  # type: ignore[operator]


def _check_tensors(what: str, missing: list[str], unexpected: list[str]) -> None:
    """Raise InputError if tensors of an adapter are missing, which would be random, or are left."""
    for verb, names in (("lacks", missing), ("has, but the model does not use,", unexpected)):
        if names:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise InputError(
                f"{what}: it {verb} {names[0]}{others}: use the adapter_config.json and the "
                "weight file of the same adapter, and the base that it was trained on"
            )
