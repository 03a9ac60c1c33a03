"""Training on a GPU follows training on a CPU, falls, and resumes."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import short_training
import torch
from short_training import CASES, train_briefly

pytestmark = pytest.mark.gpu

TOLERANCE = {torch.float32: 2e-3, torch.bfloat16: 2e-2}
"""Relative difference of a loss from a CPU's after up to ten steps. Sums are taken in another
order, and each step passes the difference on; bfloat16 rounds activations to 3 digits."""


@pytest.fixture(scope="module")
def cpu_losses() -> dict[str, list[float]]:
    """The losses of all cases in a process that sees no GPU."""
    done = subprocess.run(
        [sys.executable, short_training.__file__, *CASES],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", CASES)
def test_losses_fall_and_are_those_of_a_cpu(name: str, cpu_losses, device):
    log = train_briefly(**CASES[name])
    assert len(log.losses) == 3
    assert log.last_loss < 0.95 * log.first_loss
    dtype = CASES[name].get("dtype", torch.float32)
    np.testing.assert_allclose(log.losses, cpu_losses[name], rtol=TOLERANCE[dtype])


def test_hidden_tokens_and_long_sequences_change_the_losses(cpu_losses):
    """The cases test different code, so no two of them may have the same losses."""
    alike = ("float32", "bfloat16", "activations computed twice")
    firsts = [losses[0] for name, losses in cpu_losses.items() if name in ("float32", "rho-1")]
    assert len(set(firsts)) == 2
    for name in ("long sequences", "hidden tokens", "attention-dropout", "split steps"):
        assert abs(cpu_losses[name][0] / cpu_losses["float32"][0] - 1) > 3e-3, name
    for name in alike:
        np.testing.assert_allclose(cpu_losses[name], cpu_losses["float32"], rtol=2e-2)


@pytest.mark.filterwarnings("ignore:Could not find a config file")  # PEFT asks the Hub
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_training_that_is_interrupted_resumes_with_the_same_losses(dtype, tmp_path: Path):
    """Up to the order in which a GPU adds gradients of one token from several places.

    The last checkpoint is that of step 5, whose loss is logged: the Trainer forgets losses that it
    has not logged yet.
    """
    straight = train_briefly(dtype)
    steps = itertools.count(1)

    def stop_at_6() -> None:
        if next(steps) == 6:
            raise KeyboardInterrupt

    often = {"checkpoint_minutes": 1e-9, "checkpoints": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        train_briefly(dtype, on_step=stop_at_6, **often)
    assert (tmp_path / "checkpoint-5").is_dir()
    resumed = train_briefly(dtype, **often)
    assert resumed.steps == straight.steps == short_training.STEPS
    np.testing.assert_allclose(resumed.losses, straight.losses, rtol=TOLERANCE[dtype] / 4)
