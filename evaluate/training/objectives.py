"""Arms that act in training: their text is plain, but they change what each step learns."""

import math
from collections import abc
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from tempfile import TemporaryFile

import numpy as np
import torch

from elusive.common.dataset.lazy_rows import LazyRows
from elusive.common.errors import InputError
from elusive.common.lm.batches import batch_by_length, mask_rows, pad_rows
from elusive.common.lm.chunked_loss import compute_whole_losses
from elusive.common.lm.context import check_positions
from elusive.common.lm.loading import LoadedModel, load_model
from elusive.common.lm.packing import IGNORED, Sequence
from elusive.common.seeding import hashed
from elusive.evaluate.config import NEXT_TOKEN, TrainingConfig
from elusive.evaluate.training.corruption import (
    build_reconstruction,
    choose_mask_token,
    draw_mask_seed,
    list_ordinary_tokens,
)
from elusive.evaluate.training.guided_masking import hide_before_sentences

BATCH_TOKENS = 1024
SCORED_TOGETHER = 8192
"""Sequences that a reference model reads before their losses are written down."""
GOLDFISH_CONTEXT = 13
"""Number of tokens whose hash decides whether the next one is left out of the goldfish loss."""

Sequences = abc.Sequence[Sequence]
ChangeCopy = Callable[[Sequence, np.random.Generator], Sequence]
ReduceLosses = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]


@dataclass(frozen=True)
class Objective:
    """How training differs from predicting the next token; None leaves a part unchanged.

    Replayed questions are always trained on as they are.
    """

    change_copy: ChangeCopy | None = None
    """Map the sequence of a copy to the one that is trained on; originals stay as they are."""
    change_text: Callable[[Sequence], Sequence] | None = None
    """Map the sequence of a text, be it an original or a copy, to the one that is trained on."""
    change_epoch: Callable[[Sequences, str], Sequences] | None = None
    """Map the sequences of an epoch's texts, originals included, in a language; at once, so before
    training."""
    reduce_losses: ReduceLosses | None = None
    """Reduce the losses of a row's labeled tokens to one loss; also takes those under a reference
    model, if the sequences have them."""


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

    def change(sequence: Sequence, rng: np.random.Generator) -> Sequence:
        return replace_tokens(sequence, config.get_setting("noise"), vocabulary, rng)

    return Objective(change_copy=change)


def _build_meap(config: TrainingConfig, loaded: LoadedModel) -> Objective:
    """Source: MEAP, arXiv 2502.07490, section 3, which masks 15% of the tokens."""
    mask_token = np.array([choose_mask_token(loaded.tokenizer)])

    def change(sequence: Sequence, rng: np.random.Generator) -> Sequence:
        return replace_tokens(sequence, config.get_setting("noise"), mask_token, rng)

    return Objective(change_copy=change)


def _build_masked_fine_tuning(config: TrainingConfig, loaded: LoadedModel) -> Objective:
    """Source: arXiv 2510.09885, without its instruction and chat template."""
    mask_token = np.array([choose_mask_token(loaded.tokenizer)])

    def change(sequence: Sequence, rng: np.random.Generator) -> Sequence:
        check_nothing_hidden(sequence, "masked-fine-tuning")
        masked = replace_tokens(sequence, config.get_setting("noise"), mask_token, rng)
        rows = (masked.input_ids, sequence.input_ids, sequence.labels)
        return build_reconstruction(*map(np.array, rows), name=sequence.name)

    return Objective(change_copy=change)


def _build_attention_dropout(config: TrainingConfig, loaded: LoadedModel) -> Objective:
    """Source: the baseline "attention dropout" of Saito et al. 2025."""

    def change(sequence: Sequence, rng: np.random.Generator) -> Sequence:
        before = sequence.hidden or [0.0] * len(sequence.input_ids)
        hidden = [1 - (1 - share) * (1 - config.get_setting("noise")) for share in before]
        hidden[:1] = before[:1]  # the first token, which may be the start token, stays open
        return replace(sequence, hidden=hidden, mask_seed=draw_mask_seed(rng))

    return Objective(change_copy=change)


def _build_guided_masking(config: TrainingConfig, loaded: LoadedModel) -> Objective:
    reference = load_model(config.reference) if config.reference else None
    if reference:
        check_same_tokenizer(loaded, reference, "guided-masking")

    share = config.get_setting("noise")
    return Objective(
        change_epoch=lambda sequences, language: hide_before_sentences(
            sequences, language, loaded, reference, share
        )
    )


def _build_rho_1(config: TrainingConfig, loaded: LoadedModel) -> Objective:
    """Source: Rho-1, Lin et al. 2024, arXiv 2404.07965, section 2.2."""
    assert config.reference is not None
    reference = load_model(config.reference)
    check_same_tokenizer(loaded, reference, "rho-1")
    return Objective(
        change_epoch=lambda sequences, language: add_reference_losses(sequences, reference),
        reduce_losses=partial(compute_selected_loss, share=config.get_setting("selected")),
    )


def _build_memft(config: TrainingConfig, loaded: LoadedModel) -> Objective:
    """Source: MemFT, arXiv 2605.30260: only tokens with a probability below one half count."""

    def mark_text(sequence: Sequence) -> Sequence:
        # Replayed questions have no reference losses, so that their answers always count.
        return replace(sequence, reference_losses=[0.0] * len(sequence.input_ids))

    known_above = config.get_setting("known_above")
    return Objective(
        change_text=mark_text,
        reduce_losses=partial(compute_unknown_loss, probability=known_above),
    )


def _build_goldfish(config: TrainingConfig, loaded: LoadedModel) -> Objective:
    """Source: goldfish loss, arXiv 2406.10209, section 3.1, with hashed contexts."""

    one_in = config.get_setting("one_in")
    return Objective(change_text=lambda sequence: drop_labels_by_hash(sequence, one_in))


def _build_usual(config: TrainingConfig, loaded: LoadedModel) -> Objective:
    """Only a setting of the adapters or of the optimizer differs."""
    return Objective()


OBJECTIVES: dict[str, Callable[[TrainingConfig, LoadedModel], Objective]] = {
    "d-ar": _build_d_ar,
    "meap": _build_meap,
    "masked-fine-tuning": _build_masked_fine_tuning,
    "attention-dropout": _build_attention_dropout,
    "guided-masking": _build_guided_masking,
    "rho-1": _build_rho_1,
    "memft": _build_memft,
    "goldfish": _build_goldfish,
    "lora-dropout": _build_usual,
    "weight-decay": _build_usual,
}
"""Arms of kind `objective` in `augment/arms.py`, with the functions that build them."""


def check_nothing_hidden(sequence: Sequence, objective: str) -> None:
    """Raise InputError if the attention mask hides tokens, which the objective would show."""
    if sequence.hidden and any(sequence.hidden):
        raise InputError(
            f"objective {objective!r} shows the tokens that corrupt 'unseen' and 'partly-unseen' "
            "hide: use corrupt 'mask', 'random' or 'delete' with it"
        )


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


def drop_labels_by_hash(sequence: Sequence, one_in: int) -> Sequence:
    """Leave one in `one_in` labels out of the loss, always the same ones after the same tokens.

    Args:
        sequence: whose first tokens, with fewer than 13 before them, all stay.
        one_in: 4 leaves out a quarter of the labels.
    """
    ids = np.array(sequence.input_ids)
    if len(ids) <= GOLDFISH_CONTEXT:
        return sequence
    contexts = np.lib.stride_tricks.sliding_window_view(ids, GOLDFISH_CONTEXT)[:-1]
    hashes = np.zeros(len(contexts), dtype=np.uint64)
    for column in contexts.T:
        hashes = hashed(hashes, column)
    labels = np.array(sequence.labels)
    labels[GOLDFISH_CONTEXT:][hashes % one_in == 0] = IGNORED
    return replace(sequence, labels=labels.tolist())


def compute_unknown_loss(
    losses: torch.Tensor, reference: torch.Tensor | None, probability: float
) -> torch.Tensor:
    """Compute the mean loss of the tokens that the model finds improbable; 0 if there are none.

    Args:
        losses: of labeled tokens, in nats.  # (token,)
        reference: -inf for tokens that always count; None if all do.  # (token,)
        probability: tokens that are at least as probable do not count.
    """
    if reference is None:
        return losses.mean()
    is_unknown = losses.detach() > -math.log(probability)
    counts = (is_unknown | reference.isneginf()).float()
    return (losses * counts).sum() / counts.sum().clamp(min=1)


def compute_selected_loss(
    losses: torch.Tensor, reference: torch.Tensor | None, share: float
) -> torch.Tensor:
    """Compute the mean loss of the tokens whose loss exceeds the reference model's most.

    Args:
        losses: of labeled tokens, in nats.  # (token,)
        reference: losses under the reference model; -inf for tokens that always count; None if all
            do.  # (token,)
        share: share of the remaining tokens that counts: those with the largest excess loss.
    """
    if reference is None:
        return losses.mean()
    excess = losses.detach() - reference
    num_always = int(excess.isposinf().sum())
    num_selected = num_always + max(1, round(share * (len(losses) - num_always)))
    return losses[excess.topk(min(num_selected, len(losses))).indices].mean()


class ScoredSequences(LazyRows[Sequence]):
    """Sequences with the losses of their tokens, which are read when they are asked for.

    Args:
        sequences: without losses.
        losses: of all tokens, one sequence after another.  # (token,)
        ends: number of the token after the last one of each sequence.  # (sequence,)
    """

    def __init__(self, sequences: Sequences, losses: np.ndarray, ends: np.ndarray) -> None:
        self._sequences, self._losses, self._ends = sequences, losses, ends

    def __len__(self) -> int:
        return len(self._ends)

    def get(self, index: int) -> Sequence:
        """Read one sequence."""
        sequence, end = self._sequences[index], int(self._ends[index])
        losses = self._losses[end - len(sequence.input_ids) : end]
        return replace(sequence, reference_losses=losses.tolist())


def add_reference_losses(sequences: Sequences, reference: LoadedModel) -> ScoredSequences:
    """Return the sequences with each label's loss under a reference model.

    The losses are computed at once, some thousand sequences at a time, and read from a temporary
    file.

    Raises:
        InputError: the attention mask hides tokens, which the reference model would see; or the
            reference model has too few positions.
    """
    ends = [0]
    with TemporaryFile(prefix="elusive-losses-") as file:
        for start in range(0, len(sequences), SCORED_TOGETHER):
            chunk = sequences[start : start + SCORED_TOGETHER]
            for losses in _compute_reference_losses(chunk, reference):
                file.write(np.array(losses, np.float32).tobytes())
                ends.append(ends[-1] + len(losses))
        file.flush()
        # The file stays until nothing of it is mapped.
        losses = np.memmap(file, np.float32, "r", shape=(ends[-1],))  # (token,)
    return ScoredSequences(sequences, losses, np.array(ends[1:]))


def _compute_reference_losses(sequences: Sequences, reference: LoadedModel) -> list[list[float]]:
    """Compute each label's loss in sequences of any length; equal ones are read once."""
    for sequence in sequences:
        check_nothing_hidden(sequence, "rho-1")
    keys = [(tuple(sequence.input_ids), tuple(sequence.labels)) for sequence in sequences]
    distinct = list(dict(zip(keys, sequences, strict=True)).items())  # plain copies repeat
    lengths = [len(sequence.input_ids) for _, sequence in distinct]
    what = f"the longest text for reference {reference.source.reference!r}"
    hint = "choose a reference with a longer context"
    check_positions(reference.model, max(lengths), what, hint)
    losses: dict[tuple, list[float]] = {}
    for batch in batch_by_length(lengths, BATCH_TOKENS):
        rows = _compute_losses([distinct[index][1] for index in batch], reference)
        for index, row in zip(batch, rows, strict=True):
            losses[distinct[index][0]] = row[: lengths[index]]
    return [losses[key] for key in keys]


def _compute_losses(sequences: list[Sequence], reference: LoadedModel) -> list[list[float]]:
    """Compute each label's loss in sequences of similar length; 0 where there is no label."""
    rows = [sequence.input_ids for sequence in sequences]
    labels = pad_rows([sequence.labels for sequence in sequences], IGNORED)
    device = reference.model.device
    inputs = {
        "input_ids": pad_rows(rows, device=device),
        "attention_mask": mask_rows(rows, device=device),
        "labels": labels,
    }
    losses = torch.zeros(labels.shape)
    is_predicted = labels[:, 1:] != IGNORED
    with torch.inference_mode():
        losses[:, 1:][is_predicted] = compute_whole_losses(reference.model, inputs).cpu()
    return losses.tolist()


def check_same_tokenizer(trained: LoadedModel, reference: LoadedModel, objective: str) -> None:
    """Raise InputError if the two models do not read the same tokens."""
    if trained.tokenizer.get_vocab() != reference.tokenizer.get_vocab():
        raise InputError(
            f"reference {reference.source.reference!r} and {trained.source.reference!r} have "
            f"different tokenizers, but {objective} compares them token by token: choose a "
            "reference of the same family"
        )
