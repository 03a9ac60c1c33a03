"""Training hides tokens only from models that obey an attention mask; the others are refused."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import CONFIGS, VOCABULARY, tiny_model
from training_rows import some_rows
from transformers import (
    AutoModelForCausalLM,
    FalconConfig,
    OpenAIGPTConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from elusive.common.errors import InputError
from elusive.common.lm.loaded_model import LoadedModel
from elusive.common.lm.loading import load_model
from elusive.common.lm.packing import Sequence, pack_row
from elusive.common.lm.references import ModelSource
from elusive.common.probe.finding import Finding
from elusive.common.probe.packing import find_packing, probe_masks
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.training.lora import open_lora_model
from elusive.evaluate.training.objectives import Objective, build_objective
from elusive.evaluate.training.train import train

OBEDIENT = ["llama", "qwen2", "qwen3", "gpt2", "gpt_neox", "opt", "phi", "falcon", "gptj"]
OWN_MASKS = ["bloom", "falcon with ALiBi", "mamba", "openai-gpt"]
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


def probe(name: str, tokenizer: PreTrainedTokenizerBase) -> Finding:
    return probe_masks(LoadedModel(ModelSource("tiny", Path()), build(name), tokenizer, name))


@pytest.mark.parametrize("name", OBEDIENT)
def test_tokens_are_hidden_from_models_with_ordinary_attention(name, tokenizer):
    assert probe(name, tokenizer).way == "mask"


@pytest.mark.parametrize("name", [*OWN_MASKS, "mistral", "gemma2"])
def test_models_that_make_their_own_masks_or_lose_their_windows_are_refused(name, tokenizer):
    assert probe(name, tokenizer).way is None


def test_a_model_that_reads_hidden_tokens_is_refused(monkeypatch, tokenizer):
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
    loaded = LoadedModel(ModelSource("tiny", Path()), model, tokenizer, "leaking")
    assert probe_masks(loaded).way is None


def hide_tokens(objective: Objective, rows: list[dict[str, torch.Tensor]]) -> list[dict]:
    assert objective.change_copy
    generator = np.random.default_rng(0)
    return [
        pack_row([objective.change_copy(Sequence(ids, ids), generator)])
        for ids in (row["input_ids"][0].tolist() for row in rows)
    ]


@pytest.mark.parametrize("name", ["opt", "llama"])
def test_texts_of_a_row_do_not_see_each_other_if_other_rows_hide_tokens(
    name, model_folder, tokenizer
):
    """OPT does not see from positions where a text begins."""
    loaded = load_model(str(model_folder(name)), torch.float32)
    for module in loaded.model.modules():
        for rate in ("dropout", "activation_dropout", "attention_dropout", "layerdrop"):
            if isinstance(getattr(module, rate, None), float):
                setattr(module, rate, 0.0)
    dropping = TrainingConfig(objective="attention-dropout", noise=0.2)
    objective, packing = build_objective(dropping, loaded), find_packing(loaded)
    rows = some_rows(tokenizer, 2)
    losses = []
    for run in (rows, [rows[0], *hide_tokens(objective, rows[1:])]):
        config = TrainingConfig(learning_rate=1e-9)
        with open_lora_model(loaded, config, 0) as model:
            losses.append(train(model, run, config, 0, packing=packing).first_loss)
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)


@pytest.mark.parametrize("name", ["mistral", "llama"])
def test_training_refuses_before_the_first_step_and_leaves_the_model(name, model_folder, tokenizer):
    loaded = load_model(str(model_folder(name)), torch.float32)
    config = TrainingConfig(objective="attention-dropout", noise=0.2)
    objective = build_objective(config, loaded)
    hidden = hide_tokens(objective, some_rows(tokenizer, 4))
    steps: list[int] = []
    packing = find_packing(loaded)
    with open_lora_model(loaded, config, 0) as model:
        arguments = (model, hidden, config, 0, lambda: steps.append(1), objective)
        if name == "llama":
            train(*arguments, packing=packing)
        else:
            with pytest.raises(InputError, match="attention cannot be dropped"):
                train(*arguments, packing=packing)
    assert len(steps) == (len(hidden) if name == "llama" else 0)
    assert not loaded.model.training
