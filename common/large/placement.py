"""Where the weights of a model go that one device cannot hold."""

from typing import Any

import torch
from accelerate.utils import get_max_memory
from transformers import DistributedConfig, PretrainedConfig, PreTrainedModel

from elusive.common.errors import InputError
from elusive.common.large.devices import Devices, Sharing
from elusive.common.large.processes import count_processes, get_sharing
from elusive.common.probe.texts import get_text_config


def is_spread(model: PreTrainedModel) -> bool:
    """Whether this process's first device does not hold all weights of a model."""
    places = set(getattr(model, "hf_device_map", {}).values())
    return is_shared(model) or len(places) > 1 or "disk" in places


def is_shared(model: Any) -> bool:
    """Whether several processes share a model's weights; also of a model with an adapter."""
    return getattr(model, "is_distributed_loading_by_transformers", False)


def choose_sharing_options(
    reference: str, config: PretrainedConfig, quantization: str
) -> dict[str, Any]:
    """Choose what this process loads of a model, as options of `from_pretrained`.

    Raises:
        InputError: the weights are quantized, so they cannot be shared.
    """
    count = count_processes()
    if count == 1:
        return {}
    if quantization != "none" or getattr(config, "quantization_config", None):
        raise InputError(
            f"the weights of {reference!r} are quantized, and {count} processes cannot share them: "
            "set resources.placement to auto and processes to 1, or leave out quantization"
        )
    if choose_sharing(config) == "heads":
        return {"distributed_config": DistributedConfig(tp_size=count)}
    return {"distributed_config": DistributedConfig(fsdp_size=count)}


def choose_sharing(config: PretrainedConfig) -> Sharing:
    """Choose what each process holds a part of: heads only if they can be dealt out evenly."""
    text = config.get_text_config(decoder=True)
    heads = getattr(text, "num_attention_heads", 1)
    groups = getattr(text, "num_key_value_heads", None) or heads
    has_plan = bool(getattr(text, "base_model_tp_plan", None))
    is_even = heads % count_processes() == 0 and groups % count_processes() == 0
    return "heads" if get_sharing() == "heads" and has_plan and is_even else "weights"


def choose_map_options(devices: Devices) -> dict[str, Any]:
    """Choose the devices that hold a model's layers, as options of `from_pretrained`."""
    if devices.placement == "one":
        return {}
    room = get_max_memory()
    if devices.memory_gib is not None:
        room["cpu"] = int(min(room["cpu"], devices.memory_gib * 2**30))
    return {"device_map": "auto", "max_memory": room}


def check_trainable(model: PreTrainedModel, reference: str) -> None:
    """Raise InputError if some weights are not in the memory that computes.

    Backward passes would need them there all at once, so nothing would be saved.
    """
    places = set(getattr(model, "hf_device_map", {}).values())
    outside = places & ({"cpu", "disk"} if torch.cuda.is_available() else {"disk"})
    if outside:
        where = " and ".join(sorted(map(str, outside)))
        raise InputError(
            f"{reference!r} does not fit on the devices that train it (the rest is on {where}): "
            "use more or larger GPUs, quantization, or resources.processes"
        )


def gather_heads(sums: torch.Tensor, model: PreTrainedModel) -> torch.Tensor:
    """Put the heads of all processes together that share a model's heads.

    Args:
        sums: of this process's heads.  # (layer, batch, head, token)
        model: which they are of.

    Returns:
        Those of all heads, if the processes share heads.  # (layer, batch, head, token)
    """
    count = getattr(model, "tp_size", None) or 1
    total = getattr(get_text_config(model), "num_attention_heads", 0)
    if count == 1 or sums.shape[2] == total:
        return sums
    parts = [torch.empty_like(sums) for _ in range(count)]
    torch.distributed.all_gather(parts, sums.contiguous())
    return torch.cat(parts, dim=2)
