"""Dropping tokens from 1,000 documents x 10 copies on one core, against a loop over string tokens.

Both start from the same drop probabilities and end with the texts of the copies and the spans that
they keep. The loop does what people usually write: it draws one random number per token and builds
a new string per dropped token. It makes no rows of an Arrow table, and has one random stream for
all copies. Computing the probabilities from scores is timed by itself. Times are those of the
processor, as other programs lengthen the others.

python benchmarks/dropping.py
"""

import random
import time

import click
import numpy as np

from elusive.augment.config import AugmentConfig
from elusive.augment.copies import BATCH, DocumentBatch, find_drop_probabilities
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.augment.scores.token_scores import TokenScores
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.dataset.records import Document

COPIES = 10


def drop_in_loop(
    documents: list[Document], scored: list[TokenScores], probabilities: list[list[float]]
) -> list[str]:
    """Loop over tokens in plain Python, and cut each dropped token out of the string."""
    rng = random.Random(0)
    texts = []
    for document, scores, chances in zip(documents, scored, probabilities, strict=True):
        texts.append(document.text)
        for _ in range(COPIES):
            text, kept, last = document.text, [], len(document.text)
            for (start, end), chance in reversed(list(zip(scores.units, chances, strict=True))):
                if rng.random() < chance:
                    text = text[:start] + text[end:]
                    kept.append((end, last))
                    last = start
            texts.append(" ".join(text.split()))
    return texts


def build_batches(
    documents: list[Document], scored: list[TokenScores], config: AugmentConfig
) -> list[DocumentBatch]:
    """Cut the documents into the batches whose copies are made together."""
    slices = [slice(start, start + BATCH) for start in range(0, len(documents), BATCH)]
    return [DocumentBatch(documents[chosen], scored[chosen], config) for chosen in slices]


@click.command()
@click.option("--people", default=1000)
@click.option("--rounds", default=7)
def main(people: int, rounds: int) -> None:
    documents = list(generate_biographies(BiogenConfig(people=people)))
    config = AugmentConfig(method="position", copies=COPIES)
    scored = score_documents(documents, Scorers(config))
    chances = [
        find_drop_probabilities(*pair, config)[1].tolist()
        for pair in zip(documents, scored, strict=True)
    ]
    ratios = []
    for number in range(rounds):
        batches = build_batches(documents, scored, config)
        times = [time.process_time()]
        assert all(len(batch.probabilities) for batch in batches)
        times.append(time.process_time())
        num_texts = sum(len(batch.build()) for batch in batches)
        times.append(time.process_time())
        loop_texts = drop_in_loop(documents, scored, chances)
        times.append(time.process_time())
        computing, dropping, looping = np.diff(times)
        ratios.append(looping / dropping)
        assert num_texts == len(loop_texts)
        click.echo(
            f"round {number}: probabilities {1000 * computing:.0f} ms, copies "
            f"{1000 * dropping:.0f} ms, loop {1000 * looping:.0f} ms, {ratios[-1]:.1f}x"
        )
    click.echo(f"median {np.median(ratios):.1f}x, best {max(ratios):.1f}x")


if __name__ == "__main__":
    main()
