"""Interrupted cells resume from their own checkpoints and end like those that ran through."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import FIELDS
from safetensors.torch import load_file

from elusive.augment.augment import augment_dataset
from elusive.augment.config import AugmentConfig
from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.lm.loading import load_model
from elusive.evaluate.cells.cell import Cell
from elusive.evaluate.cells.make_cell import make_cell
from elusive.evaluate.config import AnsweringConfig, CellSettings, TrainingConfig

Make = Callable[..., dict[str, Any]]


class Killed(Exception):
    """What ends a training in the middle."""


@pytest.fixture(scope="module")
def make(tmp_path_factory, model_folder) -> Make:
    """Function that makes a cell, or is killed at a step; it returns the training's log."""
    root = tmp_path_factory.mktemp("cells")
    settings = {"people": 4, "num_shot_people": 8, "dev_rate": 0, "fields": FIELDS}
    generate_dataset(BiogenConfig.model_validate(settings), root / "people")
    dataset = load_dataset_folder(root / "people")
    augment_dataset(dataset, AugmentConfig(method="random", copies=2), root / "text")
    text = TrainingTextFolder(root / "text")
    loaded = load_model(str(model_folder("llama")))

    def call(out: Path, kill_at: int = 0, **training: object) -> dict[str, Any]:
        config = TrainingConfig.model_validate(
            {"epochs": 4, "batch_size": 4, "format_replay": 4, "checkpoint_minutes": 1e-6}
            | {"lora_dropout": 0.1}
            | training
        )
        answering = AnsweringConfig(num_shots=2, limit=2)
        cell_settings = CellSettings(training=config, answering=answering)
        cell = Cell("arm", text, str(model_folder("llama")), 0, cell_settings)
        steps = []

        def count() -> None:
            steps.append(1)
            if len(steps) == kill_at:
                raise Killed

        make_cell(cell, dataset, loaded, out, count)
        log = json.loads((out / "training_log.json").read_text())
        assert len(steps) == log["steps"]
        return {name: value for name, value in log.items() if "second" not in name}

    return call


def read_weights(out: Path) -> dict[str, list]:
    weights = load_file(out / "adapter" / "adapter_model.safetensors")
    return {name: tensor.tolist() for name, tensor in weights.items()}


@pytest.mark.parametrize("kill_at", [6, 9, 12])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_resumed_cell_has_the_weights_and_the_log_of_an_uninterrupted_one(
    kill_at, accumulation, make, tmp_path
):
    straight = make(tmp_path / "straight", accumulation=accumulation)
    assert straight["steps"] == 13
    with pytest.raises(Killed):
        make(tmp_path / "cell", kill_at, accumulation=accumulation)
    assert list(tmp_path.glob(".cell.checkpoints/*/checkpoint-*"))
    assert make(tmp_path / "cell", accumulation=accumulation) == straight
    assert read_weights(tmp_path / "cell") == read_weights(tmp_path / "straight")
    assert not list(tmp_path.glob(".*"))


def test_an_interrupted_cell_of_other_settings_is_not_resumed(make, tmp_path):
    straight = make(tmp_path / "straight")
    with pytest.raises(Killed):
        make(tmp_path / "cell", 9, learning_rate=0.5)
    assert make(tmp_path / "cell") == straight
    assert read_weights(tmp_path / "cell") == read_weights(tmp_path / "straight")
    assert not list(tmp_path.glob(".*"))


def test_how_often_is_saved_does_not_matter_for_resuming(make, tmp_path):
    with pytest.raises(Killed):
        make(tmp_path / "cell", 9)
    straight = make(tmp_path / "straight")
    assert make(tmp_path / "cell", checkpoint_minutes=9.0) == straight


def test_a_training_of_one_step_learns(make, tmp_path):
    assert make(tmp_path / "cell", epochs=1, batch_size=100)["steps"] == 1
    weights = read_weights(tmp_path / "cell")
    assert any(any(map(any, value)) for name, value in weights.items() if "lora_B" in name)
