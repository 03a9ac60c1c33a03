"""What decides a cell's outcome changes its id, each by itself; names and places do not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from elusive.augment.augment import augment_dataset
from elusive.augment.config import AugmentConfig
from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.lm.loading import load_model
from elusive.common.lm.references import hash_model_weights
from elusive.evaluate.cells.cell import Cell, collect_parameters, compute_cell_id
from elusive.evaluate.config import AnsweringConfig, CellSettings, TrainingConfig
from elusive.evaluate.training.lora import ignore_adapter_warnings

People = Callable[..., Path]


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> People:
    """Function that makes a dataset folder."""

    def make(name: str = "people", **changes: object) -> Path:
        folder = tmp_path_factory.mktemp("datasets") / name
        settings = {"people": 3, "num_shot_people": 8} | changes
        generate_dataset(BiogenConfig.model_validate(settings), folder)
        return folder

    return make


def text_of(dataset: Path, folder: Path, **settings: object) -> TrainingTextFolder:
    """Training text of a dataset."""
    config = {"method": "random", "copies": 2} | settings
    augment_dataset(load_dataset_folder(dataset), AugmentConfig.model_validate(config), folder)
    return TrainingTextFolder(folder)


def identifier(
    dataset: Path,
    model: Path,
    train: TrainingTextFolder | None = None,
    adapter: Path | None = None,
    seed: int = 0,
    label: str = "arm",
    training: dict[str, object] | None = None,
    answering: dict[str, object] | None = None,
    threads: int | None = None,
) -> str:
    """Id of a cell, as a run computes it."""
    settings = CellSettings(
        training=TrainingConfig.model_validate(training or {}),
        answering=AnsweringConfig.model_validate(answering or {}),
        threads=threads,
    )
    cell = Cell(label, train, str(model), seed, settings, adapter=adapter)
    parameters = collect_parameters(
        cell, load_dataset_folder(dataset), hash_model_weights(str(model))
    )
    return compute_cell_id(parameters)


def test_the_seed_of_the_shots_changes_the_id(people, model_folder):
    dataset, model = people(), model_folder("llama")
    assert identifier(dataset, model) == identifier(dataset, model)
    assert identifier(dataset, model) != identifier(dataset, model, seed=1)


def test_other_weights_change_the_id_and_another_place_does_not(people, model_folder, tmp_path):
    dataset = people()
    first, second = model_folder("llama"), model_folder("llama", seed=1)
    assert identifier(dataset, first) != identifier(dataset, second)
    moved = shutil.copytree(first, tmp_path / "moved")
    assert identifier(dataset, first) == identifier(dataset, moved)
    path = shutil.copytree(first, tmp_path / "changed") / "model.safetensors"
    weights = load_file(path)
    weights["model.norm.weight"][0] += 1
    save_file(weights, path, metadata={"format": "pt"})
    assert identifier(dataset, first) != identifier(dataset, path.parent)


def test_an_adapter_and_every_part_of_it_change_the_id(people, model_folder, tmp_path):
    dataset, model = people(), model_folder("llama")
    with ignore_adapter_warnings():
        lora = LoraConfig(r=2, target_modules=["q_proj"])
        adapted = get_peft_model(load_model(str(model)).model, lora)
    adapter = tmp_path / "adapter"
    adapted.save_pretrained(str(adapter))
    first = identifier(dataset, model, adapter=adapter)
    assert first != identifier(dataset, model)
    moved = shutil.copytree(adapter, tmp_path / "moved")
    assert identifier(dataset, model, adapter=moved) == first
    weights = load_file(moved / "adapter_model.safetensors")
    for tensor in weights.values():
        tensor += 1
    save_file(weights, moved / "adapter_model.safetensors", metadata={"format": "pt"})
    assert identifier(dataset, model, adapter=moved) != first
    scaled = shutil.copytree(adapter, tmp_path / "scaled")
    settings = (scaled / "adapter_config.json").read_text()
    changed = settings.replace('"lora_alpha": 8', '"lora_alpha": 16')
    assert changed != settings
    (scaled / "adapter_config.json").write_text(changed)
    assert identifier(dataset, model, adapter=scaled) != first


def test_the_datasets_content_changes_the_id_and_its_name_does_not(people, model_folder):
    model = model_folder("llama")
    first = identifier(people("people"), model)
    assert identifier(people("renamed"), model) == first
    for change in ({"seed": 1}, {"people": 4}, {"questions": ["direct", "yes-no"]}):
        assert identifier(people("other", **change), model) != first


def test_the_training_text_changes_the_id_and_its_folder_does_not(people, model_folder, tmp_path):
    dataset, model = people(), model_folder("llama")
    first = identifier(dataset, model, text_of(dataset, tmp_path / "a"))
    assert identifier(dataset, model, text_of(dataset, tmp_path / "b")) == first
    for name, change in (("seed", {"seed": 1}), ("alpha", {"alpha": 0.3}), ("k", {"copies": 3})):
        text = text_of(dataset, tmp_path / name, **change)
        assert identifier(dataset, model, text) != first


def test_the_normaliser_changes_the_id(people, model_folder, monkeypatch):
    dataset, model = people(), model_folder("llama")
    first = identifier(dataset, model)
    monkeypatch.setattr("elusive.common.answers.normalize_answer", str.lower)
    assert identifier(dataset, model) != first


@pytest.mark.parametrize(
    "change",
    [
        {"training": {"epochs": 1}},
        {"training": {"lora_rank": 4}},
        {"training": {"lora_dropout": 0.1}},
        {"training": {"lora_targets": ["q_proj"]}},
        {"training": {"quantization": "8bit"}},
        {"training": {"budget": "tokens"}},
        {"answering": {"num_shots": 3}},
        {"answering": {"split": "all"}},
        {"answering": {"limit": 2}},
        {"answering": {"chat_template": True}},
        {"threads": 2},
    ],
)
def test_settings_that_decide_change_the_id(people, model_folder, tmp_path, change):
    dataset, model = people(), model_folder("llama")
    text = text_of(dataset, tmp_path / "text")
    assert identifier(dataset, model, text, **change) != identifier(dataset, model, text)


@pytest.mark.parametrize(
    "change",
    [
        {"label": "another name"},
        {"training": {"checkpoint_minutes": 1}},
        {"training": {"report_to": ["tensorboard"]}},
        {"answering": {"answer_batch_size": 1}},
        {"answering": {"endpoint": "http://localhost:1/v1"}},
    ],
)
def test_settings_that_decide_nothing_leave_the_id(people, model_folder, tmp_path, change):
    dataset, model = people(), model_folder("llama")
    text = text_of(dataset, tmp_path / "text")
    assert identifier(dataset, model, text, **change) == identifier(dataset, model, text)
