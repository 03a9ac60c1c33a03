"""Arms that act in training: their text is plain, and every step they change what is learnt."""

from dataclasses import replace

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from elusive.common.errors import InputError
from elusive.common.lm.batches import length_sorted_batches, mask_rows, pad_rows
from elusive.common.lm.loading import LoadedModel
from elusive.common.lm.packing import IGNORED, Sequence

BATCH_TOKENS = 1024


def with_random_tokens(
    sequence: Sequence, share: float, vocabulary: np.ndarray, rng: np.random.Generator
) -> Sequence:
    """A sequence with some input tokens replaced by random ones; what is predicted stays.

    Args:
        sequence: its first token, which may be the start token, is never replaced.
        share: probability with which a token is replaced.
        vocabulary: token ids to draw from.  # (token kind,)
        rng: randomness.

    Source: D-AR, Saito et al. 2025.
    """
    chosen = rng.random(len(sequence.input_ids)) < share
    chosen[:1] = False
    drawn = rng.choice(vocabulary, len(sequence.input_ids))
    return replace(sequence, input_ids=np.where(chosen, drawn, sequence.input_ids).tolist())


def ordinary_tokens(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Ids of all tokens but the special ones.  # (token kind,)."""
    return np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)


def noisy_mask(
    position_ids: torch.Tensor, share: float, dtype: torch.dtype, rng: np.random.Generator
) -> torch.Tensor:
    """Additive attention mask of a packed row with some of its open entries closed.

    A token always sees itself. The same entries are closed in all layers and heads.

    Args:
        position_ids: they restart at 0 with every sequence.  # (1, token)
        share: probability with which an open entry is closed.
        dtype: of the model's attention.
        rng: randomness.

    Returns:
        0 where a query sees a key, the lowest number elsewhere.  # (1, 1, query, key)

    Source: the baseline "attention dropout" of Saito et al. 2025.
    """
    sequence = (position_ids[0] == 0).cumsum(0)
    length = len(sequence)
    seen = (sequence[:, None] == sequence[None]) & torch.ones(length, length).tril().bool()
    closed = torch.from_numpy(rng.random((length, length)) < share)
    seen &= ~closed | torch.eye(length, dtype=torch.bool)
    return torch.where(seen, 0.0, torch.finfo(dtype).min).to(dtype)[None, None]


def selected_loss(losses: torch.Tensor, reference: torch.Tensor, share: float) -> torch.Tensor:
    """Mean loss of the tokens that are harder for the model than for the reference model.

    Args:
        losses: of each labelled token, in nats.  # (token,)
        reference: under the reference model; -inf for tokens that always count.  # (token,)
        share: of the other tokens, those with the highest excess loss, that count.

    Source: Rho-1, Lin et al. 2024, arXiv 2404.07965, section 2.2.
    """
    excess = losses.detach() - reference
    always = int(excess.isposinf().sum())
    count = always + max(1, round(share * (len(losses) - always)))
    return losses[excess.topk(min(count, len(losses))).indices].mean()


def with_reference_losses(sequences: list[Sequence], reference: LoadedModel) -> list[Sequence]:
    """Sequences with the loss of each of their labels under a reference model."""
    keys = [(tuple(sequence.input_ids), tuple(sequence.labels)) for sequence in sequences]
    distinct = list(dict(zip(keys, sequences, strict=True)).items())  # most texts come often
    lengths = [len(sequence.input_ids) for _, sequence in distinct]
    found: dict[tuple, list[float]] = {}
    for batch in length_sorted_batches(lengths, BATCH_TOKENS):
        losses = _losses([distinct[index][1] for index in batch], reference)
        for index, row in zip(batch, losses, strict=True):
            found[distinct[index][0]] = row[: lengths[index]]
    return [
        replace(sequence, reference_losses=found[key])
        for key, sequence in zip(keys, sequences, strict=True)
    ]


def _losses(sequences: list[Sequence], reference: LoadedModel) -> list[list[float]]:
    """Loss of each label of some sequences of like length, 0 where nothing is predicted."""
    rows = [sequence.input_ids for sequence in sequences]
    labels = pad_rows([sequence.labels for sequence in sequences], IGNORED)
    device = reference.model.device
    with torch.inference_mode():
        logits = reference.model(
            input_ids=pad_rows(rows, device=device),
            attention_mask=mask_rows(rows, device=device),
            use_cache=False,
        ).logits[:, :-1]
    losses = torch.zeros(labels.shape)
    losses[:, 1:] = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2), labels[:, 1:].to(device), reduction="none"
    ).cpu()
    return losses.tolist()


def check_same_tokenizer(trained: LoadedModel, reference: LoadedModel) -> None:
    """Raise InputError if the two models do not read the same tokens."""
    if trained.tokenizer.get_vocab() != reference.tokenizer.get_vocab():
        raise InputError(
            f"reference {reference.source.reference!r} has another tokenizer than "
            f"{trained.source.reference!r}: rho-1 compares losses token by token"
        )
