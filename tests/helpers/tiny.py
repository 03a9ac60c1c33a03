"""Tiny models with random weights, built here and never downloaded."""

import copy

import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    FalconConfig,
    Gemma2Config,
    GPT2Config,
    GPTJConfig,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    OPTConfig,
    PhiConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

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
    "qwen3": Qwen3Config(**SHAPE, **GROUPED, **TOKENS, head_dim=8),
    "mistral": MistralConfig(**SHAPE, **GROUPED, **TOKENS, sliding_window=6),
    "gpt_neox": GPTNeoXConfig(
        **SHAPE,
        **TOKENS,
        num_hidden_layers=3,
        num_attention_heads=4,
    ),
    "opt": OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        ffn_dim=64,
        word_embed_proj_dim=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        **TOKENS,
    ),
    "phi": PhiConfig(**SHAPE, **TOKENS, num_hidden_layers=3, num_attention_heads=4),
    "bloom": BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=3, n_head=4, **TOKENS),
    "falcon": FalconConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, **TOKENS
    ),
    "gptj": GPTJConfig(
        vocab_size=VOCABULARY, n_embd=32, n_layer=3, n_head=4, rotary_dim=4, **TOKENS
    ),
    "gpt_neo": GPTNeoConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_layers=3,
        num_heads=4,
        attention_types=[[["global", "local", "global"], 1]],
        window_size=6,
        **TOKENS,
    ),
    "mamba": MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, **TOKENS),
}
"""Architectures by name, each with weights large enough that attention is not uniform."""


def tiny_model(name: str, seed: int = 0) -> PreTrainedModel:
    """A random model in evaluation mode, float32."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(copy.deepcopy(CONFIGS[name]), dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return model.eval()
