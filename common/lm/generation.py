"""Greedy generation that no setting of a model changes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from peft import PeftModel
from transformers import Cache, GenerationConfig, PreTrainedModel

from elusive.common.lm.adapters import get_base_model


def generate_greedily(
    model: PreTrainedModel | PeftModel,
    input_ids: torch.Tensor,
    mask: torch.Tensor,
    max_new_tokens: int,
    ending: list[int],
    pad_id: int,
    cache: Cache | None = None,
    use_cache: bool = True,
) -> torch.Tensor:
    """Generate the most probable token again and again; return the new tokens, padded at the end.

    What `generation_config.json` asks for (sampling, beams, penalties, n-grams or tokens that must
    not come, tokens that must) is left aside: it is made for chats, and changes answers in silence.

    Args:
        model: decoder, with or without an adapter.
        input_ids: prompts, padded on the left.  # (batch, token)
        mask: 0 at padding.  # (batch, token)
        max_new_tokens: largest number of new tokens.
        ending: tokens after which a row ends.
        pad_id: token that fills rows which have ended.
        cache: of the first tokens of all prompts, if they have been read.
        use_cache: keep keys and values of the tokens so far.
    """
    base = get_base_model(model)
    with _use_plain_settings(base):
        generated = base.generate(  # type: ignore[operator]
            input_ids=input_ids,
            attention_mask=mask,
            past_key_values=cache,
            max_new_tokens=max_new_tokens,
            use_cache=use_cache,
            do_sample=False,
            eos_token_id=ending or None,
            pad_token_id=pad_id,
        )
    return generated[:, input_ids.shape[1] :]


@contextmanager
def _use_plain_settings(model: PreTrainedModel) -> Iterator[None]:
    """Take a model's generation settings away: `generate` fills in those that it is not told."""
    before = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = before
