"""Folders as they are found: linked, incomplete, forged, or with files that can run code."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from elusive.augment.training_text import TrainingTextFolder
from elusive.common.dataset.check import check_dataset
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.errors import InputError
from elusive.common.folders import MANIFEST, create_folder, write_manifest
from elusive.common.lm.loading import load_model
from elusive.common.lm.references import hash_adapter
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.report.hub.dataset_repository import read_card
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.generate import generate_dataset


@pytest.fixture
def people(people_folder: Path, tmp_path: Path) -> Path:
    """A dataset folder that a test may change."""
    return shutil.copytree(people_folder, tmp_path / "people")


def get_line(call, *arguments: object) -> str:
    with pytest.raises(InputError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_state_that_names_other_files_than_those_that_are_hashed_is_a_problem(people):
    assert list(check_dataset(people)) == []
    path = people / "questions" / "state.json"
    state = json.loads(path.read_text())
    (entry,) = state["_data_files"]
    for name in (f"../corpus/{next((people / 'corpus').glob('*.arrow')).name}", "none.arrow"):
        path.write_text(json.dumps(state | {"_data_files": [entry | {"filename": name}]}))
        messages = [str(problem) for problem in check_dataset(people)]
        assert any(f"other files than those that are hashed: '{name}'" in m for m in messages)
    path.write_text("[]")
    messages = [str(problem) for problem in check_dataset(people)]
    assert any("does not list the files of the table" in message for message in messages)


def test_linked_folders_are_read_and_hashed_like_others(people, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.move(people / "corpus", tmp_path / "elsewhere" / "corpus")
    (people / "corpus").symlink_to(tmp_path / "elsewhere" / "corpus")
    (people / "loop").symlink_to(people)
    (tmp_path / "link").symlink_to(people)
    for folder in (people, tmp_path / "link"):
        assert list(check_dataset(folder)) == []
        assert load_dataset_folder(folder).count_documents() == 6
    (path,) = (tmp_path / "elsewhere" / "corpus").glob("*.arrow")
    path.write_bytes(path.read_bytes()[:-100])
    assert "do not match the content hash" in get_line(load_dataset_folder, people)


def test_a_manifest_without_its_keys_is_one_line_that_names_them(people, tmp_path):
    (people / MANIFEST).write_text(json.dumps({"kind": "dataset", "parameters": {}}))
    assert "content_hash: Field required" in get_line(load_dataset_folder, people)
    for kind, load in (("training-text", TrainingTextFolder), ("cell", load_cell)):
        folder = tmp_path / kind
        folder.mkdir()
        write_manifest(folder, kind, {"method": "plain"})
        assert "lacks the parameters" in get_line(load, folder)


def test_a_question_set_without_parameters_is_still_checked(people):
    write_manifest(people, "dataset", {"generator": "wikiqa"})
    assert list(check_dataset(people)) == []


def test_weights_in_pickle_are_refused(model_folder, tmp_path):
    folder = shutil.copytree(model_folder("llama"), tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save({"x": torch.zeros(1)}, folder / "pytorch_model.bin")
    assert "save the model again as safetensors" in get_line(load_model, str(folder))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    torch.save({"x": torch.zeros(1)}, adapter / "adapter_model.bin")
    assert "adapter_model.safetensors" in get_line(hash_adapter, adapter)


def test_weights_are_read_by_whoever_may_read_the_other_files(tmp_path):
    with create_folder(tmp_path / "cell", "cell", {}) as draft:
        (draft / "adapter").mkdir()
        save_file({"a": torch.zeros(2)}, draft / "adapter" / "adapter_model.safetensors")
    files = [path for path in (tmp_path / "cell").rglob("*") if path.is_file()]
    assert len(files) == 2
    assert len({path.stat().st_mode for path in files}) == 1


def test_no_code_of_a_models_folder_is_run(model_folder, tmp_path):
    folder = shutil.copytree(model_folder("llama"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own_kind",
        "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Own: pass\n")
    get_line(load_model, str(folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["a: b.json", "a #1.json", "- no.json", "'q'.json", "[x].json"])
def test_cards_state_names_and_languages_that_yaml_would_misread(name, tmp_path):
    paragraph = {
        "context": "Oslo ligger i Norge.",
        "qas": [
            {"id": "1", "question": "Hvor?", "answers": [{"text": "Norge", "answer_start": 14}]}
        ],
    }
    data = {"data": [{"title": "Oslo", "paragraphs": [paragraph]}]}
    (tmp_path / name).write_text(json.dumps(data))
    config = WikiqaConfig(squad=tmp_path / name, language="no", shots=0)
    generate_dataset(config, tmp_path / "set")
    header, _ = read_card(tmp_path / "set" / "README.md")
    assert header["language"] == ["no"]
    assert header["pretty_name"] == f"Wikipedia questions from {name}"
    assert yaml.safe_load(yaml.safe_dump(header)) == header
