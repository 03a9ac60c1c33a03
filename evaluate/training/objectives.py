"""Arms that act in training: their text is plain, but they change what each step learns."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from elusive.common.errors import InputError
from elusive.common.lm.batches import batch_by_length, mask_rows, pad_rows
from elusive.common.lm.loading import LoadedModel, load_model
from elusive.common.lm.packing import IGNORED, Sequence
from elusive.evaluate.config import NEXT_TOKEN, TrainingConfig

BATCH_TOKENS = 1024

ChangeSequences = Callable[[list[Sequence], np.random.Generator], list[Sequence]]
BuildMask = Callable[[torch.Tensor, torch.dtype, np.random.Generator], torch.Tensor]
ReduceLosses = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Objective:
    """How training differs from predicting the next token; None leaves a part unchanged."""

    change_sequences: ChangeSequences | None = None
    """Map the text sequences of an epoch to those that are trained on; replayed questions stay as
    they are."""
    build_mask: BuildMask | None = None
    """Map the position ids of a packed row to its additive attention mask."""
    reduce_losses: ReduceLosses | None = None
    """Reduce the losses of labeled tokens, given those under a reference model, to one loss."""


def build_objective(config: TrainingConfig, loaded: LoadedModel) -> Objective:
    """Build the objective that the settings name.

    Raises:
        InputError: a model that the objective needs cannot be used.
    """
    if config.objective == NEXT_TOKEN:
        return Objective()
    return OBJECTIVES[config.objective](config, loaded)


def _build_d_ar(config: TrainingConfig, loaded: LoadedModel) -> Objective:
    """Source: D-AR, Saito et al. 2025."""
    vocabulary = list_ordinary_tokens(loaded.tokenizer)

    def change(sequences: list[Sequence], rng: np.random.Generator) -> list[Sequence]:
        return [replace_tokens(sequence, config.noise, vocabulary, rng) for sequence in sequences]

    return Objective(change_sequences=change)


def _build_attention_dropout(config: TrainingConfig, loaded: LoadedModel) -> Objective:
    """Source: the baseline "attention dropout" of Saito et al. 2025."""

    def build_mask(
        position_ids: torch.Tensor, dtype: torch.dtype, rng: np.random.Generator
    ) -> torch.Tensor:
        return sample_attention_mask(position_ids, config.noise, dtype, rng)

    return Objective(build_mask=build_mask)


def _build_rho_1(config: TrainingConfig, loaded: LoadedModel) -> Objective:
    """Source: Rho-1, Lin et al. 2024, arXiv 2404.07965, section 2.2."""
    assert config.reference is not None
    reference = load_model(config.reference)
    check_same_tokenizer(loaded, reference)
    return Objective(
        change_sequences=lambda sequences, rng: add_reference_losses(sequences, reference),
        reduce_losses=partial(compute_selected_loss, share=config.selected),
    )


OBJECTIVES: dict[str, Callable[[TrainingConfig, LoadedModel], Objective]] = {
    "d-ar": _build_d_ar,
    "attention-dropout": _build_attention_dropout,
    "rho-1": _build_rho_1,
}
"""Arms of kind `objective` in `augment/arms.py`, with the functions that build them."""


def replace_tokens(
    sequence: Sequence, share: float, vocabulary: np.ndarray, rng: np.random.Generator
) -> Sequence:
    """Replace some input tokens of a sequence by random ones; the labels stay the same.

    Args:
        sequence: its first token, which may be the start token, is never replaced.
        share: probability with which each token is replaced.
        vocabulary: token ids to draw from.  # (vocabulary,)
        rng: source of randomness.
    """
    is_replaced = rng.random(len(sequence.input_ids)) < share
    is_replaced[:1] = False
    random_ids = rng.choice(vocabulary, len(sequence.input_ids))
    input_ids = np.where(is_replaced, random_ids, sequence.input_ids).tolist()
    return replace(sequence, input_ids=input_ids)


def list_ordinary_tokens(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """List the ids of all tokens except the special ones.  # (vocabulary,)."""
    return np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)


def sample_attention_mask(
    position_ids: torch.Tensor, share: float, dtype: torch.dtype, rng: np.random.Generator
) -> torch.Tensor:
    """Sample the additive attention mask of a packed row, with some open entries closed.

    Every token attends to itself. The same entries are closed in all layers and heads.

    Args:
        position_ids: restart at 0 in every sequence.  # (1, token)
        share: probability with which each open entry is closed.
        dtype: of the model's attention.
        rng: source of randomness.

    Returns:
        0 where a query sees a key, elsewhere the lowest number of `dtype`.  # (1, 1, query, key)
    """
    sequence = (position_ids[0] == 0).cumsum(0)
    length = len(sequence)
    is_open = (sequence[:, None] == sequence[None]) & torch.ones(length, length).tril().bool()
    is_closed = torch.from_numpy(rng.random((length, length)) < share)
    is_open &= ~is_closed | torch.eye(length, dtype=torch.bool)
    return torch.where(is_open, 0.0, torch.finfo(dtype).min).to(dtype)[None, None]


def compute_selected_loss(
    losses: torch.Tensor, reference: torch.Tensor, share: float
) -> torch.Tensor:
    """Compute the mean loss of the tokens whose loss exceeds the reference model's most.

    Args:
        losses: of labeled tokens, in nats.  # (token,)
        reference: losses under the reference model; -inf for tokens that always count.  # (token,)
        share: share of the remaining tokens that counts: those with the largest excess loss.
    """
    excess = losses.detach() - reference
    num_always = int(excess.isposinf().sum())
    num_selected = num_always + max(1, round(share * (len(losses) - num_always)))
    return losses[excess.topk(min(num_selected, len(losses))).indices].mean()


def add_reference_losses(sequences: list[Sequence], reference: LoadedModel) -> list[Sequence]:
    """Return the sequences with each label's loss under a reference model."""
    keys = [(tuple(sequence.input_ids), tuple(sequence.labels)) for sequence in sequences]
    distinct = list(dict(zip(keys, sequences, strict=True)).items())  # plain copies repeat
    lengths = [len(sequence.input_ids) for _, sequence in distinct]
    losses: dict[tuple, list[float]] = {}
    for batch in batch_by_length(lengths, BATCH_TOKENS):
        rows = _compute_losses([distinct[index][1] for index in batch], reference)
        for index, row in zip(batch, rows, strict=True):
            losses[distinct[index][0]] = row[: lengths[index]]
    return [
        replace(sequence, reference_losses=losses[key])
        for key, sequence in zip(keys, sequences, strict=True)
    ]


def _compute_losses(sequences: list[Sequence], reference: LoadedModel) -> list[list[float]]:
    """Compute each label's loss in sequences of similar length; 0 where there is no label."""
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
            f"reference {reference.source.reference!r} and {trained.source.reference!r} have "
            "different tokenizers, but rho-1 compares losses token by token: choose a reference "
            "of the same family"
        )
