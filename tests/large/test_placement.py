"""A model whose layers are spread over devices computes like one on a single device."""

import pytest
import torch

from elusive.augment.scores.column_sums import compute_attention_received
from elusive.common.errors import InputError
from elusive.common.large.devices import Devices
from elusive.common.lm.loading import load_model
from elusive.common.probe.texts import read_logits
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.training.lora import open_lora_model, open_tuned_model

MODEL = "nano-small"
ROOM = 0.003
"""GiB that hold the embedding and some layers of the model, but not all."""


def test_a_model_partly_on_disk_predicts_and_attends_like_a_whole_one():
    whole, spread = (
        load_model(MODEL).model,
        load_model(MODEL, devices=Devices("auto", 1, ROOM)).model,
    )
    assert set(spread.hf_device_map.values()) == {"cpu", "disk"}  # type: ignore[operator]
    ids = torch.randint(2, 500, (3, 40), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(40)[None, :] < torch.tensor([40, 25, 7])[:, None]).long()
    expected = compute_attention_received(whole, ids, mask)
    torch.testing.assert_close(
        compute_attention_received(spread, ids, mask), expected, equal_nan=True
    )
    text = ids[0].tolist()
    torch.testing.assert_close(read_logits(spread, text), read_logits(whole, text))


def test_a_model_partly_on_disk_is_not_trained():
    loaded = load_model(MODEL, devices=Devices("auto", 1, ROOM))
    line = "does not fit on the devices that train it \\(the rest is on disk\\)"
    with pytest.raises(InputError, match=line), open_lora_model(loaded, TrainingConfig(), 0):
        pass


def test_all_weights_of_a_spread_model_are_not_trained():
    loaded = load_model(MODEL, devices=Devices("auto", 1, ROOM))
    config = TrainingConfig(tuning="full")
    line = "tuning 'full' cannot train 'nano-small', whose layers are spread"
    with pytest.raises(InputError, match=line), open_tuned_model(loaded, config, 0):
        pass


def test_memory_that_does_not_hold_the_embedding_is_refused():
    with pytest.raises(InputError, match=r"^the memory does not hold the embedding"):
        load_model(MODEL, devices=Devices("auto", 1, 0.0001))


def test_a_model_that_fits_is_trained_wherever_it_is_placed():
    loaded = load_model(MODEL, devices=Devices("auto"))
    with open_lora_model(loaded, TrainingConfig(), 0) as model:
        ids = torch.arange(20)[None]
        model(input_ids=ids, labels=ids).loss.backward()
        assert any(weight.grad is not None for weight in model.parameters())
