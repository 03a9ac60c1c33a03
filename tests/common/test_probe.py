"""Probes: the way that a model allows is found, and a model that allows none is refused."""

import copy
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from commands import line_of_error, run
from safetensors.torch import load_file, save_file
from tiny import CONFIGS, VOCABULARY, tiny_model
from training_rows import some_questions, some_rows
from transformers import (
    BertConfig,
    BertLMHeadModel,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    MixtralConfig,
    MixtralForCausalLM,
)

from elusive.augment.scores.attention_probe import choose_attention_way, probe_attention
from elusive.common.errors import InputError
from elusive.common.lm.loaded_model import LoadedModel
from elusive.common.lm.loading import load_model
from elusive.common.lm.packing import Packing, build_text_sequence, pack_row
from elusive.common.lm.references import ModelSource
from elusive.common.probe.finding import (
    Finding,
    Way,
    choose_tolerance,
    compare,
    compute_in_float32,
    find_way,
    keep_finding,
)
from elusive.common.probe.packing import find_packing, probe_masks, probe_packing
from elusive.common.probe.padding import probe_padding
from elusive.evaluate.answering.batches import ALONE, SHARED_PREFIX
from elusive.evaluate.answering.batching_probe import find_batching, probe_batching
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.training.lora import open_lora_model
from elusive.evaluate.training.lora_targets import find_lora_targets
from elusive.evaluate.training.train import train


@pytest.fixture
def load_tiny(tokenizer, tmp_path):
    """Function that returns a tiny model as if it had been loaded."""

    def load(name: str) -> LoadedModel:
        return LoadedModel(ModelSource("tiny", tmp_path), tiny_model(name), tokenizer, name)

    return load


SHARED, EQUAL, WHOLE = (
    "shared prefix, padded",
    "shared prefix, equal lengths",
    "whole prompts, padded",
)
WAYS = {
    "llama": ("column sums", "cut", "mask", SHARED),
    "gpt2": ("column sums", "positions", "mask", SHARED),
    "mistral": ("column sums", "positions", None, EQUAL),  # windows of 6 tokens
    "opt": ("column sums", "cut", "mask", SHARED),  # restarting positions leak
    "falcon": ("maps", "mask", "mask", SHARED),
    "bloom": ("maps", "alone", None, SHARED),  # builds its own mask
    "gpt_neo": ("maps", "positions", "mask", WHOLE),  # reads its cache wrongly past a window
    "mamba": (None, "alone", None, WHOLE),
}
"""How attention is read, rows are read, attention is dropped, and questions are asked."""


@pytest.mark.parametrize("name", WAYS)
def test_the_first_way_that_gives_what_plain_reading_gives_is_found(name, load_tiny):
    loaded = load_tiny(name)
    probes = (probe_attention, probe_packing, probe_masks, probe_batching)
    assert tuple(probe(loaded).way for probe in probes) == WAYS[name]
    assert probe_padding(loaded).way == "padded"


def test_ways_that_differ_or_raise_are_passed_over_with_their_reasons():
    def fail() -> float:
        raise KeyError("cache_position")

    ways = [
        Way("first", fail),
        Way("second", lambda: 0.3),
        Way("nan", lambda: float("nan")),
        Way("third", lambda: 1e-6),
        Way("fourth", lambda: 0.0),
    ]
    finding = find_way(ways, 1e-4)
    assert (finding.way, finding.difference) == ("third", 1e-6)
    assert finding.failures == {
        "first": "KeyError: 'cache_position'",
        "second": "differs by 0.3 standard deviations",
        "nan": "differs by nan standard deviations",
    }
    assert find_way(ways[:2], 1e-4).way is None


def test_differences_are_in_standard_deviations_and_gaps_are_infinite():
    plain = torch.tensor([[1.0, 3.0], [1.0, 3.0]])
    spread = float(plain.std())
    assert compare(plain + spread, plain) == pytest.approx(1)
    assert compare(plain, plain) == 0
    gap = torch.tensor([[1.0, torch.nan], [1.0, 3.0]])
    assert compare(gap, plain) == float("inf")
    assert compare(gap, gap) == 0


def test_what_was_found_is_kept_for_the_same_model_alone(load_tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path / "cache"))
    loaded, calls = load_tiny("llama"), []

    def probe() -> Finding:
        calls.append(1)
        return Finding("cut", 1e-6, {"x": "y"})

    assert keep_finding(loaded, "packing", probe) == keep_finding(loaded, "packing", probe)
    assert len(calls) == 1
    keep_finding(loaded, "padding", probe)
    keep_finding(replace(loaded, weights_hash="other"), "packing", probe)
    other = replace(loaded, model=copy.deepcopy(loaded.model).bfloat16())
    keep_finding(other, "packing", probe)
    assert len(calls) == 4


def test_casting_to_float32_and_back_changes_no_weight():
    model = tiny_model("llama").bfloat16()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    buffers = {name: value.dtype for name, value in model.named_buffers()}
    with compute_in_float32(model):
        assert model.dtype == torch.float32
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {name: value.dtype for name, value in model.named_buffers()} == buffers


def test_where_float32_does_not_fit_a_model_is_probed_in_its_own_precision(
    load_tiny, monkeypatch, tmp_path
):
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path / "cache"))
    loaded = load_tiny("llama")
    loaded.model.bfloat16()
    tried = []

    def measure() -> float:
        tried.append(loaded.model.dtype)
        if loaded.model.dtype == torch.float32:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return 0.1

    def probe() -> Finding:
        return find_way([Way("padded", measure)], choose_tolerance(loaded))

    assert keep_finding(loaded, "padding", probe).way == "padded"
    assert tried == [torch.float32, torch.bfloat16]
    assert loaded.model.dtype == torch.bfloat16


def test_a_model_in_bfloat16_is_probed_as_strictly_as_one_in_float32(model_folder):
    loaded = load_model(str(model_folder("falcon")), dtype=torch.bfloat16)
    assert find_packing(loaded).way == "mask"  # the leak of other ways is not taken for rounding


def test_a_model_that_looks_ahead_is_refused_in_one_line(tokenizer, tmp_path, capsys):
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
    BertLMHeadModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    error = line_of_error(capsys, "probe", tmp_path)
    assert "is no decoder" in error
    assert "choose a causal language model instead of architecture 'bert'" in error


def test_a_model_that_computes_nan_is_not_blamed_for_its_architecture(
    model_folder, tmp_path, capsys
):
    broken = shutil.copytree(model_folder("llama"), tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][:] = torch.nan
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    assert "computes NaN or infinity in place of logits" in line_of_error(capsys, "probe", broken)


@pytest.mark.parametrize("name", ["llama", "gemma2", "bloom", "gpt_neo", "mamba"])
def test_every_way_to_read_rows_gives_the_losses_of_one_sequence_at_a_time(
    name, model_folder, tokenizer
):
    loaded = load_model(str(model_folder(name)), dtype=torch.float32)
    config = TrainingConfig(learning_rate=1e-3)
    losses = {}
    for packing in (find_packing(loaded), Packing("alone")):
        with open_lora_model(loaded, config, seed=0) as model:
            log = train(model, some_rows(tokenizer, 6), config, seed=0, packing=packing)
        losses[packing.way] = log.losses
    first, *others = losses.values()
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-4)


def test_rows_past_a_window_that_was_not_read_past_are_read_alone():
    packing = Packing("positions", longest=100)
    assert packing.choose([40, 100], has_hidden=False) == "positions"
    assert packing.choose([40, 101], has_hidden=False) == "alone"
    assert Packing("positions").choose([40, 5000], has_hidden=False) == "positions"


def test_prompts_past_a_window_that_was_not_read_past_are_asked_alone(model_folder, tokenizer):
    loaded = load_model(str(model_folder("llama")), dtype=torch.float32)
    questions, shots = some_questions()
    sizes = []
    forward = loaded.model.forward

    def watch(*args, **kwargs):
        sizes.append(len(kwargs["input_ids"]))
        return forward(*args, **kwargs)

    loaded.model.forward = watch  # type: ignore[method-assign]
    plain = answer_questions(loaded.model, tokenizer, questions, shots, 4, ALONE)
    assert set(sizes) == {1}
    sizes.clear()
    short = replace(SHARED_PREFIX, longest=10)
    assert answer_questions(loaded.model, tokenizer, questions, shots, 4, short) == plain
    assert set(sizes) == {1}


def test_attention_cannot_be_dropped_by_a_mask_that_a_model_does_not_obey(model_folder, tokenizer):
    loaded = load_model(str(model_folder("gemma2")), dtype=torch.float32)
    packing = find_packing(loaded)
    sequence = build_text_sequence("Ada was born in Rome.", tokenizer)
    row = pack_row([replace(sequence, hidden=[0.5] * len(sequence.input_ids))])
    with (
        open_lora_model(loaded, TrainingConfig(), seed=0) as model,
        pytest.raises(InputError, match="attention cannot be dropped: choose another corruption"),
    ):
        train(model, [row], TrainingConfig(), seed=0, packing=packing)
    with pytest.raises(InputError, match="window of 8 tokens, and a text has 9"):
        Packing("positions", longest=8).check_masks(9)


def test_attention_that_cannot_be_read_is_refused_in_one_line(load_tiny):
    with pytest.raises(InputError, match=r"'mamba'\) cannot be read .*or an arm that reads no"):
        choose_attention_way(load_tiny("mamba"))


def test_answers_are_never_batched_in_a_way_that_changes_them(load_tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path / "cache"))
    loaded = load_tiny("gpt_neo")
    batching = find_batching(loaded)
    assert batching.name == WHOLE
    questions, shots = some_questions()
    alone = answer_questions(loaded.model, loaded.tokenizer, questions, shots, 1, ALONE)
    for size in (1, 4):
        found = answer_questions(loaded.model, loaded.tokenizer, questions, shots, size, batching)
        assert [p.prediction for p in found] == [p.prediction for p in alone]
    shared = answer_questions(loaded.model, loaded.tokenizer, questions, shots, 4, SHARED_PREFIX)
    assert [p.prediction for p in shared] != [p.prediction for p in alone]


def build_mixtral() -> MixtralForCausalLM:
    config = MixtralConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
    )
    return MixtralForCausalLM(config)


def test_experts_and_routers_are_named_as_left_out_and_adapted_if_named(tokenizer, tmp_path):
    model = build_mixtral().eval()
    targets = find_lora_targets(model, ())
    assert {name.split(".")[-1] for name in targets.modules} == {
        *("q_proj", "k_proj", "v_proj", "o_proj"),
    }
    assert targets.left_out == [
        "layers.mlp.experts.down_proj (2)",
        "layers.mlp.experts.gate_up_proj (2)",
        "layers.mlp.gate.weight (2)",
    ]
    loaded = LoadedModel(ModelSource("tiny", tmp_path), model, tokenizer, "mixtral")
    config = TrainingConfig(lora_targets=("q_proj", "experts.down_proj"), learning_rate=1e-2)
    with open_lora_model(loaded, config, seed=0) as adapted:
        train(adapted, some_rows(tokenizer, 2), config, seed=0)
        trained = {
            name.split(".lora_")[0].split("layers.0.")[1]
            for name, weight in adapted.named_parameters()
            if weight.requires_grad and "layers.0" in name and "lora_B" in name and weight.any()
        }
    assert {name.split(".")[-1] for name in trained if "experts" not in name} == {"q_proj"}
    assert any("experts" in name for name in trained)


def test_the_vision_tower_of_a_multimodal_model_is_not_adapted():
    text = {**CONFIGS["llama"].to_dict(), "head_dim": 8, "sliding_window": 6}
    chosen = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "head_dim")
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = Gemma3Config(
        text_config={name: text[name] for name in chosen}
        | {"num_attention_heads": 4, "num_key_value_heads": 2},
        vision_config={**vision, "num_attention_heads": 4, "image_size": 28, "patch_size": 14},
        mm_tokens_per_image=4,
    )
    model = Gemma3ForConditionalGeneration(config)
    targets = find_lora_targets(model, ())
    assert targets.modules
    assert all(".language_model." in name for name in targets.modules)
    named = find_lora_targets(model, ("vision_tower.encoder.layers.0.self_attn.q_proj",))
    assert len(named.modules) == 1


def test_the_command_prints_what_was_found(model_folder):
    result = run("probe", model_folder("gpt_neo"))
    assert result.exit_code == 0, result.output
    for words in ("questions", "whole prompts", "maps", "its attention"):
        assert words in result.output, words


def test_a_name_that_no_weight_has_is_refused_with_those_that_there_are():
    with pytest.raises(InputError, match="no layer or weight 'w1': its linear layers are k_proj"):
        find_lora_targets(build_mixtral(), ("w1",))


def test_a_probe_is_read_again_from_its_file(load_tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path / "cache"))
    find_packing(load_tiny("llama"))
    stored = [json.loads(path.read_text()) for path in (tmp_path / "cache/probes").iterdir()]
    assert {"cut", "mask"} == {finding["way"] for finding in stored}
