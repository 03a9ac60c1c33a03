"""Column sums on a GPU: by the gradient of fused attention, in blocks, and read off full maps."""

import copy

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from tiny import CONFIGS, VOCABULARY, tiny_model
from transformers import PreTrainedModel

from elusive.augment.scores import column_sums
from elusive.augment.scores.column_sums import compute_attention_received
from elusive.augment.scores.model_scores import pad_texts
from elusive.augment.scores.units import encode
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.lm.loading import load_model

pytestmark = pytest.mark.gpu

NAMES = ("llama", "qwen2", "gemma2", "gpt2")
LENGTHS = [300, 190, 33, 2]
"""More than a block of queries, sizes that no kernel's tile divides, and the shortest text."""
TOLERANCE = 3e-4
"""Of float32, absolute, where even attention is 1: sums of some hundred rounded numbers."""
MEDIAN_ERROR, LEAST_CORRELATION = 0.01, 0.998
"""Of bfloat16 against float32 with the same weights. A bfloat16 has 8 bits, so activations and the
values' gradient are off by .4% each; over layers this adds up, most for tokens that receive little.
What arms need are ranks."""


def random_batch(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, VOCABULARY, (len(LENGTHS), max(LENGTHS)), generator=generator)
    mask = torch.arange(max(LENGTHS))[None, :] < torch.tensor(LENGTHS)[:, None]
    return ids.to(device), mask.long().to(device)


def read_maps(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, queries: torch.Tensor, own: bool
) -> torch.Tensor:
    """The definition, from eager maps: attention received over that of even attention."""
    model = copy.deepcopy(model).float()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        maps = model(input_ids=ids, attention_mask=mask, output_attentions=True).attentions
    has_window = getattr(model.config, "sliding_window", None) is not None
    layers = []
    for weights in torch.stack(maps).double():  # (batch, head, query, key)
        counted = (mask * queries)[:, None, :, None]
        # Without a window, not `weights > 0`: weights of sure models may be rounded to 0.
        visible = weights > 0 if has_window else torch.ones_like(weights).tril()
        even = visible / visible.sum(-1, keepdim=True)
        sums = [(part * counted).tril(0 if own else -1).sum(-2) for part in (weights, even)]
        received = torch.where(mask[:, None] == 1, sums[0] / sums[1], torch.nan)
        layers.append(received.transpose(0, 1))  # (head, batch, key)
    return torch.stack(layers).float()


def biographies(dtype: torch.dtype) -> tuple[PreTrainedModel, torch.Tensor, torch.Tensor]:
    """nano-large, and biographies as its inputs, one of them with all others after it."""
    loaded = load_model("nano-large", dtype=dtype)
    texts = [document.text for document in generate_biographies(BiogenConfig(people=6, start=8000))]
    encoded = [encode(text, loaded.tokenizer) for text in [" ".join(texts), *texts]]
    return loaded.model, *pad_texts(encoded, loaded.model.device)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", [*NAMES, "nano-large"])
def test_float32_sums_equal_eager_maps(name: str, fused: bool, own: bool, device):
    if name == "nano-large":
        model, ids, mask = biographies(torch.float32)
    else:
        model = tiny_model(name).to(device)  # type: ignore[arg-type]
        ids, mask = random_batch(device)
    every_second = torch.zeros_like(mask)
    every_second[:, ::2] = 1
    for queries in (torch.ones_like(mask), every_second):
        received = compute_attention_received(model, ids, mask, queries, own, fused=fused)
        expected = read_maps(model, ids, mask, queries, own)
        assert received.device.type == device.type
        torch.testing.assert_close(received, expected, atol=TOLERANCE, rtol=1e-3, equal_nan=True)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", [*NAMES, "nano-large"])
def test_bfloat16_sums_are_close_to_those_of_float32(name: str, fused: bool, device):
    if name == "nano-large":
        model, ids, mask = biographies(torch.bfloat16)
    else:
        model = tiny_model(name).to(device, torch.bfloat16)  # type: ignore[arg-type]
        ids, mask = random_batch(device)
    received = compute_attention_received(model, ids, mask, fused=fused)
    expected = read_maps(model, ids, mask, torch.ones_like(mask), False)
    known = ~expected.isnan()
    assert (received.isnan() == ~known).all()
    error = (received - expected)[known].abs() / expected[known].clamp(min=1e-3)
    assert float(error.median()) < MEDIAN_ERROR
    for row in range(2):
        scores = [values[:, :, row].mean((0, 1)).cpu().numpy() for values in (received, expected)]
        scores = [values[~np.isnan(values)] for values in scores]
        ranks = [rankdata(values) for values in scores]
        assert np.corrcoef(*ranks)[0, 1] > LEAST_CORRELATION


@pytest.mark.parametrize(("name", "times"), [("llama", 3), ("gpt2", 3), ("gemma2", 0)])
def test_a_gpu_uses_fused_attention_for_long_texts_where_it_is_exact(
    name: str, times: int, device, monkeypatch
):
    if device.type == "cpu":
        pytest.skip("a CPU uses blocks")
    calls = []
    whole = column_sums._attend_fused
    monkeypatch.setattr(column_sums, "_attend_fused", lambda *args: calls.append(1) or whole(*args))
    compute_attention_received(tiny_model(name).to(device), *random_batch(device))  # type: ignore[arg-type]
    assert not calls, "blocks are faster for short texts"
    monkeypatch.setattr(column_sums, "FUSED_FROM", 0)
    compute_attention_received(tiny_model(name).to(device), *random_batch(device))  # type: ignore[arg-type]
    assert len(calls) == times == (CONFIGS[name].num_hidden_layers if times else 0)


def test_layers_after_the_last_that_is_needed_are_not_computed(device):
    model = tiny_model("llama").to(device)  # type: ignore[arg-type]
    ids, mask = random_batch(device)
    assert len(compute_attention_received(model, ids, mask, last_layer=1)) == 2
