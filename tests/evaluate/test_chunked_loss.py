"""The loss in chunks is the model's own loss, and its gradient."""

from typing import Any

import pytest
import torch
from training_rows import adapted, gradients, row

from elusive.common.lm import chunked_loss as module
from elusive.common.lm.chunked_loss import compute_chunked_losses, matches_model_loss


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt2"])
@pytest.mark.parametrize("chunk", [1, 7, 128])
def test_loss_and_gradients_are_the_models_own(name, chunk, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", chunk)
    model = adapted(name)
    usual = model(**row(), use_cache=False).loss
    ours = compute_chunked_losses(model, row()).mean()
    assert torch.allclose(ours, usual, rtol=1e-5)
    pairs = zip(gradients(model, ours), gradients(model, usual), strict=True)
    for gradient, expected in pairs:
        assert torch.allclose(gradient, expected, rtol=1e-3, atol=1e-5)
        assert expected.abs().max() > 0


def test_models_whose_logits_are_more_than_the_heads_output_are_left_alone():
    assert matches_model_loss(adapted("llama"), row())
    assert not matches_model_loss(adapted("gemma2"), row())  # caps its logits
    trained_head = adapted("llama")
    head: Any = trained_head.get_base_model().get_output_embeddings()  # type: ignore[operator]
    head.weight.requires_grad_(True)
    assert not matches_model_loss(trained_head, row())


def test_a_model_that_changes_its_logits_by_itself_is_found_out():
    model = adapted("llama")
    head: Any = model.get_base_model().get_output_embeddings()  # type: ignore[operator]
    head.register_forward_hook(lambda module, inputs, output: output * 1.1)
    assert not matches_model_loss(model, row())
