"""Equation 1, its ties, its held rate, and what dropping leaves of a text."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from plain_dropping import arrange_kept, drop_units

from elusive.augment.arrays.joining import join_kept, lay_out_documents, lay_out_pieces
from elusive.augment.arrays.texts import flatten_spans, join_texts
from elusive.augment.config import AugmentConfig
from elusive.augment.copies import BATCH, build_training_texts
from elusive.augment.drop_probabilities import (
    compute_drop_probabilities,
    compute_thresholds,
    draw_keep_mask,
)
from elusive.augment.dropping import mark_droppable, mark_overlaps
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.scores.units import cut_words, encode
from elusive.common.dataset.records import Document, Span
from elusive.common.seeding import derived_seed

ALPHAS = st.floats(0.01, 1)
BETAS = st.floats(0.001, 10)
SCORES = arrays(np.float32, st.integers(1, 60), elements=st.floats(-1, 1, width=32))


def test_probabilities_follow_equation_1_by_rank():
    scores = np.array([0.2, 0.9, 0.5])
    expected = 0.7 * (1 - np.exp(-0.05 * np.array([2, 0, 1])))
    probabilities = compute_drop_probabilities(scores, np.ones(3, bool), alpha=0.7, beta=0.05)
    np.testing.assert_allclose(probabilities, expected)


def test_rank_0_goes_to_the_highest_droppable_token():
    scores = np.array([3.0, 2.0, 1.0])
    droppable = np.array([False, True, True])
    probabilities = compute_drop_probabilities(scores, droppable, alpha=0.7, beta=0.05)
    assert probabilities[0] == 0
    assert probabilities[1] == 0
    assert probabilities[2] == pytest.approx(0.7 * (1 - np.exp(-0.05)))


@given(SCORES, ALPHAS, BETAS, st.randoms(use_true_random=False))
def test_every_ranking_drops_equally_many_tokens_on_average(scores, alpha, beta, random):
    droppable = np.array([random.random() < 0.8 for _ in scores])
    ranks = np.arange(droppable.sum())
    expected = (alpha * (1 - np.exp(-beta * ranks))).sum()
    probabilities = compute_drop_probabilities(scores, droppable, alpha, beta)
    assert probabilities.sum() == pytest.approx(expected)
    assert (probabilities >= 0).all()
    assert (probabilities <= 1).all()
    assert (probabilities[~droppable] == 0).all()


@given(SCORES, ALPHAS, BETAS)
def test_higher_scores_are_never_dropped_more_often(scores, alpha, beta):
    probabilities = compute_drop_probabilities(scores, np.ones(len(scores), bool), alpha, beta)
    order = np.argsort(scores, kind="stable")
    assert (np.diff(probabilities[order]) <= 1e-12).all()


def test_constant_scores_give_the_documents_mean_rate():
    probabilities = compute_drop_probabilities(
        np.zeros(50), np.ones(50, bool), alpha=0.7, beta=0.05
    )
    mean = (0.7 * (1 - np.exp(-0.05 * np.arange(50)))).mean()
    np.testing.assert_allclose(probabilities, mean)


def test_infinite_scores_are_kept_and_the_others_make_up_for_them():
    scores = np.where(np.arange(50) < 20, np.inf, 0.0)
    probabilities = compute_drop_probabilities(scores, np.ones(50, bool), alpha=0.7, beta=0.05)
    plain = compute_drop_probabilities(np.zeros(50), np.ones(50, bool), alpha=0.7, beta=0.05)
    assert (probabilities[:20] == 0).all()
    assert probabilities.sum() == pytest.approx(plain.sum())


@given(st.lists(SCORES, min_size=1, max_size=6), ALPHAS, BETAS, st.booleans(), st.data())
def test_a_document_has_the_same_probabilities_beside_others(scores, alpha, beta, matched, data):
    """Including those of tokens that are never dropped."""
    scores = [
        np.where(data.draw(arrays(bool, len(one))), np.float32(np.inf), one) for one in scores
    ]
    droppable = [data.draw(arrays(bool, len(one))) for one in scores]
    alone = [
        compute_drop_probabilities(*pair, alpha, beta, matched)
        for pair in zip(scores, droppable, strict=True)
    ]
    documents = np.repeat(np.arange(len(scores)), list(map(len, scores)))
    together = compute_drop_probabilities(
        np.concatenate(scores), np.concatenate(droppable), alpha, beta, matched, documents
    )
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-9)


def draw(probabilities: np.ndarray, key: int) -> np.ndarray:
    keys = np.full(len(probabilities), key, np.uint64)
    return draw_keep_mask(compute_thresholds(probabilities), keys, np.arange(len(probabilities)))


def test_drawn_drop_rates_are_the_probabilities():
    for probability in (0.0, 0.1, 0.5, 0.9, 1.0):
        rate = 1 - draw(np.full(200_000, probability), derived_seed(probability)).mean()
        assert rate == pytest.approx(probability, abs=0.005 if 0 < probability < 1 else 0)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("राम दिल्ली में है।", ["राम", "दिल्ली", "में", "है", "।"]),
        ("Andre\u0301 left x² a_b.", ["Andre\u0301", "left", "x²", "a_b", "."]),
        ("他在12月 กิน", ["他", "在", "12", "月", "กิ", "น"]),
    ],
)
def test_words_keep_their_marks_and_characters_without_blanks_are_words(text, units):
    assert [text[start:end] for start, end in cut_words(text)] == units


def documents_of(texts: list[str]) -> list[Document]:
    return [
        Document(f"d{number}", "e", text, [], [], [], "train", [], "single")
        for number, text in enumerate(texts)
    ]


def score_evenly(documents: list[Document]) -> list[TokenScores]:
    units = [cut_words(document.text) for document in documents]
    return [TokenScores(spans, np.zeros(len(spans), np.float32)) for spans in units]


def find_dropped(documents: list[Document], config: AugmentConfig) -> np.ndarray:
    """What each copy of documents of equal words drops.  # (document, copy, word)."""
    texts = build_training_texts(documents, score_evenly(documents), config)
    words = documents[0].text.split()
    dropped = [[word not in text.text.split() for word in words] for text in texts if text.copy]
    return np.array(dropped).reshape(len(documents), config.copies, len(words))


def test_what_is_dropped_is_independent_over_words_copies_and_documents():
    """Each word is dropped equally often, and no two of them go together more than by chance."""
    words = " ".join(f"w{number}" for number in range(12))
    config = AugmentConfig(method="random", alpha=1.0, beta=0.15, copies=40)
    dropped = find_dropped(documents_of([words] * 500), config)
    expected = (1 - np.exp(-0.15 * np.arange(12))).mean()
    for axes in ((0, 1), (0, 2), (1, 2)):
        rates = dropped.mean(axis=axes)
        error = np.sqrt(expected * (1 - expected) * rates.size / dropped.size)
        assert np.abs(rates - expected).max() < 5 * error
        variance = rates.var() / error**2  # 1 for independent draws
        assert variance == pytest.approx(1, abs=5 * np.sqrt(2 / (rates.size - 1)))
    for axis in range(3):
        columns = np.moveaxis(dropped, axis, -1).reshape(-1, dropped.shape[axis])[:, :12]
        correlations = np.corrcoef(columns.T)[np.triu_indices(columns.shape[1], 1)]
        assert np.abs(correlations).max() < 5 / np.sqrt(len(columns))


@pytest.mark.parametrize("settings", [{}, {"rewrite": "permute"}, {"method": "permute"}])
def test_a_document_has_the_same_copies_alone_as_among_others(settings):
    texts = [f"One {n} is here. Two {n} é is there. Three is away." for n in range(BATCH + 2)]
    documents = documents_of(texts)
    config = AugmentConfig(**({"method": "random", "beta": 0.5, "copies": 3} | settings))
    together = build_training_texts(documents, score_evenly(documents), config)
    for index in (0, 1, BATCH, BATCH + 1):
        alone = build_training_texts(
            documents[index : index + 1], score_evenly(documents[index : index + 1]), config
        )
        assert together[4 * index : 4 * index + 4] == alone
    assert len({text.text for text in together}) > 3 * BATCH


TEXTS = st.text(st.sampled_from("ab .,é😀\u0301\t\n\u05d0中"), min_size=1, max_size=60)


def check_kept(texts: list[str], units: list[list[Span]], masks: list[np.ndarray]) -> None:
    """What is left of each text is what the reference leaves."""
    layout = lay_out_documents(join_texts(texts), flatten_spans(units))
    left, kept = join_kept(layout.parts, np.concatenate(masks))
    for text, spans, mask, *row in zip(
        texts, units, masks, left.to_pylist(), kept.to_pylist(), strict=True
    ):
        expected, expected_kept = drop_units(text, spans, mask)
        assert row[0] == " ".join(expected.split())
        assert [(span["start"], span["end"]) for span in row[1]] == expected_kept


@given(st.lists(TEXTS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_what_is_kept_is_what_the_mask_says(texts, random):
    units = [cut_words(text) for text in texts]
    masks = [np.array([random.random() < 0.5 for _ in spans], dtype=bool) for spans in units]
    check_kept(texts, units, masks)


@given(TEXTS, st.data())
def test_units_may_have_white_space_in_them_and_gaps_between_them(text, data):
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=12)))
    units = list(zip(cuts[::2], cuts[1::2], strict=False))
    check_kept([text], [units], [data.draw(arrays(bool, len(units)))])


@given(st.lists(TEXTS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_pieces_keep_what_the_mask_says_in_their_order(texts, random):
    units = [cut_words(text) for text in texts]
    masks = [np.array([random.random() < 0.6 for _ in spans], dtype=bool) for spans in units]
    pieces = [random.sample(spans, len(spans)) for spans in map(cut_at_spaces, texts)]
    whole = lay_out_documents(join_texts(texts), flatten_spans(units))
    spaced = [[random.random() < 0.5 for _ in own] for own in pieces]
    layout = lay_out_pieces(whole, flatten_spans(pieces), np.concatenate(spaced).astype(bool))
    left, kept = join_kept(layout.parts, np.concatenate(masks))
    for number, text in enumerate(texts):
        _, kept_in_order = drop_units(text, units[number], masks[number])
        expected, expected_kept = arrange_kept(text, pieces[number], kept_in_order, spaced[number])
        assert left[number].as_py() == expected
        found = [(span["start"], span["end"]) for span in kept[number].as_py()]
        assert found == expected_kept


def cut_at_spaces(text: str) -> list[Span]:
    """Cut a text at every second run of white space."""
    words = [match.span() for match in re.finditer(r"\S+", text)]
    return [
        (pair[0][0], pair[-1][1]) for pair in (words[i : i + 2] for i in range(0, len(words), 2))
    ]


ALPHABETS = (
    "ab cd.,;!?09",
    "aé ñüß\u0301\u0327 .",  # combining marks
    "\u05d0\u05d1\u0627\u0644 \u200f\u202b.",  # right to left, with marks of direction
    "😀👩\u200d👩\u200d👧🏽🇫🇷 a",  # emoji of several characters
    "中文。日本語 한국 ",
    "a b\t\n\r\u00a0\u2003\u200b.",  # spaces that are and are not white space
    "\ud7ff\ue000\U0001f9ff\U0010fffd x",
)


def test_ten_thousand_random_texts_keep_what_their_masks_say(tokenizer):
    rng = np.random.default_rng(0)
    words_cut = tokens_cut = 0
    texts, cuts, masks = [], [], []
    for number in range(10_000):
        alphabet = list(ALPHABETS[number % len(ALPHABETS)])
        text = "".join(rng.choice(alphabet, size=rng.integers(1, 80)))
        if number % 2:
            units, words_cut = cut_words(text), words_cut + 1
        else:
            units, tokens_cut = encode(text, tokenizer).units, tokens_cut + 1
        texts.append(text)
        cuts.append(units)
        masks.append(rng.random(len(units)) < rng.choice([0.0, 0.3, 0.7, 1.0]))
    check_kept(texts, cuts, masks)
    assert words_cut == tokens_cut == 5000


def test_dropped_words_leave_single_spaces():
    text = "He went on to earn his degree."
    units = cut_words(text)
    keep_mask = np.array([text[start:end] not in {"went", "on", "degree"} for start, end in units])
    check_kept([text], [units], [keep_mask])
    assert drop_units(text, units, keep_mask)[0] == "He to earn his ."


def test_sentence_punctuation_and_protected_spans_are_not_droppable():
    text = "Ada, born in 1815."
    units = cut_words(text)
    droppable = mark_droppable(text, units, [(13, 17)])
    assert [
        text[start:end] for (start, end), drop in zip(units, droppable, strict=True) if drop
    ] == [
        "Ada",
        "born",
        "in",
    ]


def test_overlaps_is_half_open():
    assert mark_overlaps([(0, 3), (3, 5)], [(3, 4)]).tolist() == [False, True]


@given(TEXTS)
def test_units_of_tokens_lie_in_the_text_without_space_and_in_order(tokenizer, text):
    encoded = encode(text, tokenizer)
    position = 0
    for start, end in encoded.units:
        assert position <= start < end <= len(text)
        assert not text[start].isspace()
        assert not text[end - 1].isspace()
        position = end
    covered = "".join(text[start:end] for start, end in encoded.units)
    assert "".join(covered.split()) == "".join(text.split())
