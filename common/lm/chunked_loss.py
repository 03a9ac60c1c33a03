"""The language-model loss without the logits of a whole row.

Logits take (tokens x vocabulary) numbers in float32, several times over: most of the time and
memory of a small model's training step. Here only a few tokens' logits exist at a time, and their
gradient with respect to the hidden states is computed right away, so nothing of that size is kept.
"""

from typing import Any

import torch
from peft import PeftModel
from torch.nn import functional
from transformers import PreTrainedModel

CHUNK = 128
"""Tokens whose logits exist at the same time."""
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-3}
"""Relative difference of two losses that rounding may cause."""
OWN_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
"""Settings of models that change their head's output before it becomes the logits."""


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Cross entropies of linear logits, with gradients only with respect to the hidden states."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """Compute the loss of each token, and the gradient that `backward` scales.

        A token's loss depends on its own hidden state alone, so one row of gradient is enough.

        Args:
            ctx: what autograd keeps for `backward`.
            hidden: last hidden states.  # (token, width)
            weight: of the head.  # (vocabulary, width)
            labels: tokens to predict.  # (token,)
        """
        gradient = torch.empty_like(hidden)
        losses = hidden.new_empty(len(labels), dtype=torch.float32)
        for first in range(0, len(labels), CHUNK):
            part = slice(first, first + CHUNK)
            logits = functional.linear(hidden[part], weight).float()  # (chunk, vocabulary)
            targets = labels[part, None]  # (chunk, 1)
            log_sums = logits.logsumexp(-1, keepdim=True)
            losses[part] = (log_sums - logits.gather(-1, targets))[:, 0]
            errors = logits.sub_(log_sums).exp_()  # in place: probabilities
            errors.scatter_add_(-1, targets, -torch.ones_like(targets, dtype=errors.dtype))
            gradient[part] = errors.to(weight.dtype) @ weight
        ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # pyright: ignore
        """Return the gradient with respect to the hidden states; head and labels get none."""
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0].to(gradient.dtype)[:, None], None, None


def compute_chunked_losses(
    model: PeftModel | PreTrainedModel, inputs: dict[str, Any]
) -> torch.Tensor:
    """Compute the cross entropy in nats of each labeled token of a row.  # (labeled token,).

    Args:
        model: causal language model whose logits are a frozen linear map of its last hidden state.
        inputs: of the model, labels included; tokens with the label -100 are not labeled.
    """
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    decoder = base.get_decoder()
    head = base.get_output_embeddings()
    labels = inputs["labels"][:, 1:]  # (row, token - 1)
    rest = {name: value for name, value in inputs.items() if name != "labels"}
    hidden = decoder(**rest, use_cache=False).last_hidden_state[:, :-1]  # (row, token - 1, width)
    labels = labels.to(hidden.device)
    counted = labels != -100
    # The head may be on another device than the last layer.
    hidden = hidden[counted].to(head.weight)  # (labeled token, width)
    return _ChunkedCrossEntropy.apply(hidden, head.weight, labels[counted].to(head.weight.device))


def compute_whole_losses(
    model: PeftModel | PreTrainedModel, inputs: dict[str, Any]
) -> torch.Tensor:
    """Compute the same as `compute_chunked_losses`, for any model, from the whole row's logits."""
    rest = {name: value for name, value in inputs.items() if name != "labels"}
    logits = model(**rest, use_cache=False).logits[:, :-1]
    labels = inputs["labels"][:, 1:].to(logits.device)
    counted = labels != -100
    return functional.cross_entropy(logits[counted].float(), labels[counted], reduction="none")


def matches_model_loss(model: PeftModel | PreTrainedModel, inputs: dict[str, Any]) -> bool:
    """Return whether the chunked losses are this model's own loss.

    They are not if the model caps or scales its logits, or if its head has a bias or is trained.
    For whatever else a model may do, the two losses are compared on some inputs.
    """
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    head = base.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear) or head.bias is not None or head.weight.requires_grad:
        return False
    if any(getattr(base.config, name, None) not in (None, 1.0) for name in OWN_LOGITS):
        return False
    was_training = model.training
    model.eval()  # dropout would make the two differ and consume random numbers
    with torch.no_grad():
        own_loss = float(model(**inputs, use_cache=False).loss)
        difference = abs(float(compute_chunked_losses(model, inputs).mean()) - own_loss)
    model.train(was_training)
    return difference <= TOLERANCE.get(head.weight.dtype, 0.0) * abs(own_loss)
