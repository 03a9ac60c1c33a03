"""Copies as the trained model reads them: what becomes of dropped tokens, and what is predicted."""

from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from elusive.augment.clue_spans import mark_targets
from elusive.augment.scores.units import cut_words
from elusive.common.dataset.records import Document, Span, TrainingText
from elusive.common.lm.encoding import encode_text, get_end_tokens
from elusive.common.lm.packing import IGNORED, Sequence, build_text_sequence
from elusive.common.text.sentences import find_spaced, join_pieces
from elusive.evaluate.config import TrainingConfig


@dataclass(frozen=True)
class Corruption:
    """What becomes of dropped tokens in the input, and which tokens are predicted."""

    corrupt: str
    """As in `TrainingConfig`."""
    labels: str
    """As in `TrainingConfig`."""
    mask_token: int
    """Id that takes the place of a dropped token if `corrupt` is `mask` or `reconstruct`."""
    vocabulary: np.ndarray
    """Ids that `random` draws from.  # (vocabulary,)"""

    @property
    def needs_probabilities(self) -> bool:
        """Whether drop probabilities decide, not the tokens that the copy has lost."""
        return self.corrupt == "partly-unseen"


def build_corruption(training: TrainingConfig, tokenizer: PreTrainedTokenizerBase) -> Corruption:
    """Build the corruption that the settings name."""
    vocabulary = list_ordinary_tokens(tokenizer)
    return Corruption(training.corrupt, training.labels, choose_mask_token(tokenizer), vocabulary)


def choose_mask_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Choose the token that stands for a dropped one.

    It is the mask token, the padding token, the unknown token or the end token, whichever of them
    the tokenizer has first; few decoders have a mask token.
    """
    names = ("mask_token_id", "pad_token_id", "unk_token_id", "eos_token_id")
    ids = [getattr(tokenizer, name) for name in names]
    return next((token for token in ids if token is not None), 0)


def list_ordinary_tokens(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """List the ids of all tokens except the special ones.  # (vocabulary,)."""
    return np.setdiff1d(list(tokenizer.get_vocab().values()), tokenizer.all_special_ids)


@dataclass(frozen=True)
class EncodedCopy:
    """The tokens of a copy before anything is dropped, and where each comes from."""

    ids: np.ndarray
    """Start token, text and end token.  # (token,)"""
    characters: list[np.ndarray]
    """Characters of the original that make up each token, without leading white space; -1 for
    characters that are not the original's.  # each (character,)"""
    is_kept: np.ndarray
    """Whether all characters of a token are kept.  # (token,)"""

    def mark(self, spans: list[Span], length: int) -> np.ndarray:
        """Mark with True the tokens that share a character with spans of the original.  # (token,).

        Args:
            spans: of the original.
            length: number of characters of the original.
        """
        marks = _mark_characters(spans, length, outside=False)
        return np.array([marks[characters].any() for characters in self.characters], dtype=bool)


def encode_copy(
    text: TrainingText, document: Document, tokenizer: PreTrainedTokenizerBase
) -> EncodedCopy:
    """Encode a copy before anything is dropped from it.

    Args:
        text: the copy.
        document: its original.
        tokenizer: of the model to train.
    """
    # 1) Put the copy together again, and note where each of its characters comes from.
    if text.pieces:
        whole = join_pieces(document.text, text.pieces, document.language)
        spaced = find_spaced(document.text, text.pieces, document.language)
        parts = [
            np.append(np.arange(start, end), np.full(int(is_spaced), -1))
            for (start, end), is_spaced in zip(text.pieces, spaced, strict=True)
        ]
        origin = np.concatenate(parts)[: len(whole)]
    else:
        whole, origin = text.text, np.full(len(text.text), -1)
    # 2) Find the characters of each token.
    encoded = encode_text(whole, tokenizer)
    end_tokens = get_end_tokens(tokenizer)
    spans = [_skip_space(whole, *span) for span in encoded.offsets]
    spans += [(0, 0)] * len(end_tokens)
    characters = [origin[start:end] for start, end in spans]
    # 3) A token is kept if all its characters are.
    kept = _mark_characters(text.kept, len(document.text), outside=True)
    is_kept = np.array([kept[indices].all() for indices in characters], dtype=bool)
    return EncodedCopy(np.array(encoded.input_ids + end_tokens, dtype=int), characters, is_kept)


def _skip_space(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    return start, end


def _mark_characters(spans: list[Span], length: int, outside: bool) -> np.ndarray:
    """Mark characters in spans; the last entry, which index -1 reads, is `outside`."""
    marks = np.zeros(length + 1, dtype=bool)
    for start, end in spans:
        marks[start:end] = True
    marks[-1] = outside
    return marks


def build_copy_sequence(
    text: TrainingText,
    document: Document,
    tokenizer: PreTrainedTokenizerBase,
    corruption: Corruption,
    rng: np.random.Generator,
    probabilities: np.ndarray | None = None,
) -> Sequence:
    """Build the sequence of a copy; one that has lost nothing is predicted as it is.

    Args:
        text: the copy.
        document: its original.
        tokenizer: of the model to train.
        corruption: what becomes of dropped tokens.
        rng: draws random tokens, and the seed of the attention mask.
        probabilities: drop probability of each character of the original, where the corruption
            needs them.  # (character,)
    """
    name = f"{text.doc_id} copy {text.copy}"
    corrupt, clean = corruption.corrupt, corruption.labels == "clean"
    if corrupt == "delete" and not clean:
        sequence = build_text_sequence(text.text, tokenizer)
        return Sequence(sequence.input_ids, sequence.labels, name=name)
    copy = encode_copy(text, document, tokenizer)
    ids, is_kept = copy.ids, copy.is_kept
    if probabilities is not None:
        shares = [_average(probabilities, characters) for characters in copy.characters]
        hidden, mask_seed = (shares, draw_mask_seed(rng)) if any(shares) else (None, 0)
        return Sequence(ids.tolist(), ids.tolist(), None, hidden, mask_seed, name)
    labels = ids if clean else np.where(is_kept, ids, IGNORED)
    hidden, mask_seed = None, 0
    if is_kept.all():
        inputs = ids
    elif corrupt == "delete":
        indices = np.flatnonzero(is_kept[:-1])
        inputs, labels = np.append(ids[indices], ids[-1]), np.append(IGNORED, ids[indices + 1])
    elif corrupt == "unseen":
        inputs, hidden = ids, (~is_kept).astype(float).tolist()
    elif corrupt == "random":
        inputs = np.where(is_kept, ids, rng.choice(corruption.vocabulary, len(ids)))
    else:
        inputs = np.where(is_kept, ids, corruption.mask_token)
        if corrupt == "reconstruct":
            return build_reconstruction(inputs, ids, labels, name)
    return Sequence(inputs.tolist(), labels.tolist(), hidden=hidden, mask_seed=mask_seed, name=name)


def build_reconstruction(
    masked: np.ndarray, whole: np.ndarray, labels: np.ndarray, name: str
) -> Sequence:
    """Build a sequence of a masked copy and the whole copy, of which only the latter is predicted.

    Both end with the end token, and so does the copy that is written at last.

    Source: masked fine-tuning, arXiv 2510.09885, without its instruction and chat template.
    """
    ignored = np.full(len(masked), IGNORED)
    inputs = np.append(masked, whole)
    return Sequence(inputs.tolist(), np.append(ignored, labels).tolist(), name=name)


def draw_mask_seed(rng: np.random.Generator) -> int:
    """Draw the seed of a sequence's attention mask."""
    return int(rng.integers(2**63))


def _average(probabilities: np.ndarray, characters: np.ndarray) -> float:
    """Average the probabilities of a token's characters; 0 for tokens that have none."""
    known = characters[characters >= 0]
    return float(probabilities[known].mean()) if len(known) else 0.0


@dataclass(frozen=True)
class TargetRates:
    """Shares of tokens of the copies that training predicts, in [0, 1].

    None where the copies have no such tokens, or it is not known where they are.
    """

    tokens: float | None
    """Of all tokens but special ones."""
    values: float | None
    """Of the first tokens of the values of facts."""
    names: float | None
    """Of the tokens of the entity's name, wherever it occurs."""
    relations: float | None
    """Of the tokens of relation words."""


def measure_targets(
    texts: list[TrainingText],
    documents: dict[str, Document],
    tokenizer: PreTrainedTokenizerBase,
    corruption: Corruption,
) -> TargetRates:
    """Measure which tokens of some copies are predicted.

    With deleted tokens and clean labels, a token is predicted only where the token before it is
    kept, so these shares depend on what an arm keeps; compare arms with this in mind.

    Args:
        texts: copies, without originals.
        documents: originals by id.
        tokenizer: of the model to train.
        corruption: what becomes of dropped tokens.
    """
    counts = np.zeros((4, 2))  # (group, predicted or all)
    clues = {doc_id: _list_clues(documents[doc_id]) for doc_id in {text.doc_id for text in texts}}
    for text in texts:
        document = documents[text.doc_id]
        copy = encode_copy(text, document, tokenizer)
        is_predicted = _mark_predicted(copy.is_kept, corruption)
        for group, mask in enumerate(_mark_groups(copy, clues[text.doc_id], document)):
            counts[group] += (mask & is_predicted).sum(), mask.sum()
    return TargetRates(*(float(part / whole) if whole else None for part, whole in counts))


def _mark_predicted(is_kept: np.ndarray, corruption: Corruption) -> np.ndarray:
    is_predicted = np.ones_like(is_kept)
    if corruption.labels == "dropped" and not corruption.needs_probabilities:
        is_predicted = is_kept.copy()
    elif corruption.labels == "clean" and corruption.corrupt == "delete":
        is_predicted[1:] = is_kept[:-1]
    is_predicted[:1] = False  # nothing stands before the first token
    return is_predicted


def _list_clues(document: Document) -> list[list[Span]]:
    """List the first characters of values, the names, and the relation words of a document."""
    words = cut_words(document.text)
    is_relation = mark_targets(document, words)["relation"]
    return [
        [(fact.start, fact.start + 1) for fact in document.facts],
        document.heads,
        [word for word, marked in zip(words, is_relation, strict=True) if marked],
    ]


def _mark_groups(
    copy: EncodedCopy, clues: list[list[Span]], document: Document
) -> list[np.ndarray]:
    """Mark all ordinary tokens of a copy, and those of each kind of clue."""
    is_ordinary = np.array([len(characters) > 0 for characters in copy.characters], dtype=bool)
    return [is_ordinary, *(copy.mark(group, len(document.text)) for group in clues)]
