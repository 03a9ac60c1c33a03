"""The model as it is trained: with a fresh LoRA adapter, or a copy of which all weights train."""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, set_seed

from elusive.common.errors import InputError
from elusive.common.lm.loading import LoadedModel, get_attention
from elusive.evaluate.config import TrainingConfig

Model = PreTrainedModel | PeftModel


@contextmanager
def open_tuned_model(loaded: LoadedModel, config: TrainingConfig, seed: int) -> Iterator[Model]:
    """The model as it is trained; the loaded model is left as it was.

    With LoRA, the model with a fresh adapter, which is removed at the end; otherwise a copy in
    float32.
    """
    set_seed(seed)
    if config.tuning == "full":
        yield copy.deepcopy(loaded.model).float()
        return
    with open_lora_model(loaded, config, seed) as model:
        yield model


@contextmanager
def ignore_adapter_warnings() -> Iterator[None]:
    """A block in which PEFT may call transformers in a way that transformers has deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        yield


@contextmanager
def open_lora_model(loaded: LoadedModel, config: TrainingConfig, seed: int) -> Iterator[PeftModel]:
    """The model with a fresh LoRA adapter on all linear layers but the head, removed at the end.

    Raises:
        InputError: the model has none of the layers that are to get adapters.
    """
    set_seed(seed)
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=list(config.lora_targets) or "all-linear",
        task_type="CAUSAL_LM",
    )
    attention = get_attention(loaded.model)
    with ignore_adapter_warnings():
        try:
            model = get_peft_model(loaded.model, lora)
        except ValueError as error:
            raise InputError(f"lora_targets: {str(error).splitlines()[0]}") from None
    model.peft_config["default"].base_model_name_or_path = loaded.source.base_name
    try:
        yield model
    finally:
        model.unload()
        loaded.model.activation_checkpointing_disable()
        loaded.model.set_attn_implementation(attention)
        loaded.model.eval()


def get_base_model(model: Model) -> PreTrainedModel:
    """The transformers model below an adapter, or the model itself."""
    return model.get_base_model() if isinstance(model, PeftModel) else model  # type: ignore[return-value]
