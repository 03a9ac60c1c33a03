"""Which weights a LoRA adapter is put on, and which are left out."""

from collections import Counter
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from elusive.common.errors import InputError

LINEAR = (nn.Linear, Conv1D)
MAMBA = ("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h")
"""Architectures whose `out_proj` PEFT refuses, because fused kernels read its weight directly."""
FEWEST_SIDES = 2
"""Fewest sides of a weight that multiplies: biases and norms have one."""


@dataclass(frozen=True)
class LoraTargets:
    """Weights to adapt, as PEFT wants them."""

    modules: list[str]
    """Linear layers, by their whole names."""
    parameters: list[str]
    """Weights that are no layers of their own, such as those of experts, by their whole names."""
    left_out: list[str]
    """Other weights of the text decoder that multiply, without the numbers of their layers, such as
    `mlp.experts.gate_up_proj (24)`; embeddings and the head are not among them."""


def find_lora_targets(model: PreTrainedModel, names: tuple[str, ...]) -> LoraTargets:
    """Find the weights to adapt: those named, or else all linear layers of the text decoder.

    The head and whatever reads pictures or sound is adapted only if named.

    Args:
        model: without an adapter.
        names: ends of the names of layers (`q_proj`) or weights (`experts.gate_up_proj`).

    Raises:
        InputError: the model has nothing of a name.
    """
    layers = [name for name, module in model.named_modules() if isinstance(module, LINEAR)]
    weights = [name for name, weight in model.named_parameters() if weight.ndim >= FEWEST_SIDES]
    if not names:
        inside = _name_decoder(model)
        modules = [name for name in layers if name.startswith(inside) and _can_adapt(model, name)]
        parameters = []
    else:
        modules = [name for name in layers if _ends_with(name, names)]
        parameters = [name for name in weights if _ends_with(name, names)]
        for name in names:
            if not any(_ends_with(found, (name,)) for found in [*modules, *parameters]):
                kinds = sorted({found.split(".")[-1] for found in layers})
                raise InputError(
                    f"lora_targets: the model has no layer or weight {name!r}: its linear layers "
                    f"are {', '.join(kinds)}"
                )
    return LoraTargets(modules, parameters, _list_left_out(model, weights, [*modules, *parameters]))


def _name_decoder(model: PreTrainedModel) -> str:
    """Return what the names of the text decoder's modules begin with.

    Of some models, `get_decoder` returns the head; then it is the whole model.
    """
    decoder = model.get_decoder()
    names = [name for name, module in model.named_modules() if module is decoder and name]
    return f"{names[0]}." if names and not isinstance(decoder, LINEAR) else ""


def _can_adapt(model: PreTrainedModel, name: str) -> bool:
    """Whether a linear layer is neither the head nor a router, and PEFT takes it."""
    layer = model.get_submodule(name)
    is_refused = model.config.model_type in MAMBA and name.endswith("out_proj")
    is_router = "router" in type(layer).__name__.lower()
    return layer is not model.get_output_embeddings() and not is_refused and not is_router


def _ends_with(name: str, ends: tuple[str, ...]) -> bool:
    return any(name == end or name.endswith(f".{end}") for end in ends)


def _list_left_out(model: PreTrainedModel, weights: list[str], adapted: list[str]) -> list[str]:
    """List the kinds of weights of the decoder that are not adapted, with how many there are."""
    inside = _name_decoder(model)
    done = {*adapted, *(f"{name}.weight" for name in adapted)}
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    head = model.get_output_embeddings()
    tables += [head] if head is not None else []
    shared = {id(table.weight) for table in tables}
    kinds = Counter(
        ".".join(part for part in name.removeprefix(inside).split(".") if not part.isdigit())
        for name in weights
        if name.startswith(inside) and name not in done
        if id(model.get_parameter(name)) not in shared
    )
    return [f"{kind} ({count})" for kind, count in sorted(kinds.items())]
