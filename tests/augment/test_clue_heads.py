"""The clue benchmark by head: the best one is chosen on other people than it is measured on."""

import numpy as np
import pytest
import torch

from elusive.augment.clues import heads
from elusive.augment.clues.heads import measure_heads, parse_head
from elusive.augment.clues.sentences import SentenceScores, list_counted, measure_sentences
from elusive.augment.scores.model_scores import Reading
from elusive.augment.scores.sentence_scores import score_sentences, score_sentences_by_head
from elusive.augment.sentences.candidates import find_candidates
from elusive.augment.sentences.span_scores import average_over_spans
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.dataset.records import Document
from elusive.common.errors import InputError
from elusive.common.lm.loaded_model import LoadedModel
from elusive.common.lm.loading import load_model


@pytest.fixture(scope="module")
def people() -> list[Document]:
    return list(generate_biographies(BiogenConfig(people=6, name_position="any", distractors=1)))


@pytest.fixture(scope="module")
def loaded(model_folder) -> LoadedModel:
    return load_model(str(model_folder("llama")), dtype=torch.float32)


def test_scores_by_head_are_those_of_each_head_alone(people, loaded):
    by_head = score_sentences_by_head(people, loaded)
    num_layers, num_heads = by_head[0].scores.shape[:2]
    assert num_heads > 1
    for layer in range(num_layers):
        for head in range(num_heads):
            alone = score_sentences(people, loaded, Reading(layers=str(layer), heads=str(head)))
            for every, one in zip(by_head, alone, strict=True):
                assert every.scores[layer, head] == pytest.approx(one.scores, abs=1e-4)


def test_a_head_is_measured_as_any_other_score(people, loaded, monkeypatch):
    """If both halves choose one head, the row is that of its scores; so is the head's own row."""
    monkeypatch.setattr(heads, "_choose_best", lambda by_head: (1, 2))
    by_head = measure_heads(people, "m", loaded, 2, [(1, 2), (0, 3)])
    scored = score_sentences(people, loaded, Reading(layers="1", heads="2"))
    pairs = zip(people, scored, strict=True)
    agreement = [average_over_spans(find_candidates(person, 2), own) for person, own in pairs]
    by_model = {"m": SentenceScores(scored, scored, scored, agreement)}
    rows = measure_sentences(people, by_model, 2, by_head)
    by_name = {(row.scorer, row.distance): row for row in rows}
    for distance in dict.fromkeys(row.distance for row in rows):
        expected = by_name["attention, m", distance]
        for name in ("head 1.2, m", "best head 1.2, m"):
            row = by_name[name, distance]
            assert row.sentences == expected.sentences
            assert row.overlaps == expected.overlaps
            assert row.equals == expected.equals
            assert row.over_last_subject == expected.over_last_subject
            assert row.mean_rank.mean == pytest.approx(expected.mean_rank.mean, abs=1e-3)
    assert by_name["head 0.3, m", "all"].mean_rank != by_name["head 1.2, m", "all"].mean_rank


def test_a_head_that_the_model_lacks_is_refused(people, loaded):
    with pytest.raises(InputError, match=r"head 1\.9: m has layers 0 to \d, with heads 0 to \d in"):
        measure_heads(people, "m", loaded, 2, [(1, 9)])
    for text in ("16", "16.5.1", "a.b", "-1.2", "1,2"):
        with pytest.raises(InputError, match=r"such as 16\.5"):
            parse_head(text)


def test_heads_that_know_nothing_do_not_look_good(people, loaded, monkeypatch):
    """The best of 2,000 heads of noise would look good on the people that it was chosen on."""
    rng = np.random.default_rng(0)

    def measure_noise(documents, loaded, words):
        for document in documents:
            for _ in list_counted(document, find_candidates(document, words)):
                hits = (rng.random((2, 50, 40)) < 0.25).astype(np.float32)
                yield document.entity, np.concatenate([hits, 1 - hits[:1]])

    monkeypatch.setattr(heads, "_measure_heads", measure_noise)
    many = list(generate_biographies(BiogenConfig(people=60, name_position="any")))
    rows = measure_sentences(many, {}, 2, measure_heads(many, "m", loaded, 2))
    row = next(row for row in rows if row.scorer.startswith("best head"))
    assert row.overlaps.low < 0.25 < row.overlaps.high


def test_one_entity_has_no_other_to_choose_on(people, loaded):
    assert measure_heads(people[:1], "m", loaded, 2) == {}
