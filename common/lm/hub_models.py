"""Models of the Hub: whether there is one, and one copy of its weights on this machine."""

import difflib
from pathlib import Path

import yaml
from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    HFValidationError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage]
    LocalEntryNotFoundError,
)

from elusive.common.errors import InputError
from elusive.common.lm.references import ALIASES, BUILT_IN_NAMES, SETTINGS, select_loaded

HUB_ERRORS = (HFValidationError, HTTPError, LocalEntryNotFoundError, OSError, ValueError)
"""What calls of the Hub raise if a name is wrong or there is no network."""


KNOWN_MODELS = Path(__file__).parents[1] / "large" / "known_models.yaml"


def check_hub_model(reference: str, hub_id: str) -> None:
    """Raise InputError unless a model is in the cache or, as far as can be known, on the Hub, with
    weights that may be loaded.

    Models of the table of sizes exist, so they can be planned for without a network.
    """
    if hub_id in yaml.safe_load(KNOWN_MODELS.read_text(encoding="utf-8")):
        return
    try:
        if isinstance(try_to_load_from_cache(hub_id, "config.json"), str):
            return
        names = _list_files(hub_id)
    except HUB_ERRORS as error:
        raise _build_missing_error(reference, hub_id, error) from None
    _select_weights(reference, names)


def download_model(reference: str, hub_id: str) -> Path:
    """Download settings and one copy of the weights of a model; return their folder.

    Raises:
        InputError: there is no such model, no network, or its weights are in the format of pickle
            alone, which are not downloaded.
    """
    try:
        weights = _select_weights(reference, _list_files(hub_id))
    except (
        HUB_ERRORS
    ) as error:  # `snapshot_download` then finds a stored copy, or says what is wrong
        if isinstance(error, InputError):
            raise
        weights = ["*.safetensors"]
    try:
        patterns = ["*.json", "*.txt", *SETTINGS, *weights]
        return Path(snapshot_download(hub_id, allow_patterns=patterns))
    except HUB_ERRORS as error:
        raise _build_missing_error(reference, hub_id, error) from None


def _list_files(hub_id: str) -> list[str]:
    return [file.rfilename for file in HfApi().model_info(hub_id).siblings or []]


def _select_weights(reference: str, names: list[str]) -> list[str]:
    """Select the weights that transformers loads among the files of a model."""
    weights = select_loaded(name for name in names if not name.endswith(".gguf"))
    if weights and all(name.endswith(".bin") for name in weights):
        raise InputError(
            f"the Hub has the weights of {reference!r} in the format of pickle alone "
            f"({weights[0]}), which can run code: choose another model, or save it as safetensors "
            "elsewhere and name that folder"
        )
    return weights


def _build_missing_error(reference: str, hub_id: str, error: Exception) -> InputError:
    names = [*BUILT_IN_NAMES, *ALIASES]
    nearest = difflib.get_close_matches(reference, names, n=1)
    hint = f"did you mean {nearest[0]!r}? Else " if nearest else ""
    return InputError(
        f"no model {reference!r}: {hint}it is not a local folder, a GGUF file or an alias "
        f"({', '.join(names)}), and the Hub could not be asked for {hub_id!r} or does not have it "
        f"({type(error).__name__}): check the name and the network; for a gated model, accept its "
        "terms and run `hf auth login`"
    )
