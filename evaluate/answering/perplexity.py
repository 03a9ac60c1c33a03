"""Perplexity of texts, which shows what training makes a model forget."""

import torch
from transformers import PreTrainedTokenizerBase

from elusive.common.lm.batches import batch_by_length, mask_rows, pad_rows
from elusive.common.lm.chunked_loss import compute_whole_losses
from elusive.common.lm.context import find_context
from elusive.common.lm.packing import IGNORED, build_text_sequence
from elusive.evaluate.answering.batches import Model

BATCH_TOKENS = 1024


def compute_perplexity(model: Model, tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> float:
    """Compute the exponential of the mean loss in nats per token of texts and their end tokens.

    A text is cut where the model's context ends.

    Args:
        model: a decoder, with or without an adapter.
        tokenizer: the model's tokenizer.
        texts: at least one, each with at least two tokens.
    """
    longest = find_context(model)
    sequences = [build_text_sequence(text, tokenizer).input_ids[:longest] for text in texts]
    total = count = 0.0
    with torch.inference_mode():
        for batch in batch_by_length([len(ids) for ids in sequences], BATCH_TOKENS):
            rows = [sequences[index] for index in batch]
            inputs = {
                "input_ids": pad_rows(rows, device=model.device),
                "attention_mask": mask_rows(rows, device=model.device),
                "labels": pad_rows(rows, IGNORED),
            }
            losses = compute_whole_losses(model, inputs)
            total, count = total + float(losses.sum()), count + losses.numel()
    return float(torch.tensor(total / count, dtype=torch.float64).exp())
