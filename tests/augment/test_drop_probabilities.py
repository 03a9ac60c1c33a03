"""Equation 1, its ties, its held rate, and what dropping leaves of a text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from elusive.augment.drop_probabilities import compute_drop_probabilities, sample_keep_mask
from elusive.augment.dropping import drop_units, mark_droppable, mark_overlaps
from elusive.augment.scores.units import cut_words, encode

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


def test_sampled_drop_rate_is_the_probability():
    probabilities = np.full(200_000, 0.3)
    keep_mask = sample_keep_mask(probabilities, np.random.default_rng(0))
    assert 1 - keep_mask.mean() == pytest.approx(0.3, abs=0.005)


TEXTS = st.text(st.sampled_from("ab .,é😀\u0301\t\n\u05d0中"), min_size=1, max_size=60)


def check_kept(text: str, units: list[tuple[int, int]], keep_mask: np.ndarray) -> None:
    """What is kept is what the mask says, character by character."""
    left, kept = drop_units(text, units, keep_mask)
    expected = list(text)
    for (start, end), keep in zip(units, keep_mask, strict=True):
        if not keep:
            expected[start:end] = [""] * (end - start)
    if keep_mask.all():
        assert left == text
    else:
        assert left == " ".join("".join(expected).split())
    assert "".join(text[start:end] for start, end in kept) == "".join(expected)


@given(TEXTS, st.randoms(use_true_random=False))
def test_what_is_kept_is_what_the_mask_says(text, random):
    units = cut_words(text)
    check_kept(text, units, np.array([random.random() < 0.5 for _ in units], dtype=bool))


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
    for number in range(10_000):
        alphabet = list(ALPHABETS[number % len(ALPHABETS)])
        text = "".join(rng.choice(alphabet, size=rng.integers(1, 80)))
        if number % 2:
            units, words_cut = cut_words(text), words_cut + 1
        else:
            units, tokens_cut = encode(text, tokenizer).units, tokens_cut + 1
        check_kept(text, units, rng.random(len(units)) < rng.choice([0.0, 0.3, 0.7, 1.0]))
    assert words_cut == tokens_cut == 5000


def test_dropped_words_leave_single_spaces():
    text = "He went on to earn his degree."
    units = cut_words(text)
    keep_mask = np.array([text[start:end] not in {"went", "on", "degree"} for start, end in units])
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
