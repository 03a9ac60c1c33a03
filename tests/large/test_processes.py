"""Processes that share a model: what they exchange, and how they end."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from large import in_processes
from tiny import VOCABULARY, tiny_model

from elusive.augment.scores.column_sums import compute_attention_received
from elusive.common.errors import InputError
from elusive.common.large.processes import count_processes, is_first, run_in_processes
from elusive.common.probe.texts import read_logits

pytestmark = pytest.mark.skipif(
    torch.cuda.device_count() == 1, reason="two processes need two GPUs or none"
)
TOLERANCE = 1e-5


def test_processes_agree_on_what_the_first_one_says():
    steps = []
    result = run_in_processes(2, "weights", in_processes.exchange, on_step=lambda: steps.append(1))
    assert result == {"first": True, "count": 2, "agreed": 0, "largest": 1, "once": [0]}
    assert len(steps) == 2
    assert (count_processes(), is_first()) == (1, True)


def test_a_killed_process_ends_the_others_with_one_clear_error():
    with pytest.raises(RuntimeError, match=r"^process 2 of 2 ended with code -9; "):
        run_in_processes(2, "weights", in_processes.fail, 1, "killed")


def test_wrong_input_that_one_process_finds_is_raised_here():
    with pytest.raises(InputError, match=r"^got 3: choose 2") as error:
        run_in_processes(2, "weights", in_processes.fail, 1, "wrong input")
    assert "in fail" in error.value.__notes__[0]


def test_an_error_at_a_step_ends_all_processes(tmp_path):
    path = tmp_path / "numbers"

    def stop() -> None:
        if path.exists() and len(path.read_text().split()) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_processes(2, "weights", in_processes.wait_and_step, str(path), on_step=stop)
    for number in path.read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(number), 0)


def test_processes_end_when_the_command_that_started_them_is_killed(tmp_path):
    path = tmp_path / "numbers"
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; from large import in_processes\n"
        "from elusive.common.large.processes import run_in_processes\n"
        f"run_in_processes(2, 'weights', in_processes.wait_and_step, {str(path)!r})"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as command:
        while not path.exists() or len(path.read_text().split()) < 2:
            assert command.poll() is None
            time.sleep(0.1)
        command.kill()
    numbers, deadline = path.read_text().split(), time.monotonic() + 20
    while any(Path(f"/proc/{number}").exists() for number in numbers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("sharing", "expected"),
    [
        ("weights", {"llama": "weights", "gemma2": "weights", "qwen3": "weights"}),
        ("heads", {"llama": "heads", "gemma2": "heads", "qwen3": "heads", "gpt2": "weights"}),
    ],
)
def test_shared_models_predict_and_attend_like_whole_ones(sharing, expected, model_folder):
    ids = torch.randint(2, VOCABULARY, (3, 40), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(40)[None, :] < torch.tensor([40, 25, 7])[:, None]).long()
    folders = [str(model_folder(name)) for name in expected]
    results = run_in_processes(2, sharing, in_processes.read_models, folders, ids, mask)
    for name, shared in zip(expected, results, strict=True):
        whole = tiny_model(name)
        assert shared["sharing"] == expected[name]
        assert shared["own"] == (1.0 if name == "gpt2" else 0.5)  # GPT-2 is put together at once
        received = compute_attention_received(whole, ids, mask)
        for way, tolerance in (("received", TOLERANCE), ("fused", 10 * TOLERANCE)):
            assert torch.equal(shared[way].isnan(), received.isnan())
            assert float((shared[way] - received).nan_to_num().abs().max()) < tolerance
        logits = read_logits(whole, ids[0].tolist())
        assert float((shared["logits"] - logits).abs().max()) < TOLERANCE * float(
            logits.abs().max()
        )
