"""Finished adapters that do not fit a model are refused in one line, which leaves the model."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import line_of_error, run
from peft import (
    IA3Config,
    LoraConfig,
    PeftConfig,
    PrefixTuningConfig,
    PromptTuningConfig,
    get_peft_model,
)
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from elusive.common.errors import InputError
from elusive.common.lm.adapters import ignore_adapter_warnings, open_adapted_model
from elusive.common.lm.loading import LoadedModel, load_model

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
LORA = LoraConfig(
    r=2, init_lora_weights=False, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
)


@pytest.fixture(scope="module")
def loaded(model_folder) -> LoadedModel:
    return load_model(str(model_folder("llama")), dtype=torch.float32)


def save_adapter(base: Path, folder: Path, config: PeftConfig = LORA) -> Path:
    """Save an adapter of random weights."""
    torch.manual_seed(0)
    with ignore_adapter_warnings():
        model = get_peft_model(
            load_model(str(base), dtype=torch.float32).model, copy.deepcopy(config)
        )
    model.save_pretrained(str(folder))
    return folder


@pytest.fixture
def adapter(model_folder, tmp_path) -> Path:
    return save_adapter(model_folder("llama"), tmp_path / "adapter")


def read_logits(loaded: LoadedModel, adapter: Path | None = None) -> torch.Tensor:
    ids = torch.tensor([[5, 9, 77]], device=loaded.model.device)
    with torch.inference_mode():
        if adapter is None:
            return loaded.model(input_ids=ids).logits
        with open_adapted_model(loaded, adapter) as model:
            return model(input_ids=ids).logits


def refuse(loaded: LoadedModel, adapter: Path) -> str:
    """Return the line with which an adapter is refused, after which the model is as before."""
    before = read_logits(loaded)
    with pytest.raises(InputError) as error:
        read_logits(loaded, adapter)
    assert torch.equal(read_logits(loaded), before)
    assert not any("lora" in name for name, _ in loaded.model.named_modules())
    line = str(error.value)
    assert "\n" not in line
    assert str(adapter) in line
    return line


def edit_weights(adapter: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(adapter / WEIGHTS)
    edit(weights)
    save_file(weights, adapter / WEIGHTS, metadata={"format": "pt"})


def edit_config(adapter: Path, **changes: object) -> None:
    content = json.loads((adapter / CONFIG).read_text()) | changes
    (adapter / CONFIG).write_text(json.dumps(content))


def name_tensor(layer: int, part: str) -> str:
    return f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{part}.weight"


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a tensor less": (
        lambda adapter: edit_weights(adapter, lambda weights: weights.pop(name_tensor(1, "B"))),
        "it lacks ",
    ),
    "a tensor more": (
        lambda adapter: edit_weights(
            adapter, lambda weights: weights.update({name_tensor(7, "B"): torch.ones(2, 2)})
        ),
        "does not use",
    ),
    "another shape": (
        lambda adapter: edit_weights(
            adapter, lambda weights: weights.update({name_tensor(1, "B"): torch.ones(64, 2)})
        ),
        "size mismatch",
    ),
    "another rank": (lambda adapter: edit_config(adapter, r=3), "size mismatch"),
    "layers that are not there": (
        lambda adapter: edit_config(adapter, target_modules=["c_attn"]),
        "c_attn",
    ),
    "half a file": (
        lambda adapter: (adapter / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes()[:-9]),
        "incomplete",
    ),
    "half a config": (lambda adapter: (adapter / CONFIG).write_text('{"r": 2,'), CONFIG),
    "no type": (lambda adapter: (adapter / CONFIG).write_text("{}"), CONFIG),
    "a classifier": (lambda adapter: edit_config(adapter, task_type="SEQ_CLS"), "SEQ_CLS"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_an_adapter_that_does_not_fit_is_refused_and_leaves_the_model(case, loaded, adapter):
    damage, line = UNFIT[case]
    damage(adapter)
    assert line in refuse(loaded, adapter)


@pytest.mark.parametrize(
    "config",
    [
        PrefixTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"),
        PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"),
    ],
)
def test_adapters_that_add_prompts_are_refused(config, loaded, model_folder, tmp_path):
    folder = save_adapter(model_folder("llama"), tmp_path / "adapter", config)
    assert "which adds prompts" in refuse(loaded, folder)


def test_an_adapter_of_another_width_is_refused(loaded, tokenizer, tmp_path):
    wide = LlamaConfig(
        vocab_size=600, hidden_size=64, intermediate_size=64, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, bos_token_id=None, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(wide).save_pretrained(tmp_path / "wide")
    tokenizer.save_pretrained(tmp_path / "wide")
    folder = save_adapter(tmp_path / "wide", tmp_path / "adapter")
    assert "trained on weights" in refuse(loaded, folder)
    edit_config(folder, base_model_name_or_path="someone/gone")
    assert "size mismatch" in refuse(loaded, folder)


def test_an_adapter_of_other_weights_is_refused_where_its_base_is_known(
    loaded, model_folder, tmp_path
):
    folder = save_adapter(model_folder("llama", 1), tmp_path / "adapter")
    assert "trained on weights" in refuse(loaded, folder)
    edit_config(folder, base_model_name_or_path="someone/unknown")
    assert not torch.equal(read_logits(loaded, folder), read_logits(loaded))


def test_an_adapter_acts_as_peft_says_and_comes_off(loaded, adapter):
    before = read_logits(loaded)
    adapted = read_logits(loaded, adapter)
    assert not torch.allclose(adapted, before, atol=1e-3)
    assert torch.equal(read_logits(loaded), before)
    weights = load_file(adapter / WEIGHTS)
    for layer, block in enumerate(loaded.model.model.layers):  # type: ignore[union-attr, arg-type]
        for name in ("q", "v"):
            prefix = f"base_model.model.model.layers.{layer}.self_attn.{name}_proj"
            a, b = (weights[f"{prefix}.lora_{part}.weight"] for part in "AB")
            scale = LORA.lora_alpha / LORA.r
            getattr(block.self_attn, f"{name}_proj").weight.data += scale * (b @ a)
    torch.testing.assert_close(read_logits(loaded), adapted, atol=1e-4, rtol=1e-4)


def test_other_adapters_of_layers_are_welcome(model_folder, tmp_path):
    loaded = load_model(str(model_folder("llama", 2)), dtype=torch.float32)
    config = IA3Config(
        target_modules=["k_proj", "down_proj"],
        feedforward_modules=["down_proj"],
        init_ia3_weights=False,
        task_type="CAUSAL_LM",
    )
    folder = save_adapter(model_folder("llama", 2), tmp_path / "adapter", config)
    before = read_logits(loaded)
    assert not torch.equal(read_logits(loaded, folder), before)
    assert torch.equal(read_logits(loaded), before)


def test_the_command_refuses_before_it_loads_a_model(
    people_folder, model_folder, tmp_path, capsys, monkeypatch
):
    def evaluate(model: Path, adapter: Path) -> str:
        command = ["evaluate", people_folder, "--model", model, "--adapter", adapter]
        return line_of_error(capsys, *command, "--out", tmp_path / "out")

    prefix = PrefixTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")
    prompts = save_adapter(model_folder("llama"), tmp_path / "prompts", prefix)
    text = tmp_path / "text"
    assert run("augment", people_folder, "--method", "plain", "--out", text).exit_code == 0
    settings = ["--epochs", 1, "--format-replay", 2, "--limit", 2, "--num-shots", 1]
    command = ["evaluate", people_folder, "--model", model_folder("llama"), "--train", text]
    done = run(*command, *settings, "--out", tmp_path / "cell")
    assert done.exit_code == 0, done.output
    trained = tmp_path / "cell" / "adapter"
    edit_config(trained, base_model_name_or_path="someone/unknown")
    monkeypatch.setattr("elusive.evaluate.run.load_model", None)
    assert "which adds prompts" in evaluate(model_folder("llama"), prompts)
    assert "trained on weights" in evaluate(model_folder("llama", 1), trained)
    shutil.rmtree(trained)
    assert "is not a PEFT adapter" in evaluate(model_folder("llama", 1), trained)
