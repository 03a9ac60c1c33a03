"""Exports: other tools can read them, and score answers as we do."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from commands import run, write_grid_plan
from handmade import EVERYTHING
from jsonschema import Draft7Validator

from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.common.answers import OTHER_PROBES, PROBES, score_answer
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.folders import hash_parameters
from elusive.common.lm.loading import load_model
from elusive.common.lm.references import BUILT_IN
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.answering.prompts import (
    get_topic,
    render_few_shot_prefix,
    render_question,
    split_shots,
)
from elusive.evaluate.cells.cell import select_questions
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.config import AnsweringConfig
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan
from elusive.models.config import load_pretrain_plan
from elusive.report.export.every_eval_ever import export_records
from elusive.report.export.harness_task import render_scores_module

needs_harness = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None,
    reason="needs lm-evaluation-harness: pip install -c constraints.txt 'elusive[harness]'",
)
SCHEMAS = Path(__file__).parent / "every-eval-ever"


def harness(*arguments: object) -> str:
    """Return what the harness's own command prints."""
    process = subprocess.run(
        [sys.executable, "-m", "lm_eval", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def harness_samples(model: str, task: Path, out: Path) -> dict[str, dict]:
    """Return what the harness logs about each question, by the question's id."""
    harness(
        *("run", "--model", "hf", "--model_args", model, "--device", "cpu", "--batch_size", 8),
        *("--tasks", "elusive_known", "--include_path", task),
        *("--output_path", out, "--log_samples"),
    )
    lines = [
        line
        for path in out.rglob("samples_*.jsonl")
        for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    ]
    return {(row := json.loads(line))["doc"]["question_id"]: row for line in lines}


@pytest.fixture(scope="module")
def known_people(tmp_path_factory) -> Path:
    """A dataset of some people whom nano-large knows and some whom it does not know."""
    folder = tmp_path_factory.mktemp("known") / "known"
    population = load_pretrain_plan(BUILT_IN / "nano-large" / "plan.json").population
    # Begin with the last 4 known people, so that the next 4 are unknown.
    start = population.start + population.people - 4
    generate_dataset(
        population.model_copy(update={"start": start, "people": 8, "multi": 1}), folder
    )
    return folder


@pytest.fixture(scope="module")
def task(known_people, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("task") / "task"
    result = run("export", known_people, "--format", "lm-eval", "--seed", 3, "--out", out)
    assert result.exit_code == 0, result.output
    return out


def ours(known_people: Path, adapter: Path | None = None):
    """Return our predictions by question id."""
    dataset, loaded = load_dataset_folder(known_people), load_model("nano-large")
    model = loaded.model
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter))
    shots, _ = split_shots(dataset.shots, 5, 3)
    asked = select_questions(dataset, AnsweringConfig())
    answers = answer_questions(model, loaded.tokenizer, asked, shots, 8)
    return {answer.question_id: answer for answer in answers}


@needs_harness
def test_the_harness_finds_the_tasks_valid(task):
    out = harness("validate", "--tasks", "elusive_known", "--include_path", task)
    assert "All tasks found and valid" in out


@needs_harness
def test_the_harness_asks_and_scores_every_question_as_we_do(known_people, task, tmp_path):
    dataset, expected = load_dataset_folder(known_people), ours(known_people)
    samples = harness_samples(f"pretrained={BUILT_IN / 'nano-large'}", task, tmp_path)
    assert samples.keys() == expected.keys()
    shots, _ = split_shots(dataset.shots, 5, 3)
    for question in dataset.questions:
        sample, answer = samples[question.question_id], expected[question.question_id]
        prompt = render_few_shot_prefix(shots, get_topic(question)) + render_question(
            question.question
        )
        assert sample["arguments"]["gen_args_0"]["arg_0"] == prompt
        assert sample["exact_match"] == answer.em
        assert sample["filtered_resps"][0].strip() == answer.prediction
        assert sample["f1"] == pytest.approx(answer.f1)
    assert 0 < sum(answer.em for answer in expected.values()) < len(expected)


@needs_harness
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # of peft
def test_the_harness_scores_an_adapter_as_we_do(known_people, task, tmp_path):
    plan = load_plan(Path(__file__).parents[2] / "presets" / "nano-demo.yaml")
    training = plan.training.model_copy(update={"epochs": 1})
    arms = tuple(arm for arm in plan.arms if arm.method == "plain")
    people = BiogenConfig(people=8, start=8000, dev_rate=0)
    changes = {"dataset": people, "arms": arms, "training": training, "known": None}
    run_result = run_plan(plan.model_copy(update=changes | {"untrained": False}), tmp_path / "run")
    adapter = run_result.folders[0] / "adapter"
    expected = ours(known_people, adapter)
    model = f"pretrained={BUILT_IN / 'nano-large'},peft={adapter}"
    samples = harness_samples(model, task, tmp_path / "out")
    assert {name: sample["exact_match"] for name, sample in samples.items()} == {
        name: answer.em for name, answer in expected.items()
    }
    bare = {name: answer.prediction for name, answer in ours(known_people).items()}
    assert {name: answer.prediction for name, answer in expected.items()} != bare


@pytest.mark.parametrize("language", ["en", "de", "zh"])
def test_the_exported_scores_are_ours(tmp_path, language):
    path = tmp_path / "answer_scores.py"
    path.write_text(render_scores_module(language), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("answer_scores", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for answer in PROBES + OTHER_PROBES:
        for gold in PROBES + OTHER_PROBES:
            scores = module.process_results({"answers": [gold]}, [f" {answer} "])
            expected = score_answer(answer, [gold], language)
            assert scores == {"exact_match": expected["em"], "f1": expected["f1"]}


def test_the_exported_folder_can_be_moved_and_stays_as_it_is(known_people, task, tmp_path):
    assert not any(str(task) in path.read_text() for path in task.rglob("*.*") if path.is_file())
    before = (task / "README.md").stat().st_mtime_ns
    command = ("export", known_people, "--format", "lm-eval", "--seed", 3, "--out", task)
    assert run(*command).exit_code == 0
    assert (task / "README.md").stat().st_mtime_ns == before
    other = run(*command[:-4], "--seed", 4, "--out", task)
    assert "different seed" in str(other.exception)


def test_biographies_come_back_from_squad_layout_with_their_questions(people_folder, tmp_path):
    squad, back = tmp_path / "people.json", tmp_path / "back"
    result = run("export", people_folder, "--format", "squad", "--split", "dev", "--out", squad)
    assert result.exit_code == 0, result.output
    assert "note: the format squad does not use --split" in result.stderr
    assert run("wikiqa", "--squad", squad, "--shots", 0, "--out", back).exit_code == 0
    before, after = load_dataset_folder(people_folder), load_dataset_folder(back)
    texts = {document.doc_id: document.text for document in before.documents}
    expected = {
        q.question_id: (q.question, [a for a in q.answers if a in texts[q.doc_id]], q.entity)
        for q in before.questions
    }
    assert {q.question_id: (q.question, q.answers, q.entity) for q in after.questions} == expected
    assert [document.text for document in after.documents] == list(texts.values())


def test_answers_that_no_text_states_are_counted(tmp_path):
    generate_dataset(EVERYTHING.model_copy(update={"people": 10}), tmp_path / "all")
    result = run("export", tmp_path / "all", "--format", "squad", "--out", tmp_path / "a.json")
    assert result.exit_code == 0, result.output
    kinds = [question.kind for question in load_dataset_folder(tmp_path / "all").questions]
    for kind in ("yes-no", "multi-hop"):
        assert (
            f"{kinds.count(kind)} questions whose answer is not in the text ({kind})"
            in result.output
        )
    for article in json.loads((tmp_path / "a.json").read_text())["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                for answer in qa["answers"]:
                    start = answer["answer_start"]
                    assert paragraph["context"][start:].startswith(answer["text"])


def test_paragraphs_come_back_from_squad_layout_unchanged(people_folder, tmp_path):
    for number, source in enumerate((people_folder, tmp_path / "set-0")):
        squad = tmp_path / f"{number}.json"
        assert run("export", source, "--format", "squad", "--out", squad).exit_code == 0
        out = tmp_path / f"set-{number}"
        assert run("wikiqa", "--squad", squad, "--shots", 0, "--out", out).exit_code == 0
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "1.json").read_bytes()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder) -> Path:
    root = tmp_path_factory.mktemp("finished")
    plan = write_grid_plan(root, model_folder, arms=["plain"], seeds=[0])
    run_plan(load_plan(plan), root / "run")
    return root / "run"


def validator(name: str) -> Draft7Validator:
    return Draft7Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text()))


def test_every_record_and_line_is_valid_every_eval_ever(finished, tmp_path):
    out = tmp_path / "out"
    result = run(
        *("export", finished, "--format", "every-eval-ever", "--organization", "A lab"),
        *("--out", out),
    )
    assert result.exit_code == 0, result.output
    records = sorted(out.glob("data/*/*/*/*.json"))
    cells = [load_cell(path.parent) for path in finished.glob("cells/[!.]*/manifest.json")]
    assert len(records) == len(cells) == 2
    for path in records:
        record = json.loads(path.read_text())
        validator("eval").validate(record)
        samples = out / record["detailed_evaluation_results"]["file_path"]
        assert samples == path.with_name(f"{path.stem}_samples.jsonl")
        rows = [json.loads(line) for line in samples.read_text().splitlines()]
        assert len(rows) == record["detailed_evaluation_results"]["total_rows"]
        for row in rows:
            validator("instance_level_eval").validate(row)
            assert row["evaluation_id"] == record["evaluation_id"]
            assert row["model_id"] == record["model_info"]["id"]
        for result in record["evaluation_results"]:
            scores = [
                row["evaluation"]["score"]
                for row in rows
                if row["evaluation_result_id"] == result["evaluation_result_id"]
            ]
            assert result["score_details"]["score"] == pytest.approx(sum(scores) / len(scores))
            interval = result["score_details"]["uncertainty"]["confidence_interval"]
            assert interval["method"] == "expanded BCa bootstrap over people"
    exported = [
        json.loads(path.read_text())["evaluation_results"][2]["score_details"]["score"]
        for path in records
    ]
    expected = sorted(cell.metrics["log_probability"] for cell in cells)
    assert sorted(exported) == pytest.approx(expected)


def test_a_record_of_a_served_model_claims_only_what_is_known_of_it(finished, tmp_path):
    cell = load_cell(next(finished.glob("cells/untrained-*")))
    served = {"name": "model", "root": None}
    answering = cell.parameters["answering"] | {"served": served}
    changes = {"answering": answering, "weights": hash_parameters(served)}
    cell = replace(cell, parameters=cell.parameters | changes)
    (path,) = export_records([cell], tmp_path / "out", "A lab")
    record = json.loads(path.read_text())
    validator("eval").validate(record)
    assert record["model_info"]["inference_engine"] == {"name": "OpenAI-compatible server"}
    details = record["model_info"]["additional_details"]
    assert details["deployment_type"] == "unknown"
    assert "base_weights_sha256" not in details


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "lm-evel"), "unknown format 'lm-evel': did you mean 'lm-eval'?"),
        (("--format", "lm-eval", "--split", "tset"), "did you mean 'test'?"),
        (("--format", "lm-eval", "--num-shots", 20), "num_shots 20 needs more than 20 people"),
        (("--format", "every-eval-ever"), "holds no finished cells"),
    ],
)
def test_wrong_exports_are_refused(options, message, people_folder, tmp_path):
    result = run("export", people_folder, *options, "--out", tmp_path / "out")
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()
