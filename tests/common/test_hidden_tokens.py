"""Training hides tokens only from models that obey an attention mask; the others are refused."""

import copy

import numpy as np
import pytest
import torch
from tiny import CONFIGS, VOCABULARY, tiny_model
from training_rows import some_rows
from transformers import AutoModelForCausalLM, FalconConfig, OpenAIGPTConfig, PreTrainedModel

from elusive.common.errors import InputError
from elusive.common.lm.hidden_tokens import check_mask_hides
from elusive.common.lm.loading import load_model
from elusive.common.lm.packing import Sequence, pack_row
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.training.lora import open_lora_model
from elusive.evaluate.training.objectives import build_objective
from elusive.evaluate.training.train import train

WINDOW = 6
OBEDIENT = ["llama", "qwen2", "qwen3", "gpt2", "gpt_neox", "opt", "phi", "falcon", "gptj"]
BIASED = FalconConfig(
    vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True
)
OLD = OpenAIGPTConfig(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4)


def build(name: str) -> PreTrainedModel:
    others = {"falcon with ALiBi": BIASED, "openai-gpt": OLD}
    if name in CONFIGS:
        return tiny_model(name)
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(copy.deepcopy(others[name])).eval()


def build_rows(length: int) -> list[dict[str, torch.Tensor]]:
    ids = torch.randint(3, VOCABULARY, (length,), generator=torch.Generator().manual_seed(1))
    return [pack_row([Sequence(ids.tolist(), ids.tolist())])]


@pytest.mark.parametrize("name", OBEDIENT)
@pytest.mark.parametrize("length", [1, 25])
def test_tokens_are_hidden_from_models_with_ordinary_attention(name, length):
    check_mask_hides(build(name), build_rows(length))


@pytest.mark.parametrize("name", ["bloom", "falcon with ALiBi", "mamba", "openai-gpt"])
def test_models_that_make_their_own_masks_are_refused(name):
    with pytest.raises(InputError, match=r"cannot be hidden from .* choose others"):
        check_mask_hides(build(name), build_rows(25))


@pytest.mark.parametrize("name", ["mistral", "gemma2"])
def test_a_sliding_window_is_no_obstacle_for_texts_that_fit_into_it(name):
    check_mask_hides(build(name), build_rows(WINDOW - 1))
    with pytest.raises(InputError, match="a mask that hides nothing changes what it predicts"):
        check_mask_hides(build(name), build_rows(WINDOW + 2))


def test_a_model_that_reads_hidden_tokens_is_refused(monkeypatch):
    """The mask reaches all layers but the first, which reads what it should not."""
    model = build("llama")
    attention = model.model.layers[0].self_attn  # type: ignore[union-attr, index]
    forward = attention.forward

    def forget(*inputs, attention_mask, **settings):
        if attention_mask is None:
            return forward(*inputs, attention_mask=None, **settings)
        lowest = attention_mask.min()
        length = attention_mask.shape[-1]
        is_later = torch.ones(length, length, dtype=torch.bool).triu(1)
        starts = attention_mask[0, 0, :, 0] < 0  # what begins a new sequence sees no first token
        opened = torch.where(is_later, lowest, 0.0)[None, None]
        opened[..., starts, :] = attention_mask[..., starts, :]
        return forward(*inputs, attention_mask=opened, **settings)

    monkeypatch.setattr(attention, "forward", forget)
    with pytest.raises(InputError, match="it reads hidden tokens"):
        check_mask_hides(model, build_rows(25))


@pytest.mark.parametrize("name", ["mistral", "llama"])
def test_training_refuses_before_the_first_step_and_leaves_the_model(name, model_folder, tokenizer):
    loaded = load_model(str(model_folder(name)), torch.float32)
    config = TrainingConfig(objective="attention-dropout", noise=0.2)
    objective = build_objective(config, loaded)
    assert objective.change_copy
    rows = some_rows(tokenizer, 4)
    generator = np.random.default_rng(0)
    hidden = [
        pack_row([objective.change_copy(Sequence(ids, ids), generator)])
        for ids in (row["input_ids"][0].tolist() for row in rows)
    ]
    steps: list[int] = []
    with open_lora_model(loaded, config, 0) as model:
        if name == "llama":
            train(model, hidden, config, 0, lambda: steps.append(1), objective)
        else:
            with pytest.raises(InputError, match="cannot be hidden"):
                train(model, hidden, config, 0, lambda: steps.append(1), objective)
    assert len(steps) == (len(hidden) if name == "llama" else 0)
    assert not loaded.model.training
