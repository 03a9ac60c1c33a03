"""Find whether a LoRA adapter on a model's linear layers can be trained, asked and taken off."""

from dataclasses import replace

import torch

from elusive.common.lm.loaded_model import LoadedModel
from elusive.common.probe.finding import Finding, Way, choose_tolerance, compare, find_way
from elusive.common.probe.texts import build_probe_texts, read_logits
from elusive.evaluate.answering.batches import Batching
from elusive.evaluate.answering.batching_probe import measure_batching
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.training.lora import open_lora_model

LINEAR = "on all linear layers"
LARGE = 0.02
"""Standard deviation of the weights that stand for a trained adapter's."""


def probe_adapter(loaded: LoadedModel, batching: Batching) -> Finding:
    """Probe whether a new adapter changes nothing, a trained one something, and neither remains."""
    ways = [Way(LINEAR, lambda: _measure(loaded, batching))]
    return find_way(ways, choose_tolerance(loaded))


def _measure(loaded: LoadedModel, batching: Batching) -> float:
    """Measure how far a new adapter, and a model that had one, are from the model.

    Raises:
        ValueError: some of the adapter's weights are not reached by training.
    """
    (text,) = build_probe_texts(loaded.tokenizer, [24])
    plain = read_logits(loaded.model, text)
    with open_lora_model(loaded, TrainingConfig(), seed=0) as model:
        new = read_logits(model, text)  # type: ignore[arg-type]
        answers = measure_batching(replace(loaded, model=model), batching)
        adapted = {name: w for name, w in model.named_parameters() if w.requires_grad}
        for name, weight in adapted.items():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=LARGE)
        changed = compare(read_logits(model, text), plain)  # type: ignore[arg-type]
        with torch.enable_grad():
            ids = torch.tensor([text], device=model.device)
            model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        unreached = [name for name, w in adapted.items() if w.grad is None or not w.grad.any()]
    if changed <= choose_tolerance(loaded):
        raise ValueError("an adapter changes nothing")
    if unreached:
        raise ValueError(
            f"training does not reach {len(unreached)} of {len(adapted)} weights of the adapter, "
            f"such as {unreached[0]}"
        )
    return max(compare(new, plain), answers, compare(read_logits(loaded.model, text), plain))
