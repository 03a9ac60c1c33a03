"""Arms that write a text anew: every sentence is there, in another order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elusive.augment.augment import training_texts
from elusive.augment.config import AugmentConfig
from elusive.augment.methods import METHODS, Scorers
from elusive.augment.rewriting import permuted_sentences
from elusive.biogen.biographies import biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.errors import InputError
from elusive.common.sentences import sentence_spans
from elusive.evaluate.packing import training_sequences


@given(st.lists(st.sampled_from(["Rome fell.", "Who?", 'He said "no."', "In 1527 it", "x"])))
def test_sentences_hold_every_character_but_the_space_between_them(parts):
    text = " ".join(parts)
    spans = sentence_spans(text, [])
    assert " ".join(text[start:end] for start, end in spans) == text


def test_sentences_end_where_a_reader_ends_them():
    text = (
        "Dr. Doe met J. K. Roe in St. Ives Inc. Hall in May (cf. Doe). Mr. Roe left. "
        '"Why?" asked she. It was 5.30 p.m. They left! 20 stayed.'
    )
    spans = sentence_spans(text, [(text.index("St."), text.index(" in May"))])
    assert [text[start:end] for start, end in spans] == [
        "Dr. Doe met J. K. Roe in St. Ives Inc. Hall in May (cf. Doe).",
        "Mr. Roe left.",
        '"Why?" asked she.',
        "It was 5.30 p.m.",
        "They left!",
        "20 stayed.",
    ]


def test_every_biography_has_a_sentence_per_fact_and_keeps_its_values_whole():
    for document in biographies(BiogenConfig(people=50, wordings=43, multi=2, permute=True)):
        text, kept = permuted_sentences(document, np.random.default_rng(0))
        assert len(kept) == len(document.facts)
        assert sorted(kept) == sentence_spans(document.text, document.heads)
        for fact in document.facts:
            assert fact.value in text
        assert " ".join(document.text[start:end] for start, end in kept) == text


def test_permute_gives_the_original_and_copies_in_other_orders():
    documents = list(biographies(BiogenConfig(people=20)))
    config = AugmentConfig(method="permute", copies=5)
    texts = training_texts(documents, METHODS["permute"](documents, Scorers(config)), config)
    assert [text.text for text in texts[::6]] == [document.text for document in documents]
    copies = [text for text in texts if text.copy > 0]
    changed = [text for text in copies if text.kept != sorted(text.kept)]
    assert len(changed) > 0.9 * len(copies)
    assert {text.drop_rate for text in texts} == {0.0}
    assert {(text.alpha, text.beta) for text in texts} == {(None, None)}


def test_clean_labels_are_refused_where_the_order_is_another(tokenizer):
    documents = list(biographies(BiogenConfig(people=2)))
    config = AugmentConfig(method="permute", copies=1)
    texts = training_texts(documents, METHODS["permute"](documents, Scorers(config)), config)
    with pytest.raises(InputError, match="writes sentences in another order"):
        training_sequences(texts, documents, tokenizer, clean_labels=True)
