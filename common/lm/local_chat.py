"""A chat model on this machine, which replies greedily, in batches."""

from functools import cache

import torch
from transformers import PreTrainedTokenizerBase

from elusive.common.lm.batches import mask_rows, pad_rows
from elusive.common.lm.encoding import cut_at, encode_text, get_pad_token, list_end_tokens
from elusive.common.lm.loading import LoadedModel, load_model

BATCH = 16


@cache
def _load_once(reference: str) -> LoadedModel:
    return load_model(reference)


def generate_replies(reference: str, prompts: list[str], max_tokens: int) -> list[str]:
    """Generate greedy replies; a model without a chat template continues the bare prompt.

    Raises:
        InputError: there is no such model.
    """
    if not prompts:
        return []
    loaded = _load_once(reference)
    inputs = [_encode_prompt(loaded.tokenizer, prompt) for prompt in prompts]
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
    longest = max(len(ids) for ids in inputs)
    model, tokenizer = loaded.model, loaded.tokenizer
    pad_id = get_pad_token(tokenizer)
    ends = list_end_tokens(tokenizer, model.generation_config)
    with torch.inference_mode():
        generated = model.generate(  # type: ignore[operator]
            input_ids=pad_rows(inputs, pad_id, "left", model.device),
            attention_mask=mask_rows(inputs, "left", model.device),
            max_new_tokens=max_tokens,
            do_sample=False,
            eos_token_id=ends or None,
            pad_token_id=pad_id,
        )
    # What follows an end is padding, which may be an ordinary token.
    replies = [cut_at(row, ends) for row in generated[:, longest:].tolist()]
    return tokenizer.batch_decode(replies, skip_special_tokens=True)
