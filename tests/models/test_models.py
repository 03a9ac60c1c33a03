"""Model references: folders, GGUF files, aliases, and the Hub through a stand-in server."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from stand_in_hub import stand_in_hub

from elusive.common.errors import InputError
from elusive.common.lm import references
from elusive.common.lm.loading import load_model
from elusive.common.lm.references import ALIASES, find_model, hash_weights

TEMPLATE = "{{ messages[0].content }}"
REPORT = """
import json, sys
from elusive.common.errors import InputError
from elusive.common.lm.loading import load_model
from elusive.common.lm.references import find_model
for reference in sys.argv[1:]:
    try:
        loaded = load_model(reference)
        print(loaded.weights_hash, loaded.model.config.model_type, loaded.tokenizer.chat_template)
    except InputError as error:
        print("error:", error)
names = [path.name for path in find_model(sys.argv[1]).folder.iterdir()]
print(json.dumps([name for name in names if name.endswith((".safetensors", ".bin"))]))
"""
REFUSALS = """
import sys
from elusive.common.errors import InputError
from elusive.common.lm.hub_models import check_hub_model
from elusive.common.lm.references import find_model
for ask in (find_model, lambda name: check_hub_model(name, name)):
    try:
        print(ask(sys.argv[1]))
    except InputError as error:
        print("error:", error)
"""


@pytest.fixture(scope="module")
def printed(model_folder, tmp_path_factory) -> list[str]:
    """Lines about a model of the Hub and a missing one; the endpoint is read when Python starts."""
    folder = shutil.copytree(model_folder("llama"), tmp_path_factory.mktemp("hub") / "tiny")
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")  # as Mistral's
    (folder / "pytorch_model.bin").write_bytes(b"another copy")
    return report(folder, tmp_path_factory.mktemp("home"), REPORT, "org/tiny", "org/none")


def report(folder: Path, home: Path, program: str, *references: str) -> list[str]:
    """What a program prints about models while a stand-in for the Hub has those of a folder."""
    with stand_in_hub("org/tiny", folder) as endpoint:
        environment = os.environ | {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
        }
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            environment.pop(name, None)
        command = [sys.executable, "-c", program, *references]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_hub_model_comes_with_its_chat_template_and_the_hash_of_its_weights(
    printed, model_folder
):
    weights = hash_weights(find_model(str(model_folder("llama"))))
    assert printed[0] == f"{weights} llama {TEMPLATE}"


def test_one_copy_of_the_weights_is_downloaded(printed):
    assert json.loads(printed[2]) == ["model.safetensors"]


def test_weights_of_the_hub_as_pickle_alone_are_refused_before_they_are_downloaded(
    model_folder, tmp_path
):
    folder = shutil.copytree(model_folder("llama"), tmp_path / "hub")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    lines = report(folder, tmp_path / "home", REFUSALS, "org/tiny")
    assert (
        lines
        == [
            "error: the Hub has the weights of 'org/tiny' in the format of pickle alone "
            "(pytorch_model.bin), which can run code: choose another model, or save it as "
            "safetensors elsewhere and name that folder"
        ]
        * 2
    )
    assert not list((tmp_path / "home").rglob("*pytorch_model*"))
    assert not list((tmp_path / "home").rglob("blobs/*"))


def test_weights_as_pickle_alone_are_refused(model_folder, tmp_path):
    folder = shutil.copytree(model_folder("opt"), tmp_path / "opt")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pickle alone \(pytorch_model.bin\), which can run code"):
        load_model(str(folder))


def test_the_copy_of_the_weights_that_is_loaded_is_hashed(model_folder, tmp_path):
    folder = shutil.copytree(model_folder("opt"), tmp_path / "opt")
    before = hash_weights(find_model(str(folder)))
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    assert hash_weights(find_model(str(folder))) == before
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert hash_weights(find_model(str(folder))) != before


def test_a_model_that_the_hub_does_not_have_is_one_line(printed):
    assert len(printed) == 3
    assert printed[1].startswith("error: no model 'org/none': it is not a local folder")


@pytest.fixture
def forgotten():
    """Forget what this process has downloaded."""
    references._download.cache_clear()
    yield
    references._download.cache_clear()


@pytest.mark.usefixtures("forgotten")
def test_an_alias_falls_back_on_the_hub_without_its_package(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(references.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(
        "elusive.common.lm.hub_models.snapshot_download",
        lambda hub_id, **_: asked.append(hub_id) or str(tmp_path),
    )
    for _ in range(2):
        assert find_model("smollm2-135m").folder == tmp_path
    assert asked == [ALIASES["smollm2-135m"].hub_id], "the Hub is asked once per process"


def test_a_gguf_file_is_a_model(tmp_path):
    (tmp_path / "weights.gguf").write_bytes(b"GGUF")
    source = find_model(str(tmp_path / "weights.gguf"))
    assert (source.folder, source.gguf_file) == (tmp_path, "weights.gguf")


def test_other_weights_have_another_hash(model_folder):
    hashes = {hash_weights(find_model(str(model_folder("llama", seed)))) for seed in (0, 1)}
    assert len(hashes) == 2


def test_a_folder_without_a_model_is_one_clear_error(tmp_path):
    with pytest.raises(InputError, match="is not a model folder"):
        find_model(str(tmp_path))
