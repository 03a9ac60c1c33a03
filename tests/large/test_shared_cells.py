"""Cells that several processes make are those that one process makes, and resume like them."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import FIELDS
from safetensors.torch import load_file

from elusive.augment.augment import augment_dataset
from elusive.augment.config import AugmentConfig
from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.common.dataset.folder import DatasetFolder, load_dataset_folder
from elusive.common.errors import InputError
from elusive.common.lm.loading import load_model
from elusive.evaluate.cells.cell import Cell
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.cells.make_cell import make_cell
from elusive.evaluate.config import AnsweringConfig, CellSettings, TrainingConfig

pytestmark = pytest.mark.skipif(
    torch.cuda.device_count() == 1, reason="two processes need two GPUs or none"
)
MODEL = "nano-small"
"""It computes in float32 on every machine."""
TOLERANCE = 1e-4
"""Largest difference of losses in nats, and of weights, that the order of sums may cause."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> DatasetFolder:
    """Four people."""
    folder = tmp_path_factory.mktemp("data") / "people"
    settings = {"people": 4, "num_shot_people": 8, "dev_rate": 0, "fields": FIELDS}
    generate_dataset(BiogenConfig.model_validate(settings), folder)
    return load_dataset_folder(folder)


@pytest.fixture(scope="module")
def build(tmp_path_factory, dataset) -> Callable[..., Cell]:
    """Function that builds a cell of four people with two copies each."""
    folder = tmp_path_factory.mktemp("texts") / "text"
    augment_dataset(dataset, AugmentConfig(method="random", copies=2), folder)

    def call(**training: object) -> Cell:
        config = {"epochs": 4, "batch_size": 4, "accumulation": 2, "format_replay": 3}
        config |= {"checkpoint_minutes": 1e-6} | training
        settings = CellSettings(
            training=TrainingConfig.model_validate(config),
            answering=AnsweringConfig(num_shots=2, limit=3),
        )
        return Cell("arm", TrainingTextFolder(folder), MODEL, 0, settings)

    return call


def read_log(out: Path) -> dict[str, Any]:
    return json.loads((out / "training_log.json").read_text())


def read_weights(out: Path) -> dict[str, Any]:
    return load_file(out / "adapter" / "adapter_model.safetensors")


def list_files(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))


def check_alike(out: Path, expected: Path) -> None:
    """Check that two cells are the same but for rounding."""
    log, expected_log = read_log(out), read_log(expected)
    assert (log["steps"], log["tokens"]) == (expected_log["steps"], expected_log["tokens"])
    assert log["losses"] == pytest.approx(expected_log["losses"], abs=TOLERANCE)
    weights, expected_weights = read_weights(out), read_weights(expected)
    assert weights.keys() == expected_weights.keys()
    for name, weight in weights.items():
        assert float((weight - expected_weights[name]).abs().max()) < TOLERANCE, name
    answers, expected_answers = load_cell(out).predictions, load_cell(expected).predictions
    assert [p.prediction for p in answers] == [p.prediction for p in expected_answers]
    assert [p.log_probability for p in answers] == pytest.approx(
        [p.log_probability for p in expected_answers], abs=TOLERANCE
    )
    assert list_files(out) == list_files(expected)
    assert load_cell(out).parameters == load_cell(expected).parameters


def list_children() -> list[int]:
    """Numbers of the processes that this one has started, the first of them first."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [
        int(child)
        for child in children
        if "process_main" in Path(f"/proc/{child}/cmdline").read_text()
    ]


def test_a_shared_cell_equals_that_of_one_process_even_if_a_process_is_killed(
    build, dataset, tmp_path
):
    cell, steps = build(), []
    make_cell(cell, dataset, load_model(cell.model), tmp_path / "one")

    def kill_at_sixth() -> None:
        steps.append(1)
        if len(steps) == 6:
            os.kill(list_children()[1], signal.SIGKILL)
            time.sleep(1)

    with pytest.raises(RuntimeError, match=r"^process 2 of 2 ended with code -9"):
        make_cell(cell, dataset, None, tmp_path / "two", kill_at_sixth, processes=2)
    assert not (tmp_path / "two").exists()
    assert list(tmp_path.glob(".two.checkpoints/*/checkpoint-*"))
    make_cell(cell, dataset, None, tmp_path / "two", lambda: steps.append(1), processes=2)
    assert read_log(tmp_path / "one")["steps"] == 13
    check_alike(tmp_path / "two", tmp_path / "one")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("training", "line"),
    [
        ({"accumulation": 1}, "processes 2 does not divide accumulation 1"),
        ({"tuning": "full"}, "processes 2 cannot train all weights"),
        ({"quantization": "8bit"}, "processes 2 cannot share weights in 8bit"),
    ],
)
def test_settings_that_processes_cannot_share_are_refused_at_once(
    training, line, build, dataset, tmp_path
):
    with pytest.raises(InputError, match=f"^{line}"):
        make_cell(build(**training), dataset, None, tmp_path / "cell", processes=2)
    assert not list(tmp_path.iterdir())
