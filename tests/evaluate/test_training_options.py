"""Options of training: what must not change the outcome does not, the others do what they say."""

import dataclasses
import functools
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from commands import FIELDS, write_plan
from huggingface_hub import ModelCard
from peft import PeftModel
from safetensors.torch import load_file
from training_rows import some_questions, some_rows
from transformers import AutoModelForCausalLM

from elusive.augment.augment import augment_dataset
from elusive.augment.config import AugmentConfig
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.cli.main import cli
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.errors import InputError
from elusive.common.lm.adapters import ignore_adapter_warnings
from elusive.common.lm.loading import LoadedModel, load_model
from elusive.common.lm.packing import build_text_sequence
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.cells.adapter_card import write_adapter_card
from elusive.evaluate.cells.cell_folder import CellResult, load_cell
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan
from elusive.evaluate.training.lora import open_lora_model
from elusive.evaluate.training.sequences import pack_epochs
from elusive.evaluate.training.train import TrainingLog, train

SETTINGS = ["--epochs", 1, "--batch-size", 4, "--format-replay", 2, "--num-shots", 2]
Evaluate = Callable[..., Result]


@pytest.fixture(scope="module")
def loaded(model_folder) -> LoadedModel:
    return load_model(str(model_folder("llama")), dtype=torch.float32)


@pytest.fixture(scope="module")
def varied(tmp_path_factory) -> Path:
    """A dataset with phrasings that no shot shows."""
    folder = tmp_path_factory.mktemp("varied") / "people"
    settings = {"people": 4, "num_shot_people": 8, "dev_rate": 0, "fields": FIELDS}
    config = BiogenConfig.model_validate(settings | {"held_out_phrasing": True})
    generate_dataset(config, folder)
    return folder


@pytest.fixture(scope="module")
def evaluate(varied, model_folder, tmp_path_factory) -> Evaluate:
    """Function that trains and scores a cell through the command line."""
    texts = tmp_path_factory.mktemp("texts")

    def call(out: Path, *arguments: object, method: str = "plain") -> Result:
        config = AugmentConfig.model_validate({"method": method, "copies": 3})
        augment_dataset(load_dataset_folder(varied), config, texts / method)
        model = [] if "--model" in arguments else ["--model", model_folder("llama")]
        command = ["evaluate", varied, "--train", texts / method, *model, *SETTINGS]
        return CliRunner().invoke(cli, [str(word) for word in (*command, *arguments, "--out", out)])

    return call


def finish(done: Result, out: Path) -> CellResult:
    assert done.exit_code == 0, (done.output, done.exception)
    return load_cell(out)


def trained(
    loaded: LoadedModel, rows: list[dict[str, torch.Tensor]], folder: Path, **settings: object
) -> tuple[TrainingLog, dict[str, torch.Tensor]]:
    """The log and the weights of an adapter that is trained on rows."""
    config = TrainingConfig.model_validate(settings)
    with open_lora_model(loaded, config, seed=0) as model:
        log = train(model, rows, config, seed=0)
        model.save_pretrained(str(folder))
    return log, load_file(folder / "adapter_model.safetensors")


def assert_close(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], atol=1e-4, rtol=1e-3)


def test_steps_split_into_rows_train_as_whole_ones(loaded, tokenizer, tmp_path):
    texts = ["Ada was born in Rome.", "Bo", "Cleo von der Heide studied law, then music.", "Dan"]
    sequences = [build_text_sequence(text, tokenizer) for text in texts]
    rows = [
        list(pack_epochs(lambda epoch: sequences, [], 6, size, np.random.default_rng(0)))
        for size in (4, 2)
    ]
    whole, first = trained(loaded, rows[0], tmp_path / "whole")
    settings = {"batch_size": 4, "accumulation": 2}
    split, second = trained(loaded, rows[1], tmp_path / "split", **settings)
    assert whole.steps == split.steps == 6
    np.testing.assert_allclose(whole.losses, split.losses, rtol=1e-4)
    assert_close(first, second)


def test_activations_computed_twice_change_nothing(loaded, tokenizer, tmp_path):
    rows = some_rows(tokenizer, 8)
    usual, first = trained(loaded, rows, tmp_path / "usual")
    twice, second = trained(loaded, rows, tmp_path / "twice", gradient_checkpointing=True)
    np.testing.assert_allclose(usual.losses, twice.losses, rtol=1e-5)
    assert_close(first, second)
    assert not loaded.model.is_activation_checkpointing


def test_lora_settings_are_those_of_the_adapter_and_act(loaded, tokenizer, tmp_path):
    rows = some_rows(tokenizer, 8)
    settings = {"lora_rank": 4, "lora_alpha": 32, "lora_dropout": 0.3}
    log, weights = trained(
        loaded, rows, tmp_path / "a", lora_targets=["q_proj", "v_proj"], **settings
    )
    saved = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert (saved["r"], saved["lora_alpha"], saved["lora_dropout"]) == (4, 32, 0.3)
    assert {name.split(".")[-3] for name in weights} == {"q_proj", "v_proj"}
    for name, change in (("alpha", {"lora_alpha": 4}), ("dropout", {"lora_dropout": 0.0})):
        targets = {"lora_targets": ["q_proj", "v_proj"]}
        other, _ = trained(loaded, rows, tmp_path / name, **(settings | targets | change))
        assert other.losses != log.losses


def test_layers_that_the_model_has_not_are_one_line(loaded):
    config = TrainingConfig(lora_targets=("no_such_layer",))
    with (
        pytest.raises(InputError, match=r"lora_targets: .*no_such_layer"),
        open_lora_model(loaded, config, seed=0),
    ):
        pass


def test_a_loss_that_is_no_number_names_the_texts_of_its_row(loaded, tokenizer):
    rows = some_rows(tokenizer, 8)
    rows = [{**row, "names": [f"text-{number}"]} for number, row in enumerate(rows)]
    config = TrainingConfig(learning_rate=1e30, clip=1e30, warmup=0)
    with (
        open_lora_model(loaded, config, seed=0) as model,
        pytest.raises(InputError, match=r"training loss is nan at step 2, on text-1: lower"),
    ):
        train(model, rows, config, seed=0)


def test_a_merged_model_computes_as_the_model_with_its_adapter(
    loaded, model_folder, tokenizer, tmp_path
):
    trained(loaded, some_rows(tokenizer, 8), tmp_path / "adapter", learning_rate=1e-2)
    ids = torch.tensor([tokenizer("Ada Byron was born")["input_ids"]])
    base = AutoModelForCausalLM.from_pretrained(model_folder("llama"), dtype=torch.float32)
    with torch.no_grad():
        plain = base(input_ids=ids).logits
        with ignore_adapter_warnings():
            adapted = PeftModel.from_pretrained(base, str(tmp_path / "adapter"))
        apart = adapted(input_ids=ids).logits
        merged = adapted.merge_and_unload()(input_ids=ids).logits
    assert not torch.allclose(apart, plain, atol=1e-2)
    torch.testing.assert_close(merged, apart, atol=1e-4, rtol=1e-4)


def test_all_weights_are_trained_on_demand_and_the_model_is_saved(evaluate, loaded, tmp_path):
    cell = finish(evaluate(tmp_path / "out", "--tuning", "full"), tmp_path / "out")
    saved = AutoModelForCausalLM.from_pretrained(cell.folder / "model")
    changed = [
        name
        for (name, before), after in zip(
            loaded.model.named_parameters(), saved.parameters(), strict=True
        )
        if not torch.equal(before, after)
    ]
    assert len(changed) == len(list(saved.parameters()))
    assert not (cell.folder / "adapter").exists()


def test_arms_get_equally_many_tokens_where_the_budget_is_tokens(evaluate, tmp_path):
    tokens, steps = {}, {}
    for method in ("plain", "random"):
        for budget in ("steps", "tokens"):
            out = tmp_path / f"{method}-{budget}"
            cell = finish(evaluate(out, "--budget", budget, method=method), out)
            tokens[method, budget] = cell.costs["training_tokens"]
            assert cell.log
            steps[method, budget] = cell.log["steps"]
    assert steps["plain", "steps"] == steps["random", "steps"]
    assert tokens["random", "steps"] < 0.9 * tokens["plain", "steps"]
    assert tokens["random", "tokens"] == pytest.approx(tokens["plain", "tokens"], rel=0.05)
    assert steps["random", "tokens"] > steps["plain", "tokens"]


def test_losses_are_logged_into_the_cell(evaluate, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = evaluate(tmp_path / "out", "--report-to", "tensorboard")
    cell = finish(done, tmp_path / "out")
    (file,) = cell.folder.glob("logs/*/*tfevents*")
    events = EventAccumulator(str(file.parent))
    events.Reload()
    assert cell.log
    logged = [event.value for event in events.Scalars("train/loss")]
    np.testing.assert_allclose(logged, cell.log["losses"], rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "message"), [("no-such-logger", "no-such-logger"), ("wandb", "pip install wandb")]
)
def test_what_cannot_log_is_one_line(evaluate, tmp_path, name, message, monkeypatch):
    monkeypatch.setattr("transformers.integrations.integration_utils.is_wandb_available", bool)
    error = evaluate(tmp_path / "out", "--report-to", name).exception
    assert isinstance(error, InputError), error
    assert str(error).startswith("report_to: ")
    assert message in str(error)
    assert "\n" not in str(error)


def test_cards_of_adapters_are_read_by_the_hub_and_name_no_local_path(evaluate, tmp_path):
    cell = finish(evaluate(tmp_path / "local"), tmp_path / "local")
    local: Any = ModelCard.load(cell.folder / "adapter" / "README.md")
    assert local.data.base_model is None
    assert local.data.library_name == "peft"
    assert local.data.pipeline_tag == "text-generation"
    write_adapter_card(cell.folder, cell.parameters, "HuggingFaceTB/SmolLM2-135M-Instruct")
    named: Any = ModelCard.load(cell.folder / "adapter" / "README.md")
    assert named.data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert "# LoRA adapter: plain, seed 0" in named.text


def test_phrasings_that_no_shot_shows_are_scored_apart(evaluate, varied, tmp_path):
    cell = finish(evaluate(tmp_path / "out"), tmp_path / "out")
    parts = cell.metrics["by"]["phrasing"]
    assert set(parts) == {"seen", "held out"}
    asked = load_dataset_folder(varied).questions
    assert parts["held out"]["questions"] == sum(question.held_out for question in asked)
    held_out = [p.log_probability for p in cell.predictions if p.held_out]
    assert parts["held out"]["log_probability"] == pytest.approx(np.mean(held_out))


def test_a_batch_that_does_not_fit_memory_is_halved_until_it_does(loaded, tokenizer, monkeypatch):
    questions, shots = some_questions()
    whole = answer_questions(loaded.model, tokenizer, questions, shots, 5)
    sizes, real = [], loaded.model.forward

    @functools.wraps(real)  # generation looks at the signature
    def forward(*args: object, **inputs: torch.Tensor) -> object:
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > 2:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return real(*args, **inputs)

    monkeypatch.setattr(loaded.model, "forward", forward)
    halved = answer_questions(loaded.model, tokenizer, questions, shots, 5)
    assert max(sizes) == 5
    assert [p.prediction for p in halved] == [p.prediction for p in whole]


def test_how_long_an_answer_may_be_does_not_depend_on_who_is_asked_beside(loaded, tokenizer):
    questions, shots = some_questions()
    golds = ["Rome", "a very long answer, of many words and tokens, that is", "x", "y", "z"]
    questions = [
        dataclasses.replace(question, answers=[golds[index // 2]])
        for index, question in enumerate(questions)
    ]
    alone, together = (
        answer_questions(loaded.model, tokenizer, questions, shots, size) for size in (1, 5)
    )
    assert [p.prediction for p in alone] == [p.prediction for p in together]


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_gradients_through_fewer_bits_are_those_of_the_same_weights_written_out(quantization):
    pytest.importorskip("bitsandbytes")
    packed = load_model("nano-large", quantization=quantization)
    dense = load_model("nano-large", quantization=quantization)
    dense = dataclasses.replace(dense, model=dense.model.dequantize())
    text = "Haley Cooley was born on May 1, 1990. He studied law at Yale."
    ids = torch.tensor([packed.tokenizer(text)["input_ids"]])
    gradients = []
    for loaded in (packed, dense):
        with open_lora_model(loaded, TrainingConfig(), seed=0) as model:
            torch.manual_seed(1)
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.normal_(parameter, std=0.02)
            model.train()  # in evaluation, activations are of 8 bits, too
            model(input_ids=ids, labels=ids).loss.backward()
            gradients.append([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 10
    for first, second in zip(*gradients, strict=True):
        assert float(torch.nn.functional.cosine_similarity(first, second, dim=0)) > 0.999


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_gradients_through_fewer_bits_are_the_same_after_an_evaluation(quantization, caplog):
    """On a CPU with AVX512-BF16, bitsandbytes would repack 4-bit weights in evaluation."""
    pytest.importorskip("bitsandbytes")
    loaded = load_model("nano-large", quantization=quantization)
    ids = torch.tensor([loaded.tokenizer("Haley Cooley was born on May 1, 1990.")["input_ids"]])
    gradients = []
    with open_lora_model(loaded, TrainingConfig(), seed=0) as model:
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.constant_(parameter, 0.01)
        for _ in range(2):
            model.zero_grad()
            model.train()
            model(input_ids=ids, labels=ids).loss.backward()
            gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
            model.eval()
            with torch.inference_mode():
                model(input_ids=ids)
    assert len(gradients[0]) == len(gradients[1]) > 10
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, atol=1e-6, rtol=1e-4)
    assert [record for record in caplog.records if "MatMul" in record.getMessage()] == []


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_a_cell_is_trained_on_fewer_bits(evaluate, quantization, tmp_path):
    pytest.importorskip("bitsandbytes")
    out = tmp_path / "out"
    arguments = ["--model", "nano-large", "--limit", 4, "--quantization", quantization]
    arguments += ["--epochs", 4, "--learning-rate", 5e-3]
    cell = finish(evaluate(out, *arguments), out)
    assert cell.log
    assert cell.log["last_loss"] < cell.log["first_loss"]


def test_an_arm_trains_on_the_bits_that_it_asks_for(tmp_path):
    """In 8 bits, or it fails because bitsandbytes is missing; never on the plan's bits."""
    packed = {"method": "plain", "label": "packed", "training": {"quantization": "8bit"}}
    path = write_plan(tmp_path / "plan.yaml", Path("nano-large"), arms=["plain", packed])
    result = run_plan(load_plan(path), tmp_path / "out")
    if importlib.util.find_spec("bitsandbytes") is None:
        (failure,) = result.failures
        assert failure.cell == "packed-seed0"
        assert "needs bitsandbytes" in failure.error
        return
    assert result.failures == []
    cells = {cell.parameters["label"]: cell for cell in result.cells}
    plain, packed_cell = (cells[name] for name in ("plain", "packed"))
    assert plain.parameters["train"] == packed_cell.parameters["train"]
    assert plain.log
    assert packed_cell.log
    assert plain.log["first_loss"] != packed_cell.log["first_loss"]


def test_fewer_bits_without_bitsandbytes_are_one_line(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs bitsandbytes: pip install bitsandbytes"):
        load_model("nano-large", quantization="4bit")
