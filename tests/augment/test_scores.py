"""Token scores: layers and heads, windows, other ways of cutting a text, and the cache."""

import gc
import json
import shutil
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_model

import elusive.augment.scores.model_scores as scoring
import elusive.common.lm.loading as models
from elusive.augment.clue_spans import mark_targets
from elusive.augment.config import AugmentConfig
from elusive.augment.copies import find_drop_probabilities
from elusive.augment.scores.alignment import move_scores
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.augment.scores.column_sums import compute_attention_received
from elusive.augment.scores.layer_choice import choose_indices
from elusive.augment.scores.log_probability import score_entropy, score_log_probability
from elusive.augment.scores.model_scores import Reading, cut_windows, pad_texts, score_attention
from elusive.augment.scores.units import cut_words, encode
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.errors import InputError
from elusive.common.lm.loading import LoadedModel, load_model
from elusive.common.lm.references import ModelSource


@pytest.fixture(scope="module")
def documents():
    return list(generate_biographies(BiogenConfig(people=4)))


def scorer(tokenizer, tmp_path, name: str = "llama", seed: int = 0) -> LoadedModel:
    source = ModelSource("tiny", tmp_path)
    return LoadedModel(source, tiny_model(name, seed), tokenizer, f"{name}{seed}")


cuttings = st.lists(st.integers(1, 4), min_size=1, max_size=8)


def cut(lengths: list[int], total: int) -> list[tuple[int, int]]:
    """Units of these lengths, one after the other, the last ending at `total`."""
    ends = [end for end in np.cumsum(lengths).tolist() if end < total] + [total]
    return list(zip([0, *ends[:-1]], ends, strict=True))


@given(cuttings, cuttings, st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_the_sum_of_scores_stays_when_they_move_to_another_cutting(first, second, total, seed):
    units, target_units = cut(first, total), cut(second, total)
    scores = np.random.default_rng(seed).normal(size=len(units)).astype(np.float32)
    moved = move_scores(scores, units, target_units, adds_up=True)
    assert len(moved) == len(target_units)
    assert moved.sum() == pytest.approx(scores.sum(), abs=1e-4)


@given(cuttings, cuttings, st.integers(1, 30))
def test_the_mean_of_equal_scores_is_the_same_in_another_cutting(first, second, total):
    units, target_units = cut(first, total), cut(second, total)
    moved = move_scores(np.full(len(units), 3.0), units, target_units, adds_up=False)
    assert moved == pytest.approx(3.0)


@given(cuttings, st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_equal_cuttings_give_equal_scores(lengths, total, seed):
    units = cut(lengths, total)
    scores = np.random.default_rng(seed).normal(size=len(units)).astype(np.float32)
    assert move_scores(scores, units, list(units), adds_up=True) is scores
    finer = [(start, start + 1) for start in range(total)]
    for adds_up in (True, False):
        moved = move_scores(scores, units, finer, adds_up)
        assert move_scores(moved, finer, units, adds_up) == pytest.approx(scores, abs=1e-4)


def test_what_lies_in_no_wanted_unit_goes_to_the_nearest():
    scores = np.array([1.0, 2.0, 4.0], dtype=np.float32)
    units = [(0, 1), (4, 5), (9, 10)]
    assert move_scores(scores, units, [(2, 4), (6, 8)], adds_up=True).tolist() == [3.0, 4.0]
    assert move_scores(scores, units, [(2, 4), (6, 8)], adds_up=False).tolist() == [1.5, 4.0]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("all", list(range(8))),
        ("3", [3]),
        ("0,5-6,5", [0, 5, 6]),
        ("0.0-0.5", [0, 1, 2, 3]),
        ("0.5", [0, 1, 2, 3]),
        ("0.99-1.0", [8 - 1]),
        ("0.0-0.01", [0]),
    ],
)
def test_layers_are_written_as_numbers_ranges_and_shares(spec, expected):
    if spec == "0.99-1.0":
        with pytest.raises(InputError, match="layers 0 to 7"):
            choose_indices(spec, 8, "layers")
    else:
        assert choose_indices(spec, 8, "layers") == expected


@pytest.mark.parametrize("spec", ["", "x", "8", "7-9", "-1", "3-2"])
def test_layers_that_are_not_there_are_one_line(spec):
    with pytest.raises(InputError, match="layers"):
        choose_indices(spec, 8, "layers")


def test_a_reading_takes_its_layers_and_heads(documents, tokenizer, tmp_path):
    tiny = scorer(tokenizer, tmp_path)
    text = encode(documents[0].text, tokenizer)
    received = compute_attention_received(tiny.model, *pad_texts([text], tiny.model.device))[
        :, :, 0
    ]
    reading = Reading(layers="1-2", minus_depth=0.3, heads="0,3")
    (scored,) = score_attention(documents[:1], tiny, reading)
    by_token = received[[1, 2]][:, [0, 3]].mean((0, 1)) - received[0, [0, 3]].mean(0)
    expected = [float(by_token[tokens].mean()) for tokens in text.unit_tokens]
    assert np.isnan(expected[-1])
    expected[-1] = float(np.mean(expected[:-1]))
    assert scored.scores == pytest.approx(expected, abs=1e-5)


def test_only_the_token_before_each_value_asks_where_that_is_wanted(documents, tokenizer, tmp_path):
    (scored,) = score_attention(
        documents[:1], scorer(tokenizer, tmp_path), Reading(queries="before-values")
    )
    last_value = max(fact.start for fact in documents[0].facts)
    after = [score for (start, _), score in zip(scored.units, scored.scores, strict=True)
             if start >= last_value]  # fmt: skip
    assert len(set(after)) == 1
    before = scored.scores[: -len(after)]
    assert after[0] == pytest.approx(before.mean(), abs=1e-5), "neither kept nor dropped more often"
    assert before.std() > 0


@pytest.mark.parametrize("queries", ["all", "before-values"])
@pytest.mark.parametrize("context", [40, 1000])
def test_even_attention_shows_neither_position_nor_window(
    queries, context, documents, tokenizer, tmp_path
):
    tiny = scorer(tokenizer, tmp_path)
    for layer in tiny.model.model.layers:
        torch.nn.init.zeros_(layer.self_attn.q_proj.weight)
    tiny.model.config.max_position_embeddings = context
    (scored,) = score_attention(documents[:1], tiny, Reading(queries=queries))
    assert scored.scores == pytest.approx(1.0, abs=1e-4)


def test_a_text_longer_than_the_context_is_read_in_windows(documents, tokenizer, tmp_path):
    tiny = scorer(tokenizer, tmp_path)
    (whole,) = score_attention(documents[:1], tiny)
    text = encode(documents[0].text, tokenizer)
    tiny.model.config.max_position_embeddings = 40
    parts = cut_windows(text, 40)
    assert len(parts) > 2
    assert all(len(part.input_ids) == 40 for part in parts)
    assert all(part.input_ids[: part.prefix] == text.input_ids[: text.prefix] for part in parts)
    (stitched,) = score_attention(documents[:1], tiny)
    assert stitched.units == whole.units
    assert np.isfinite(stitched.scores).all()
    assert (stitched.scores > 0).sum() >= len(stitched.scores) - 1
    tiny.model.config.max_position_embeddings = len(text.input_ids)
    (exact,) = score_attention(documents[:1], tiny)
    assert exact.scores.tolist() == whole.scores.tolist()


def test_log_probabilities_are_those_of_the_next_token(documents, tokenizer, tmp_path):
    tiny = scorer(tokenizer, tmp_path)
    accented = replace(documents[1], text="Zoë Müller: 彼は東京で生まれた。", heads=[], facts=[])
    documents = [documents[0], accented]
    scored = score_log_probability(documents, tiny)
    text = encode(accented.text, tokenizer)
    assert max(map(len, text.unit_tokens)) > 1  # a character of several tokens
    with torch.no_grad():
        logits = tiny.model(input_ids=torch.tensor([text.input_ids])).logits[0]
    by_token = [0.0] + [
        float(logits[position].log_softmax(-1)[token])
        for position, token in enumerate(text.input_ids[1:])
    ]
    expected = [sum(by_token[token] for token in tokens) for tokens in text.unit_tokens]
    assert scored[1].scores == pytest.approx(expected, abs=1e-3)
    entropies = [0.0] + [
        torch.distributions.Categorical(logits=row).entropy().item() for row in logits[:-1]
    ]
    expected = [np.mean([entropies[token] for token in tokens]) for tokens in text.unit_tokens]
    assert score_entropy(documents, tiny)[1].scores == pytest.approx(expected, abs=1e-4)


def scores_of(documents, model_folder, **settings) -> list[np.ndarray]:
    pair = {"large": str(model_folder("llama", 0)), "small": str(model_folder("llama", 1))}
    config = AugmentConfig.model_validate(pair | {"model": pair["large"]} | settings)
    return [scores.scores for scores in score_documents(documents, Scorers(config))]


def test_the_reverse_contrast_is_the_contrast_with_its_sign_turned(documents, model_folder):
    forward = scores_of(documents, model_folder, method="contrast")
    reverse = scores_of(documents, model_folder, method="reverse-contrast")
    for contrast, reversed_contrast in zip(forward, reverse, strict=True):
        assert contrast.tolist() == (-reversed_contrast).tolist()


def test_the_log_ratio_ranks_otherwise_than_the_difference(documents, model_folder):
    minus = scores_of(documents, model_folder, method="contrast")[0]
    ratio = scores_of(documents, model_folder, method="contrast", difference="log-ratio")[0]
    assert np.isfinite(ratio).all()
    assert ((minus > 0) == (ratio > 0)).all()
    assert minus.argsort().tolist() != ratio.argsort().tolist()


def test_a_surprisal_contrast_of_a_model_with_itself_is_nothing(documents, model_folder, tmp_path):
    same = tmp_path / "same"  # under another name: one name for both is refused
    shutil.copytree(model_folder("llama", 0), same)
    with pytest.raises(ValueError, match="so that all contrasts are 0"):
        scores_of(documents, model_folder, method="contrast", small=str(model_folder("llama", 0)))
    zeros = scores_of(documents, model_folder, method="surprisal-contrast", small=str(same))
    assert not any(scores.any() for scores in zeros)
    contrasts = scores_of(documents, model_folder, method="surprisal-contrast")
    assert all(scores.any() for scores in contrasts)


def test_words_get_the_mean_of_their_tokens_or_the_sum_of_log_probabilities(
    documents, model_folder
):
    by_token = scores_of(documents, model_folder, method="attention")
    by_word = scores_of(documents, model_folder, method="attention", unit="word")
    for document, tokens, words in zip(documents, by_token, by_word, strict=True):
        assert len(words) == len(cut_words(document.text))
        assert words.min() >= tokens.min()
        assert words.max() <= tokens.max()
    (by_token, *_), (by_word, *_) = (
        scores_of(documents, model_folder, method="surprisal-contrast", unit=unit)
        for unit in ("token", "word")
    )
    assert by_word.sum() == pytest.approx(by_token.sum(), abs=1e-3)


@pytest.mark.parametrize("unit", ["token", "word"])
def test_all_arms_drop_the_same_units_whichever_models_they_read(unit, documents, model_folder):
    """The contrast reads models whose tokens are not those of the model to train."""
    settings = {"model": str(model_folder("llama")), "large": "nano-large", "small": "nano-small"}
    units = []
    for method in ("random", "attention", "contrast", "surprisal-contrast", "oracle"):
        config = AugmentConfig.model_validate(settings | {"method": method, "unit": unit})
        scored = score_documents(documents, Scorers(config))
        units.append([scores.units for scores in scored])
        assert all(len(scores.units) == len(scores.scores) for scores in scored)
    assert all(other == units[0] for other in units)


def test_unmatched_oracles_drop_the_rest_as_often_as_random_does(documents):
    kept, rates = {}, {}
    for method in ("random", "oracle", "oracle-unmatched", "oracle-relations"):
        config = AugmentConfig(method=method, alpha=0.7, beta=0.05)
        (scored,) = score_documents(documents[:1], Scorers(config))
        droppable, probabilities = find_drop_probabilities(documents[0], scored, config)
        kept[method] = droppable & (probabilities == 0)
        rates[method] = probabilities[droppable & (probabilities > 0)]
    assert not kept["random"].any()
    gold = mark_targets(documents[0], scored.units)
    names_and_values = gold["name"] | gold["value"]
    assert (kept["oracle"] | ~names_and_values | ~droppable).all()
    assert (kept["oracle-unmatched"] == kept["oracle"]).all()
    relations = names_and_values | gold["relation"]
    assert (kept["oracle-relations"] == (relations & droppable)).all()
    assert rates["oracle"].min() > rates["random"].max()
    for method in ("oracle-unmatched", "oracle-relations"):
        assert rates[method] == pytest.approx(rates["random"][0])


def test_models_that_cut_text_otherwise_can_be_contrasted(documents, model_folder):
    small = "nano-small"  # another tokenizer than the toy one of the tiny models
    contrasts = scores_of(documents, model_folder, method="contrast", small=small)
    assert all(np.isfinite(scores).all() and scores.any() for scores in contrasts)


def test_scores_are_made_once_and_read_afterwards(documents, model_folder, monkeypatch):
    calls: list[int] = []
    usual = scoring.read_attention

    def counted(*arguments, **settings):
        calls.append(1)
        return usual(*arguments, **settings)

    monkeypatch.setattr(scoring, "read_attention", counted)
    settings = {"method": "attention", "layers": "0-1", "model": str(model_folder("llama", 3))}
    first = scores_of(documents, model_folder, **settings)
    num_calls = len(calls)
    assert num_calls > 0
    second = scores_of(documents, model_folder, **settings)
    assert len(calls) == num_calls
    assert [scores.tolist() for scores in first] == [scores.tolist() for scores in second]
    for change in (
        {"layers": "0-2"},
        {"heads": "0"},
        {"own_query": True},
        {"queries": "before-values"},
        {"model": str(model_folder("llama", 4))},
        {"method": "depth-contrast"},
    ):
        scores_of(documents, model_folder, **(settings | change))
        assert len(calls) > num_calls, change
        num_calls = len(calls)
    others = list(generate_biographies(BiogenConfig(people=5)))
    scores_of(others, model_folder, **settings)
    assert len(calls) > num_calls


@pytest.mark.parametrize("change", ["weights", "norm", "rope", "precision", "values"])
def test_what_changes_below_a_name_never_meets_an_old_score(
    change, documents, model_folder, tmp_path, monkeypatch
):
    folder = tmp_path / "model"
    shutil.copytree(model_folder("llama", 6), folder)
    settings = {"method": "attention", "model": str(folder), "queries": "before-values"}
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path / "cache"))
    first = scores_of(documents, model_folder, **settings)
    if change == "weights":
        shutil.copy(model_folder("llama", 7) / "model.safetensors", folder)
    elif change in ("norm", "rope"):
        config = json.loads((folder / "config.json").read_text())
        if change == "norm":
            config["rms_norm_eps"] = 0.5
        else:
            config["rope_parameters"]["rope_theta"] = 100.0
        (folder / "config.json").write_text(json.dumps(config))
    elif change == "precision":
        dtype = {torch.float32: torch.bfloat16}.get(models.choose_dtype(), torch.float32)
        monkeypatch.setattr(models, "choose_dtype", lambda: dtype)
    else:
        documents = [replace(document, facts=document.facts[:1]) for document in documents]
    second = scores_of(documents, model_folder, **settings)
    pairs = zip(first, second, strict=True)
    assert all(before.tolist() != after.tolist() for before, after in pairs)


@pytest.mark.parametrize("name", ["tokenizer.json", "chat_template.jinja"])
def test_scores_under_another_tokenizer_or_chat_template_are_computed_again(
    name, documents, model_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path / "cache"))
    folder = shutil.copytree(model_folder("llama", 6), tmp_path / "model")
    scores_of(documents, model_folder, method="attention", model=str(folder))
    assert len(list(tmp_path.glob("cache/scores/*"))) == 1
    if name == "tokenizer.json":
        for path in folder.glob("tokenizer*.json"):
            path.write_text(path.read_text().replace("<end>", "<END>"))
    else:
        (folder / name).write_text("\n")
    scores_of(documents, model_folder, method="attention", model=str(folder))
    assert len(list(tmp_path.glob("cache/scores/*"))) == 2


def test_only_one_model_of_a_pair_is_in_memory(documents, model_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path))
    models_seen: list[weakref.ref] = []

    def load(reference: str) -> LoadedModel:
        gc.collect()
        assert not any(model() for model in models_seen)
        loaded = load_model(reference)
        models_seen.append(weakref.ref(loaded.model))
        return loaded

    large, small = (str(model_folder("llama", seed)) for seed in (0, 1))
    config = AugmentConfig(method="contrast", large=large, small=small)
    score_documents(documents, Scorers(config, load=load))
    assert len(models_seen) == 2


def test_an_interrupted_scoring_goes_on_where_it_stopped(documents, model_folder, monkeypatch):
    import elusive.augment.scores.cache as score_cache

    monkeypatch.setattr(score_cache, "CHUNK", 2)
    usual, seen = scoring.read_attention, []

    def stops(model, input_ids, *arguments):
        seen.append(len(input_ids))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return usual(model, input_ids, *arguments)

    monkeypatch.setattr(scoring, "read_attention", stops)
    settings = {"method": "attention", "layers": "1", "model": str(model_folder("llama", 5))}
    with pytest.raises(KeyboardInterrupt):
        scores_of(documents, model_folder, **settings)
    scores_of(documents, model_folder, **settings)
    assert seen == [2, 2, 2]


def test_a_damaged_file_of_scores_is_made_again(documents, model_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path))
    first = scores_of(documents, model_folder, method="attention")
    (path,) = tmp_path.glob("scores/*/*.parquet")
    path.write_bytes(path.read_bytes()[:100])
    second = scores_of(documents, model_folder, method="attention")
    assert [scores.tolist() for scores in first] == [scores.tolist() for scores in second]


def test_a_layer_that_the_model_does_not_have_is_one_line(documents, model_folder):
    with pytest.raises(InputError, match="layers '3': the model has layers 0 to 2"):
        scores_of(documents, model_folder, method="attention", layers="3")
    assert load_model(str(model_folder("llama"))).model.config.num_hidden_layers == 3
