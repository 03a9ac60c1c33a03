"""Publishing: the content of repositories, reading it back, and every error as one line."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from commands import line_of_error, run, write_grid_plan
from handmade import COLOR, squad_file
from huggingface_hub import HfApi
from stand_in_hub_writes import CLI, READER, TOKEN, Hub, outside

from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.cli.main import cli
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.errors import InputError
from elusive.common.folders import read_manifest, read_table
from elusive.evaluate.cells.adapter_card import render_adapter_card
from elusive.evaluate.cells.cell import compute_cell_id
from elusive.evaluate.cells.cell_folder import find_cells
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan
from elusive.report.hub import publish as publishing
from elusive.report.hub.dataset_repository import OWNED, build_dataset_repository
from elusive.report.hub.publish import Published, Target, check_repository, publish_folder
from elusive.report.hub.run_repository import OWNED as RUN_OWNED
from elusive.report.hub.run_repository import (
    PublishedDataset,
    build_hub_result,
    build_run_repository,
    load_published_dataset,
)
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.generate import generate_dataset as generate_questions

NAME = "org/people"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People with texts and questions in all splits."""
    folder = tmp_path_factory.mktemp("datasets") / "people"
    config = BiogenConfig(
        people=12, num_shot_people=8, wordings=6, held_out_wordings=2, multi=2, dev_rate=0.4
    )
    generate_dataset(config, folder)
    return folder


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """Content of the dataset's repository."""
    out = tmp_path_factory.mktemp("content")
    build_dataset_repository(dataset, out, NAME)
    return out


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, model_folder) -> Path:
    """A run of two arms and the untrained model."""
    root = tmp_path_factory.mktemp("run")
    plan = write_grid_plan(root, model_folder, seeds=[0], untrained=True)
    run_plan(load_plan(plan), root / "out")
    return root / "out"


def publish(hub: Hub, folder: Path, token: str | None = TOKEN, **changes) -> Published:
    api = HfApi(endpoint=hub.endpoint, token=token)
    return publish_folder(folder, Target(NAME, "dataset", OWNED, **changes), "Publish", api)


def line_of(hub: Hub, folder: Path, token: str | None = TOKEN, **changes) -> str:
    """Return the one line that a failing publish prints."""
    with pytest.raises(InputError) as error:
        publish(hub, folder, token, **changes)
    assert "\n" not in str(error.value)
    assert token is None or token not in str(error.value)
    return str(error.value)


def splits_of(folder: Path, table: str) -> dict[str, list[dict]]:
    rows: dict[str, list[dict]] = {}
    for row in read_table(folder, table).to_pylist():
        rows.setdefault(row.get("split", "train"), []).append(row)
    return rows


@pytest.mark.parametrize("table", ["corpus", "questions", "shots"])
def test_a_dry_run_opens_with_load_dataset_split_by_split(table, dataset, tmp_path):
    from datasets import load_dataset

    out = tmp_path / "dry"
    arguments = ["publish", str(dataset), "--to", NAME, "--dry-run", "--out", str(out)]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    expected = splits_of(dataset, table)
    loaded = load_dataset(str(out), table, cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == set(expected)  # type: ignore[arg-type]
    for split, rows in expected.items():
        assert loaded[split].to_list() == rows  # type: ignore[index]
    assert len(expected) == {"corpus": 2, "questions": 2, "shots": 1}[table]


def test_the_header_of_the_card_counts_what_is_there(content, dataset):
    header = yaml.safe_load((content / "README.md").read_text().split("---\n")[1])
    assert [config["config_name"] for config in header["configs"]] == [
        "corpus",
        "questions",
        "shots",
    ]
    for info in header["dataset_info"]:
        table = info["config_name"]
        for split in info["splits"]:
            files = sorted((content / table).glob(f"{split['name']}-*.parquet"))
            assert split["num_examples"] == sum(pq.read_metadata(f).num_rows for f in files)
            assert split["num_examples"] == len(splits_of(dataset, table)[split["name"]])
        size = sum(path.stat().st_size for path in (content / table).iterdir())
        assert info["download_size"] == size
    assert header["license"] == "apache-2.0"
    assert header["task_categories"] == ["question-answering", "text-generation"]
    assert "elusive" in header["tags"]


def test_the_card_says_how_to_load_it_from_the_hub_and_how_to_make_it_again(content):
    card = (content / "README.md").read_text()
    assert f'load_dataset("{NAME}", "corpus", split="train")' in card
    assert "load_from_disk" not in card
    assert "elusive biogen " in card
    assert "## Limitations" in card


def test_the_benchmark_file_names_configs_and_splits_that_exist(content):
    benchmark = yaml.safe_load((content / "eval.yaml").read_text())
    assert {task["id"]: task["split"] for task in benchmark["tasks"]} == {
        "closed_book": "test",
        "closed_book_dev": "dev",
    }
    for task in benchmark["tasks"]:
        (path,) = (content / task["config"]).glob(f"{task['split']}-*.parquet")
        columns = set(pq.read_schema(path).names)
        spec = task["field_spec"]
        assert {spec["input"], spec["target"], *spec["metadata"]} <= columns


def test_large_tables_become_several_files_with_all_rows_in_order(dataset, tmp_path):
    build_dataset_repository(dataset, tmp_path, NAME, shard_bytes=1)
    expected = [row["doc_id"] for row in splits_of(dataset, "corpus")["train"]]
    files = sorted((tmp_path / "corpus").glob("train-*.parquet"))
    doc_ids = [n for path in files for n in pq.read_table(path)["doc_id"].to_pylist()]
    assert doc_ids == expected
    assert not list(tmp_path.rglob(".*"))


def test_own_fields_are_published_with_the_command_that_reads_them(tmp_path):
    config = BiogenConfig(people=4, num_shot_people=4, own_fields=(COLOR,), fields=("color",))
    generate_dataset(config, tmp_path / "colors")
    (tmp_path / "out").mkdir()
    build_dataset_repository(tmp_path / "colors", tmp_path / "out", NAME)
    assert "--field-file own_fields.yaml" in (tmp_path / "out" / "README.md").read_text()
    assert (tmp_path / "out" / "own_fields.yaml").read_bytes() == (
        tmp_path / "colors" / "own_fields.yaml"
    ).read_bytes()


def test_a_published_dataset_is_read_back_from_the_hub(hub, content, dataset, tmp_path):
    published = publish(hub, content)
    remote = hub.repositories[f"datasets/{NAME}"].files()
    local = {p.relative_to(content).as_posix() for p in content.rglob("*") if p.is_file()}
    assert set(remote) == local | {".gitattributes"}
    assert all(remote[name] == (content / name).read_bytes() for name in local)
    assert published.files == len(local)
    assert published.num_bytes == sum((content / name).stat().st_size for name in local)
    code = """
import json, sys, datasets
for table in ("corpus", "questions", "shots"):
    splits = datasets.load_dataset(sys.argv[1], table)
    print(json.dumps({split: splits[split].to_list() for split in splits}))
"""
    done = outside(code, hub, tmp_path / "home", NAME)
    assert done.returncode == 0, done.stderr
    for table, line in zip(("corpus", "questions", "shots"), done.stdout.splitlines(), strict=True):
        assert json.loads(line) == splits_of(dataset, table)


def test_files_above_a_part_are_uploaded_in_parts(hub, content):
    publish(hub, content)
    assert hub.sent(r"PUT /upload/\w+/2") > 0
    assert hub.sent(r"PUT /upload/\w+$") > 0


def test_a_second_publish_changes_nothing_and_makes_no_commit(hub, content):
    publish(hub, content)
    before = len(hub.repositories[f"datasets/{NAME}"].messages)
    published = publish(hub, content)
    assert (published.files, published.deleted) == (0, 0)
    assert len(hub.repositories[f"datasets/{NAME}"].messages) == before


def test_a_changed_publish_sends_what_changed_and_deletes_what_is_gone(hub, content, tmp_path):
    publish(hub, content)
    repository = hub.repositories[f"datasets/{NAME}"]
    repository.commit("main", repository.files() | {"LICENSE": b"theirs"}, "by hand")
    changed = tmp_path / "changed"
    shutil.copytree(content, changed)
    (changed / "statistics.json").write_text("{}\n")
    gone = next((changed / "questions").glob("dev-*.parquet"))
    gone.unlink()
    hub.requests.clear()
    published = publish(hub, changed)
    assert (published.files, published.num_bytes, published.deleted) == (1, 3, 1)
    assert hub.sent("PUT ") == 0
    remote = repository.files()
    assert f"questions/{gone.name}" not in remote
    assert remote["LICENSE"] == b"theirs"
    assert remote["statistics.json"] == b"{}\n"


def test_an_upload_that_was_cut_goes_on_where_it_stopped(hub, content, monkeypatch):
    monkeypatch.setattr(publishing, "CHUNK_FILES", 1)
    hub.faults += [(r"PUT /upload/\w+/2", 403)]
    assert "may not write" in line_of(hub, content)
    uploaded = dict(hub.objects)
    assert uploaded, "nothing was sent before the cut"
    hub.requests.clear()
    publish(hub, content)
    sent_twice = [oid for oid in uploaded if hub.sent(f"PUT /upload/{oid}")]
    assert sent_twice == []
    assert set(hub.objects) > set(uploaded)


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ("GET /api/whoami", 429),
        ("POST /api/repos/create", 503),
        ("POST .*/preupload/", 502),
        (r"POST .*/objects/batch", 429),
        ("PUT /upload/", 500),
        ("GET .*/tree/", 503),
        ("POST .*/commit/", 503),
        ("POST .*/commit/", 429),
        ("POST .*/commit/", 412),
        ("POST .*/commit/", 409),
    ],
)
def test_a_busy_hub_is_asked_again(call, status, hub, content):
    hub.faults += [(call, status)] * 2
    publish(hub, content)
    assert hub.faults == []
    assert "manifest.json" in hub.repositories[f"datasets/{NAME}"].files()


def test_a_hub_that_stays_busy_is_one_line(hub, content):
    hub.faults += [("POST .*/commit/", 503)] * 50
    assert "rerun the same command later to resume" in line_of(hub, content)


def test_a_commit_of_somebody_else_in_between_is_kept(hub, content, monkeypatch):
    publish(hub, content)
    repository = hub.repositories[f"datasets/{NAME}"]
    repository.commit("main", repository.files() | {"eval.yaml": b"old"}, "by hand")
    upload = HfApi.preupload_lfs_files
    raced = []

    def race(self, *args, **named):
        if not raced:
            raced.append(1)
            repository.commit("main", repository.files() | {"LICENSE": b"theirs"}, "race")
        return upload(self, *args, **named)

    monkeypatch.setattr(HfApi, "preupload_lfs_files", race)
    assert publish(hub, content).files == 1
    assert repository.files()["LICENSE"] == b"theirs"
    assert repository.files()["eval.yaml"] == (content / "eval.yaml").read_bytes()


def test_a_branch_is_made_and_main_left_alone(hub, content):
    published = publish(hub, content, branch="v2", private=True)
    repository = hub.repositories[f"datasets/{NAME}"]
    assert set(repository.files("main")) == {".gitattributes"}
    assert "README.md" in repository.files("v2")
    assert published.url == f"{hub.endpoint}/datasets/{NAME}/tree/v2"
    assert repository.private


def test_a_missing_token_is_one_line(hub, content, monkeypatch):
    monkeypatch.setattr(publishing, "get_token", lambda: None)
    assert line_of(hub, content, None).startswith("no Hub token: log in")
    assert hub.requests == []


def test_a_wrong_token_is_one_line(hub, content):
    assert "does not accept this token" in line_of(hub, content, "hf_wrong")


def test_missing_rights_are_one_line(hub, content):
    assert f"may not write to {NAME}" in line_of(hub, content, READER)
    publish(hub, content)
    (target := hub.repositories[f"datasets/{NAME}"]).commit("main", {}, "emptied")
    assert f"may not write to {NAME}" in line_of(hub, content, READER)
    assert target.files() == {}


def test_a_name_that_is_taken_is_one_line(hub, content):
    hub.taken[NAME] = "bucket"
    assert f"the name {NAME} is taken" in line_of(hub, content)


def test_a_repository_of_something_else_is_not_overwritten(hub, content):
    theirs = {"README.md": b"theirs", "data.csv": b"1,2"}
    hub.add(NAME, "dataset", theirs)
    assert "did not make (data.csv" in line_of(hub, content)
    assert hub.repositories[f"datasets/{NAME}"].files() == theirs


def test_a_public_repository_is_not_taken_for_a_private_one(hub, content):
    hub.add(NAME, "dataset", {})
    assert "is public" in line_of(hub, content, private=True)


def test_no_network_is_one_line(hub, content):
    hub.endpoint = "http://127.0.0.1:9"
    assert line_of(hub, content).startswith("no connection to http://127.0.0.1:9")


@pytest.mark.parametrize("name", ["people", "a/b/c", "org/", "org/wrong name", "-org/-x"])
def test_a_wrong_name_is_one_line(name):
    with pytest.raises(InputError, match="is not a repository name: use OWNER/NAME"):
        check_repository(name)


def test_the_command_says_what_was_sent_and_where(hub, dataset, tmp_path):
    arguments = ("publish", dataset, "--to", NAME, "--message", "First")
    first = outside(CLI, hub, tmp_path / "home", *arguments)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("published ")
    assert first.stdout.splitlines()[-1] == f"{hub.endpoint}/datasets/{NAME}"
    assert hub.repositories[f"datasets/{NAME}"].messages[-1] == "First"
    second = outside(CLI, hub, tmp_path / "home", *arguments)
    assert second.stdout.startswith("nothing changed")
    assert TOKEN not in first.stdout + first.stderr + second.stderr


def publish_run(hub: Hub, run_folder: Path, out: Path) -> dict[str, bytes]:
    """Publish a run and return the files of its repository."""
    out.mkdir()
    build_run_repository(run_folder, out, "org/adapters")
    target = Target("org/adapters", "model", RUN_OWNED)
    publish_folder(out, target, "Publish", HfApi(endpoint=hub.endpoint, token=TOKEN))
    return hub.repositories["models/org/adapters"].files()


def test_a_published_run_is_a_run_again_and_so_is_what_is_published_of_it(
    hub, run_folder, tmp_path
):
    files = publish_run(hub, run_folder, tmp_path / "out")
    for name, content in files.items():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(content)
    ours, theirs = find_cells(run_folder), find_cells(tmp_path / "copy")
    assert [c.predictions for c in ours] == [c.predictions for c in theirs]
    republished = publish_run(hub, tmp_path / "copy", tmp_path / "again")
    assert republished == files
    assert len(hub.repositories["models/org/adapters"].messages) == 2


@pytest.mark.slow
def test_peft_loads_an_adapter_from_its_subfolder(hub, run_folder, tmp_path):
    files = publish_run(hub, run_folder, tmp_path / "out")
    cell = next(c for c in find_cells(run_folder) if c.parameters["label"] == "plain")
    code = """
import sys
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
base = AutoModelForCausalLM.from_pretrained(sys.argv[1])
model = PeftModel.from_pretrained(base, "org/adapters", subfolder=sys.argv[2])
saved = load_file(sys.argv[3])
loaded = {n.replace(".default", ""): w for n, w in model.state_dict().items() if "lora_" in n}
assert saved.keys() == loaded.keys() and all((saved[n] == loaded[n]).all() for n in saved)
print(len(loaded))
"""
    weights = cell.folder / "adapter" / "adapter_model.safetensors"
    inside = f"cells/{cell.folder.name}/adapter"
    base = cell.parameters["model"]
    loaded = outside(code, hub, tmp_path / "home", base, inside, weights)
    assert loaded.returncode == 0, loaded.stderr
    assert int(loaded.stdout) > 0
    assert f'subfolder="{inside}"' in files[f"{inside}/README.md"].decode()


def test_results_go_to_the_leaderboard_of_the_dataset_they_were_measured_on(
    hub, run_folder, dataset, tmp_path
):
    from huggingface_hub import parse_eval_result_entries

    (tmp_path / "data").mkdir()
    build_dataset_repository(run_folder / "dataset", tmp_path / "data", NAME)
    commit = publish(hub, tmp_path / "data").commit
    source = load_published_dataset(NAME, HfApi(endpoint=hub.endpoint, token=TOKEN))
    (tmp_path / "out").mkdir()
    assert build_run_repository(run_folder, tmp_path / "out", "org/adapters", source) == (3, 3)
    for cell in find_cells(run_folder):
        text = (tmp_path / "out" / ".eval_results" / f"{cell.folder.name}.yaml").read_text()
        (result,) = parse_eval_result_entries(yaml.safe_load(text))
        assert (result.dataset_id, result.task_id) == (NAME, "closed_book")
        assert (result.value, result.dataset_revision) == (round(cell.metrics["em"], 4), commit)
    other = read_manifest(dataset, "dataset").content_hash
    wrong = source.__class__(NAME, commit, other)
    with pytest.raises(InputError, match=r"no cell of .* was measured on org/people"):
        build_run_repository(run_folder, tmp_path / "none", "org/adapters", wrong)


def test_answers_with_the_text_or_of_some_questions_are_no_result_of_the_benchmark(run_folder):
    (cell, *_) = find_cells(run_folder)
    dataset = PublishedDataset(NAME, "1" * 40, cell.parameters["dataset"])
    assert build_hub_result(cell, dataset)
    answering = cell.parameters["answering"]
    for changed in (
        {"control": "open-book"},
        {"answering": answering | {"phrasing": "held-out"}},
        {"answering": answering | {"limit": 100}},
    ):
        other = replace(cell, parameters=cell.parameters | changed)
        assert build_hub_result(other, dataset) is None


def test_a_dataset_without_shots_is_published(tmp_path):
    articles = {"Rome": [("Rome lies on the Tiber.", [("Where does Rome lie?", "the Tiber", 13)])]}
    config = WikiqaConfig(squad=squad_file(tmp_path / "s.json", articles), shots=0, dev_rate=0)
    generate_questions(config, tmp_path / "set")
    (tmp_path / "out").mkdir()
    build_dataset_repository(tmp_path / "set", tmp_path / "out", NAME)
    card = (tmp_path / "out" / "README.md").read_text()
    assert '"questions"' in card
    assert '"shots"' not in card


def test_one_cell_is_published_alone(run_folder, tmp_path):
    cell = next(run_folder.glob("cells/plain-*"))
    assert build_run_repository(cell, tmp_path, "org/adapters") == (1, 0)
    assert not (tmp_path / ".eval_results").exists()
    assert [c.folder.name for c in find_cells(tmp_path)] == [cell.name]


def test_wrong_input_is_one_line(tmp_path, dataset, run_folder, model_folder, capsys):
    def line(*arguments: object) -> str:
        result = CliRunner().invoke(cli, ["publish", *map(str, arguments), "--to", NAME])
        assert isinstance(result.exception, InputError)
        return str(result.exception)

    assert "no folder at" in line(tmp_path / "none")
    assert "folder without a manifest" in line(tmp_path)
    assert "--dataset is for runs and leaderboards, but this is a training-text" in line(
        next(run_folder.glob("train/plain-*")), "--dataset", "org/x"
    )
    twice = line(run_folder, "--dataset", "org/x", "--dataset", "org/y")
    assert twice == "--dataset: got org/x and org/y: a run was measured on one dataset"
    assert "use --dry-run and --out together" in line(dataset, "--dry-run")
    assert "--dataset is for runs" in line(dataset, "--dataset", "org/x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert "holds files" in line(dataset, "--dry-run", "--out", tmp_path / "full")
    copy = shutil.copytree(dataset, tmp_path / "copy")
    assert "holds files" in line(dataset, "--dry-run", "--out", copy)
    assert load_dataset_folder(copy).documents


def dry_run(out: Path, folder: Path, *options: object, to: str = NAME):
    arguments = ["publish", folder, "--to", to, *options, "--dry-run", "--out", out]
    return CliRunner().invoke(cli, [*map(str, arguments)])


def test_a_dry_run_may_be_repeated_in_its_own_folder(dataset, run_folder, tmp_path):
    for folder, name in ((dataset, "people"), (run_folder, "cells")):
        assert dry_run(tmp_path / name, folder).exit_code == 0
        (stale := tmp_path / name / "README.md").write_text(f"{NAME}, an outdated card")
        assert dry_run(tmp_path / name, folder).exit_code == 0
        assert "outdated" not in stale.read_text()
        assert isinstance(dry_run(tmp_path / name, folder, to="org/other").exception, InputError)
        (tmp_path / name / "mine.txt").touch()
        assert isinstance(dry_run(tmp_path / name, folder).exception, InputError)


def test_a_dry_run_with_a_dataset_needs_no_network(run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(HfApi, "dataset_info", None)
    result = dry_run(tmp_path / "out", run_folder, "--dataset", NAME)
    assert result.exit_code == 0, result.output
    assert f"assumed that {NAME} is the dataset of the run" in result.output
    assert len(list((tmp_path / "out" / ".eval_results").iterdir())) == 3


def test_no_path_of_this_machine_is_published(run_folder, model_folder, tmp_path):
    """The run's model is a local folder; what else a cell is stays as it was."""
    local = str(model_folder("llama"))
    shutil.copytree(run_folder, tmp_path / "run")
    plan = tmp_path / "run" / "plan.yaml"
    plan.write_text(plan.read_text() + f"known: {tmp_path}/secret/data\n")
    build_run_repository(tmp_path / "run", tmp_path / "out", "org/adapters")
    texts = [p for p in (tmp_path / "out").rglob("*") if p.suffix in (".json", ".md", ".yaml")]
    assert len(texts) > 15
    for path in texts:
        assert local not in path.read_text(), path
        assert str(tmp_path) not in path.read_text(), path
    ours, theirs = find_cells(run_folder), find_cells(tmp_path / "out")
    assert [cell.parameters["model"] for cell in theirs] == [Path(local).name] * 3
    assert [compute_cell_id(c.parameters) for c in ours] == [
        compute_cell_id(c.parameters) for c in theirs
    ]
    assert "known: data" in (tmp_path / "out" / "plan.yaml").read_text()


def test_a_training_text_is_published_and_loaded(hub, run_folder, model_folder, tmp_path):
    text = next(run_folder.glob("train/random-*"))
    assert dry_run(tmp_path / "out", text, to="org/text").exit_code == 0
    content = "\n".join(
        path.read_text() for path in (tmp_path / "out").glob("*.*") if path.is_file()
    )
    assert str(model_folder("llama")) not in content
    api = HfApi(endpoint=hub.endpoint, token=TOKEN)
    publish_folder(tmp_path / "out", Target("org/text", "dataset", OWNED), "Publish", api)
    code = """
import json, sys, datasets
print(json.dumps(datasets.load_dataset(sys.argv[1], split="train").to_list()))
"""
    done = outside(code, hub, tmp_path / "home", "org/text")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["text"] for row in rows] == [t.text for t in TrainingTextFolder(text).read_texts()]


def test_a_changed_schema_and_another_kind_may_follow(hub, content, dataset, run_folder, tmp_path):
    """Nothing of what was published before is left, and what is there can be loaded."""
    publish(hub, content)
    articles = {f"A{n}": [(f"A{n} has b{n}.", [("Which?", f"b{n}", 7)])] for n in range(10)}
    squad_file(tmp_path / "squad.json", articles)
    options = ["--squad", str(tmp_path / "squad.json"), "--out", str(tmp_path / "other")]
    assert CliRunner().invoke(cli, ["wikiqa", *options]).exit_code == 0
    (tmp_path / "again").mkdir()
    build_dataset_repository(tmp_path / "other", tmp_path / "again", NAME)
    code = """
import json, sys, datasets
print(json.dumps({name: datasets.load_dataset(sys.argv[1], name).column_names
                  for name in datasets.get_dataset_config_names(sys.argv[1])}))
"""
    before = outside(code, hub, tmp_path / "home", NAME)
    assert "templates" in json.loads(before.stdout)["corpus"]["train"]
    publish(hub, tmp_path / "again")
    first = outside(code, hub, tmp_path / "home", NAME)
    assert first.returncode == 0, first.stderr
    assert "licence" in json.loads(first.stdout)["corpus"]["train"]
    dry_run(tmp_path / "text", next(run_folder.glob("train/random-*")))
    publish(hub, tmp_path / "text")
    names = set(hub.repositories[f"datasets/{NAME}"].files())
    assert {name.split("/")[0] for name in names} == {
        *(".gitattributes", "README.md", "manifest.json", "summary.json", "croissant.json"),
        "texts",
    }
    second = outside(code, hub, tmp_path / "home", NAME)
    assert second.returncode == 0, second.stderr
    assert list(json.loads(second.stdout)) == ["texts"]


@pytest.mark.parametrize("kind", ["dataset", "text", "run"])
def test_the_card_has_what_the_publisher_says(kind, dataset, run_folder, tmp_path):
    folders = {"dataset": dataset, "text": next(run_folder.glob("train/random-*"))}
    (tmp_path / "cite.bib").write_text("@misc{people, title={People}}")
    options = (
        *("--title", "People: a test", "--author", "Doe, Jane", "--author", "Max Roe"),
        *("--licence", "cc-by-4.0", "--citation", tmp_path / "cite.bib", "--tag", "one,two"),
    )
    result = dry_run(tmp_path / "out", folders.get(kind, run_folder), *options)
    assert result.exit_code == 0, result.output
    _, header, body = (tmp_path / "out" / "README.md").read_text().split("---\n", 2)
    values = yaml.safe_load(header)
    assert values["license"] == "cc-by-4.0"
    assert {"one", "two", "elusive"} <= set(values["tags"])
    assert len(values["tags"]) == len(set(values["tags"]))
    assert body.lstrip().startswith("# People: a test\n")
    assert "## Authors\n\nDoe, Jane, Max Roe\n" in body
    assert "```bibtex\n@misc{people, title={People}}\n```" in body
    if kind == "run":
        return
    assert values["pretty_name"] == "People: a test"
    croissant = json.loads((tmp_path / "out" / "croissant.json").read_text())
    assert (croissant["name"], croissant["license"]) == ("People: a test", "cc-by-4.0")
    assert [person["name"] for person in croissant["creator"]] == ["Doe, Jane", "Max Roe"]
    assert croissant["citeAs"].startswith("@misc")
    for file in croissant["distribution"]:
        assert (tmp_path / "out" / file["contentUrl"]).is_file()


@pytest.fixture
def changed_run(run_folder, tmp_path) -> Path:
    """A copy of the run, to change."""
    shutil.copytree(run_folder, tmp_path / "changed")
    return tmp_path / "changed"


def test_metrics_that_the_answers_do_not_give_are_not_published(changed_run, tmp_path, capsys):
    cell = next(changed_run.glob("cells/plain-*"))
    metrics = json.loads((cell / "metrics.json").read_text())
    (cell / "metrics.json").write_text(json.dumps(metrics | {"em": 0.9}))
    options = ("--to", NAME, "--dry-run", "--out", tmp_path / "out")
    line = line_of_error(capsys, "publish", changed_run, *options)
    assert "metrics.json says em 0.9, but the answers give 0:" in line
    assert not (tmp_path / "out").exists()


def test_labels_do_not_break_the_cards_of_a_run(changed_run, tmp_path):
    label = "a|b <b>c</b> [d](e)"
    for cell in changed_run.glob("cells/plain-*"):
        manifest = json.loads((cell / "manifest.json").read_text())
        manifest["parameters"]["label"] = label
        (cell / "manifest.json").write_text(json.dumps(manifest))
    assert dry_run(tmp_path / "out", changed_run).exit_code == 0
    lines = (tmp_path / "out" / "README.md").read_text().splitlines()
    header = next(line for line in lines if line.startswith("| arm"))
    row = next(line for line in lines if r"a\|b" in line)
    assert "&lt;b&gt;" in row
    assert row.replace(r"\|", "").count("|") == header.count("|")
    (card,) = (tmp_path / "out").glob("cells/plain-*/adapter/README.md")
    assert r"a\|b &lt;b&gt;" in card.read_text()


def test_a_dry_run_inside_a_dataset_is_refused(dataset, capsys):
    options = ("--to", NAME, "--dry-run", "--out", dataset / "hub")
    assert "a finished dataset" in line_of_error(capsys, "publish", dataset, *options)
    for command in (
        ("augment", dataset, "--method", "plain", "--out", dataset / "text"),
        ("export", dataset, "--format", "parquet", "--out", dataset / "tables"),
        ("biogen", "--people", 2, "--out", dataset / "more" / "people"),
    ):
        assert "would lie in" in line_of_error(capsys, *command)
    assert run("check", dataset).exit_code == 0


def test_a_citation_that_names_no_file_is_no_citation(dataset, tmp_path, capsys):
    missing = tmp_path / "cite.bib"
    options = ("--to", NAME, "--citation", missing, "--dry-run", "--out", tmp_path / "out")
    line = line_of_error(capsys, "publish", dataset, *options)
    assert f"--citation: there is no file {missing}" in line


def test_the_snippet_of_a_built_in_model_runs():
    parameters = {"label": "plain", "seed": 0, "dataset": "0" * 64, "training": {}}
    parameters |= {"augment": {"method": "plain"}}
    metrics = {"questions": 1, "em": 0.0, "f1": 0.0, "log_probability": -1.0}
    card = render_adapter_card(parameters, metrics, "nano-small")
    assert "base_model:" not in card
    (snippet,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    lines = snippet.replace("model = PeftModel", "# model = PeftModel")
    scope: dict = {}
    exec(compile(lines, "card", "exec"), scope)
    assert scope["base"].num_parameters() > 100_000
    assert 'from_pretrained("org/base")' in render_adapter_card(parameters, metrics, "org/base")
