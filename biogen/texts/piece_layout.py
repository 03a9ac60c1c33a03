"""Which pieces each document consists of, and which of them are names and values."""

from dataclasses import dataclass

import numpy as np

from elusive.biogen.compiled_config import CompiledConfig
from elusive.biogen.texts.pieces import EMPTY
from elusive.biogen.texts.sentence_order import Rows, Sentences, is_named


@dataclass(frozen=True)
class Layout:
    """The pieces of each row's text, and the indices of names and values among them.

    A sentence is [lead, name, end of the lead, filler,] first part, name or value, part between,
    the other of the two, last part; the pieces in brackets exist only with `distance`.
    """

    pieces: np.ndarray  # (piece, row)
    form: np.ndarray  # (row, sentence) number of the form
    value: np.ndarray  # (row, sentence) which piece of the row is the value
    name: np.ndarray  # (row, sentence) which piece of the row is the name, if there is one
    has_name: np.ndarray  # (row, sentence) bool


def build_layout(compiled: CompiledConfig, rows: Rows, sentences: Sentences) -> Layout:
    """Choose the pieces of every sentence."""
    wordings = compiled.wordings
    named = is_named(compiled, rows, sentences)
    form = wordings.compute_forms(sentences.field, sentences.template, sentences.pronouns, named)
    value_first = named & wordings.value_first[form]
    num_shown = sentences.is_shown.sum(1)[:, None]
    is_followed = np.arange(form.shape[1]) < num_shown - 1  # sentences that are not shown come last
    leads = _choose_leads(compiled, rows, sentences, form) if compiled.config.distance else []
    blocks = [
        *leads,
        wordings.first[form],
        np.where(value_first, sentences.value, np.where(named, sentences.name, EMPTY)),
        wordings.between[form],
        np.where(value_first, sentences.name, sentences.value),
        wordings.last[is_followed.astype(np.int64), form],
    ]
    pieces, index = _drop_empty_columns(blocks, sentences.is_shown)
    first, second = index[:, len(leads) + 1], index[:, len(leads) + 3]
    has_lead = sentences.is_head if leads else np.zeros_like(named)
    return Layout(
        pieces=pieces,
        form=form,
        value=np.where(value_first, first, second),
        name=np.where(has_lead, index[:, 1], np.where(value_first, second, first)),
        has_name=(named | has_lead) & sentences.is_shown,
    )


def _drop_empty_columns(
    blocks: list[np.ndarray], is_shown: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Put the blocks of all sentences one after the other, without those that are always empty.

    Returns:
        Pieces (piece, row), and the index of every block among them (sentence, block).
    """
    columns = [
        block[:, sentence] * is_shown[:, sentence]  # times False is EMPTY
        for sentence in range(is_shown.shape[1])
        for block in blocks
    ]
    is_used = np.array([column.any() for column in columns])
    index = np.maximum(np.cumsum(is_used) - 1, 0).reshape(-1, len(blocks))
    return np.stack([column for column, used in zip(columns, is_used, strict=True) if used]), index


def _choose_leads(
    compiled: CompiledConfig, rows: Rows, sentences: Sentences, form: np.ndarray
) -> list[np.ndarray]:
    """Choose the blocks before a sentence that put its value at a distance: a name, then filler."""
    wordings, distances = compiled.wordings, np.array(compiled.config.distance)
    items = rows.item[:, None] * len(compiled.fields) + sentences.field
    # The sentences of a text start at a random lead and take the next one each, so none repeats.
    first_lead = compiled.draw_integers(len(wordings.leads), rows.item, "lead")[:, None]
    lead = wordings.leads[(first_lead + sentences.field) % len(wordings.leads)]
    distance = distances[compiled.draw_integers(len(distances), items, "distance")]
    variant = compiled.draw_integers(wordings.fillers.shape[1], items, "filler")
    num_words = np.where(sentences.is_head, distance - 1 - wordings.words_before[form], 0)
    blocks = [lead[:, :, 0], sentences.name, lead[:, :, 1], wordings.fillers[num_words, variant]]
    return [np.where(sentences.is_head, block, EMPTY) for block in blocks]
