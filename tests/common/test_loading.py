"""Models whose files do not fit their config, or cannot be read, are refused in one line."""

import errno
import importlib.util
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny_model

from elusive.common.errors import InputError
from elusive.common.lm.loading import choose_dtype, load_model
from elusive.common.lm.loading_report import explain_failures
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.training.lora import open_tuned_model

Weights = dict[str, torch.Tensor]
CONFIG, WEIGHTS = "config.json", "model.safetensors"


@pytest.fixture
def folder(model_folder, tmp_path) -> Path:
    """A copy of a tiny model that a test may damage."""
    return shutil.copytree(model_folder("llama"), tmp_path / "model")


def edit_config(folder: Path, **changes: object) -> None:
    """Change keys of a model's config; None removes a key."""
    path = folder / CONFIG
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def edit_weights(folder: Path, edit: Callable[[Weights], object]) -> None:
    """Change a model's tensors in place."""
    weights = load_file(folder / WEIGHTS)
    edit(weights)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def cut_file(path: Path, keep: int) -> None:
    """Keep the first bytes of a file; a negative number leaves out the last ones."""
    path.write_bytes(path.read_bytes()[:keep])


def read_error(reference: Path, **options: object) -> str:
    """Return the one line with which a model is refused."""
    with pytest.raises(InputError) as error:
        load_model(str(reference), **options)  # type: ignore[arg-type]
    line = str(error.value)
    assert "\n" not in line
    assert len(line) < 500
    assert str(reference) in line
    return line


def widen(weights: Weights) -> None:
    """Give one layer another shape."""
    weights["model.layers.1.mlp.up_proj.weight"] = torch.zeros(65, 32)


def drop_layer(weights: Weights) -> None:
    """Remove all tensors of a layer."""
    for name in [name for name in weights if ".layers.2." in name]:
        del weights[name]


def add_bias(weights: Weights) -> None:
    """Add a tensor that the config does not know."""
    weights["model.layers.0.self_attn.q_proj.bias"] = torch.ones(32)


UNFIT_WEIGHTS: dict[str, tuple[Callable[[Weights], object], str]] = {
    "no head": (lambda weights: weights.pop("lm_head.weight"), "lack lm_head.weight:"),
    "no last layer": (drop_layer, r"lack model\.layers\.2\.\S+ and 8 more:"),
    "another width": (widen, r"up_proj.weight is 65 x 32 instead of 64 x 32"),
    "a bias too many": (add_bias, r"does not use model.layers.0.self_attn.q_proj.bias"),
}


@pytest.mark.parametrize("case", UNFIT_WEIGHTS)
def test_weights_that_do_not_fit_the_config_are_refused(case, folder, capfd):
    edit, line = UNFIT_WEIGHTS[case]
    edit_weights(folder, edit)
    assert re.search(line, read_error(folder))
    assert "LOAD REPORT" not in capfd.readouterr().err


def test_a_config_with_fewer_layers_than_the_weights_is_refused(folder):
    edit_config(folder, num_hidden_layers=2)
    assert re.search(r"does not use model\.layers\.2", read_error(folder))


def test_tied_heads_and_old_buffers_are_no_reason_to_refuse(folder):
    whole = load_model(str(folder), torch.float32).model
    tie = load_file(folder / WEIGHTS)["model.embed_tokens.weight"]
    edit_config(folder, tie_word_embeddings=True)
    edit_weights(folder, lambda weights: weights.pop("lm_head.weight"))
    inverse = {f"model.layers.{n}.self_attn.rotary_emb.inv_freq": torch.ones(4) for n in range(3)}
    edit_weights(folder, lambda weights: weights.update(inverse))
    tied = load_model(str(folder), torch.float32).model
    assert torch.equal(tied.lm_head.weight, tie)  # type: ignore[arg-type]
    assert not torch.equal(tied.lm_head.weight, whole.lm_head.weight)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "buffer"),
    [
        ("gpt2", "transformer.h.0.attn.masked_bias"),
        ("gpt_neox", "gpt_neox.layers.0.attention.masked_bias"),
        ("llama", "model.position_ids"),
        ("llama", "vision_tower.blocks.0.weight"),
        ("llama", "v_head.summary.weight"),
    ],
)
def test_tensors_that_no_text_needs_are_no_reason_to_refuse(name, buffer, model_folder, tmp_path):
    folder = shutil.copytree(model_folder(name), tmp_path / name)
    edit_weights(folder, lambda weights: weights.update({buffer: torch.ones(3)}))
    ids = torch.tensor([[5, 9, 77]])
    loaded = load_model(str(folder), torch.float32).model
    with torch.inference_mode():
        expected = tiny_model(name)(input_ids=ids).logits
        assert torch.allclose(loaded(input_ids=ids).logits, expected, atol=1e-5)


def break_json(path: Path) -> None:
    """Cut a JSON file in the middle."""
    cut_file(path, 40)


def quantize(method: str) -> Callable[[Path], None]:
    """Return a function that says in a config that the weights are quantized."""
    settings = {
        "gptq": {"bits": 4, "group_size": 128, "quant_method": "gptq"},
        "awq": {"bits": 4, "group_size": 128, "quant_method": "awq", "version": "gemm"},
        "bitsandbytes": {"load_in_4bit": True, "quant_method": "bitsandbytes"},
    }
    return lambda folder: edit_config(folder, quantization_config=settings[method])


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "half a tensor": (lambda folder: cut_file(folder / WEIGHTS, -1000), "model.safetensors"),
    "half a header": (lambda folder: cut_file(folder / WEIGHTS, 100), "model.safetensors"),
    "no bytes": (lambda folder: cut_file(folder / WEIGHTS, 0), "model.safetensors"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "has no weights"),
    "half a config": (lambda folder: break_json(folder / CONFIG), "config.json"),
    "an empty config": (lambda folder: (folder / CONFIG).write_text("{}"), "model_type"),
    "a list": (lambda folder: (folder / CONFIG).write_text("[]"), "config.json"),
    "a word for a width": (lambda folder: edit_config(folder, hidden_size="wide"), "hidden_size"),
    "no heads": (lambda folder: edit_config(folder, num_attention_heads=0), "ZeroDivision"),
    "odd heads": (lambda folder: edit_config(folder, num_attention_heads=5), "5"),
    "no such model": (lambda folder: edit_config(folder, model_type="llama9"), "llama9"),
    "no decoder": (lambda folder: edit_config(folder, model_type="vit"), "vit"),
    "a broken tokenizer": (lambda folder: break_json(folder / "tokenizer.json"), "tokenizer"),
    "gptq": (quantize("gptq"), "gptq.*pip install"),
    "awq": (quantize("awq"), "awq.*pip install"),
    "bitsandbytes": (quantize("bitsandbytes"), "bitsandbytes.*pip install"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_files_that_cannot_be_read_are_one_line(case, folder):
    if case == "bitsandbytes" and importlib.util.find_spec(case):
        pytest.skip("bitsandbytes is installed")
    damage, line = UNREADABLE[case]
    damage(folder)
    assert re.search(line, read_error(folder))


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\0\0\0" + 60 * b"\xff", b"not GGUF"])
def test_a_broken_gguf_file_is_one_line(content, tmp_path):
    path = tmp_path / "weights.gguf"
    path.write_bytes(content)
    read_error(path)


def test_weights_that_are_quantized_already_are_not_quantized_again(folder):
    quantize("gptq")(folder)
    assert "gptq" in read_error(folder, quantization="4bit")


def test_weights_that_stay_packed_are_not_trained_as_a_whole(folder):
    loaded = load_model(str(folder), torch.float32)
    setattr(loaded.model, "is_quantized", True)  # noqa: B010
    with (
        pytest.raises(InputError, match="tuning 'full' cannot train"),
        open_tuned_model(loaded, TrainingConfig(tuning="full"), 0),
    ):
        pass


def test_a_missing_shard_is_named(folder):
    index = {"metadata": {"total_size": 9}, "weight_map": {"lm_head.weight": "m-2.safetensors"}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    (folder / WEIGHTS).rename(folder / "m-1.safetensors")
    assert "m-2.safetensors" in read_error(folder)


def test_an_adapter_is_not_a_model(folder):
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    assert "--adapter" in read_error(folder)
    (folder / CONFIG).unlink()
    assert "--adapter" in read_error(folder)


def test_missing_memory_and_a_full_disk_are_not_called_broken_files():
    with pytest.raises(MemoryError), explain_failures("cannot load model 'x'"):
        raise MemoryError
    with pytest.raises(OSError, match="No space left"), explain_failures("cannot load model 'x'"):
        raise OSError(errno.ENOSPC, "No space left on device")


def save_in_8_bit_floats(folder: Path) -> Weights:
    """Quantize the projections of a model to 8-bit floats; return the weights that this means."""
    weights, meant, packed = load_file(folder / WEIGHTS), {}, {}
    for key, weight in weights.items():
        meant[key] = packed[key] = weight
        if "_proj" in key:
            scale = weight.abs().max() / 448
            packed[key] = (weight / scale).to(torch.float8_e4m3fn)
            meant[key] = packed[key].float() * scale
            rows, columns = (size // 16 for size in weight.shape)
            packed[f"{key}_scale_inv"] = scale.repeat(rows, columns)
    save_file(packed, folder / WEIGHTS, metadata={"format": "pt"})
    settings = {"quant_method": "fp8", "weight_block_size": [16, 16]}
    edit_config(folder, quantization_config=settings)
    return meant


def test_weights_in_8_bit_floats_are_unpacked_and_can_be_adapted(folder):
    meant = save_in_8_bit_floats(folder)
    loaded = load_model(str(folder), torch.float32)
    for name, weight in loaded.model.named_parameters():
        assert torch.equal(weight.cpu(), meant[name]), name
    with open_tuned_model(loaded, TrainingConfig(lora_rank=2), 0) as model:
        ids = torch.tensor([[5, 9, 77]], device=loaded.model.device)
        model(input_ids=ids, labels=ids).loss.backward()
        assert sum(p.grad.abs().sum() for p in model.parameters() if p.grad is not None) > 0


@pytest.mark.parametrize(("has_amx", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_computes_in_bfloat16_only_if_that_is_faster(has_amx, dtype, monkeypatch):
    """AVX512-BF16 alone is slower than float32."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    assert choose_dtype() == dtype
