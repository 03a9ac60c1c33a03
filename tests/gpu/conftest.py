"""The device of these tests: a GPU, or the CPU where they are only tried out.

Try them out without a GPU with `ELUSIVE_TEST_DEVICE=cpu pytest tests/gpu -m gpu`; the comparisons
of a GPU with the CPU then compare the CPU with itself.
"""

import os

import pytest
import torch

from elusive.common.lm.loading import choose_device


@pytest.fixture(scope="session", autouse=True)
def device() -> torch.device:
    """The device that the package chooses for models."""
    chosen = choose_device()
    if chosen.type == "cpu" and os.environ.get("ELUSIVE_TEST_DEVICE") != "cpu":
        pytest.skip("PyTorch finds no GPU")
    return chosen


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """PEFT asks the Hub about the base of every adapter that the Trainer saves."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
