"""What scoring and training need of each card, and how many cards that takes.

These are estimates. Weights, adapters and caches follow from shapes; activations from what was
measured on nano and SmolLM2 models.
"""

from dataclasses import dataclass, replace

import torch
from torch import nn
from transformers import PreTrainedModel

from elusive.augment.scores.column_sums import QUERY_BLOCK
from elusive.augment.scores.model_scores import GPU_BATCH_TOKENS
from elusive.common.large.devices import Devices
from elusive.common.large.sizes import build_empty_model
from elusive.common.lm.chunked_loss import CHUNK
from elusive.common.lm.loading import choose_model_dtype
from elusive.common.lm.references import BUILT_IN_NAMES
from elusive.common.probe.texts import get_text_config
from elusive.evaluate.config import AnsweringConfig, TrainingConfig
from elusive.evaluate.plans import Plan
from elusive.evaluate.training.lora_targets import find_lora_targets

GIB = 2**30
CARDS = (24, 40, 80)
"""Memory of usual cards, in GiB."""
USABLE = 0.95
"""Share of a card's memory that one process can fill."""
MOST_CARDS = 16
LIBRARIES_GIB = 0.6
"""Memory of a process that has loaded PyTorch and transformers, and about as much of its card."""
ACTIVATIONS = 40
"""Bytes that training keeps per token, layer and unit of width, roughly."""
TOKENS_PER_QUESTION = 40
"""Question and answer."""
COPIES = 3
"""Copies of logits, or of attention, that exist at the same time."""
BYTES = {"8bit": 1.0, "4bit": 0.6}
"""Bytes per quantized weight, with scales, and with the head, which stays as it is."""
ADAPTED = 16
"""Bytes per weight that is trained: itself, its gradient, and two moments of AdamW, in float32."""


@dataclass(frozen=True)
class Need:
    """Memory of one stage on one card, in GiB."""

    weights: float
    trained: float = 0.0
    """Adapter with gradients and optimizer; all of these if all weights are trained."""
    activations: float = 0.0
    """Activations and logits."""
    caches: float = 0.0
    """Keys and values of a batch of questions; they exist after the activations."""

    @property
    def least(self) -> float:
        """What is needed whatever the texts are."""
        return self.weights + self.trained + LIBRARIES_GIB

    @property
    def total(self) -> float:
        """The peak."""
        return self.least + max(self.activations, self.caches)

    def render(self) -> str:
        """Render the parts and their sum."""
        parts = [
            f"{value:.1f} {name}"
            for name, value in (
                ("weights", self.weights),
                ("adapter and optimizer", self.trained),
                ("activations", self.activations),
                ("caches", self.caches),
                ("libraries", LIBRARIES_GIB),
            )
            if value >= 0.05
        ]
        return f"{self.total:.1f} GiB ({', '.join(parts)})"


@dataclass(frozen=True)
class Shape:
    """What of a model decides its memory."""

    parameters: int
    layers: int
    width: int
    inner: int
    heads: int
    key_width: int
    """Numbers that the cache of a layer holds per token."""
    vocabulary: int
    bytes_per_weight: float

    @property
    def ends(self) -> float:
        """Bytes of embedding and head, which processes that share weights put together."""
        return 2 * self.vocabulary * self.width * self.bytes_per_weight

    def get_layer_bytes(self, parameters_bytes: float) -> float:
        """Return the bytes of one layer, of those of all weights."""
        return max(0.0, parameters_bytes - self.ends) / self.layers


def measure_shape(reference: str) -> Shape:
    """Measure a model without its weights.

    Raises:
        InputError: neither this machine nor the Hub has its config.
    """
    model = build_empty_model(reference).model
    config = get_text_config(model)
    heads = config.num_attention_heads if hasattr(config, "num_attention_heads") else 1
    groups = getattr(config, "num_key_value_heads", None) or heads
    head_width = getattr(config, "head_dim", None) or config.hidden_size // heads
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    return Shape(
        parameters=model.num_parameters(),
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        inner=inner if isinstance(inner, int) else max(inner),
        heads=heads,
        key_width=2 * groups * head_width,
        vocabulary=config.vocab_size,
        bytes_per_weight=choose_card_dtype(reference).itemsize,
    )


def choose_card_dtype(reference: str) -> torch.dtype:
    """Return the precision of a model's weights on a card, whatever this machine computes in."""
    return torch.float32 if reference in BUILT_IN_NAMES else torch.bfloat16


def count_adapter_weights(model: PreTrainedModel, training: TrainingConfig) -> int:
    """Count the weights of a LoRA adapter on a model without weights."""
    targets = find_lora_targets(model, training.lora_targets)
    sides = 0
    for name in targets.modules:
        layer = model.get_submodule(name)
        is_linear = isinstance(layer, nn.Linear)
        sides += layer.in_features + layer.out_features if is_linear else sum(layer.weight.shape)  # type: ignore
    return sides * training.lora_rank


def estimate_scoring(reference: str, text_tokens: float) -> Need:
    """Estimate what scoring by attention needs if one device holds it all."""
    shape = measure_shape(reference)
    tokens = max(GPU_BATCH_TOKENS, text_tokens)
    states = tokens * (4 * shape.width + 3 * shape.inner) * shape.bytes_per_weight
    attention = tokens * shape.heads * min(QUERY_BLOCK, text_tokens) * 4 * COPIES
    weights = shape.parameters * shape.bytes_per_weight
    return Need(weights / GIB, activations=(states + attention) / GIB)


def estimate_training(
    reference: str, training: TrainingConfig, answering: AnsweringConfig, text_tokens: float
) -> Need:
    """Estimate what training and answering need if one device holds it all."""
    shape, model = measure_shape(reference), build_empty_model(reference).model
    # 1) Weights, and what is trained of them.
    per_weight = BYTES.get(training.quantization, shape.bytes_per_weight)
    weights, trained = shape.parameters * per_weight, 0.0
    if training.tuning == "full":
        weights, trained = shape.parameters * 4, shape.parameters * (ADAPTED - 4)
    else:
        trained = count_adapter_weights(model, training) * ADAPTED
    # 2) Activations of one row, and logits of a chunk of it.
    tokens = text_tokens * training.batch_size / training.accumulation
    kept = 1 if training.gradient_checkpointing else shape.layers
    activations = tokens * kept * shape.width * ACTIVATIONS
    activations += tokens * (shape.layers - kept) * shape.width * shape.bytes_per_weight
    activations += CHUNK * shape.vocabulary * 4 * COPIES
    # 3) Caches of a batch of questions, each with its shots.
    asked = answering.answer_batch_size * (answering.num_shots + 1) * TOKENS_PER_QUESTION
    caches = asked * shape.layers * shape.key_width * shape.bytes_per_weight
    return Need(weights / GIB, trained / GIB, activations / GIB, caches / GIB)


def divide(need: Need, reference: str, devices: Devices, cards: int, tokens: float = 0.0) -> Need:
    """Divide what one device would need among cards.

    Layers that are spread over cards leave one layer more on some; processes that share weights put
    two layers, the embedding and the head together, each for its own rows, with the logits of a
    whole row.

    Args:
        need: of one device.
        reference: of the model.
        devices: how they are divided.
        cards: number of cards.
        tokens: of a row of training, 0 where nothing is trained.
    """
    shape, whole = measure_shape(reference), need.weights * GIB
    layer, ends = shape.get_layer_bytes(whole) / GIB, shape.ends / GIB
    if cards == 1:
        return need
    if devices.processes == 1:
        return Need(
            need.weights / cards + layer,
            need.trained / cards,
            need.activations / cards,
            need.caches / cards,
        )
    logits = tokens * shape.vocabulary * 4 * COPIES / GIB
    weights = need.weights / cards + (2 * layer + ends if tokens else 0.0)
    return replace(need, weights=weights, activations=need.activations + logits)


def count_cards(
    need: Need, reference: str, card_gib: float, processes: bool = False, tokens: float = 0.0
) -> int | None:
    """Count the cards of a size that are needed; None if more than `MOST_CARDS`."""
    for cards in range(1, MOST_CARDS + 1):
        devices = Devices(processes=cards) if processes else Devices("auto")
        if divide(need, reference, devices, cards, tokens).total <= USABLE * card_gib:
            return cards
    return None


def estimate_least_memory_gib(plan: Plan, model: str) -> float:
    """Estimate the main memory in GiB of a cell without activations, if it computes on a CPU."""
    training = plan.training
    parameters = build_empty_model(model).model.num_parameters()
    per_weight = BYTES.get(training.quantization, choose_model_dtype(model).itemsize)
    if training.tuning == "full":
        per_weight = ADAPTED
    return parameters * per_weight / GIB + LIBRARIES_GIB


def render_memory(plan: Plan, text_tokens: float) -> list[str]:
    """Render what the plan's models need of each card, and how many cards that takes.

    Args:
        plan: the plan.
        text_tokens: mean tokens of the longest texts.
    """
    lines = []
    for model in dict.fromkeys([*plan.trained, *plan.list_scorers()]):
        lines += _render_model(plan, model, text_tokens)
    return lines


def _render_model(plan: Plan, model: str, text_tokens: float) -> list[str]:
    empty, resources = build_empty_model(model), plan.resources.get_for(model)
    count = empty.model.num_parameters()
    lines = [f"{model}: {count / 1e6:,.1f} million weights, {empty.source}"]
    row = text_tokens * plan.training.batch_size / plan.training.accumulation
    stages: dict[str, tuple[Need, float]] = {}
    if model in plan.list_scorers():
        stages["scoring"] = estimate_scoring(model, text_tokens), 0.0
    if model in plan.trained:
        need = estimate_training(model, plan.training, plan.answering, text_tokens)
        stages["training"] = need, row
    devices, cards = resources.devices, max(resources.gpus, resources.processes, 1)
    for stage, (need, tokens) in stages.items():
        lines.append(f"  {stage} on one card: {need.render()}")
        if cards > 1 and (devices.processes > 1 or devices.placement == "auto"):
            part = divide(need, model, devices, cards, tokens)
            how = "shared by processes" if devices.processes > 1 else "layers spread"
            lines.append(f"  {stage} on each of {cards} cards, {how}: {part.render()}")
    needs = list(stages.values())
    lines.append(f"  cards needed, one or placement auto: {_render_cards(needs, model, False)}")
    if plan.training.quantization == "none" and plan.training.tuning == "lora":
        lines.append(f"  cards needed with processes: {_render_cards(needs, model, True)}")
    return lines


def _render_cards(stages: list[tuple[Need, float]], reference: str, processes: bool) -> str:
    """Render how many cards of each size the most demanding stage needs."""
    parts = []
    for size in CARDS:
        counts = [count_cards(need, reference, size, processes, row) for need, row in stages]
        known = [count for count in counts if count]
        number = str(max(known)) if len(known) == len(counts) else f"over {MOST_CARDS}"
        parts.append(f"{number} of {size} GB")
    return ", ".join(parts)
