"""The commands as a user meets them: a whole small run, and every bad input as one line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import line_of_error, run, write_plan
from handmade import Tables, write_dataset

from elusive.augment.arms import drops_tokens
from elusive.augment.config import METHODS
from elusive.augment.training_text import TrainingTextFolder
from elusive.cli.main import cli, main
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.folders import hash_content
from elusive.common.lm.loading import load_model
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.answering.prompts import split_shots
from elusive.evaluate.cells.cell import select_questions
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.config import AnsweringConfig
from elusive.evaluate.status import read_status


@pytest.fixture(autouse=True)
def _restore_argv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, model_folder) -> tuple[Path, Path]:
    """The plan and the folder of a finished small run."""
    root = tmp_path_factory.mktemp("run")
    plan = write_plan(root / "plan.yaml", model_folder("llama"))
    result = run("run", plan, "--out", root / "out")
    assert result.exit_code == 0, result.output
    return plan, root / "out"


@pytest.mark.parametrize("method", METHODS)
def test_every_arm_writes_originals_and_copies(method, people_folder, model_folder, tmp_path):
    large, small = model_folder("llama"), model_folder("llama", 1)
    dataset = people_folder
    if method == "questions":  # others would be the very questions that are asked
        dataset = tmp_path / "phrased"
        phrased = ("--phrasings", 2, "--held-out-phrasing", "--num-shot-people", 8)
        run("biogen", "--people", 6, *phrased, "--out", dataset)
    result = run(
        *("augment", dataset, "--method", method, "--model", large, "--copies", 3),
        *("--large", large, "--small", small, "--writer", large, "--out", tmp_path / "out"),
    )
    assert result.exit_code == 0, result.output
    texts = TrainingTextFolder(tmp_path / "out").read_texts()
    assert [text.copy for text in texts] == [0, 1, 2, 3] * 6
    assert all(text.drop_rate == 0 for text in texts if text.copy == 0)
    dropped = any(text.drop_rate > 0 for text in texts)
    assert dropped == drops_tokens(method)
    assert "%" in result.output


def test_arms_are_rate_matched(people_folder, model_folder, tmp_path):
    rates = {}
    for method in ("random", "attention", "position", "shuffled", "oracle"):
        out = tmp_path / method
        run(
            *("augment", people_folder, "--method", method, "--model", model_folder("llama")),
            *("--alpha", 0.4, "--copies", 40, "--out", out),
        )
        texts = TrainingTextFolder(out).read_texts()
        rates[method] = sum(text.drop_rate for text in texts) / len(texts)
    assert max(rates.values()) - min(rates.values()) < 0.02


def test_the_oracle_keeps_every_name_and_value(people_folder, tmp_path):
    run("augment", people_folder, "--method", "oracle", "--out", tmp_path / "out")
    documents = {d.doc_id: d for d in load_dataset_folder(people_folder).documents}
    for text in TrainingTextFolder(tmp_path / "out").read_texts():
        document = documents[text.doc_id]
        assert document.entity in text.text
        assert all(fact.value in text.text for fact in document.facts)


def test_protected_values_survive_every_copy(people_folder, tmp_path):
    run(
        *("augment", people_folder, "--method", "random", "--protect", "values"),
        *("--out", tmp_path / "out"),
    )
    documents = {d.doc_id: d for d in load_dataset_folder(people_folder).documents}
    texts = TrainingTextFolder(tmp_path / "out").read_texts()
    assert all(f.value in t.text for t in texts for f in documents[t.doc_id].facts)
    assert not all(documents[t.doc_id].entity in t.text for t in texts)


def test_documents_in_held_out_wordings_are_not_trained_on(tmp_path):
    run("biogen", "--people", 4, "--held-out-wordings", 1, "--out", tmp_path / "data")
    run("augment", tmp_path / "data", "--method", "random", "--out", tmp_path / "text")
    doc_ids = {text.doc_id for text in TrainingTextFolder(tmp_path / "text").read_texts()}
    assert doc_ids == {f"bio-000000{number}" for number in range(4)}


def test_one_seed_gives_the_same_bytes_for_any_number_of_workers(people_folder, tmp_path):
    hashes = []
    for name, options in {"a": (), "b": ("--workers", 2), "c": ("--seed", 1)}.items():
        arguments = ("augment", people_folder, "--method", "random", *options)
        assert run(*arguments, "--out", tmp_path / name).exit_code == 0
        hashes.append(hash_content(tmp_path / name))
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_run_ends_with_a_table_and_its_files(finished_run):
    _, out = finished_run
    cells = sorted(out.glob("cells/*"))
    names = [cell.name.rsplit("-", 1)[0] for cell in cells]
    assert names == ["plain-seed0", "random-seed0", "untrained-seed0"]
    for name, cell in zip(names, cells, strict=True):
        files = {path.name for path in cell.iterdir()}
        assert {"predictions.parquet", "metrics.json", "costs.json"} <= files
        assert ("adapter" in files) == (name != "untrained-seed0")
        assert json.loads((cell / "manifest.json").read_text())["kind"] == "cell"
    assert (out / "table.md").read_text().count("\n") == 5


def test_a_part_of_a_run_leaves_the_table_of_the_whole(finished_run):
    plan, out = finished_run
    whole = (out / "table.md").read_text()
    result = run("run", plan, "--arm", "plain", "--out", out)
    assert result.exit_code == 0
    assert "plain" in result.output
    assert "random" not in result.output
    assert (out / "table.md").read_text() == whole


def test_running_again_does_only_what_is_missing(finished_run, model_folder):
    plan, out = finished_run
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/metrics.json")}
    write_plan(plan, model_folder("llama"), arms=["plain", "random", "position"])
    assert run("run", plan, "--out", out).exit_code == 0
    assert len(list(out.glob("cells/*"))) == 4
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_a_part_of_a_plan_is_run_alone(tmp_path, model_folder, capsys):
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), seeds=[0, 1])
    part = ("--arm", "random", "--seed", 1, "--out", tmp_path / "out")
    assert run("run", plan, *part).exit_code == 0
    cells = [cell.name.rsplit("-", 1)[0] for cell in tmp_path.glob("out/cells/*")]
    assert cells == ["random-seed1"]
    assert len(read_status(tmp_path / "out").missing) == 5, "the folder keeps the whole plan"
    comma = [{"method": "random", "label": "random, twice"}, "plain", "position"]
    write_plan(plan, model_folder("llama"), arms=comma)
    arguments = ("--arm", "random, twice", "--arm", "plain,untrained", "--out", tmp_path / "comma")
    assert run("run", plan, *arguments).exit_code == 0
    assert len(list(tmp_path.glob("comma/cells/*"))) == 3
    write_plan(plan, model_folder("llama"), seeds=[0, 1])
    line = line_of_error(capsys, "run", plan, "--arm", "randm", "--out", tmp_path / "out")
    assert "did you mean 'random'?" in line
    line = line_of_error(capsys, "run", plan, "--seed", 7, "--out", tmp_path / "out")
    assert "seed 7 is not in the plan: choose among 0, 1" in line


def test_a_run_in_progress_is_shown_without_what_is_not_finished(tmp_path, model_folder):
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), seeds=[0, 1])
    out = tmp_path / "out"
    assert run("run", plan, "--seed", 0, "--out", out).exit_code == 0
    assert run("run", plan, "--seed", 1, "--arm", "plain", "--out", out).exit_code == 0
    left_out = "seed 1: finished only for plain"
    assert f"not in the table: {left_out}" in run("table", out).output
    figures = run("figures", out, "--out", tmp_path / "figures")
    assert f"Not in the figures: {left_out}." in figures.output


@pytest.mark.parametrize("layout", ["terminal", "markdown", "csv", "latex"])
def test_every_table_format_names_every_arm(layout, finished_run):
    result = run("table", finished_run[1], "--format", layout)
    assert result.exit_code == 0, result.output
    assert "plain" in result.output
    assert "random" in result.output


def test_evaluate_trains_and_scores_one_cell(people_folder, model_folder, tmp_path):
    run("augment", people_folder, "--method", "plain", "--copies", 1, "--out", tmp_path / "text")
    arguments = (
        *(
            "evaluate",
            people_folder,
            "--train",
            tmp_path / "text",
            "--model",
            model_folder("llama"),
        ),
        *("--epochs", 1, "--format-replay", 0, "--num-shots", 1, "--labels", "clean"),
        *("--out", tmp_path / "cell"),
    )
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "plain" in result.output
    before = (tmp_path / "cell" / "metrics.json").stat().st_mtime_ns
    assert run(*arguments).exit_code == 0
    assert (tmp_path / "cell" / "metrics.json").stat().st_mtime_ns == before


def test_the_row_before_training_has_the_answers_of_the_bare_model(
    people_folder, model_folder, tmp_path
):
    model, cell = load_model(str(model_folder("llama"))), tmp_path / "cell"
    arguments = ("evaluate", people_folder, "--model", model_folder("llama"), "--num-shots", 1)
    result = run(*arguments, "--out", cell)
    assert result.exit_code == 0, result.output
    assert "untrained" in result.output
    dataset = load_dataset_folder(people_folder)
    shots, _ = split_shots(dataset.shots, 1, 0)
    asked = select_questions(dataset, AnsweringConfig())
    answers = answer_questions(model.model, model.tokenizer, asked, shots, 32)
    assert [p.prediction for p in load_cell(cell).predictions] == [p.prediction for p in answers]
    assert run("table", cell).exit_code == 0


def test_the_untrained_row_can_be_left_out_or_asked_for_alone(tmp_path, model_folder, capsys):
    arms = {"arms": ["plain"]}
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), untrained=False, **arms)
    assert run("run", plan, "--out", tmp_path / "a").exit_code == 0
    assert not list(tmp_path.glob("a/cells/untrained*"))
    write_plan(plan, model_folder("llama"), **arms)
    assert run("run", plan, "--arm", "untrained", "--out", tmp_path / "b").exit_code == 0
    assert [path.name[:9] for path in tmp_path.glob("b/cells/*")] == ["untrained"]
    arm = {"method": "plain", "label": "untrained"}
    write_plan(plan, model_folder("llama"), arms=[arm])
    assert "names a row in which nothing is trained" in line_of_error(
        capsys, "run", plan, "--out", tmp_path / "c"
    )


def test_training_text_of_another_dataset_is_refused(people_folder, model_folder, tmp_path, capsys):
    run("biogen", "--people", 6, "--seed", 5, "--out", tmp_path / "others")
    run("augment", tmp_path / "others", "--method", "plain", "--out", tmp_path / "text")
    options = ("--train", tmp_path / "text", "--model", model_folder("llama"))
    line = line_of_error(capsys, "evaluate", people_folder, *options, "--out", tmp_path / "cell")
    assert "was made from another dataset" in line


def test_a_killed_run_keeps_its_finished_cells(tmp_path, model_folder):
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), seeds=[0, 1])
    out = tmp_path / "out"
    command = [sys.executable, "-m", "elusive.cli.main", "run", str(plan), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob("cells/plain*/manifest.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in out.glob("cells/[!.]*/predictions.parquet")}
    assert 1 < len(kept) < 6
    assert run("run", plan, "--out", out).exit_code == 0
    assert len(list(out.glob("cells/[!.]*"))) == 6
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.parametrize(
    "body",
    ["exec('import os; os.kill(os.getpid(), NUMBER)')", "wrap()"],
    ids=["code from a string", "wrapped in an error"],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_imports_is_one_line_too(body, number, tmp_path):
    """Imports make code from strings (dataclasses) and wrap what interrupts them (`__set_name__`).

    Python had ended by the signal itself, and with a traceback.
    """
    (tmp_path / "script.py").write_text(f"""
import os, signal
from elusive.cli.main import cli, main
signal.signal(signal.SIGINT, signal.default_int_handler)

def wrap():
    try:
        os.kill(os.getpid(), {int(number)})
    except KeyboardInterrupt as error:
        raise RuntimeError from error

cli.main = lambda **_: {body.replace("NUMBER", str(int(number)))}
main()
""")
    command = [sys.executable, "-m", "script"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.stderr == "elusive: interrupted; finished results are kept\n"
    assert result.returncode == 128 + number


def test_help_of_every_command_answers():
    for command in cli.commands:
        assert run(command, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "contrats"), "unknown method 'contrats': did you mean 'contrast'?"),
        (("--method", "random", "--alpha", "0"), "alpha: input should be greater than 0"),
        (
            ("--method", "random", "--alpha", "1.5"),
            "alpha: input should be less than or equal to 1",
        ),
        (("--method", "random", "--beta", "0"), "beta: input should be greater than 0"),
        (("--method", "contrast", "--large", "x"), "method 'contrast' needs --small MODEL"),
        (("--method", "attention", "--model", "no/model"), "no model 'no/model'"),
        (("--method", "random", "--limit", "0"), "limit: should be at least 1"),
    ],
)
def test_bad_augment_input_is_one_line(options, message, people_folder, tmp_path, capsys):
    line = line_of_error(capsys, "augment", people_folder, *options, "--out", tmp_path / "out")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_model_without_attention_is_named(people_folder, model_folder, tmp_path, capsys):
    options = ("--method", "attention", "--model", model_folder("mamba"), "--out", tmp_path / "out")
    line = line_of_error(capsys, "augment", people_folder, *options)
    assert "'mamba' exposes no attention" in line


def test_a_tokenizer_without_offsets_is_named(tmp_path, people_folder, capsys, monkeypatch):
    from transformers import AutoTokenizer, PythonBackend

    class Slow(PythonBackend):
        @property
        def vocab_size(self) -> int:
            return 1

        def get_vocab(self):
            return {"a": 0}

    (tmp_path / "model").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "model" / name).write_text("{}")
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *a, **k: Slow())
    options = ("--method", "random", "--model", tmp_path / "model", "--out", tmp_path / "out")
    line = line_of_error(capsys, "augment", people_folder, *options)
    assert "gives no character offsets" in line


def test_another_runs_folder_is_never_overwritten(people_folder, tmp_path, capsys):
    out = tmp_path / "out"
    run("augment", people_folder, "--method", "random", "--out", out)
    before = hash_content(out)
    line = line_of_error(capsys, "augment", people_folder, "--method", "position", "--out", out)
    assert "holds another run's files (different method)" in line
    assert hash_content(out) == before
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("precious")
    line = line_of_error(capsys, "biogen", "--people", 3, "--out", foreign)
    assert "holds other files" in line
    assert (foreign / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("content", ["", "{", '{"kind": "dataset"}'])
def test_a_broken_manifest_is_named(content, tmp_path, capsys):
    run("biogen", "--people", 3, "--out", tmp_path / "data")
    (tmp_path / "data" / "manifest.json").write_text(content)
    options = ("--method", "random", "--out", tmp_path / "out")
    assert "manifest.json is broken" in line_of_error(
        capsys, "augment", tmp_path / "data", *options
    )


def test_changed_data_files_are_noticed(tmp_path, capsys):
    run("biogen", "--people", 3, "--out", tmp_path / "data")
    table = next((tmp_path / "data" / "corpus").glob("*.arrow"))
    table.write_bytes(table.read_bytes().replace(b" the ", b" thx ", 1))
    options = ("--method", "random", "--out", tmp_path / "out")
    line = line_of_error(capsys, "augment", tmp_path / "data", *options)
    assert "do not match the content hash" in line


def test_an_empty_text_is_named(tmp_path, people_folder, capsys):
    from dataclasses import replace

    data = Tables.read(people_folder)
    documents = [replace(data.documents[0], text=" ", heads=[], facts=[])]
    write_dataset(tmp_path / "data", replace(data, documents=documents))
    options = ("--method", "random", "--out", tmp_path / "out")
    line = line_of_error(capsys, "augment", tmp_path / "data", *options)
    assert "document 'bio-0000000' has an empty text" in line


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modle": "x"}, "unknown key 'modle': did you mean 'model'?"),
        ({"arms": ["plian"]}, "did you mean 'plain'?"),
        ({"arms": "plain"}, "arms: should be a list, such as [plain] (got 'plain')"),
        ({"seeds": 3}, "seeds: should be a list, such as [3] (got 3)"),
        ({"training": "fast"}, "training: should map settings to values"),
        ({"training": {"epochs": "many"}}, "training.epochs: should be a whole number"),
        ({"untrained": "perhaps"}, "untrained: should be true or false (got 'perhaps')"),
        ({"arms": ["plain", "plain"]}, "'plain' occurs twice"),
        ({"arms": ["untrained"]}, "trains on no text: in a plan, write untrained: true"),
        ({"arms": [{"method": "plain", "label": "x" * 101}]}, "at most 100 characters"),
        ({"training": {"epoch": 1}}, "did you mean 'training.epochs'?"),
        ({"augment": {"alhpa": 1}}, "did you mean 'arms.0.alpha'?"),
        ({"arms": [{"method": "random", "beta": -1}]}, "arms.0.beta: input should be greater"),
        ({"dataset": {"people": 0}}, "people: input should be greater than or equal to 1 (got 0)"),
        ({"dataset": {"poeple": 2}}, "unknown key 'poeple': did you mean 'people'?"),
        ({"model": "no/model"}, "no model 'no/model'"),
        ({"training": {"format_replay": 500}}, "format_replay 500 exceeds"),
    ],
)
def test_bad_plans_are_one_line(changes, message, tmp_path, model_folder, capsys):
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), **changes)
    assert message in line_of_error(capsys, "run", plan, "--out", tmp_path / "out")


def test_a_mistyped_model_can_be_mended_in_the_same_folder(tmp_path, model_folder, capsys):
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), model="no/model")
    line_of_error(capsys, "run", plan, "--out", tmp_path / "out")
    write_plan(plan, model_folder("llama"), arms=["plain"], untrained=False)
    assert run("run", plan, "--out", tmp_path / "out").exit_code == 0


def test_a_run_folder_of_another_dataset_is_refused(finished_run, tmp_path, model_folder, capsys):
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), dataset={"people": 3})
    line = line_of_error(capsys, "run", plan, "--out", finished_run[1])
    assert "holds a run on another dataset" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("biogen", "--people", "x", "--out", "y"), "'x' is not a valid integer"),
        (("biogen",), "say where to write with --out DIR"),
        (("augment", "x"), "Missing option '--out'"),
        (("biogne",), "No such command 'biogne'"),
    ],
)
def test_what_click_refuses_is_one_line_too(arguments, message, capsys):
    assert message in line_of_error(capsys, *arguments)


def test_what_the_disk_refuses_is_one_line_too(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["elusive", "biogen", "--out", str(tmp_path / "file" / "x")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("elusive: error: Not a directory")


def test_settings_that_an_arm_does_not_use_are_named(people_folder, tmp_path):
    given = ("--layers", 99, "--alpha", 0.5, "--out", tmp_path / "out")
    result = run("augment", people_folder, "--method", "random", *given)
    assert result.exit_code == 0, result.output
    assert "note: the arm random does not use --layers" in result.stderr
    assert "use --alpha" not in result.stderr
    plain = tmp_path / "plain"
    other = run("augment", people_folder, "--method", "plain", "--restate-words", 3, "--out", plain)
    assert other.stderr.count("does not use") == 1
    assert "note: the arm plain does not use --restate-words" in other.stderr


def test_settings_that_a_training_does_not_use_are_named(people_folder, tmp_path):
    ask = ("evaluate", people_folder, "--model", "nano-small", "--limit", 2)
    untrained = run(*ask, "--epochs", 3, "--out", tmp_path / "untrained")
    assert untrained.exit_code == 0, untrained.output
    assert "note: evaluating without --train does not use --epochs" in untrained.stderr
    assert "wrote predictions, metrics" in untrained.output
    plain = tmp_path / "plain"
    assert run("augment", people_folder, "--method", "plain", "--out", plain).exit_code == 0
    few = ("--epochs", 1, "--one-in", 4, "--lora-dropout", 0.1)
    trained = run(*ask, "--train", plain, *few, "--out", tmp_path / "trained")
    assert "note: the objective next-token does not use --one-in" in trained.stderr
    assert trained.stderr.count("does not use") == 1
    assert "wrote adapter, predictions" in trained.output


def test_rescoring_says_what_there_was_to_do(finished_run):
    result = run("rescore", finished_run[1])
    assert result.output.startswith("nothing to do: this version's scoring has scored all ")


def test_an_empty_run_folder_has_no_table(tmp_path, capsys):
    assert "holds no finished cells" in line_of_error(capsys, "table", tmp_path)


def test_unknown_format_suggests_the_nearest(tmp_path, capsys):
    line = line_of_error(capsys, "table", tmp_path, "--format", "markdwon")
    assert "did you mean 'markdown'?" in line
