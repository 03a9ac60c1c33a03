"""What tests let several processes do, which import it from here."""

import os
import re
import signal
import time
from typing import Any

import torch

from elusive.augment.scores.column_sums import compute_attention_received
from elusive.common.errors import InputError
from elusive.common.large.placement import choose_sharing
from elusive.common.large.processes import (
    agree,
    count_processes,
    find_largest,
    is_first,
    report_step,
    run_on_first,
)
from elusive.common.lm.loading import load_model
from elusive.common.probe.texts import read_logits

OUTPUT = re.compile(r"0\.(self_)?attn\.(o|c)_proj\.weight")
"""A weight of the first layer's attention."""


def exchange() -> dict[str, object]:
    """What the processes tell each other."""
    own = torch.distributed.get_rank()
    report_step()
    report_step()
    return {
        "first": is_first(),
        "count": count_processes(),
        "agreed": agree(own),
        "largest": find_largest(own),
        "once": run_on_first(lambda: [own]),
    }


def fail(rank: int, how: str) -> None:
    """End one process, while the others wait for it."""
    if torch.distributed.get_rank() == rank:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise InputError("got 3: choose 2")
    torch.distributed.barrier()


def wait_and_step(path: str) -> None:
    """Note the processes' numbers, and step until they are ended."""
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    while True:
        report_step()
        time.sleep(0.05)


def read_models(
    references: list[str], ids: torch.Tensor, mask: torch.Tensor
) -> list[dict[str, Any]]:
    """What shared models predict, and the attention that their tokens receive."""
    return [_read_model(reference, ids, mask) for reference in references]


def _read_model(reference: str, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, Any]:
    model = load_model(reference, torch.float32).model
    (weight,) = (w for name, w in model.named_parameters() if OUTPUT.search(name))
    return {
        "sharing": choose_sharing(model.config),
        "own": getattr(weight, "_local_tensor", weight).numel() / weight.numel(),
        "received": compute_attention_received(model, ids, mask),
        "fused": compute_attention_received(model, ids, mask, fused=True),
        "logits": read_logits(model, ids[0].tolist()),
    }
