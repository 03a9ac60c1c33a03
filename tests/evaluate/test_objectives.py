"""Arms that act in training: D-AR, attention dropout, Rho-1, and copies drawn anew per epoch."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import VOCABULARY, tiny_model
from training_rows import adapted, gradients, row

from elusive.augment.arms import list_arms
from elusive.augment.augment import augment_dataset
from elusive.augment.config import AugmentConfig
from elusive.augment.training_text import TrainingTextFolder
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.errors import InputError, validate_config
from elusive.common.lm.chunked_loss import compute_chunked_losses, compute_whole_losses
from elusive.common.lm.loading import load_model
from elusive.common.lm.packing import (
    IGNORED,
    Sequence,
    build_text_sequence,
    pack_row,
    sample_attention_mask,
)
from elusive.evaluate.cells.cell import Cell, collect_parameters, compute_cell_id, get_arm
from elusive.evaluate.cells.make_cell import make_cell
from elusive.evaluate.config import AnsweringConfig, CellSettings, TrainingConfig
from elusive.evaluate.training import objectives, rows
from elusive.evaluate.training.corruption import list_ordinary_tokens
from elusive.evaluate.training.objectives import (
    GOLDFISH_CONTEXT,
    add_reference_losses,
    build_objective,
    compute_selected_loss,
    compute_unknown_loss,
    drop_labels_by_hash,
    replace_tokens,
)
from elusive.evaluate.training.rows import SequenceBuilder

POSITIONS = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 0, 0, 1, 2, 3]])
LENGTHS = [7, 1, 4]


def test_d_ar_replaces_a_share_of_the_input_and_nothing_that_is_predicted(tokenizer):
    sequence = Sequence(list(range(2, 502)) * 8, list(range(2, 502)) * 8)
    vocabulary = list_ordinary_tokens(tokenizer)
    noisy = replace_tokens(sequence, 0.2, vocabulary, np.random.default_rng(0))
    changed = np.array(noisy.input_ids) != np.array(sequence.input_ids)
    assert 0.17 < changed.mean() < 0.23
    assert not changed[0]
    assert noisy.labels == sequence.labels
    assert not set(tokenizer.all_special_ids) & set(noisy.input_ids)
    other_noise = replace_tokens(sequence, 0.2, vocabulary, np.random.default_rng(1))
    assert other_noise.input_ids != noisy.input_ids


def test_attention_dropout_closes_a_share_of_what_a_token_sees_but_never_itself():
    positions = torch.arange(300)[None]
    hidden = torch.full((1, 300), 0.2)
    mask = sample_attention_mask(positions, hidden, [0], torch.float32)[0, 0]
    past = torch.ones(300, 300).tril(-1).bool()
    assert mask.shape == (300, 300)
    assert (mask.diagonal() == 0).all()
    assert (mask[~past & ~torch.eye(300).bool()] < -1e30).all()
    assert 0.19 < (mask[past] != 0).float().mean() < 0.21


@pytest.mark.parametrize(
    ("name", "implementation"),
    [("llama", "sdpa"), ("llama", "eager"), ("gemma2", "eager"), ("gpt2", "sdpa")],
)
def test_with_nothing_closed_a_packed_row_is_what_its_sequences_are_apart(name, implementation):
    generator = torch.Generator().manual_seed(0)
    sequences = [torch.randint(2, VOCABULARY, (1, n), generator=generator) for n in LENGTHS]
    model = tiny_model(name)
    model.set_attn_implementation(implementation)
    hidden = torch.zeros(POSITIONS.shape)
    mask = sample_attention_mask(POSITIONS, hidden, [0, 1, 2], torch.float32)
    inputs = {"input_ids": torch.cat(sequences, 1), "position_ids": POSITIONS}
    with torch.no_grad():
        apart = torch.cat([model(input_ids=ids).logits for ids in sequences], 1)
        together = model(**inputs, attention_mask=mask, use_cache=False).logits
        noise = sample_attention_mask(POSITIONS, hidden + 0.5, [0, 1, 2], torch.float32)
        noisy = model(**inputs, attention_mask=noise, use_cache=False).logits
    # A mask that the caller passes does not apply Gemma's window of 6 tokens.
    short = slice(0, 6)
    torch.testing.assert_close(together[:, short], apart[:, short], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together[:, 7:], apart[:, 7:], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(noisy[:, 1:7], together[:, 1:7], atol=1e-3)
    torch.testing.assert_close(noisy[:, [0, 7, 8]], together[:, [0, 7, 8]])  # see only themselves


def test_rho_learns_from_what_is_harder_than_for_the_reference_and_from_all_answers():
    losses = torch.tensor([1.0, 5.0, 3.0, 2.0, 0.5], requires_grad=True)
    reference = torch.tensor([0.0, 5.0, 1.0, 2.0, -torch.inf])
    # Excess losses are 1, 0, 2 and 0: two of these four count, and the answer does.
    loss = compute_selected_loss(losses, reference, 0.5)
    assert loss.item() == pytest.approx((1.0 + 3.0 + 0.5) / 3)
    (gradient,) = torch.autograd.grad(loss, losses)
    torch.testing.assert_close(gradient, torch.tensor([1, 0, 1, 0, 1]) / 3)
    everything = compute_selected_loss(losses, reference, 1.0)
    assert everything.item() == pytest.approx(losses.mean().item())


def test_memft_learns_from_what_the_model_does_not_know():
    losses = torch.tensor([0.1, 0.69, 0.7, 3.0], requires_grad=True)  # -log(0.5) is 0.693
    loss = compute_unknown_loss(losses, torch.zeros(4), 0.5)
    assert loss.item() == pytest.approx((0.7 + 3.0) / 2)
    assert compute_unknown_loss(torch.tensor([0.1, 0.2]), torch.zeros(2), 0.5) == 0
    replayed = torch.tensor([-torch.inf, 0.0, 0.0, 0.0])
    spared = compute_unknown_loss(losses, replayed, 0.5)
    assert spared.item() == pytest.approx((0.1 + 0.7 + 3.0) / 3), "answers of replay always count"
    assert compute_unknown_loss(losses, None, 0.5) == losses.mean()


def test_goldfish_leaves_the_same_tokens_out_wherever_they_occur():
    rng = np.random.default_rng(0)
    passage = rng.integers(0, 500, 4000).tolist()
    before = rng.integers(0, 500, 5).tolist()
    alone, moved = (
        np.array(drop_labels_by_hash(Sequence(ids, ids), 4).labels)
        for ids in (passage, before + passage)
    )
    assert (alone[:GOLDFISH_CONTEXT] != IGNORED).all()
    assert (alone[GOLDFISH_CONTEXT:] == moved[5 + GOLDFISH_CONTEXT :]).all()
    assert 0.22 < (alone == IGNORED).mean() < 0.28
    short = Sequence([1, 2, 3], [1, 2, 3])
    assert drop_labels_by_hash(short, 2) == short


def test_masked_fine_tuning_predicts_the_copy_from_its_masked_version(model_folder):
    loaded = load_model(str(model_folder("llama")))
    change = build_objective(TrainingConfig(objective="masked-fine-tuning"), loaded).change_copy
    assert change
    ids = list(range(2, 402))
    changed = change(Sequence(ids, ids), np.random.default_rng(0))
    masked = np.array(changed.input_ids[:400])
    is_masked = masked == loaded.tokenizer.pad_token_id
    assert (masked[~is_masked] == np.array(ids)[~is_masked]).all()
    assert 0.4 < is_masked.mean() < 0.6
    assert changed.input_ids[400:] == changed.labels[400:] == ids
    assert set(changed.labels[:400]) == {IGNORED}


@pytest.mark.parametrize("objective", ["masked-fine-tuning", "rho-1"])
def test_objectives_that_would_show_hidden_tokens_refuse_them(objective, model_folder):
    loaded = load_model(str(model_folder("llama")))
    config = TrainingConfig(objective=objective, reference=str(model_folder("llama")))
    built = build_objective(config, loaded)
    sequence = Sequence([2, 3, 4], [2, 3, 4], hidden=[0.0, 1.0, 0.0])
    change: Callable = built.change_copy or (lambda s, rng: built.change_epoch([s], "en"))  # type: ignore[misc]
    with pytest.raises(InputError, match="use corrupt 'mask', 'random' or 'delete'"):
        change(sequence, np.random.default_rng(0))


def test_attention_dropout_leaves_the_first_token_open(model_folder):
    loaded = load_model(str(model_folder("llama")))
    change = build_objective(TrainingConfig(objective="attention-dropout"), loaded).change_copy
    assert change
    changed = change(Sequence([2, 3, 4], [2, 3, 4]), np.random.default_rng(0))
    assert changed.hidden == pytest.approx([0.0, 0.2, 0.2])


def test_settings_of_objectives_default_to_those_of_the_table():
    assert TrainingConfig(objective="meap").get_setting("noise") == 0.15
    assert TrainingConfig(objective="d-ar").get_setting("noise") == 0.2
    assert TrainingConfig(objective="d-ar", noise=0.4).get_setting("noise") == 0.4
    plain = TrainingConfig().select_deciding()
    assert plain["weight_decay"] == plain["lora_dropout"] == 0.0
    decay = TrainingConfig(objective="weight-decay").select_deciding()
    assert decay["weight_decay"] == 0.1
    assert decay["lora_dropout"] == 0.0


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_loss_in_chunks_can_be_taken_token_by_token(name):
    model = adapted(name)
    chunked, whole = compute_chunked_losses(model, row()), compute_whole_losses(model, row())
    torch.testing.assert_close(chunked, whole, rtol=1e-4, atol=1e-4)
    pairs = zip(gradients(model, chunked[3]), gradients(model, whole[3]), strict=True)
    for actual, expected in pairs:
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-5)


def test_reference_losses_are_the_models_own(model_folder, tokenizer):
    reference = load_model(str(model_folder("llama", 1)))
    texts = ["Ada Byron was born in London.", "Rome.", "Ada Byron was born in London."]
    sequences = [build_text_sequence(text, tokenizer) for text in texts]
    sequences[1] = Sequence(sequences[1].input_ids, [IGNORED, IGNORED, *sequences[1].labels[2:]])
    with_losses = add_reference_losses(sequences, reference)
    for sequence in with_losses:
        inputs = torch.tensor([sequence.input_ids])
        with torch.no_grad():
            own = reference.model(
                input_ids=inputs, labels=torch.tensor([[IGNORED, *sequence.labels[1:]]])
            ).loss
        assert sequence.reference_losses is not None
        counted = [
            loss
            for loss, label in zip(sequence.reference_losses[1:], sequence.labels[1:], strict=True)
            if label != IGNORED
        ]
        assert np.mean(counted) == pytest.approx(own.item(), rel=1e-4)
    together = pack_row([with_losses[0], Sequence([3, 4], [IGNORED, 4])])
    assert together["reference_losses"].shape == together["input_ids"].shape
    assert together["reference_losses"][0, -1] == -torch.inf


MASKING = ("attention-dropout", "guided-masking")
"""Objectives that close entries of the attention mask."""


def test_reference_losses_do_not_depend_on_how_many_sequences_are_read_together(
    model_folder, tokenizer, monkeypatch
):
    reference = load_model(str(model_folder("llama", 1)))
    words = ["Ada Byron was born in London.", "Rome.", "She studied Physics in Rome and Oslo."]
    sequences = [build_text_sequence(text, tokenizer) for text in words * 3]
    together = add_reference_losses(sequences, reference)
    monkeypatch.setattr(objectives, "SCORED_TOGETHER", 2)
    apart = add_reference_losses(sequences, reference)
    assert len(together) == len(apart) == 9
    for one, other, sequence in zip(together, apart, sequences, strict=True):
        assert one.input_ids == other.input_ids == sequence.input_ids
        assert one.reference_losses == pytest.approx(other.reference_losses, abs=0.1)
    assert apart[-1].reference_losses == apart[2].reference_losses != apart[1].reference_losses


@pytest.mark.parametrize("objective", ["memft", "goldfish", "rho-1"])
def test_sequences_of_an_objective_are_not_kept(
    objective, people_folder, model_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(rows, "SEQUENCES_KEPT", 1)
    monkeypatch.setattr(objectives, "SCORED_TOGETHER", 2)
    loaded, text = (
        load_model(str(model_folder("llama"))),
        training_text(people_folder, tmp_path / "text"),
    )
    training = TrainingConfig(objective=objective, reference=str(model_folder("llama", 1)))
    built = build_objective(training, loaded)
    dataset = load_dataset_folder(people_folder)
    builder = SequenceBuilder(text, dataset, loaded, training, built, 0)
    sequences = builder.get_epoch_builder()(0)
    assert len(sequences) == 18
    first, again = sequences[0], [sequences[number] for number in (5, 0)][1]
    assert first == again
    assert first is not again


def training_text(dataset: Path, out: Path, method: str = "plain") -> TrainingTextFolder:
    augment_dataset(load_dataset_folder(dataset), AugmentConfig(method=method, copies=2), out)
    return TrainingTextFolder(out)


def cell(train: TrainingTextFolder, model: str, **training: object) -> Cell:
    config = TrainingConfig.model_validate({"epochs": 2, "format_replay": 4} | training)
    settings = CellSettings(training=config, answering=AnsweringConfig(split="all", limit=3))
    return Cell("arm", train, model, 0, settings)


@pytest.mark.parametrize("objective", list_arms("objective"))
def test_an_objective_changes_the_cell_and_its_outcome(
    objective, people_folder, model_folder, tmp_path
):
    model, reference = (str(model_folder("llama", seed)) for seed in (0, 1))
    dataset, loaded = load_dataset_folder(people_folder), load_model(model)
    text = training_text(people_folder, tmp_path / "text")
    changes = [{}] + [
        {
            "objective": objective,
            "reference": reference,
            "noise": noise,
            "selected": 1 - noise,
            "known_above": noise / 1000,
            "one_in": 2 if noise < 0.5 else 3,
            "lora_dropout": noise,
            "weight_decay": 100 * noise,
        }
        for noise in (0.1, 0.6)
    ]
    ids, losses = set(), []
    for number, change in enumerate(changes):
        this = cell(text, model, **change)
        parameters = collect_parameters(this, dataset, loaded.weights_hash)
        assert get_arm(parameters) == (objective if change else "plain")
        ids.add(compute_cell_id(parameters))
        make_cell(this, dataset, loaded, tmp_path / f"cell-{number}")
        log = json.loads((tmp_path / f"cell-{number}" / "training_log.json").read_text())
        losses.append(log["losses"])
        assert log["packed_attention"] == (not change or objective not in MASKING)
    assert len(ids) == 3
    assert losses[0] != losses[1] != losses[2]


def test_settings_of_another_objective_decide_nothing(people_folder, model_folder, tmp_path):
    model = str(model_folder("llama"))
    dataset, text = load_dataset_folder(people_folder), training_text(people_folder, tmp_path / "t")
    ids = {
        compute_cell_id(collect_parameters(cell(text, model, **change), dataset, "0"))
        for change in ({}, {"noise": 0.5}, {"selected": 0.5}, {"reference": "nano-small"})
    }
    assert len(ids) == 1


def test_another_reference_changes_the_id_and_its_name_does_not(
    people_folder, model_folder, tmp_path
):
    dataset, text = load_dataset_folder(people_folder), training_text(people_folder, tmp_path / "t")
    first, second = model_folder("llama"), model_folder("llama", 1)
    moved = shutil.copytree(first, tmp_path / "moved")

    def identifier(reference: Path) -> str:
        this = cell(text, str(first), objective="rho-1", reference=str(reference))
        return compute_cell_id(collect_parameters(this, dataset, "0"))

    other_config = shutil.copytree(first, tmp_path / "config")
    config = json.loads((other_config / "config.json").read_text()) | {"rms_norm_eps": 0.5}
    (other_config / "config.json").write_text(json.dumps(config))
    assert identifier(first) == identifier(moved)
    assert len({identifier(reference) for reference in (first, second, other_config)}) == 3


def test_clean_labels_and_fresh_copies_change_the_cell_and_its_outcome(
    people_folder, model_folder, tmp_path
):
    model = str(model_folder("llama"))
    dataset, loaded = load_dataset_folder(people_folder), load_model(model)
    text = training_text(people_folder, tmp_path / "text", method="random")
    ids, losses = set(), []
    for number, change in enumerate(({}, {"labels": "clean"}, {"dynamic": True})):
        this = cell(text, model, **change)
        ids.add(compute_cell_id(collect_parameters(this, dataset, loaded.weights_hash)))
        make_cell(this, dataset, loaded, tmp_path / f"cell-{number}")
        log = json.loads((tmp_path / f"cell-{number}" / "training_log.json").read_text())
        losses.append(log["losses"])
    assert len(ids) == 3
    assert losses[0] != losses[1]
    assert losses[0] != losses[2]
    assert losses[0][0] == losses[2][0], "the first epoch of fresh copies has the written copies"


def test_rho_refuses_a_reference_of_another_tokenizer(people_folder, model_folder, tmp_path):
    model = str(model_folder("llama"))
    text = training_text(people_folder, tmp_path / "text")
    this = cell(text, model, objective="rho-1", reference="nano-small")
    with pytest.raises(InputError, match=r"'nano-small' and .* have different tokenizers"):
        make_cell(this, load_dataset_folder(people_folder), load_model(model), tmp_path / "c")


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"objective": "d-arr"}, "unknown objective 'd-arr': did you mean 'd-ar'"),
        ({"objective": "rho-1"}, "objective 'rho-1' needs --reference MODEL"),
        ({"objective": "lora-dropout", "tuning": "full"}, "'lora-dropout' needs adapters"),
    ],
)
def test_wrong_objectives_are_one_line(training, message):
    with pytest.raises(InputError, match=message):
        validate_config(TrainingConfig, training)


def test_dynamic_training_draws_new_copies_for_every_epoch(people_folder, model_folder, tmp_path):
    dataset, loaded = load_dataset_folder(people_folder), load_model(str(model_folder("llama")))
    text = training_text(people_folder, tmp_path / "text", method="random")
    written = [build_text_sequence(t.text, loaded.tokenizer).input_ids for t in text.read_texts()]

    def build(dynamic: bool, epoch: int) -> list[list[int]]:
        config = TrainingConfig(dynamic=dynamic)
        builder = SequenceBuilder(text, dataset, loaded, config, build_objective(config, loaded), 0)
        return [sequence.input_ids for sequence in builder.get_epoch_builder()(epoch)]

    assert build(False, 0) == build(False, 1) == build(True, 0) == written
    fresh = [build(True, epoch) for epoch in range(3)]
    for first, second in ((0, 1), (1, 2), (0, 2)):
        pairs = list(zip(fresh[first], fresh[second], strict=True))
        assert all(a == b for a, b in pairs[::3]), "originals"
        assert sum(a == b for a, b in pairs) < 0.5 * len(pairs)
    assert build(True, 1) == fresh[1]
