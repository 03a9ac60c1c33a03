"""What becomes of dropped tokens, what is predicted, and that all arms draw their copies alike."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_dropping import drop_units
from tiny import VOCABULARY, tiny_model

from elusive.augment.augment import augment_dataset
from elusive.augment.config import AugmentConfig
from elusive.augment.copies import build_training_texts
from elusive.augment.dropping import find_units_before
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.augment.scores.units import cut_words
from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import Document, TrainingText
from elusive.common.lm.loading import LoadedModel, load_model
from elusive.common.lm.packing import IGNORED, Packing, Sequence, pack_row
from elusive.common.text.sentences import join_pieces
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.training.corruption import (
    TargetRates,
    build_copy_sequence,
    build_corruption,
    choose_mask_token,
    encode_copy,
    measure_targets,
)
from elusive.evaluate.training.hf_trainer import RowCollator
from elusive.evaluate.training.objectives import build_objective
from elusive.evaluate.training.rows import SequenceBuilder
from elusive.evaluate.training.sequences import pack_epochs

CORRUPTIONS = ("delete", "mask", "random", "unseen", "reconstruct")
TEXT = "He was born in Rome."
BORN = (7, 11)


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return list(generate_biographies(BiogenConfig(people=3)))


def document_of(text: str) -> Document:
    return Document("d", "Ada", text, [], [], [], "train", [], "single")


def copy_of(text: str, kept, pieces=None, copy: int = 1) -> TrainingText:
    left = " ".join("".join(text[start:end] for start, end in kept).split())
    whole = [(0, len(text))]
    return TrainingText("d", copy, left, kept, pieces or whole, 0.5, "random", 0.7, 0.05, 0)


def build(tokenizer, text: TrainingText, document: Document, seed: int = 0, **training) -> Sequence:
    corruption = build_corruption(TrainingConfig(**training), tokenizer)
    return build_copy_sequence(text, document, tokenizer, corruption, np.random.default_rng(seed))


def without_born(tokenizer, **training) -> tuple[list[int], np.ndarray, Sequence]:
    """The ids of the whole text, which of them are kept, and the sequence without "born"."""
    document, text = document_of(TEXT), copy_of(TEXT, [(0, BORN[0]), (BORN[1], len(TEXT))])
    encoded = tokenizer(TEXT, return_offsets_mapping=True)
    ids = [*encoded["input_ids"], tokenizer.eos_token_id]
    kept = [not (start < BORN[1] and end > BORN[0] + 1) for start, end in encoded["offset_mapping"]]
    return ids, np.array([*kept, True]), build(tokenizer, text, document, **training)


def test_deleted_tokens_are_gone_and_clean_labels_predict_what_followed(tokenizer):
    ids, kept, sequence = without_born(tokenizer, labels="clean")
    indices = np.flatnonzero(kept[:-1])
    assert sequence.input_ids == [*(ids[index] for index in indices), ids[-1]]
    assert sequence.labels == [IGNORED, *(ids[index + 1] for index in indices)]
    _, _, dropped = without_born(tokenizer, labels="dropped")
    assert dropped.input_ids == [*tokenizer("He was in Rome.")["input_ids"], ids[-1]]
    assert dropped.labels == dropped.input_ids


@pytest.mark.parametrize("labels", ["dropped", "clean"])
def test_masked_random_and_unseen_tokens_keep_their_place(tokenizer, labels):
    special = set(tokenizer.all_special_ids)
    for corrupt in ("mask", "random", "unseen"):
        ids, kept, sequence = without_born(tokenizer, corrupt=corrupt, labels=labels)
        assert not kept.all()
        expected = ids if labels == "clean" else np.where(kept, ids, IGNORED).tolist()
        assert sequence.labels == expected
        inputs = np.array(sequence.input_ids)
        assert (inputs[kept] == np.array(ids)[kept]).all()
        if corrupt == "mask":
            assert set(inputs[~kept].tolist()) == {tokenizer.pad_token_id}
        elif corrupt == "random":
            assert not special & set(inputs[~kept].tolist())
        else:
            assert inputs.tolist() == ids
            assert sequence.hidden == (~kept).astype(float).tolist()
        assert (sequence.hidden is None) == (corrupt != "unseen")


def test_a_reconstruction_writes_the_whole_copy_after_the_masked_one(tokenizer):
    ids, kept, sequence = without_born(tokenizer, corrupt="reconstruct", labels="clean")
    masked = np.where(kept, ids, tokenizer.pad_token_id).tolist()
    assert sequence.input_ids == masked + ids
    assert sequence.labels == [IGNORED] * len(ids) + ids


@pytest.mark.parametrize("corrupt", CORRUPTIONS)
@pytest.mark.parametrize("labels", ["dropped", "clean"])
def test_a_copy_that_lost_nothing_is_the_same_in_every_way(tokenizer, corrupt, labels):
    text = copy_of(TEXT, [(0, len(TEXT))])
    sequence = build(tokenizer, text, document_of(TEXT), corrupt=corrupt, labels=labels)
    assert sequence.input_ids == [*tokenizer(TEXT)["input_ids"], tokenizer.eos_token_id]
    assert sequence.labels[1:] == sequence.input_ids[1:]
    assert sequence.hidden is None


@given(st.data())
@settings(deadline=None, max_examples=30)
def test_a_rearranged_copy_predicts_its_own_next_tokens(tokenizer, data):
    """Whatever is dropped, clean labels are those of the rearranged copy before dropping."""
    document = next(iter(generate_biographies(BiogenConfig(people=1))))
    method = data.draw(st.sampled_from(["random", "position"]))
    rewrite = data.draw(st.sampled_from(["permute", "reverse-training"]))
    config = AugmentConfig(
        method=method, rewrite=rewrite, copies=3, seed=data.draw(st.integers(0, 9))
    )
    texts = build_training_texts([document], score_documents([document], Scorers(config)), config)
    for text in texts[1:]:
        whole = " ".join(document.text[start:end] for start, end in text.pieces)
        sequence = build(tokenizer, text, document, corrupt="mask", labels="clean")
        ids = [*tokenizer(whole)["input_ids"], tokenizer.eos_token_id]
        assert sequence.labels == ids
        kept_text = "".join(document.text[start:end] for start, end in text.kept)
        assert "".join(text.text.split()) == "".join(kept_text.split())
        masked = np.array(sequence.input_ids) != ids
        assert masked.any() == (text.drop_rate > 0)


def test_a_rearranged_copy_without_blanks_predicts_its_own_next_tokens(tokenizer):
    (document,) = generate_biographies(BiogenConfig(people=1))
    text = "他生于罗马。 他学过音乐。他老了。"
    document = replace(document, text=text, heads=[], facts=[], language="zh")
    config = AugmentConfig(method="random", rewrite="permute", copies=9)
    texts = build_training_texts([document], score_documents([document], Scorers(config)), config)
    assert len({tuple(text.pieces) for text in texts}) > 2
    for text in texts:
        whole = join_pieces(document.text, text.pieces, "zh")
        assert whole.count(" ") <= 1
        sequence = build(tokenizer, text, document, corrupt="mask", labels="clean")
        assert sequence.labels == [*tokenizer(whole)["input_ids"], tokenizer.eos_token_id]


def test_words_of_a_rewrite_that_the_original_lacks_stay(tokenizer, documents):
    config = AugmentConfig(method="eda", copies=8)
    texts = build_training_texts(documents, score_documents(documents, Scorers(config)), config)
    assert any(not text.pieces for text in texts)
    for text, document in zip(texts, np.repeat(np.array(documents, object), 9), strict=True):
        sequence = build(tokenizer, text, document, corrupt="mask", labels="clean")
        assert sequence.input_ids[:-1] == tokenizer(text.text)["input_ids"]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_no_later_token_attends_to_an_unseen_one(name):
    """Another token in its place changes nothing but its own output."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, VOCABULARY, (12,), generator=generator).tolist()
    hidden = [0.0] * 12
    hidden[4] = hidden[5] = 1.0
    others = [*ids[:4], ids[4] % 500 + 3, ids[5] % 500 + 7, *ids[6:]]
    plain = Sequence(ids[:5], ids[:5])
    outputs = []
    for tokens in (ids, others):
        row = pack_row([plain, Sequence(tokens, tokens, hidden=hidden)])
        inputs = RowCollator(Packing("positions"), torch.float32)([row])
        inputs = {name: inputs[name] for name in inputs.keys() - {"names", "labels", "way"}}
        with torch.no_grad():
            outputs.append(tiny_model(name)(**inputs, use_cache=False).logits[0, 5:])
    is_same = (outputs[0] - outputs[1]).abs().amax(-1) < 1e-5
    assert is_same.tolist() == [True] * 4 + [False] * 2 + [True] * 6
    with torch.no_grad():
        alone = tiny_model(name)(input_ids=torch.tensor([ids])).logits[0]
    torch.testing.assert_close(outputs[0][:5], alone[:5], atol=1e-4, rtol=1e-4)
    assert (outputs[0][6:] - alone[6:]).abs().max() > 1e-3


def test_what_is_predicted_is_counted_by_clue(tokenizer, documents):
    """Rates agree with the labels of the sequences, token by token."""
    config = AugmentConfig(method="random", alpha=0.9, beta=1.0, copies=5)
    texts = build_training_texts(documents, score_documents(documents, Scorers(config)), config)
    copies = [text for text in texts if text.copy]
    by_id = {document.doc_id: document for document in documents}

    def rates(**training) -> TargetRates:
        corruption = build_corruption(TrainingConfig(**training), tokenizer)
        return measure_targets(copies, by_id, tokenizer, corruption)

    for corrupt in ("mask", "random", "unseen", "reconstruct"):
        all_predicted = rates(corrupt=corrupt, labels="clean")
        assert (all_predicted.values, all_predicted.relations) == (1.0, 1.0)
        # All but the first token of a text, before which nothing stands.
        assert all_predicted.tokens == pytest.approx(1.0, abs=0.02)
    assert rates(corrupt="mask") == rates(corrupt="delete")
    clean = rates(corrupt="delete", labels="clean")
    is_first, is_predicted = [], []
    for text in copies:
        document = by_id[text.doc_id]
        encoded = encode_copy(text, document, tokenizer)
        firsts = {fact.start for fact in document.facts}
        for index, characters in enumerate(encoded.characters[:-1]):
            if firsts & set(characters.tolist()):
                is_first.append(index)
                is_predicted.append(bool(encoded.is_kept[index - 1]))
    assert len(is_first) == 5 * len(copies)
    assert clean.values == pytest.approx(np.mean(is_predicted))
    assert 0 < np.mean(is_predicted) < 1


def test_what_is_not_known_about_predicted_tokens_is_left_out(tokenizer):
    document = document_of(TEXT)
    text = copy_of(TEXT, [])
    written = TrainingText("d", 1, "Rome saw his birth.", [], [], 0.0, "paraphrase", None, None, 0)
    corruption = build_corruption(TrainingConfig(corrupt="mask", labels="clean"), tokenizer)
    for copy in (text, written):
        rates = measure_targets([copy], {"d": document}, tokenizer, corruption)
        assert rates.tokens is not None
        assert 0.7 < rates.tokens < 1.0
        assert (rates.values, rates.names) == (None, None)


def test_an_empty_text_shifts_no_label():
    row = pack_row([Sequence([], []), Sequence([5, 6, 7], [5, 6, 7]), Sequence([8], [8])])
    assert row["labels"].tolist() == [[IGNORED, 6, 7, IGNORED]]


def test_keeping_the_token_before_each_value_makes_every_value_a_target(tokenizer, documents):
    config = AugmentConfig(method="random", alpha=1.0, beta=1.0, copies=4, protect="before-values")
    texts = build_training_texts(documents, score_documents(documents, Scorers(config)), config)
    by_id = {document.doc_id: document for document in documents}
    corruption = build_corruption(TrainingConfig(labels="clean"), tokenizer)
    copies = [text for text in texts if text.copy]
    rates = measure_targets(copies, by_id, tokenizer, corruption)
    assert rates.values == 1.0
    assert rates.tokens is not None
    assert rates.tokens < 0.5
    units = cut_words(documents[0].text)
    starts = [fact.start for fact in documents[0].facts]
    assert all(
        end <= start
        for (_, end), start in zip(find_units_before(units, starts), starts, strict=True)
    )


@pytest.fixture(scope="module")
def loaded(model_folder) -> LoadedModel:
    return load_model(str(model_folder("llama")), dtype=torch.float32)


def sequences_of(
    tmp_path, people_folder, loaded, augment: dict | None = None, **training
) -> list[list[Sequence]]:
    """The sequences of three epochs."""
    settings = {"method": "plain", "copies": 2} | (augment or {})
    dataset = load_dataset_folder(people_folder)
    augment_dataset(dataset, AugmentConfig(**settings), tmp_path / "text")
    config = TrainingConfig(**training)
    objective = build_objective(config, loaded)
    text = TrainingTextFolder(tmp_path / "text")
    build_epoch = SequenceBuilder(text, dataset, loaded, config, objective, 0).get_epoch_builder()
    return [list(build_epoch(epoch)) for epoch in range(3)]


DRAWN = [
    ({}, {"objective": "d-ar"}),
    ({}, {"objective": "meap"}),
    ({}, {"objective": "attention-dropout"}),
    ({}, {"objective": "masked-fine-tuning"}),
    ({"method": "random"}, {"corrupt": "random"}),
    ({"method": "random"}, {"corrupt": "unseen"}),
    ({"method": "random"}, {"corrupt": "partly-unseen"}),
]


@pytest.mark.parametrize(("augment", "training"), DRAWN)
@pytest.mark.parametrize("dynamic", [False, True])
def test_copies_of_all_arms_are_drawn_alike(
    augment, training, dynamic, tmp_path, people_folder, loaded
):
    """The original stays as it is; copies are fixed, or drawn anew for every epoch."""
    epochs = sequences_of(tmp_path, people_folder, loaded, augment, dynamic=dynamic, **training)
    plain = sequences_of(tmp_path / "plain", people_folder, loaded)[0]
    for first, original in zip(epochs[0][::3], plain[::3], strict=True):
        assert first == original
    copies = [[s for index, s in enumerate(epoch) if index % 3] for epoch in epochs]
    assert (copies[0] == copies[1]) == (not dynamic)
    assert (copies[1] == copies[2]) == (not dynamic)
    assert all(copy != plain[index] for index, copy in enumerate(epochs[0]) if index % 3)


@pytest.mark.parametrize(("augment", "training"), DRAWN)
def test_without_originals_one_more_copy_is_drawn(
    augment, training, tmp_path, people_folder, loaded
):
    changed = augment | {"original": False}
    (first, *_) = sequences_of(tmp_path, people_folder, loaded, changed, **training)
    plain = sequences_of(tmp_path / "plain", people_folder, loaded)[0]
    assert len(first) == len(plain)
    assert all(sequence != original for sequence, original in zip(first, plain, strict=True))


def test_partly_unseen_hides_by_drop_probability(tmp_path, people_folder, loaded):
    augment = {"method": "position", "alpha": 0.9, "beta": 0.1, "copies": 1}
    (first, *_) = sequences_of(tmp_path, people_folder, loaded, augment, corrupt="partly-unseen")
    hidden = first[1].hidden
    assert hidden is not None
    words = [share for share in hidden if share > 0]
    assert np.diff(words).min() > -1e-9, "earlier tokens are hidden less"
    assert max(words) < 0.9
    row = pack_row([first[1]])
    mask = RowCollator(Packing("positions"), torch.float32)([row])["attention_mask"][0, 0]
    shares = [(mask[index + 1 :, index] != 0).float().mean() for index in range(len(hidden) - 8)]
    assert np.corrcoef(shares, hidden[: len(shares)])[0, 1] > 0.8


def test_attention_dropout_spares_replayed_questions_and_originals():
    sequence = Sequence(list(range(2, 32)), list(range(2, 32)), hidden=[0.2] * 30, mask_seed=7)
    replay = Sequence(list(range(2, 12)), list(range(2, 12)))
    row = pack_row([replay, sequence, replay])
    mask = RowCollator(Packing("positions"), torch.float32)([row])["attention_mask"][0, 0] == 0
    whole = torch.ones(10, 10).tril().bool()
    assert (mask[:10, :10] == whole).all()
    assert (mask[40:, 40:] == whole).all()
    assert not mask[10:40, 10:40][torch.ones(30, 30).tril().bool()].all()


def test_replayed_questions_are_spread_over_what_is_really_trained_on():
    """Under a budget of tokens, arms that drop tokens see more copies, and replay to the end."""
    texts = [Sequence([5] * 10, [5] * 10)] * 20
    replay = [Sequence([9], [9])] * 30
    rng = np.random.default_rng(0)
    rows = list(pack_epochs(lambda epoch: texts, replay, 2, 10, rng, num_tokens=3 * 200 + 50))
    tokens = [token for row in rows for token in row["input_ids"][0].tolist()]
    places = np.flatnonzero(np.array(tokens) == 9)
    assert len(places) == 30
    counts, _ = np.histogram(places, 3, range=(0, len(tokens)))
    assert counts.min() >= 7


def test_the_mask_token_is_the_best_that_the_tokenizer_has(tokenizer):
    assert choose_mask_token(tokenizer) == tokenizer.pad_token_id


def test_no_rewrite_changes_what_dropping_would_give(documents):
    config = AugmentConfig(method="random", copies=2)
    texts = build_training_texts(documents, score_documents(documents, Scorers(config)), config)
    for text in texts:
        document = next(d for d in documents if d.doc_id == text.doc_id)
        units = cut_words(document.text)
        keep = np.array([any(s <= a and b <= e for s, e in text.kept) for a, b in units])
        assert drop_units(document.text, units, keep) == (text.text, text.kept)
        assert text.pieces == [(0, len(document.text))]
