"""Training text is made in shards: resumable, readable while it is made, the same however it is."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from elusive.augment import augment
from elusive.augment.augment import (
    augment_dataset,
    augment_shards,
    collect_parameters,
    finish_training_text,
)
from elusive.augment.config import AugmentConfig
from elusive.augment.scores.arm_scores import Scorers
from elusive.augment.training_text import KIND, SUMMARY, TEXTS, TrainingTextFolder
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.cli.main import cli
from elusive.common import content_hash, folders
from elusive.common.dataset import shards
from elusive.common.dataset.folder import DatasetFolder, load_dataset_folder
from elusive.common.dataset.records import Document
from elusive.common.dataset.shards import (
    PARAMETERS,
    PROGRESS,
    claim_folder,
    is_unfinished,
    read_batches,
)
from elusive.common.errors import InputError
from elusive.common.folders import hash_content

SMALL = 4
"""Documents per shard in these tests."""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("people") / "data"
    config = BiogenConfig(people=18, phrasings=2, held_out_phrasing=True, num_shot_people=8)
    generate_dataset(config, out)
    return out


def make(dataset: Path, out: Path, **settings: object) -> TrainingTextFolder:
    config = AugmentConfig.model_validate({"copies": 3} | settings)
    augment_dataset(load_dataset_folder(dataset), config, out)
    return TrainingTextFolder(out)


@pytest.mark.parametrize("method", ["random", "permute", "eda", "questions", "depth-contrast"])
def test_the_size_of_the_shards_changes_nothing(
    method, people, tmp_path, monkeypatch, model_folder
):
    model = str(model_folder("llama"))
    whole = make(people, tmp_path / "whole", method=method, model=model)
    monkeypatch.setattr(augment, "SHARD_DOCUMENTS", SMALL)
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path / "cache"))
    cut = make(people, tmp_path / "cut", method=method, model=model)
    assert len(list((tmp_path / "cut" / TEXTS).glob("*.arrow"))) == 5
    assert cut.read_texts() == whole.read_texts()
    assert cut.summary.diagnostics.lost_values == whole.summary.diagnostics.lost_values
    assert cut.summary.drop_rate == pytest.approx(whole.summary.drop_rate)
    if method != "depth-contrast":  # padding to the longest text of a batch moves last bits
        assert hash_content(cut.path) == hash_content(whole.path)


def test_a_killed_run_resumes_after_its_last_shard(people, tmp_path, monkeypatch):
    monkeypatch.setattr(augment, "SHARD_DOCUMENTS", SMALL)
    whole = make(people, tmp_path / "whole", method="random")
    out, starts = tmp_path / "out", []
    read_documents = DatasetFolder.read_documents

    def read_until_killed(self: DatasetFolder, start: int, stop: int) -> list[Document]:
        starts.append(start)
        if len(starts) == 3:
            raise KeyboardInterrupt
        return read_documents(self, start, stop)

    monkeypatch.setattr(DatasetFolder, "read_documents", read_until_killed)
    with pytest.raises(KeyboardInterrupt):
        make(people, out, method="random")
    assert is_unfinished(out)
    assert sum(map(len, read_batches(out, TEXTS))) == 2 * SMALL * 4  # readable while written
    with pytest.raises(InputError, match="not a training text folder"):
        TrainingTextFolder(out)
    with pytest.raises(InputError, match="different seed"):
        make(people, out, method="random", seed=1)
    resumed = make(people, out, method="random")
    assert starts == [0, 4, 8, 8, 12, 16]
    assert hash_content(out) == hash_content(whole.path)
    assert resumed.summary.diagnostics == whole.summary.diagnostics
    assert not (out / ".progress").exists()


@pytest.fixture
def left_folder(people, tmp_path, monkeypatch) -> Path:
    """A finished text whose command was killed while it removed `.progress`."""
    remove = shutil.rmtree

    def remove_until_killed(path: Path, ignore_errors: bool = False) -> None:
        if path.name == PROGRESS:
            (path / PARAMETERS).unlink()
            raise KeyboardInterrupt
        remove(path, ignore_errors)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", remove_until_killed)
        with pytest.raises(KeyboardInterrupt):
            make(people, tmp_path / "left", method="random")
    assert (tmp_path / "left" / PROGRESS).exists()
    return tmp_path / "left"


def test_a_finished_folder_with_leftovers_is_not_overwritten(people, left_folder):
    before = hash_content(left_folder)
    with pytest.raises(InputError, match=r"another run's files \(different seed"):
        make(people, left_folder, method="random", seed=1)
    assert hash_content(left_folder) == before


def test_a_finished_folder_with_leftovers_is_not_made_again_and_loses_them(people, left_folder):
    dataset, config = load_dataset_folder(people), AugmentConfig(method="random", copies=3)
    assert not augment_dataset(dataset, config, left_folder)
    assert not (left_folder / PROGRESS).exists()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_folder_that_is_finished_while_it_is_claimed_is_not_overwritten(
    seed, people, tmp_path, monkeypatch
):
    hold_claim, out = shards.hold_claim, tmp_path / "out"

    def hold_late(path: Path, wait: bool) -> object:
        monkeypatch.undo()
        make(people, out, method="random")
        return hold_claim(path, wait)

    monkeypatch.setattr(shards, "hold_claim", hold_late)
    dataset = load_dataset_folder(people)
    config = AugmentConfig(method="random", copies=3, seed=seed)
    if seed:
        with pytest.raises(InputError, match=r"another run's files \(different seed"):
            augment_dataset(dataset, config, out)
    else:
        assert not augment_dataset(dataset, config, out)
    assert TrainingTextFolder(out).parameters["seed"] == 0
    assert not list(out.glob(".progress/*"))


def test_tasks_that_share_the_shards_make_the_same_text(people, tmp_path, monkeypatch):
    monkeypatch.setattr(augment, "SHARD_DOCUMENTS", SMALL)
    whole = make(people, tmp_path / "whole", method="oracle")
    dataset, out = load_dataset_folder(people), tmp_path / "out"
    config = AugmentConfig(method="oracle", copies=3)
    with claim_folder(out, KIND, collect_parameters(dataset, config)) as is_mine:
        assert is_mine
        for task in (2, 0, 1, 1):
            done: list[int] = []
            augment_shards(
                dataset, out, Scorers(config), task=task, tasks=3, on_documents=done.append
            )
            assert sum(done) == {0: 8, 1: 6, 2: 4}[task]
        finish_training_text(dataset, config, out)
    assert hash_content(out) == hash_content(whole.path)
    assert (out / SUMMARY).exists()


def test_missing_shards_are_named(people, tmp_path, monkeypatch):
    monkeypatch.setattr(augment, "SHARD_DOCUMENTS", SMALL)
    dataset, out = load_dataset_folder(people), tmp_path / "out"
    config = AugmentConfig(method="random", copies=1)
    with claim_folder(out, KIND, collect_parameters(dataset, config)):
        augment_shards(dataset, out, Scorers(config), task=0, tasks=2)
        with pytest.raises(InputError, match=r"2 of 5 shards are missing \(1, 3\)"):
            finish_training_text(dataset, config, out)


def test_processes_write_the_same_bytes(tmp_path):
    """With more documents than one shard holds."""
    generate_dataset(BiogenConfig(people=augment.SHARD_DOCUMENTS + 1), tmp_path / "data")
    command = ["augment", str(tmp_path / "data"), "--method", "random", "--copies", "1"]
    for workers in ("1", "2"):
        result = CliRunner().invoke(
            cli, [*command, "--workers", workers, "--out", str(tmp_path / workers)]
        )
        assert result.exit_code == 0, result.output
    files = sorted(path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*.arrow"))
    assert len(files) == 4
    for file in files:
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()


def test_a_limit_reads_only_its_documents(people, tmp_path, monkeypatch):
    """And nothing is hashed that is known to be unchanged."""
    monkeypatch.setattr("elusive.common.cache.SETTLED_SECONDS", 0)
    load_dataset_folder(people)  # verified once

    def refuse(folder: Path) -> dict:
        raise AssertionError(f"{folder} is read again")

    monkeypatch.setattr(content_hash, "build_content_tree", refuse)
    monkeypatch.setattr(
        folders, "build_content_tree", lambda folder: refuse(folder) if folder == people else {}
    )
    dataset = load_dataset_folder(people, limit=5)
    config = AugmentConfig(method="random", copies=1)
    augment_dataset(dataset, config, tmp_path / "out")
    assert "documents" not in vars(dataset)
    assert TrainingTextFolder(tmp_path / "out").summary.num_texts == 10


def test_a_file_that_changed_is_hashed_again(people, tmp_path, monkeypatch):
    monkeypatch.setattr("elusive.common.cache.SETTLED_SECONDS", 0)
    shutil.copytree(people, tmp_path / "data")
    load_dataset_folder(tmp_path / "data")
    path = next((tmp_path / "data" / "corpus").glob("*.arrow"))
    content = bytearray(path.read_bytes())
    place = content.index(b"born")
    content[place : place + 4] = b"torn"
    path.write_bytes(content)
    with pytest.raises(InputError, match="do not match the content hash"):
        load_dataset_folder(tmp_path / "data")


def test_text_drawn_by_an_earlier_version_is_not_taken_for_the_same(people, tmp_path, monkeypatch):
    monkeypatch.setattr(augment, "DRAWS", 1)
    make(people, tmp_path / "out", method="random")
    monkeypatch.undo()
    with pytest.raises(InputError, match="different draws"):
        make(people, tmp_path / "out", method="random")
