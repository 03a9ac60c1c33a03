"""A chat model on this machine: greedy replies in batches."""

from functools import cache

import torch
from transformers import PreTrainedTokenizerBase

from elusive.common.lm.batches import mask_rows, pad_rows
from elusive.common.lm.loading import LoadedModel, load_model

BATCH = 16


@cache
def _loaded(reference: str) -> LoadedModel:
    """A model by reference, loaded once."""
    return load_model(reference)


def local_replies(reference: str, prompts: list[str], max_tokens: int) -> list[str]:
    """Greedy replies; a model without a chat template goes on with the bare prompt.

    Raises:
        InputError: there is no such model.
    """
    if not prompts:
        return []
    loaded = _loaded(reference)
    inputs = [_input_ids(loaded.tokenizer, prompt) for prompt in prompts]
    order = sorted(range(len(inputs)), key=lambda index: len(inputs[index]))
    replies = [""] * len(inputs)
    for first in range(0, len(order), BATCH):
        batch = order[first : first + BATCH]
        new = _generate(loaded, [inputs[index] for index in batch], max_tokens)
        for index, reply in zip(batch, new, strict=True):
            replies[index] = reply
    return replies


def _input_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of a prompt as the model's chat template writes it."""
    if not tokenizer.chat_template:
        return tokenizer(prompt)["input_ids"]
    messages = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tokenizer(str(text), add_special_tokens=False)["input_ids"]


def _generate(loaded: LoadedModel, inputs: list[list[int]], max_tokens: int) -> list[str]:
    """Greedy replies to prompts of similar length."""
    longest = max(len(ids) for ids in inputs)
    pad = loaded.tokenizer.pad_token_id
    pad_id = pad if isinstance(pad, int) else 0
    device = loaded.model.device
    with torch.inference_mode():
        generated = loaded.model.generate(  # type: ignore[operator]
            input_ids=pad_rows(inputs, pad_id, "left", device),
            attention_mask=mask_rows(inputs, "left", device),
            max_new_tokens=max_tokens,
            do_sample=False,
            pad_token_id=pad_id,
        )
    return loaded.tokenizer.batch_decode(generated[:, longest:], skip_special_tokens=True)
