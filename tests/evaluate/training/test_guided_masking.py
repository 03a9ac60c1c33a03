"""Guided masking: what only the first layers, or a small model, attend to is hidden."""

import numpy as np
import pytest
import torch

from elusive.common.errors import InputError
from elusive.common.lm.loading import load_model
from elusive.common.lm.packing import (
    HiddenBefore,
    Sequence,
    build_text_sequence,
    pack_row,
    sample_attention_mask,
)
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.training.guided_masking import (
    choose_hidden,
    group_by_sentence,
    hide_before_sentences,
)
from elusive.evaluate.training.objectives import build_objective

TEXT = "Ada Byron was born in Rome. She won. The prize of her life was gold."


def test_the_lowest_scores_before_a_sentence_are_hidden_and_its_own_tokens_are_not():
    groups = np.array([0, 0, 0, 1, 1, 2])
    scores = np.array([[9, 1, 1, 1, 1, 1], [9, 5, 3, 0, 0, 0], [-9, 4, 3, 2, 1, -9]], float)
    hidden = choose_hidden(scores, groups, 0.5)
    assert hidden.tolist() == [
        [False] * 6,
        [False, False, True, False, False, False],
        [False, False, False, True, True, False],
    ]


def test_tokens_belong_to_the_sentence_in_which_they_end():
    loaded = load_model("nano-large")
    ids = build_text_sequence(TEXT, loaded.tokenizer).input_ids
    groups = group_by_sentence(ids, loaded.tokenizer, "en")
    texts = [
        str(loaded.tokenizer.decode(np.array(ids)[groups == group], skip_special_tokens=True))
        for group in range(3)
    ]
    assert "".join(texts) == TEXT


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("zh", ["他1990年出生。", "他在罗马。", "他老了。"]),
        ("de", ["Er kam am 3. Oktober.", "Émile ging."]),
        ("fr", ["Il dit : « Élan ».", "Où est-il ?", "Fini."]),
    ],
)
def test_sentences_end_by_the_rules_of_the_language_whatever_bytes_its_letters_are(
    language, sentences
):
    loaded = load_model("nano-large")
    text = ("" if language == "zh" else " ").join(sentences)
    ids = build_text_sequence(text, loaded.tokenizer).input_ids
    groups = group_by_sentence(ids, loaded.tokenizer, language)
    found = [
        str(loaded.tokenizer.decode(np.array(ids)[groups == group], skip_special_tokens=True))
        for group in range(groups.max() + 1)
    ]
    assert [sentence.strip() for sentence in found] == sentences


def test_a_row_hides_from_each_sentence_what_its_sequence_says():
    hidden = np.zeros((2, 4), bool)
    hidden[1, 1] = True
    guided = Sequence(
        [5, 6, 7, 8], [5, 6, 7, 8], hidden_before=HiddenBefore(np.array([0, 0, 1, 1]), hidden)
    )
    row = pack_row([Sequence([1, 2], [1, 2]), guided])
    mask = sample_attention_mask(
        row["position_ids"], row["hidden"], row["mask_seeds"], torch.float32, row["hidden_before"]
    )
    sees = (mask[0, 0] == 0).int().tolist()
    assert sees == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 0, 1, 0, 1, 0],
        [0, 0, 1, 0, 1, 1],
    ]  # fmt: skip


@pytest.mark.parametrize("reference", [None, "nano-small"])
def test_labels_stay_and_the_share_is_held(reference):
    loaded = load_model("nano-large")
    config = TrainingConfig(objective="guided-masking", noise=0.3, reference=reference)
    sequences = [build_text_sequence(TEXT, loaded.tokenizer)] * 2
    change = build_objective(config, loaded).change_epoch
    assert change
    for before, after in zip(sequences, change(sequences, "en"), strict=True):
        assert (after.input_ids, after.labels) == (before.input_ids, before.labels)
        assert after.hidden_before
        groups, hidden = after.hidden_before.groups, after.hidden_before.hidden
        for sentence in (1, 2):
            earlier = (groups < sentence).sum() - 1
            assert hidden[sentence].sum() == round(0.3 * earlier)
            assert not hidden[sentence, groups >= sentence].any()


def test_the_reference_decides_what_is_hidden():
    loaded, small = load_model("nano-large"), load_model("nano-small")
    sequences = [build_text_sequence(TEXT, loaded.tokenizer)]
    ((by_depth,), (by_size,), (by_none,)) = (
        hide_before_sentences(sequences, "en", loaded, reference, 0.4)
        for reference in (None, small, loaded)
    )
    found = [s.hidden_before.hidden for s in (by_depth, by_size, by_none) if s.hidden_before]
    assert (found[0] != found[1]).any()
    groups = group_by_sentence(sequences[0].input_ids, loaded.tokenizer, "en")
    earlier = np.flatnonzero(groups < 2)[1:]
    expected = earlier[: round(0.4 * len(earlier))]  # no difference: the first tokens
    assert np.flatnonzero(found[2][2]).tolist() == expected.tolist()


def test_a_reference_of_another_family_is_refused(model_folder):
    config = TrainingConfig(objective="guided-masking", reference=str(model_folder("llama")))
    with pytest.raises(InputError, match="guided-masking compares"):
        build_objective(config, load_model("nano-large"))


def test_texts_that_are_drawn_during_training_are_refused():
    with pytest.raises(ValueError, match=r"before training.*leave out dynamic"):
        TrainingConfig(objective="guided-masking", dynamic=True)
