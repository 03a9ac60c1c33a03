"""The model to train: with a fresh LoRA adapter, or a copy whose weights are all trained."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, set_seed

from elusive.common.errors import InputError
from elusive.common.large.placement import check_trainable, is_shared, is_spread
from elusive.common.lm.adapters import ignore_adapter_warnings
from elusive.common.lm.loaded_model import LoadedModel, get_attention, is_quantized
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.training.lora_targets import find_lora_targets

Model = PreTrainedModel | PeftModel


@contextmanager
def open_tuned_model(loaded: LoadedModel, config: TrainingConfig, seed: int) -> Iterator[Model]:
    """Yield the model to train; the loaded model is restored at the end.

    With LoRA it is the loaded model with a fresh adapter, otherwise a copy in float32.

    Raises:
        InputError: all weights are to be trained, but they are quantized or spread over devices.
    """
    set_seed(seed)
    if config.tuning == "full":
        if is_quantized(loaded.model):
            raise InputError(
                f"tuning 'full' cannot train {loaded.source.reference!r}, whose weights are "
                "quantized: choose tuning 'lora' or another model"
            )
        if is_spread(loaded.model):
            raise InputError(
                f"tuning 'full' cannot train {loaded.source.reference!r}, whose layers are spread: "
                "choose tuning 'lora', or set resources.placement to one"
            )
        # An adapter that was trained on the loaded model has frozen its weights.
        yield copy.deepcopy(loaded.model).float().requires_grad_(True)
        return
    with open_lora_model(loaded, config, seed) as model:
        yield model


@contextmanager
def open_lora_model(loaded: LoadedModel, config: TrainingConfig, seed: int) -> Iterator[PeftModel]:
    """Yield the model with a fresh LoRA adapter, and remove the adapter at the end.

    The adapter is on what the config names, or on all linear layers of the text decoder.

    Raises:
        InputError: the model has none of the named layers, or does not fit on what trains it.
    """
    check_trainable(loaded.model, loaded.source.reference)
    set_seed(seed)
    targets = find_lora_targets(loaded.model, config.lora_targets)
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.get_setting("lora_dropout") or 0.0,
        target_modules=targets.modules,
        target_parameters=targets.parameters or None,
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


def save_adapter(model: Model, folder: Path) -> None:
    """Save an adapter alone; PEFT would first put all shared weights of its base together."""
    state = None
    if is_shared(model):
        weights = model.named_parameters()
        state = {name: weight.detach() for name, weight in weights if weight.requires_grad}
    model.save_pretrained(str(folder), state_dict=state, save_embedding_layers=False)
