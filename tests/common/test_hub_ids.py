"""Which model references are names on the Hub."""

import pytest

from elusive.common.lm.references import find_hub_id


@pytest.mark.parametrize("reference", ["nano-large", "/a/model", "./model", "../model", "~/model"])
def test_paths_and_built_in_models_are_not_on_the_hub(reference):
    assert find_hub_id(reference) is None


def test_a_folder_here_is_not_taken_for_a_name_on_the_hub(tmp_path, monkeypatch):
    assert find_hub_id("models/tiny") == "models/tiny"
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find_hub_id("models/tiny") is None
