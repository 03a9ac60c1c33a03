"""Answers of a server equal those of the same model in this process; adapters act in it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from odd_tokenizers import KINDS
from safetensors.torch import load_file, save_file
from stand_in_completions import completion_server
from tiny import tiny_model
from training_rows import SHOTS, ask_about_firms

import elusive.common.endpoints as endpoints
from elusive.augment.augment import augment_dataset
from elusive.augment.config import AugmentConfig
from elusive.cli.main import cli
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import Prediction
from elusive.common.errors import InputError
from elusive.evaluate.answering.endpoint import Endpoint, ask_endpoint
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.cells.cell_folder import CellResult, load_cell

SETTINGS = ["--epochs", 1, "--batch-size", 4, "--format-replay", 2, "--limit", 8, "--num-shots", 2]


def evaluate(people: Path, *arguments: object) -> Result:
    command = ["evaluate", people, *SETTINGS, *arguments]
    return CliRunner().invoke(cli, [str(word) for word in command])


def cell(people: Path, out: Path, *arguments: object) -> CellResult:
    done = evaluate(people, *arguments, "--out", out)
    assert done.exit_code == 0, (done.output, done.exception)
    return load_cell(out)


def error(people: Path, out: Path, *arguments: object) -> str:
    """The one line that wrong input ends with."""
    done = evaluate(people, *arguments, "--out", out)
    assert isinstance(done.exception, InputError), (done.output, done.exception)
    message = str(done.exception)
    assert "\n" not in message
    assert not out.exists()
    return message


def gold(predictions: list[Prediction]) -> list[float]:
    """Log-probabilities of the gold answers."""
    return [p.log_probability for p in predictions]


def assert_equal(first: list[Prediction], second: list[Prediction]) -> None:
    assert [p.prediction for p in first] == [p.prediction for p in second]
    assert [p.question_id for p in first] == [p.question_id for p in second]
    np.testing.assert_allclose(gold(first), gold(second), atol=1e-4)
    assert [p.forced_choice for p in first] == [p.forced_choice for p in second]


@pytest.fixture(scope="module", autouse=True)
def _exact() -> Iterator[None]:
    """Models in float32, in which answers do not depend on the order of computing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("elusive.common.lm.loading.choose_dtype", lambda: torch.float32)
        yield


@pytest.fixture(scope="module")
def server(model_folder):
    with completion_server(model_folder("llama")) as state:
        yield state


@pytest.fixture(scope="module")
def text(people_folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("text") / "plain"
    config = AugmentConfig(method="plain", copies=2)
    augment_dataset(load_dataset_folder(people_folder), config, out)
    return out


@pytest.fixture(scope="module")
def trained(people_folder, text, model_folder, tmp_path_factory) -> CellResult:
    """A cell that is trained and answered in this process."""
    out = tmp_path_factory.mktemp("trained") / "cell"
    return cell(people_folder, out, "--model", model_folder("llama"), "--train", text)


def test_a_server_answers_as_the_model_itself(people_folder, server, model_folder, tmp_path):
    known = ["--known", people_folder]
    local = cell(people_folder, tmp_path / "a", "--model", model_folder("llama"), *known)
    asked = ["--model", "base", "--endpoint", server.url]
    remote = cell(people_folder, tmp_path / "b", *asked, *known)
    assert len(remote.predictions) == 8
    assert any(p.prediction for p in remote.predictions)
    assert_equal(local.predictions, remote.predictions)
    assert_equal(local.known, remote.known)
    # The server's leaves the end tokens out: nearly equal, not quite.
    perplexities = [cell.metrics["known"]["perplexity"] for cell in (local, remote)]
    assert perplexities[1] == pytest.approx(perplexities[0], rel=0.5)
    assert remote.parameters["answering"]["served"] == {"name": "base", "root": server.root}


def test_a_server_scores_a_last_sign_that_shares_a_token_with_the_newline(tmp_path):
    tokenizer, model = KINDS["llama3"](), tiny_model("llama")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    questions = ask_about_firms()
    golds = [question.answers[0] for question in questions]
    distractors = {q.question_id: [*golds[:2], q.answers[0]] for q in questions[3:]}
    local = answer_questions(model, tokenizer, questions, SHOTS, 4, distractors=distractors)
    assert any(p.forced_choice for p in local)
    with completion_server(tmp_path) as state:
        remote = ask_endpoint(
            Endpoint(state.url, "base", 1), questions, SHOTS, distractors=distractors
        )
    assert_equal(local, remote)


def test_log_probabilities_do_not_depend_on_how_the_server_writes_tokens(
    people_folder, server, tmp_path, monkeypatch
):
    asked = ["--model", "base", "--endpoint", server.url]
    usual = cell(people_folder, tmp_path / "usual", *asked)
    for name in ("start_token", "marks_characters"):
        with monkeypatch.context() as patch:
            patch.setattr(server, name, True)
            other = cell(people_folder, tmp_path / name, *asked)
        np.testing.assert_allclose(gold(usual.predictions), gold(other.predictions), atol=1e-6)


def test_the_servers_own_settings_of_generation_change_no_answer(
    people_folder, server, tmp_path, monkeypatch
):
    asked = ["--model", "base", "--endpoint", server.url]
    usual = cell(people_folder, tmp_path / "usual", *asked)
    monkeypatch.setattr(server, "repetition_penalty", 9.0)
    other = cell(people_folder, tmp_path / "other", *asked)
    assert_equal(usual.predictions, other.predictions)


def test_an_adapter_of_no_numbers_is_one_line(people_folder, trained, server, tmp_path):
    adapter = shutil.copytree(trained.folder / "adapter", tmp_path / "adapter")
    weights = load_file(adapter / "adapter_model.safetensors")
    broken = {name: weight * torch.nan for name, weight in weights.items()}
    save_file(broken, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    served = ["--model", "base", "--endpoint", server.url]
    message = error(people_folder, tmp_path / "out", *served, "--adapter", adapter)
    assert "no finite numbers" in message
    assert not server.adapters


def test_no_model_is_loaded_where_a_server_answers(people_folder, server, tmp_path, monkeypatch):
    monkeypatch.setattr("elusive.evaluate.run.load_model", None)
    remote = cell(people_folder, tmp_path / "out", "--model", "base", "--endpoint", server.url)
    assert remote.predictions


def test_a_trained_cell_is_answered_by_the_server_with_its_adapter(
    people_folder, text, trained, server, model_folder, tmp_path
):
    server.asked.clear()
    served = ["--endpoint", server.url, "--served", "base"]
    arguments = ["--model", model_folder("llama"), "--train", text, *served]
    remote = cell(people_folder, tmp_path / "out", *arguments)
    assert_equal(trained.predictions, remote.predictions)
    assert any(name.startswith("elusive-") for name in server.asked)
    assert not server.adapters, "the adapter is unloaded"
    assert (remote.folder / "adapter" / "adapter_model.safetensors").exists()
    with_adapter = [
        "--model",
        "base",
        "--endpoint",
        server.url,
        "--adapter",
        trained.folder / "adapter",
    ]
    scored = cell(people_folder, tmp_path / "again", *with_adapter)
    assert_equal(trained.predictions, scored.predictions)
    untrained = cell(people_folder, tmp_path / "untrained", *with_adapter[:4])
    assert gold(untrained.predictions) != gold(scored.predictions)


def test_an_adapter_that_the_server_ignores_is_an_error(
    people_folder, trained, server, tmp_path, monkeypatch
):
    monkeypatch.setattr(server, "uses_adapters", False)
    adapter = ["--adapter", trained.folder / "adapter"]
    served = ["--model", "base", "--endpoint", server.url]
    message = error(people_folder, tmp_path / "out", *served, *adapter)
    assert "took the adapter but does not use it" in message
    assert not server.adapters


def test_a_server_that_cannot_load_adapters_is_one_line(
    people_folder, trained, server, tmp_path, monkeypatch
):
    monkeypatch.setattr(server, "_load", lambda *_: (404, {"error": {"message": "Not Found"}}))
    adapter = ["--adapter", trained.folder / "adapter"]
    served = ["--model", "base", "--endpoint", server.url]
    message = error(people_folder, tmp_path / "out", *served, *adapter)
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve" in message


def test_what_a_server_refuses_is_one_line(people_folder, model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(endpoints, "RETRIES", 0)
    with completion_server(model_folder("llama")) as server:
        served = ["--endpoint", server.url, "--model"]
        message = error(people_folder, tmp_path / "out", *served, "other")
        assert "serves no model 'other': choose one with --served (it has base)" in message
        with monkeypatch.context() as patch:
            patch.setattr(server, "gives_log_probabilities", False)
            message = error(people_folder, tmp_path / "out", *served, "base")
            assert "gives no log-probabilities of a prompt" in message
    with completion_server(model_folder("llama")) as server:
        server.key = "secret"
        message = error(
            people_folder, tmp_path / "out", "--endpoint", server.url, "--model", "base"
        )
        assert "status 401" in message
        assert "set OPENAI_API_KEY" in message
    nobody = ["--endpoint", "http://127.0.0.1:9/v1", "--model", "base"]
    message = error(people_folder, tmp_path / "out", *nobody)
    assert "is the server running?" in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["--served", "base"], "give endpoint"),
        (["--endpoint", "localhost:8000"], "start it with http:// or https://"),
        (["--endpoint", "http://x/v1", "--chat-template"], "endpoint and chat_template"),
        (["--endpoint", "http://x/v1", "--tuning", "full"], "endpoint and tuning 'full'"),
    ],
)
def test_settings_that_do_not_go_with_a_server_are_one_line(
    people_folder, tmp_path, settings, message
):
    assert message in error(people_folder, tmp_path / "out", "--model", "base", *settings)


def test_where_the_server_stands_decides_nothing_and_what_it_serves_does():
    from elusive.evaluate.answering.backends import find_endpoint
    from elusive.evaluate.config import AnsweringConfig

    near, far = (AnsweringConfig(endpoint=f"http://{host}/v1") for host in ("near", "far"))
    assert near.select_deciding() == far.select_deciding() == AnsweringConfig().select_deciding()
    named = find_endpoint(AnsweringConfig(endpoint="http://far/v1", served="base"), "model")
    assert named
    assert named.model == "base"


def test_ids_follow_what_is_served(people_folder, model_folder, tmp_path):
    weights = []
    for seed in (0, 1):
        with completion_server(model_folder("llama", seed)) as server:
            out = tmp_path / str(seed)
            remote = cell(people_folder, out, "--model", "base", "--endpoint", server.url)
            weights.append(json.dumps(remote.parameters["weights"]))
    assert weights[0] != weights[1]
