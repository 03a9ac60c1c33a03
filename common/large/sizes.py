"""Sizes of models, without their weights: from a table of known models, or from their configs."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from accelerate import init_empty_weights
from httpx2 import HTTPError
from huggingface_hub import get_session
from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE
from huggingface_hub.errors import HfHubHTTPError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from elusive.common.errors import InputError
from elusive.common.lm.loading import load_config, load_tokenizer
from elusive.common.lm.loading_report import explain_failures
from elusive.common.lm.references import find_model, is_on_hub, resolve_alias

KNOWN = Path(__file__).parent / "known_models.yaml"
HUB_SECONDS = 5.0


@dataclass(frozen=True)
class EmptyModel:
    """A model without weights, and how its shape is known."""

    model: PreTrainedModel
    source: str


@cache
def read_known_models() -> dict[str, dict[str, object]]:
    """Read what decides the sizes of known models, by Hub id."""
    return yaml.safe_load(KNOWN.read_text(encoding="utf-8"))


@cache
def build_empty_model(reference: str) -> EmptyModel:
    """Build a model without weights; nothing but its config is downloaded.

    Raises:
        InputError: the model is not in the table of known models, and has no readable config here
            or on the Hub.
    """
    known = read_known_models().get(reference)
    source = "from the table of known models" if known else "from its config"
    with explain_failures(f"cannot find the size of model {reference!r}"):
        config = _build_config(dict(known)) if known else _load_config(reference)
        with init_empty_weights():
            model = AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    return EmptyModel(model, source)


def _build_config(values: dict[str, object]) -> PreTrainedConfig:
    return AutoConfig.for_model(str(values.pop("model_type")), **values)


def _load_config(reference: str) -> PreTrainedConfig:
    if not is_on_hub(reference):
        return load_config(find_model(reference))
    return AutoConfig.from_pretrained(
        resolve_alias(reference), local_files_only=not can_reach_hub()
    )


@cache
def can_reach_hub() -> bool:
    """Whether the Hub answers at once; its client would try five times, with pauses."""
    if HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(ENDPOINT, timeout=HUB_SECONDS)
    except HTTPError:
        return False
    return True


def load_tokenizer_alone(reference: str) -> PreTrainedTokenizerBase | None:
    """Load a model's tokenizer without its weights; None if the Hub does not give it.

    Raises:
        InputError: the files of a local model cannot be read.
    """
    if not is_on_hub(reference):
        return load_tokenizer(find_model(reference))
    try:
        return AutoTokenizer.from_pretrained(
            resolve_alias(reference), local_files_only=not can_reach_hub()
        )
    except (OSError, ValueError, HfHubHTTPError, InputError):
        return None
