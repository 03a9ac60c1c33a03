"""Scores under a model that several processes share are those under a whole one."""

import pytest
import torch

from elusive.augment.config import AugmentConfig
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.large.devices import ONE, Devices

pytestmark = pytest.mark.skipif(
    torch.cuda.device_count() == 1, reason="two processes need two GPUs or none"
)
TOLERANCE = 1e-5
"""Largest difference, in units of even attention, that the order of sums may cause."""


def test_a_contrast_with_a_shared_model_equals_that_of_whole_ones(
    people_folder, tmp_path, monkeypatch
):
    documents = load_dataset_folder(people_folder).documents
    config = AugmentConfig(method="contrast", large="nano-large", small="nano-small")
    asked = []

    def share_large(reference: str) -> Devices:
        asked.append(reference)
        return Devices(processes=2) if reference == "nano-large" else ONE

    expected = score_documents(documents, Scorers(config))
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path))
    scored = score_documents(documents, Scorers(config, choose_devices=share_large))
    assert asked == ["nano-large", "nano-small"]
    for shared, whole in zip(scored, expected, strict=True):
        assert shared.units == whole.units
        assert shared.scores == pytest.approx(whole.scores, abs=TOLERANCE)
    # Both ways have the same key in the cache, so nothing is scored again.
    again = score_documents(documents, Scorers(config))
    for shared, stored in zip(scored, again, strict=True):
        assert (shared.scores == stored.scores).all()
