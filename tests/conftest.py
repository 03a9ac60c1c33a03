"""Tiny models with random weights and a toy tokenizer, built here and never downloaded."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from elusive.biogen.biographies import biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.biogen.questions import questions

VOCABULARY = 600
SHAPE = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64}
GROUPED = {"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
TOKENS = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 1}

CONFIGS = {
    "llama": LlamaConfig(**SHAPE, **GROUPED, **TOKENS),
    "qwen2": Qwen2Config(**SHAPE, **GROUPED, **TOKENS),
    "gemma2": Gemma2Config(
        **SHAPE, **GROUPED, **TOKENS, head_dim=8, sliding_window=6, query_pre_attn_scalar=8
    ),
    "gpt2": GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=3, n_head=4, **TOKENS),
    "mamba": MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, **TOKENS),
}
"""Architectures by name, each with weights large enough that attention is not uniform."""


def tiny_model(name: str, seed: int = 0) -> PreTrainedModel:
    """A random model in evaluation mode, float32."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIGS[name], dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return model.eval()


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on a few biographies; no start token."""
    config = BiogenConfig(people=40, seed=9)
    texts = [document.text for document in biographies(config)]
    texts += [f"Question: {question.question}\nAnswer:" for question in questions(config)]
    toy = Tokenizer(models.BPE())
    toy.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    toy.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<end>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    toy.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=toy, eos_token="<end>", pad_token="<pad>")


@pytest.fixture(scope="session")
def model_folder(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast
) -> Callable[..., Path]:
    """Function that saves a tiny model with the toy tokenizer and gives its folder."""
    root = tmp_path_factory.mktemp("models")

    def save(name: str = "llama", seed: int = 0) -> Path:
        folder = root / f"{name}-{seed}"
        if not folder.exists():
            tiny_model(name, seed).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def people_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder of six people."""
    folder = tmp_path_factory.mktemp("datasets") / "people"
    generate_dataset(BiogenConfig(people=6, num_shot_people=20), folder)
    return folder
