"""Scoring biographies: batched column sums against `output_attentions=True`, one text at a time.

python benchmarks/scoring.py --model smollm2-135m --people 100
"""

import time

import click
import numpy as np
import torch

from elusive.augment.scoring import score_attention
from elusive.augment.tokens import encode
from elusive.biogen.biographies import biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.models import load_model
from elusive.common.records import Document


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


@click.command()
@click.option("--model", default="smollm2-135m")
@click.option("--people", default=100)
@click.option("--rounds", default=3)
def main(model: str, people: int, rounds: int) -> None:
    documents = list(biographies(BiogenConfig(people=people)))
    loaded = load_model(model)
    ratios = []
    for number in range(rounds):
        start = time.perf_counter()
        slow = one_by_one(documents, loaded)
        middle = time.perf_counter()
        fast = score_attention(documents, loaded)
        end = time.perf_counter()
        ratios.append((middle - start) / (end - middle))
        click.echo(
            f"round {number}: one by one {middle - start:.2f} s, batched column sums "
            f"{end - middle:.2f} s, {ratios[-1]:.2f}x"
        )
    units = encode(documents[0].text, loaded.tokenizer).unit_tokens
    reference = np.array([slow[0][tokens].mean() for tokens in units])
    correlation = np.corrcoef(reference, fast[0].scores)[0, 1]
    click.echo(f"median {np.median(ratios):.2f}x; correlation of the scores {correlation:.5f}")


if __name__ == "__main__":
    main()
