"""What decides a cell's outcome changes its id, each by itself; names and places do not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from elusive.augment.augment import augment_dataset
from elusive.augment.config import AugmentConfig
from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.lm.adapters import ignore_adapter_warnings
from elusive.common.lm.loading import choose_model_dtype, load_model
from elusive.common.lm.references import hash_model_weights, hash_settings
from elusive.evaluate.cells.cell import Cell, collect_parameters, compute_cell_id
from elusive.evaluate.cells.make_cell import describe_computing
from elusive.evaluate.config import AnsweringConfig, CellSettings, TrainingConfig

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
    chosen: dict[str, object] | None = None,
    dtype: torch.dtype | None = None,
) -> str:
    """Id of a cell, as a run computes it."""
    settings = CellSettings(
        training=TrainingConfig.model_validate(training or {}),
        answering=AnsweringConfig.model_validate(answering or {}),
        threads=threads,
    )
    cell = Cell(label, train, str(model), seed, settings, adapter=adapter, chosen=chosen)
    parameters = collect_parameters(
        cell,
        load_dataset_folder(dataset),
        hash_model_weights(str(model)),
        local=describe_computing(cell, dtype),
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


def edit_json(path: Path, **changes: object) -> None:
    """Change keys of a JSON file; an absent file starts empty."""
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | changes))


TOKENIZER_CHANGES: dict[str, Callable[[Path], object]] = {
    "a token": lambda folder: (folder / "tokenizer.json").write_text(
        (folder / "tokenizer.json").read_text().replace('"<end>"', '"<END>"')
    ),
    "a template in a file of its own": lambda folder: (folder / "chat_template.jinja").write_text(
        "{{ messages }}"
    ),
    "a template in the settings": lambda folder: edit_json(
        folder / "tokenizer_config.json", chat_template="{{ messages }}"
    ),
    "the scale of the norms": lambda folder: edit_json(folder / "config.json", rms_norm_eps=0.5),
    "the base of the positions": lambda folder: edit_json(
        folder / "config.json", rope_parameters={"rope_theta": 100.0, "rope_type": "default"}
    ),
    "how an answer is generated": lambda folder: edit_json(
        folder / "generation_config.json", eos_token_id=7
    ),
    "a tokenizer of Mistral's": lambda folder: (folder / "tekken.json").write_text("{}"),
}


@pytest.mark.parametrize("change", TOKENIZER_CHANGES)
def test_another_tokenizer_template_or_config_changes_the_id(
    people, model_folder, tmp_path, change
):
    dataset, model = people(), model_folder("llama")
    other = shutil.copytree(model, tmp_path / "other")
    TOKENIZER_CHANGES[change](other)
    assert hash_model_weights(str(other)) == hash_model_weights(str(model))
    assert identifier(dataset, other) != identifier(dataset, model)


def test_files_and_keys_that_decide_nothing_leave_the_id(people, model_folder, tmp_path):
    dataset, model = people(), model_folder("llama")
    other = shutil.copytree(model, tmp_path / "other")
    edit_json(other / "config.json", _name_or_path="elsewhere", transformers_version="9.9")
    edit_json(other / "tokenizer_config.json", name_or_path="elsewhere")
    edit_json(other / "trainer_state.json", step=3)
    text = (other / "config.json").read_text()
    (other / "config.json").write_text(json.dumps(json.loads(text), indent=7, sort_keys=True))
    assert identifier(dataset, other) == identifier(dataset, model)


def test_a_tokenizer_beside_a_gguf_file_counts_and_other_files_do_not(tmp_path):
    """Transformers takes the tokenizer from tokenizer.json even where the GGUF file has its own."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    edit_json(tmp_path / "config.json", model_type="llama")
    edit_json(tmp_path / "tokenizer_config.json", eos_token="<end>")
    assert hash_settings(str(path)) == ""
    edit_json(tmp_path / "tokenizer.json", version="1.0")
    first = hash_settings(str(path))
    edit_json(tmp_path / "tokenizer.json", version="1.1")
    assert "" != first != hash_settings(str(path))


def test_files_that_change_while_a_process_runs_are_hashed_again(model_folder, tmp_path):
    folder = shutil.copytree(model_folder("llama"), tmp_path / "model")
    weights, settings = hash_model_weights(str(folder)), hash_settings(str(folder))
    shutil.copy(model_folder("llama", seed=1) / "model.safetensors", folder)
    edit_json(folder / "config.json", rms_norm_eps=0.5)
    assert hash_model_weights(str(folder)) == hash_model_weights(str(model_folder("llama", seed=1)))
    assert weights != hash_model_weights(str(folder))
    assert settings != hash_settings(str(folder))


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantization_changes_the_id_of_the_untrained_model_and_of_adapters(
    people, model_folder, tmp_path, quantization
):
    dataset, model, adapter = people(), model_folder("llama"), tmp_path / "adapter"
    save_adapter(model, adapter)
    packed: dict[str, object] = {"quantization": quantization}
    assert identifier(dataset, model, training=packed) != identifier(dataset, model)
    with_adapter = identifier(dataset, model, adapter=adapter)
    assert identifier(dataset, model, adapter=adapter, training=packed) != with_adapter


def test_the_precision_in_use_changes_the_id(people, model_folder):
    dataset, model = people(), model_folder("llama")
    ids = {identifier(dataset, model, dtype=kind) for kind in (torch.float32, torch.bfloat16)}
    assert len(ids) == 2
    assert identifier(dataset, model, dtype=load_model(str(model)).model.dtype) in ids
    assert identifier(dataset, model, dtype=choose_model_dtype(str(model))) == identifier(
        dataset, model
    )


def test_how_settings_were_chosen_changes_the_id(people, model_folder, tmp_path):
    dataset, model = people(), model_folder("llama")
    text = text_of(dataset, tmp_path / "text")
    chosen = [
        {"protocol": protocol, "metric": "em", "value": 0.5, "tries": 4, "settings": {"epochs": 1}}
        for protocol in ("best-on-dev", "best-on-test")
    ]
    ids = {identifier(dataset, model, text, chosen=choice) for choice in [None, *chosen]}
    assert len(ids) == 3


def save_adapter(model: Path, folder: Path) -> None:
    """Save an untrained adapter of a model."""
    with ignore_adapter_warnings():
        lora = LoraConfig(r=2, target_modules=["q_proj"])
        adapted = get_peft_model(load_model(str(model)).model, lora)
    adapted.save_pretrained(str(folder))


def test_an_adapter_and_every_part_of_it_change_the_id(people, model_folder, tmp_path):
    dataset, model = people(), model_folder("llama")
    adapter = tmp_path / "adapter"
    save_adapter(model, adapter)
    first = identifier(dataset, model, adapter=adapter)
    assert first != identifier(dataset, model)
    moved = shutil.copytree(adapter, tmp_path / "moved")
    edit_json(moved / "adapter_config.json", base_model_name_or_path="elsewhere")
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
    monkeypatch.setattr(
        "elusive.common.answers.normalize_answer", lambda text, _="en": text.lower()
    )
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
        {"training": {"gradient_checkpointing": True}},
        {"threads": 1},
        {"answering": {"answer_batch_size": 1}},
        {"answering": {"endpoint": "http://localhost:1/v1"}},
    ],
)
def test_settings_that_decide_nothing_leave_the_id(people, model_folder, tmp_path, change):
    dataset, model = people(), model_folder("llama")
    text = text_of(dataset, tmp_path / "text")
    assert identifier(dataset, model, text, **change) == identifier(dataset, model, text)


def test_the_settings_of_adapters_do_not_count_where_all_weights_are_trained(
    people, model_folder, tmp_path
):
    dataset, model = people(), model_folder("llama")
    text = text_of(dataset, tmp_path / "text")
    full = identifier(dataset, model, text, training={"tuning": "full"})
    changes: dict[str, object] = {"lora_rank": 4, "lora_alpha": 4, "lora_targets": ["q_proj"]}
    for name, value in changes.items():
        training = {"tuning": "full", name: value}
        assert identifier(dataset, model, text, training=training) == full


def test_the_order_of_the_layers_that_get_adapters_does_not_count(people, model_folder, tmp_path):
    dataset, model = people(), model_folder("llama")
    text = text_of(dataset, tmp_path / "text")
    ids = {
        identifier(dataset, model, text, training={"lora_targets": targets})
        for targets in (["q_proj", "v_proj"], ["v_proj", "q_proj"])
    }
    assert len(ids) == 1
