"""Which pieces make up each document, and where among them names and values stand."""

from dataclasses import dataclass

import numpy as np

from elusive.biogen.texts.pieces import EMPTY
from elusive.biogen.texts.sentence_order import Rows, Sentences, is_named
from elusive.biogen.world import World


@dataclass(frozen=True)
class Layout:
    """The pieces of each row's text, and where among them names and values stand.

    A sentence is [lead, name, lead's end, filler,] first part, name or value, part between, the
    other one, last part; the pieces in brackets only with `distance`.
    """

    pieces: np.ndarray  # (piece, row)
    value: np.ndarray  # (row, sentence) which piece of the row is the value
    name: np.ndarray  # (row, sentence) which piece of the row is the name, if there is one
    has_name: np.ndarray  # (row, sentence) bool


def layout_of(world: World, rows: Rows, sentences: Sentences) -> Layout:
    """Choose the pieces of every sentence."""
    named = is_named(world, rows, sentences)
    form = world.wordings.base[sentences.field] + named
    form = form + (sentences.template * 3 + sentences.pronouns) * 2
    value_first = named & world.wordings.value_first[form]
    blocks = [
        world.wordings.first[form],
        np.where(value_first, sentences.value, np.where(named, sentences.name, EMPTY)),
        world.wordings.between[form],
        np.where(value_first, sentences.name, sentences.value),
        world.wordings.last[form] + ~_is_last(sentences.is_shown),
    ]
    leads = _leads(world, rows, sentences, form) if world.config.distance else []
    pieces, place = _without_empty_columns(leads + blocks, sentences.is_shown)
    first, second = place[:, len(leads) + 1], place[:, len(leads) + 3]
    led = sentences.is_head if leads else np.zeros_like(named)
    return Layout(
        pieces=pieces,
        value=np.where(value_first, first, second),
        name=np.where(led, place[:, 1], np.where(value_first, second, first)),
        has_name=(named | led) & sentences.is_shown,
    )


def _without_empty_columns(
    blocks: list[np.ndarray], is_shown: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The blocks of all sentences one after the other, and where among them each one went.

    Returns:
        Pieces (piece, row), and numbers of pieces (sentence, block).
    """
    columns = [
        block[:, sentence] * is_shown[:, sentence]
        for sentence in range(is_shown.shape[1])
        for block in blocks
    ]
    is_used = np.array([column.any() for column in columns])
    place = np.maximum(np.cumsum(is_used) - 1, 0).reshape(-1, len(blocks))
    return np.stack([column for column, used in zip(columns, is_used, strict=True) if used]), place


def _is_last(shown: np.ndarray) -> np.ndarray:
    """The last sentence of each row that is shown, (row, sentence)."""
    return np.arange(shown.shape[1]) == shown.sum(1)[:, None] - 1


def _leads(world: World, rows: Rows, sentences: Sentences, form: np.ndarray) -> list[np.ndarray]:
    """Pieces before a sentence that put its value at a distance: a name, then filler."""
    wordings, distances = world.wordings, np.array(world.config.distance)
    items = rows.item[:, None] * len(world.fields) + sentences.field
    # Sentences of one text begin at a random lead and go on with the next, so that none repeats.
    first_lead = world.integers(len(wordings.leads), rows.item, "lead")[:, None]
    lead = wordings.leads[(first_lead + sentences.field) % len(wordings.leads)]
    distance = distances[world.integers(len(distances), items, "distance")]
    variant = world.integers(wordings.fillers.shape[1], items, "filler")
    num_words = np.where(sentences.is_head, distance - 1 - wordings.words_before[form], 0)
    blocks = [lead[:, :, 0], sentences.name, lead[:, :, 1], wordings.fillers[num_words, variant]]
    return [np.where(sentences.is_head, block, EMPTY) for block in blocks]
