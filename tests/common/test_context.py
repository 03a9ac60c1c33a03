"""Texts and prompts longer than a model's context: one line, a warning or windows, no crash."""

import copy
import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import line_of_error, run
from tiny import CONFIGS, VOCABULARY
from transformers import (
    AutoModelForCausalLM,
    BioGptConfig,
    CodeGenConfig,
    CTRLConfig,
    GPTBigCodeConfig,
    MptConfig,
    OpenAIGPTConfig,
    PreTrainedModel,
)

from elusive.common.chat.local import generate_replies
from elusive.common.errors import InputError
from elusive.common.lm.context import (
    check_positions,
    counts_whole_rows,
    find_context,
    find_longest_sequence,
    has_fixed_positions,
)
from elusive.common.lm.loading import load_model
from elusive.common.lm.packing import Sequence, pack_row
from elusive.evaluate.answering.perplexity import compute_perplexity
from elusive.evaluate.training.objectives import add_reference_losses

CONTEXT = 40
SHORT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": CONTEXT,
}
OTHERS = {
    "mpt": MptConfig(
        vocab_size=VOCABULARY, d_model=32, n_heads=4, n_layers=2, max_seq_len=CONTEXT
    ),
    "ctrl": CTRLConfig(**SHORT, dff=64),
    "biogpt": BioGptConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64,
    ),
    "codegen": CodeGenConfig(**SHORT, n_ctx=CONTEXT, rotary_dim=4),
    "openai-gpt": OpenAIGPTConfig(**SHORT),
    "gpt_bigcode": GPTBigCodeConfig(**SHORT),
}  # fmt: skip


def build_short(name: str) -> PreTrainedModel:
    """A tiny model with few positions, if it has any."""
    config = copy.deepcopy({**CONFIGS, **OTHERS}[name])
    if hasattr(config, "max_position_embeddings"):
        config.max_position_embeddings = CONTEXT
    return AutoModelForCausalLM.from_config(config).eval()


def computes(model: PreTrainedModel, length: int, **inputs: torch.Tensor) -> bool:
    """Whether a model reads so many tokens without an error."""
    try:
        with torch.inference_mode():
            model(input_ids=torch.arange(length)[None] + 3, **inputs)
    except (IndexError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize("name", [*CONFIGS, *OTHERS])
def test_fixed_positions_are_those_beyond_which_a_model_fails(name):
    model = build_short(name)
    assert find_context(model) == (None if name in ("bloom", "mamba") else CONTEXT)
    assert computes(model, CONTEXT)
    assert has_fixed_positions(model) != computes(model, CONTEXT + 1)


@pytest.mark.parametrize("name", [*CONFIGS, *OTHERS])
def test_whole_rows_count_where_a_row_of_short_sequences_fails(name):
    model = build_short(name)
    positions = torch.arange(CONTEXT + 8)[None] % 8
    fails = counts_whole_rows(model) and has_fixed_positions(model)
    if "position_ids" in inspect.signature(model.forward).parameters:
        assert computes(model, CONTEXT + 8, position_ids=positions) != fails
    else:
        assert computes(model, CONTEXT + 8) != fails


def test_the_longest_sequence_is_found_by_its_name():
    rows = [
        pack_row([Sequence([3] * n, [3] * n, name=f"{n} tokens") for n in lengths])
        for lengths in ([2, 5, 1], [3, 9, 8], [4])
    ]
    assert find_longest_sequence(rows) == (9, "9 tokens")


def test_a_context_is_no_limit_for_rotary_positions():
    check_positions(build_short("llama"), 999, "a text", "shorten it")
    with pytest.raises(InputError, match=r"a text has 999 tokens, but .* 40 positions: shorten it"):
        check_positions(build_short("gpt2"), 999, "a text", "shorten it")


@pytest.fixture
def save_short(model_folder, tokenizer, tmp_path):
    """Function that saves a model with few positions."""

    def save(name: str, context: int = CONTEXT) -> Path:
        config = copy.deepcopy(CONFIGS[name])
        config.max_position_embeddings = context
        folder = tmp_path / f"{name}-{context}"
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def texts(people_folder, tmp_path) -> list[object]:
    """Arguments of `evaluate` that train on a dataset's texts."""
    assert (
        run("augment", people_folder, "--out", tmp_path / "t", "--method", "plain").exit_code == 0
    )
    settings = ["--epochs", 1, "--batch-size", 4, "--format-replay", 2, "--limit", 3]
    return ["evaluate", people_folder, "--train", tmp_path / "t", *settings]


def test_texts_beyond_the_positions_stop_a_training_before_it_begins(
    texts, save_short, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("elusive.evaluate.cells.make_cell.train", None)
    command = [*texts, "--model", save_short("gpt2"), "--num-shots", 0, "--out", tmp_path / "out"]
    line = line_of_error(capsys, *command)
    assert "training on bio-" in line
    assert "tokens, but the model has 40 positions: shorten the texts" in line


def test_prompts_beyond_the_positions_stop_a_training_before_it_begins(
    texts, save_short, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("elusive.evaluate.cells.make_cell.train", None)
    command = [*texts, "--model", save_short("gpt2", 300), "--num-shots", 19]
    line = line_of_error(capsys, *command, "--out", tmp_path / "out")
    assert "the longest prompt, with its answer, has" in line
    assert "300 positions: show fewer shots" in line


def test_rows_beyond_the_positions_stop_a_training_where_they_count(
    texts, save_short, tmp_path, capsys
):
    command = [*texts, "--num-shots", 1, "--out", tmp_path / "out"]
    folder = save_short("gpt_neo", 300)
    assert "lower batch_size" in line_of_error(capsys, *command, "--model", folder)
    done = run(*command, "--model", save_short("opt", 300))
    assert done.exit_code == 0, done.output


def test_rotary_models_go_on_with_a_warning(texts, save_short, tmp_path, capfd):
    done = run(*texts, "--model", save_short("llama"), "--num-shots", 1, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    warnings = done.output + capfd.readouterr().err
    assert "more than the 40 that the model was made to read" in warnings
    assert "training on bio-" in warnings
    assert "the longest prompt has" in warnings


def test_long_prompts_to_chat_models_are_one_line(save_short):
    with pytest.raises(InputError, match="the longest prompt, with its reply, has"):
        generate_replies(str(save_short("gpt2")), ["Who? " * 50], 6)
    assert generate_replies(str(save_short("gpt2")), ["Who? "], 6)


def test_perplexity_is_that_of_the_first_tokens(save_short, tokenizer):
    text = "Ada Byron was born in Paris. " * 9
    for name in ("gpt2", "llama"):
        loaded = load_model(str(save_short(name)), torch.float32)
        ids = torch.tensor([tokenizer(text)["input_ids"][:CONTEXT]])
        with torch.inference_mode():
            loss = loaded.model(input_ids=ids.to(loaded.model.device), labels=ids).loss
        perplexity = compute_perplexity(loaded.model, tokenizer, [text])
        assert perplexity == pytest.approx(float(loss.exp()), rel=1e-4)


def test_a_reference_model_with_few_positions_is_refused(save_short):
    reference = load_model(str(save_short("gpt2")), torch.float32)
    long = Sequence([5] * 41, [5] * 41)
    with pytest.raises(InputError, match=r"the longest text for reference .* has 41 tokens"):
        add_reference_losses([long], reference)


def test_a_config_with_more_positions_than_the_weights_is_refused(save_short):
    folder = save_short("gpt2")
    path = shutil.copytree(folder, folder.with_name("longer")) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"n_positions": 80}))
    with pytest.raises(InputError, match=r"wpe\.weight is 40 x 32 instead of 80 x 32"):
        load_model(str(path.parent))
