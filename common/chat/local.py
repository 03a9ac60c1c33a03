"""A chat model on this machine, which replies greedily, in batches."""

from functools import cache

import torch
from transformers import PreTrainedTokenizerBase

from elusive.common.lm.batches import mask_rows, pad_rows
from elusive.common.lm.context import check_positions, warn_beyond_context
from elusive.common.lm.encoding import cut_at, encode_text, get_pad_token, list_end_tokens
from elusive.common.lm.generation import generate_greedily
from elusive.common.lm.loading import LoadedModel, load_model
from elusive.common.lm.references import hash_model_weights, hash_settings

BATCH = 16


@cache
def _load_once(reference: str, weights: str, settings: str) -> LoadedModel:
    """Load a model once, and again when its files have changed."""
    return load_model(reference)


def generate_replies(reference: str, prompts: list[str], max_tokens: int) -> list[str]:
    """Generate greedy replies; a model without a chat template continues the bare prompt.

    Raises:
        InputError: there is no such model, or it has too few positions.
    """
    if not prompts:
        return []
    loaded = _load_once(reference, hash_model_weights(reference), hash_settings(reference))
    inputs = [_encode_prompt(loaded.tokenizer, prompt) for prompt in prompts]
    longest = max(map(len, inputs)) + max_tokens
    what, hint = "the longest prompt, with its reply,", "choose a model with a longer context"
    check_positions(loaded.model, longest, what, hint)
    warn_beyond_context(loaded.model, longest, what)
    order = sorted(range(len(inputs)), key=lambda index: len(inputs[index]))
    replies = [""] * len(inputs)
    for first in range(0, len(order), BATCH):
        batch = order[first : first + BATCH]
        batch_replies = _generate(loaded, [inputs[index] for index in batch], max_tokens)
        for index, reply in zip(batch, batch_replies, strict=True):
            replies[index] = reply
    return replies


def _encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    if not tokenizer.chat_template:
        return encode_text(prompt, tokenizer).input_ids
    messages = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return encode_text(str(text), tokenizer, add_start=False).input_ids


def _generate(loaded: LoadedModel, inputs: list[list[int]], max_tokens: int) -> list[str]:
    model, tokenizer = loaded.model, loaded.tokenizer
    pad_id = get_pad_token(tokenizer)
    ends = list_end_tokens(tokenizer, model.generation_config)
    with torch.inference_mode():
        generated = generate_greedily(
            model,
            pad_rows(inputs, pad_id, "left", model.device),
            mask_rows(inputs, "left", model.device),
            max_tokens,
            ends,
            pad_id,
        )
    # What follows an end is padding, which may be an ordinary token.
    replies = [cut_at(row, ends) for row in generated.tolist()]
    return tokenizer.batch_decode(replies, skip_special_tokens=True)
