"""Scoring biographies with batched column sums, against two other ways.

One reads one text at a time with `output_attentions=True`; the other is the model's plain forward
pass with logits on the same batches.

python benchmarks/scoring.py --model smollm2-135m --people 100
"""

import time

import click
import numpy as np
import torch

from elusive.augment.scores.model_scores import BATCH_TOKENS, pad_texts, score_attention
from elusive.augment.scores.units import encode
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.dataset.records import Document
from elusive.common.lm.batches import batch_by_length
from elusive.common.lm.loading import load_model


def score_one_by_one(documents: list[Document], loaded) -> list[np.ndarray]:
    """Score in the plain way: full attention maps of every layer, then the mean over queries."""
    loaded.model.set_attn_implementation("eager")
    scores = []
    with torch.inference_mode():
        for document in documents:
            ids = torch.tensor([encode(document.text, loaded.tokenizer).input_ids])
            maps = loaded.model(input_ids=ids, output_attentions=True, use_cache=False).attentions
            weights = torch.stack(maps).float().mean((0, 1, 2)).tril(-1)  # (query, key)
            num_queries = torch.arange(len(weights) - 1, -1, -1).clamp(min=1)
            scores.append((weights.sum(0) / num_queries).numpy())
    loaded.model.set_attn_implementation("sdpa")
    return scores


def run_forward(documents: list[Document], loaded) -> float:
    """Run the plain forward pass with logits; return the share of tokens that are padding."""
    texts = [encode(document.text, loaded.tokenizer) for document in documents]
    lengths = [len(text.input_ids) for text in texts]
    num_read = 0
    with torch.inference_mode():
        for batch in batch_by_length(lengths, BATCH_TOKENS):
            ids, mask = pad_texts([texts[index] for index in batch], loaded.model.device)
            loaded.model(input_ids=ids, attention_mask=mask, use_cache=False)
            num_read += ids.numel()
    return 1 - sum(lengths) / num_read


@click.command()
@click.option("--model", default="smollm2-135m")
@click.option("--people", default=100)
@click.option("--rounds", default=3)
def main(model: str, people: int, rounds: int) -> None:
    documents = list(generate_biographies(BiogenConfig(people=people)))
    loaded = load_model(model)
    speedups, forward_ratios = [], []
    for number in range(rounds):
        times = [time.perf_counter()]
        single_scores = score_one_by_one(documents, loaded)
        times.append(time.perf_counter())
        batched_scores = score_attention(documents, loaded)
        times.append(time.perf_counter())
        padding = run_forward(documents, loaded)
        times.append(time.perf_counter())
        single, batched, forward = np.diff(times)
        speedups.append(single / batched)
        forward_ratios.append(batched / forward)
        click.echo(
            f"round {number}: one by one {single:.2f} s, batched column sums {batched:.2f} s "
            f"({speedups[-1]:.2f}x as fast), forward with logits {forward:.2f} s "
            f"(column sums take {forward_ratios[-1]:.2f} of its time)"
        )
    click.echo(f"padding {padding:.1%} of the tokens")
    unit_tokens = encode(documents[0].text, loaded.tokenizer).unit_tokens
    reference = np.array([single_scores[0][tokens].mean() for tokens in unit_tokens])
    correlation = np.corrcoef(reference, batched_scores[0].scores)[0, 1]
    click.echo(
        f"median {np.median(speedups):.2f}x as fast as one by one, "
        f"{np.median(forward_ratios):.2f} of the time of a forward pass with logits; correlation "
        f"of the scores {correlation:.5f}"
    )


if __name__ == "__main__":
    main()
