"""Scoring biographies: batched column sums against `output_attentions=True`, one text at a time,
and against the model's plain forward pass with logits on the same batches.

python benchmarks/scoring.py --model smollm2-135m --people 100
"""

import time

import click
import numpy as np
import torch

from elusive.augment.scores.scoring import BATCH_TOKENS, pad_texts, score_attention
from elusive.augment.scores.units import encode
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.dataset.records import Document
from elusive.common.lm.batches import batch_by_length
from elusive.common.lm.loading import load_model


def one_by_one(documents: list[Document], loaded) -> list[np.ndarray]:
    """The plain way: full attention maps of every layer, then the mean over later queries."""
    loaded.model.set_attn_implementation("eager")
    scores = []
    with torch.inference_mode():
        for document in documents:
            ids = torch.tensor([encode(document.text, loaded.tokenizer).input_ids])
            maps = loaded.model(input_ids=ids, output_attentions=True, use_cache=False).attentions
            square = torch.stack(maps).float().mean((0, 1, 2)).tril(-1)  # (query, key)
            later = torch.arange(len(square) - 1, -1, -1).clamp(min=1)
            scores.append((square.sum(0) / later).numpy())
    loaded.model.set_attn_implementation("sdpa")
    return scores


def forward(documents: list[Document], loaded) -> float:
    """The plain forward pass with logits; the share of tokens that only pad a batch."""
    texts = [encode(document.text, loaded.tokenizer) for document in documents]
    lengths = [len(text.input_ids) for text in texts]
    read = 0
    with torch.inference_mode():
        for batch in batch_by_length(lengths, BATCH_TOKENS):
            ids, mask = pad_texts([texts[index] for index in batch], loaded.model.device)
            loaded.model(input_ids=ids, attention_mask=mask, use_cache=False)
            read += ids.numel()
    return 1 - sum(lengths) / read


@click.command()
@click.option("--model", default="smollm2-135m")
@click.option("--people", default=100)
@click.option("--rounds", default=3)
def main(model: str, people: int, rounds: int) -> None:
    documents = list(generate_biographies(BiogenConfig(people=people)))
    loaded = load_model(model)
    ratios, of_forward = [], []
    for number in range(rounds):
        times = [time.perf_counter()]
        slow = one_by_one(documents, loaded)
        times.append(time.perf_counter())
        fast = score_attention(documents, loaded)
        times.append(time.perf_counter())
        padding = forward(documents, loaded)
        times.append(time.perf_counter())
        single, batched, plain = np.diff(times)
        ratios.append(single / batched)
        of_forward.append(batched / plain)
        click.echo(
            f"round {number}: one by one {single:.2f} s, batched column sums {batched:.2f} s "
            f"({ratios[-1]:.2f}x as fast), forward with logits {plain:.2f} s "
            f"({of_forward[-1]:.2f} of its time)"
        )
    click.echo(f"padding {padding:.1%} of the tokens")
    units = encode(documents[0].text, loaded.tokenizer).unit_tokens
    reference = np.array([slow[0][tokens].mean() for tokens in units])
    correlation = np.corrcoef(reference, fast[0].scores)[0, 1]
    click.echo(
        f"median {np.median(ratios):.2f}x as fast as one by one, {np.median(of_forward):.2f} of "
        f"the time of a forward pass with logits; correlation of the scores {correlation:.5f}"
    )


if __name__ == "__main__":
    main()
