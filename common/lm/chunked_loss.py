"""The language-model loss without the logits of a whole row.

Logits take (tokens x vocabulary) numbers in float32, several times over: most of a small model's
training step and memory. Here a few tokens' logits exist at a time, and their gradient with respect
to the hidden states is taken at once, so that nothing of that size is kept.
"""

from typing import Any

import torch
from peft import PeftModel
from torch.nn import functional
from transformers import PreTrainedModel

CHUNK = 128
"""Tokens whose logits exist at a time."""
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-3}
"""Relative difference of two losses that rounding makes."""
OWN_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
"""Settings of models whose logits are more than the head's output."""


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Cross entropies of linear logits, with their gradients by the hidden states alone."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """Loss of each token; hidden (token, width), weight (vocabulary, width), labels (token,).

        A token's loss depends on its own hidden state alone, so one row of gradient says all.
        """
        gradient = torch.empty_like(hidden)
        losses = hidden.new_empty(len(labels), dtype=torch.float32)
        for first in range(0, len(labels), CHUNK):
            part = slice(first, first + CHUNK)
            logits = functional.linear(hidden[part], weight).float()  # (chunk, vocabulary)
            wanted = labels[part, None]
            log_sums = logits.logsumexp(-1, keepdim=True)
            losses[part] = (log_sums - logits.gather(-1, wanted))[:, 0]
            errors = logits.sub_(log_sums).exp_()  # in place: probabilities
            errors.scatter_add_(-1, wanted, -torch.ones_like(wanted, dtype=errors.dtype))
            gradient[part] = errors.to(weight.dtype) @ weight
        ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # pyright: ignore
        """Gradient by the hidden states; head and labels get none."""
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0].to(gradient.dtype)[:, None], None, None


def chunked_loss(model: PeftModel | PreTrainedModel, inputs: dict[str, Any]) -> torch.Tensor:
    """Mean cross entropy in nats per labelled token of a row, as `model(**inputs).loss`."""
    return chunked_losses(model, inputs).mean()


def chunked_losses(model: PeftModel | PreTrainedModel, inputs: dict[str, Any]) -> torch.Tensor:
    """Cross entropy in nats of each labelled token of a row.  # (labelled token,).

    Args:
        model: causal language model whose logits are a frozen linear map of its last hidden state.
        inputs: of the model, labels included; labels of -100 count for nothing.
    """
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    decoder = base.get_decoder()
    head = base.get_output_embeddings()
    labels = inputs["labels"][:, 1:]  # (row, token - 1)
    rest = {name: value for name, value in inputs.items() if name != "labels"}
    hidden = decoder(**rest, use_cache=False).last_hidden_state[:, :-1]  # (row, token - 1, width)
    counted = labels != -100
    kept = hidden[counted].to(head.weight.dtype)
    return _ChunkedCrossEntropy.apply(kept, head.weight, labels[counted])


def whole_losses(model: PeftModel | PreTrainedModel, inputs: dict[str, Any]) -> torch.Tensor:
    """As `chunked_losses`, for any model, from the logits of the whole row."""
    rest = {name: value for name, value in inputs.items() if name != "labels"}
    labels = inputs["labels"][:, 1:]
    logits = model(**rest, use_cache=False).logits[:, :-1]
    counted = labels != -100
    return functional.cross_entropy(logits[counted].float(), labels[counted], reduction="none")


def fits(model: PeftModel | PreTrainedModel, inputs: dict[str, Any]) -> bool:
    """Whether `chunked_loss` is this model's loss: not where logits are capped or scaled, or the
    head has a bias or is trained; compared on some inputs, for what else a model may do."""
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    head = base.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear) or head.bias is not None or head.weight.requires_grad:
        return False
    if any(getattr(base.config, name, None) not in (None, 1.0) for name in OWN_LOGITS):
        return False
    was_training = model.training
    model.eval()  # dropout would make the two differ, and use up random numbers
    with torch.no_grad():
        usual = float(model(**inputs, use_cache=False).loss)
        difference = abs(float(chunked_loss(model, inputs)) - usual)
    model.train(was_training)
    return difference <= TOLERANCE.get(head.weight.dtype, 0.0) * abs(usual)
