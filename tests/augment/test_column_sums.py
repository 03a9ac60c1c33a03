"""Column sums against the attention maps that transformers itself returns."""

import copy

import pytest
import torch
from tiny import CONFIGS, VOCABULARY, tiny_model

from elusive.augment.scores import column_sums as attention
from elusive.augment.scores.column_sums import compute_attention_received
from elusive.common.errors import InputError

WITHOUT_INTERFACE = ["bloom", "falcon", "gptj", "gpt_neo"]
DECODERS = [name for name in CONFIGS if name not in ("mamba", *WITHOUT_INTERFACE)]


def padded_batch(lengths: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, VOCABULARY, (len(lengths), max(lengths)), generator=generator)
    mask = torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]
    return ids, mask.long()


def reference(model, ids: torch.Tensor, mask: torch.Tensor, axis: str = "queries") -> torch.Tensor:
    """The definition, read off full maps: attention received over that of even attention."""
    model.config._attn_implementation = "eager"
    texts = [row[:length][None] for row, length in zip(ids, mask.sum(-1).tolist(), strict=True)]
    with torch.no_grad():
        maps = [model(input_ids=text, output_attentions=True).attentions for text in texts]
    received = torch.full((len(maps[0]), maps[0][0].shape[1], *ids.shape), torch.nan)
    for row, layers in enumerate(maps):
        for layer, weights in enumerate(layers):
            square = weights[0]  # (head, query, key)
            even = (square > 0) / (square > 0).sum(-1, keepdim=True)
            for token in range(square.shape[-1] - 1):
                chosen = slice(token + 1, None) if axis == "queries" else slice(None)
                sums = [weights[:, chosen, token].sum(-1) for weights in (square, even)]
                received[layer, :, row, token] = sums[0] / sums[1]
    return received


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("block", [4, 256])
def test_column_sums_equal_attention_maps(name, block, monkeypatch):
    monkeypatch.setattr(attention, "QUERY_BLOCK", block)
    ids, mask = padded_batch([19, 11, 2])
    expected = reference(tiny_model(name), ids, mask)
    received = compute_attention_received(tiny_model(name), ids, mask)
    assert received.shape == (CONFIGS[name].num_hidden_layers, 4, 3, 19)
    torch.testing.assert_close(received, expected, atol=1e-4, rtol=0, equal_nan=True)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("own_query", [False, True])
def test_the_gradient_of_fused_attention_gives_equal_sums(name, own_query):
    ids, mask = padded_batch([19, 11, 2])
    chosen = torch.zeros_like(mask)
    chosen[:, ::2] = 1
    for queries in (None, chosen):
        blocks, fused = (
            compute_attention_received(tiny_model(name), ids, mask, queries, own_query, fused=fused)
            for fused in (False, True)
        )
        torch.testing.assert_close(fused, blocks, atol=1e-4, rtol=0, equal_nan=True)


@pytest.mark.parametrize(("name", "times"), [("llama", 3), ("gpt2", 3), ("gemma2", 0)])
def test_fused_attention_is_used_where_it_is_exact(name, times, monkeypatch):
    calls = []
    whole = attention._attend_fused
    monkeypatch.setattr(attention, "_attend_fused", lambda *args: calls.append(1) or whole(*args))
    compute_attention_received(tiny_model(name), *padded_batch([19, 11]), fused=True)
    assert len(calls) == times


@pytest.mark.parametrize("name", WITHOUT_INTERFACE)
def test_models_without_the_interface_are_read_from_their_own_maps(name):
    ids, mask = padded_batch([19, 11, 2])
    expected = reference(tiny_model(name), ids, mask)
    received = compute_attention_received(tiny_model(name), ids, mask, from_maps=True)
    assert received.shape == (3, 4, 3, 19)
    torch.testing.assert_close(received, expected, atol=1e-4, rtol=0, equal_nan=True)
    assert (
        len(compute_attention_received(tiny_model(name), ids, mask, last_layer=1, from_maps=True))
        == 2
    )


@pytest.mark.parametrize("name", DECODERS)
def test_summing_over_keys_would_be_noticed(name):
    ids, mask = padded_batch([19, 11, 2])
    swapped = reference(tiny_model(name), ids, mask, axis="keys")
    received = compute_attention_received(tiny_model(name), ids, mask)
    assert (received - swapped).nan_to_num().abs().max() > 0.05


def test_received_attention_depends_on_the_text():
    mask = torch.ones(1, 19, dtype=torch.long)
    first, second = (
        compute_attention_received(tiny_model("llama"), padded_batch([19], seed)[0], mask)
        for seed in (0, 1)
    )
    assert (first - second).nan_to_num().abs().max() > 0.01


def test_a_row_is_scored_the_same_alone_and_in_a_batch():
    ids, mask = padded_batch([19, 11])
    together = compute_attention_received(tiny_model("llama"), ids, mask)[:, :, 1, :11]
    alone = compute_attention_received(tiny_model("llama"), ids[1:, :11], mask[1:, :11])[:, :, 0]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0, equal_nan=True)


def test_even_attention_scores_1_wherever_a_token_stands():
    model = copy.deepcopy(tiny_model("llama"))
    for layer in model.model.layers:
        torch.nn.init.zeros_(layer.self_attn.q_proj.weight)
    ids, mask = padded_batch([19, 11])
    chosen = torch.zeros_like(mask)
    chosen[:, [4, 9]] = 1
    for queries in (None, chosen):
        received = compute_attention_received(model, ids, mask, queries)
        known = received[~received.isnan()]
        torch.testing.assert_close(known, torch.ones_like(known))


def test_the_attention_implementation_is_put_back():
    model = tiny_model("llama")
    before = model.config._attn_implementation
    compute_attention_received(model, *padded_batch([5]))
    assert model.config._attn_implementation == before


def test_a_model_without_attention_is_refused_by_name():
    with pytest.raises(InputError, match="'mamba' exposes no attention"):
        compute_attention_received(tiny_model("mamba"), *padded_batch([5]))


def test_capped_logits_are_capped(monkeypatch):
    ids, mask = padded_batch([19, 11])
    uncapped = compute_attention_received(tiny_model("gemma2"), ids, mask)
    config = copy.deepcopy(CONFIGS["gemma2"])
    config.attn_logit_softcapping = 0.5  # type: ignore[attr-defined]
    monkeypatch.setitem(CONFIGS, "gemma2", config)
    capped = compute_attention_received(tiny_model("gemma2"), ids, mask)
    expected = reference(tiny_model("gemma2"), ids, mask)
    torch.testing.assert_close(capped, expected, atol=1e-4, rtol=0, equal_nan=True)
    assert (capped - uncapped).nan_to_num().abs().max() > 0.05


@pytest.mark.parametrize("name", ["gemma2", "mistral"])
def test_a_window_hides_what_lies_before_it(name):
    ids = padded_batch([19])[0]
    last = torch.zeros_like(ids)
    last[:, -1] = 1
    received = compute_attention_received(tiny_model(name), ids, torch.ones_like(ids), last)
    received = received[0, :, 0]  # (head, token)
    assert received[:, : 19 - 6].isnan().all()
    assert (received[:, 19 - 6 : -1] > 0).all()


def test_own_queries_and_chosen_queries_count_when_asked_for():
    ids, mask = padded_batch([9, 6])
    model = tiny_model("llama")
    model.set_attn_implementation("eager")
    with torch.no_grad():
        maps = model(input_ids=ids, attention_mask=mask, output_attentions=True).attentions
    chosen = torch.zeros_like(mask)
    chosen[:, [2, 5, 8]] = 1
    for own in (False, True):
        received = compute_attention_received(tiny_model("llama"), ids, mask, chosen, own)
        for layer, weights in enumerate(maps):
            for row, length in enumerate([9, 6]):
                for token in range(length):
                    queries = [
                        i for i in (2, 5, 8) if i < length and (i > token or (own and i == token))
                    ]
                    actual = received[layer, :, row, token]
                    if not queries:
                        assert actual.isnan().all()
                        continue
                    even = sum(1 / (query + 1) for query in queries)
                    expected = weights[row][:, queries, token].sum(-1) / even
                    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=0)


def test_layers_after_the_last_that_is_needed_are_not_computed():
    ids, mask = padded_batch([9])
    assert len(compute_attention_received(tiny_model("llama"), ids, mask, last_layer=1)) == 2
