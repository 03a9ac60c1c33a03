"""Probes on a GPU find what they find on a CPU."""

import pytest
import torch

from elusive.common.lm.loading import load_model
from elusive.evaluate.probe_model import probe_model

pytestmark = pytest.mark.gpu

FOUND = {
    "causality": "causal",
    "padding": "padded",
    "attention": "column sums",
    "packing": "cut",
    "masks": "mask",
    "batching": "shared prefix, padded",
    "adapter": "on all linear layers",
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_probes_find_the_fastest_way(dtype, device):
    findings = probe_model(load_model("nano-large", dtype=dtype))
    assert {topic: finding.way for topic, finding in findings.items()} == FOUND, findings
