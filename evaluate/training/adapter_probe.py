"""Find whether a LoRA adapter on a model's linear layers can be trained, asked and taken off."""

from dataclasses import replace

import torch

from elusive.common.lm.chunked_loss import compute_whole_losses
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
    """Probe whether a new adapter changes nothing, a trained one something, and neither remains.

    What training does not reach on a short text is listed among the failures: experts that get none
    of its tokens, for instance.
    """
    unreached: list[str] = []
    ways = [Way(LINEAR, lambda: _measure(loaded, batching, unreached))]
    finding = find_way(ways, choose_tolerance(loaded))
    if finding.way and unreached:
        reason = f"{len(unreached)} of its weights, such as {unreached[0]}"
        return replace(finding, failures={"not reached by training on one text": reason})
    return finding


def _measure(loaded: LoadedModel, batching: Batching, unreached: list[str]) -> float:
    """Measure how far a new adapter, and a model that had one, are from the model.

    Args:
        loaded: the model.
        batching: how questions are read together.
        unreached: gets the names of the adapter's weights without a gradient.

    Raises:
        ValueError: an adapter changes nothing, or training reaches none of its weights.
    """
    (text,) = build_probe_texts(loaded.tokenizer, [24])
    plain = read_logits(loaded.model, text)
    with open_lora_model(loaded, TrainingConfig(), seed=0) as model:
        new = read_logits(model, text)
        answers = measure_batching(replace(loaded, model=model), batching)
        adapted = {name: w for name, w in model.named_parameters() if w.requires_grad}
        for name, weight in adapted.items():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=LARGE)
        changed = compare(read_logits(model, text), plain)
        with torch.enable_grad():
            ids = torch.tensor([text], device=model.device)
            compute_whole_losses(model, {"input_ids": ids, "labels": ids}).mean().backward()
        unreached += [name for name, w in adapted.items() if w.grad is None or not w.grad.any()]
    if changed <= choose_tolerance(loaded):
        raise ValueError("an adapter changes nothing")
    if len(unreached) == len(adapted):
        raise ValueError("training reaches none of the adapter's weights")
    return max(compare(new, plain), answers, compare(read_logits(loaded.model, text), plain))
