"""Model references: folders, GGUF files, aliases, and the Hub through a stand-in server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stand_in_hub import stand_in_hub

from elusive.common.errors import InputError
from elusive.common.lm import references
from elusive.common.lm.references import ALIASES, find_model, hash_weights

REPORT = """
import sys
from elusive.common.errors import InputError
from elusive.common.lm.loading import load_model
try:
    loaded = load_model(sys.argv[1])
    print(loaded.weights_hash, loaded.model.config.model_type)
except InputError as error:
    print("error:", error)
"""


def load_in_new_process(reference: str, endpoint: str, home: Path) -> str:
    """What loading a reference prints; the endpoint is read once, when Python starts."""
    environment = os.environ | {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
    }
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        environment.pop(name, None)
    command = [sys.executable, "-c", REPORT, reference]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_hub_model_is_downloaded_and_has_the_hash_of_its_weights(model_folder, tmp_path):
    folder = model_folder("llama")
    with stand_in_hub("org/tiny", folder) as endpoint:
        printed = load_in_new_process("org/tiny", endpoint, tmp_path)
    assert printed == f"{hash_weights(find_model(str(folder)))} llama"


def test_a_model_that_the_hub_does_not_have_is_one_line(model_folder, tmp_path):
    with stand_in_hub("org/tiny", model_folder("llama")) as endpoint:
        printed = load_in_new_process("org/none", endpoint, tmp_path)
    assert printed.startswith("error: no model 'org/none': it is not a local folder")
    assert "\n" not in printed


def test_an_alias_falls_back_on_the_hub_without_its_package(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(references.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(
        references, "snapshot_download", lambda hub_id, **_: asked.append(hub_id) or str(tmp_path)
    )
    assert find_model("smollm2-135m").folder == tmp_path
    assert asked == [ALIASES["smollm2-135m"].hub_id]


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
