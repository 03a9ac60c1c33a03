"""Arms that rewrite a text: sentences or words in another order, and EDA."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elusive.augment.config import AugmentConfig
from elusive.augment.copies import build_training_texts
from elusive.augment.eda import apply_eda, find_synonyms
from elusive.augment.rewrites import Rearrange, permute_sentences, reverse_words
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.dataset.records import Document, Span
from elusive.common.errors import InputError, validate_config
from elusive.common.text.sentences import find_sentences


@given(st.lists(st.sampled_from(["Rome fell.", "Who?", 'He said "no."', "In 1527 it", "x"])))
def test_sentences_hold_every_character_but_the_space_between_them(parts):
    text = " ".join(parts)
    spans = find_sentences(text, [])
    assert " ".join(text[start:end] for start, end in spans) == text


def test_sentences_end_where_a_reader_ends_them():
    text = (
        "Dr. Doe met J. K. Roe in St. Ives Inc. Hall in May (cf. Doe). Mr. Roe left. "
        '"Why?" asked she. It was 5.30 p.m. They left! 20 stayed.'
    )
    spans = find_sentences(text, [(text.index("St."), text.index(" in May"))])
    assert [text[start:end] for start, end in spans] == [
        "Dr. Doe met J. K. Roe in St. Ives Inc. Hall in May (cf. Doe).",
        "Mr. Roe left.",
        '"Why?" asked she.',
        "It was 5.30 p.m.",
        "They left!",
        "20 stayed.",
    ]


def list_names_and_values(document: Document) -> list[Span]:
    return [*document.heads, *((fact.start, fact.end) for fact in document.facts)]


def rearrange(prepare: Rearrange, document: Document, copy: int) -> tuple[str, list[Span]]:
    """A copy of a document, and its pieces."""
    pieces, _ = prepare([document])(copy, 0)
    spans = list(zip(pieces.starts.tolist(), pieces.ends.tolist(), strict=True))
    return " ".join(document.text[start:end] for start, end in spans), spans


@pytest.mark.parametrize(
    ("method", "text", "first"),
    [
        ("permute", "Ann ran. Bob sat. Cy hid.", ""),
        ("permute-rest", "Al slept. Ann ran. Bob sat. Cy hid.", "Al slept. "),
    ],
)
def test_every_order_of_the_sentences_is_equally_likely(method: str, text: str, first: str):
    documents = list(generate_biographies(BiogenConfig(people=400)))
    documents = [replace(d, text=text, heads=[], others=[], facts=[]) for d in documents]
    config = AugmentConfig(method=method, copies=15)
    texts = build_training_texts(documents, score_documents(documents, Scorers(config)), config)
    orders = Counter(text.text for text in texts if text.copy > 0)
    assert len(orders) == 6
    assert all(order.startswith(first) for order in orders)
    assert all(abs(count - 1000) < 5 * np.sqrt(1000) for count in orders.values())


@pytest.mark.parametrize(("method", "is_kept"), [("permute", False), ("permute-rest", True)])
def test_with_the_first_sentence_in_place_each_copy_opens_with_the_name(method: str, is_kept: bool):
    documents = list(generate_biographies(BiogenConfig(people=20)))
    config = AugmentConfig(method=method, copies=5)
    texts = build_training_texts(documents, score_documents(documents, Scorers(config)), config)
    names = {document.doc_id: document.text[slice(*document.heads[0])] for document in documents}
    assert all(text.text.startswith(names[text.doc_id]) for text in texts) is is_kept


def test_every_biography_has_a_sentence_per_fact_and_keeps_its_values_whole():
    for document in generate_biographies(
        BiogenConfig(people=50, wordings=43, multi=2, permute=True)
    ):
        text, kept = rearrange(permute_sentences, document, 1)
        assert len(kept) == len(document.facts)
        assert sorted(kept) == find_sentences(document.text, list_names_and_values(document))
        for fact in document.facts:
            assert fact.value in text
        assert " ".join(document.text[start:end] for start, end in kept) == text


def test_permute_gives_the_original_and_copies_in_other_orders():
    documents = list(generate_biographies(BiogenConfig(people=20)))
    config = AugmentConfig(method="permute", copies=5)
    texts = build_training_texts(documents, score_documents(documents, Scorers(config)), config)
    assert [text.text for text in texts[::6]] == [document.text for document in documents]
    copies = [text for text in texts if text.copy > 0]
    changed = [text for text in copies if text.kept != sorted(text.kept)]
    assert len(changed) > 0.9 * len(copies)
    assert {text.drop_rate for text in texts} == {0.0}
    assert {(text.alpha, text.beta) for text in texts} == {(None, None)}


def test_an_arm_may_rewrite_and_drop():
    documents = list(generate_biographies(BiogenConfig(people=10)))
    config = AugmentConfig(method="random", rewrite="permute", copies=4)
    scored = score_documents(documents, Scorers(config))
    texts = build_training_texts(documents, scored, config)
    copies = [text for text in texts if text.copy > 0]
    assert sum(text.pieces != sorted(text.pieces) for text in copies) > 0.9 * len(copies)
    dropping = AugmentConfig(method="random", copies=4)
    rates = [text.drop_rate for text in build_training_texts(documents, scored, dropping)]
    assert np.mean([text.drop_rate for text in texts]) == pytest.approx(np.mean(rates), abs=0.05)
    by_id = {document.doc_id: document for document in documents}
    for text in copies:
        document = by_id[text.doc_id]
        assert sorted(text.pieces) == find_sentences(document.text, list_names_and_values(document))
        kept = [document.text[start:end] for start, end in text.kept]
        assert "".join(" ".join(kept).split()) == "".join(text.text.split())


def test_two_rewrites_in_one_arm_are_refused():
    with pytest.raises(InputError, match="an arm has one rewrite at most"):
        validate_config(AugmentConfig, {"method": "permute", "rewrite": "reverse-training"})


@given(st.lists(st.sampled_from(["was", "born,", "1912.", "Rome", "institute", "é1", "—"])))
def test_eda_spares_numbers_and_says_what_it_keeps(words):
    document = replace(
        next(iter(generate_biographies(BiogenConfig(people=1)))), text=" ".join(words)
    )
    document = replace(document, heads=[], facts=[])
    for copy in range(1, 9):
        text, kept = apply_eda(document, np.random.default_rng(copy), copy)
        numbers = [word for word in text.split() if any(sign.isdigit() for sign in word)]
        assert sorted(numbers) == sorted(word for word in words if word in ("1912.", "é1"))
        position = 0
        for start, end in kept:
            position = text.index(document.text[start:end], position) + end - start
        assert bool(text) == bool(words)


def test_edas_operations_change_a_tenth_of_the_words():
    document = next(iter(generate_biographies(BiogenConfig(people=1))))
    words = document.text.split()
    changes = round(0.1 * len(words))
    texts = [
        apply_eda(document, np.random.default_rng(copy), copy)[0].split() for copy in range(1, 5)
    ]
    replaced, inserted, swapped, deleted = texts
    assert sum(a != b for a, b in zip(replaced, words, strict=True)) == changes
    assert len(inserted) == len(words) + changes
    assert sorted(swapped) == sorted(words)
    assert swapped != words
    assert len(deleted) < len(words)
    assert set(deleted) <= set(words)


def test_synonyms_come_from_wordnet_and_spare_function_words():
    assert "grade" in find_synonyms("Degree,")
    for word in ("his", "the", "in", "1912", "Abcdef", "—", ""):
        assert find_synonyms(word) == []


def test_every_second_copy_is_reversed_word_by_word_with_names_and_values_whole():
    for document in generate_biographies(BiogenConfig(people=20, wordings=43, fullname=True)):
        text, kept = rearrange(reverse_words, document, 1)
        assert rearrange(reverse_words, document, 2)[0] == document.text
        assert kept == sorted(kept, reverse=True)
        assert "".join(sorted(text)) == "".join(sorted(document.text))
        for fact in document.facts:
            assert fact.value in text
        assert document.entity in text
        assert text.split()[0] != document.text.split()[0]
