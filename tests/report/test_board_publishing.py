"""Leaderboards in public: pull requests that are checked, the page, the Space and its dataset."""

import json
import os
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow.parquet as pq
import pytest
import yaml
from browser import chromium, data_in
from commands import line_of_error, run, write_grid_plan
from huggingface_hub import HfApi
from stand_in_hub_writes import CLI, TOKEN, Hub, outside

from elusive.common.errors import InputError
from elusive.evaluate.cells.cell_folder import find_cells
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan
from elusive.report.hub.publish import Target, publish_folder
from elusive.report.leaderboard.board import WORKFLOW, add_cells, init_board
from elusive.report.leaderboard.board_repository import OWNED, build_board_repositories
from elusive.report.leaderboard.board_settings import (
    BoardSettings,
    load_board_settings,
    render_board_settings,
)

NAME = "org/board"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder) -> Path:
    """A run of three arms with two seeds each."""
    folder = tmp_path_factory.mktemp("run")
    assert run_plan(load_plan(write_grid_plan(folder, model_folder)), folder / "out").failures == []
    return folder / "out"


@pytest.fixture
def board(finished, tmp_path) -> Path:
    """A leaderboard of that run, submitted by Ann."""
    init_board(tmp_path / "board", "Facts & figures")
    add_cells(find_cells(finished), tmp_path / "board", "Ann")
    return tmp_path / "board"


def set_up(board: Path, **changes: object) -> None:
    """Change the settings of a leaderboard."""
    settings = yaml.safe_load((board / "board.yaml").read_text()) | changes
    (board / "board.yaml").write_text(yaml.safe_dump(settings))


def git(folder: Path, *arguments: object) -> str:
    names = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    done = subprocess.run(
        ["git", *names, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def run_workflow(board: Path, base: str) -> subprocess.CompletedProcess:
    """Run the steps of the workflow for a pull request from a fork, but for the installation."""
    job = yaml.safe_load((board / WORKFLOW).read_text())["jobs"]["check"]
    steps = [step["run"] for step in job["steps"] if "run" in step]
    assert [step for step in steps if step.startswith("pip install")] == ['pip install "$ELUSIVE"']
    script = "\n".join(step for step in steps if not step.startswith("pip install"))
    program = Path(sys.executable).parent
    environment = os.environ | {"BASE": base, "PATH": f"{program}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=board, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("entries", "all 6 entries are valid"),
        ("readme", "It also changes:\nREADME.md"),
        ("workflow", "It also changes:\n.github/workflows/check-entries.yaml"),
        ("altered", "It also changes:\nentries/"),
        ("broken", "is not valid JSON"),
    ],
)
def test_a_pull_request_of_a_fork_is_checked(change, says, finished, tmp_path):
    """It may only add entries, and they have to be valid."""
    board = tmp_path / "board"
    init_board(board)
    cells = find_cells(finished)
    add_cells([cell for cell in cells if cell.parameters["label"] != "plain"], board)
    git(tmp_path, "init", "-q", board)
    git(board, "add", "-A")
    git(board, "commit", "-qm", "board")
    base = git(board, "rev-parse", "HEAD")
    old = min(board.glob("entries/????????????.json"))
    add_cells(cells, board)
    changed = {"readme": "README.md", "workflow": str(WORKFLOW), "altered": f"entries/{old.name}"}
    if change in changed:
        (board / changed[change]).write_text((board / changed[change]).read_text() + "\n")
    if change == "broken":
        (board / "entries" / "0123456789ab.json").write_text("{")
    git(board, "add", "-A")
    git(board, "commit", "-qm", "mine")
    done = run_workflow(board, base)
    assert (done.returncode == 0) == (change == "entries"), done.stdout + done.stderr
    if change == "broken":
        says = "0123456789ab.json: not valid JSON"
    assert says in done.stdout


def test_the_workflow_is_safe_on_forks(board):
    """It runs on others' files, so it must have no rights and no secrets."""
    text = (board / WORKFLOW).read_text()
    workflow = yaml.safe_load(text)
    assert set(workflow[True]) == {"pull_request", "push"}, "never pull_request_target"
    assert workflow["permissions"] == {"contents": "read"}
    (checkout,) = [s for s in workflow["jobs"]["check"]["steps"] if "checkout" in s.get("uses", "")]
    assert checkout["with"]["persist-credentials"] is False
    assert "secrets" not in text.replace("no secrets", "")
    for step in workflow["jobs"]["check"]["steps"]:
        assert "${{" not in step.get("run", ""), "what a fork names must not become code"


def test_files_of_ones_own_are_kept(board):
    for name in ("board.yaml", str(WORKFLOW), "README.md"):
        (board / name).write_text("title: mine\n")
    assert not init_board(board, "Other")
    for name in ("board.yaml", str(WORKFLOW), "README.md"):
        assert (board / name).read_text() == "title: mine\n"


def test_the_page_and_the_tables_say_what_is_compared_by_whom_and_where(board, tmp_path):
    (entry,) = {json.loads(path.read_text())["parameters"]["dataset"]
                for path in board.glob("entries/????????????.json")}  # fmt: skip
    set_up(
        board,
        about="Which arm is best?",
        names={entry[:12]: "Three people"},
        links={entry[:12]: "https://example.org/data", "plain": "https://example.org/plain"},
    )
    done = run("leaderboard", "build", board, "--out", tmp_path / "site")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "site" / "leaderboard.md").read_text()
    assert text.startswith("# Facts & figures\n\nWhich arm is best?\n".replace("&", "&amp;"))
    assert "## Three people, llama-0" in text
    assert "Submitted by Ann, " in text
    rows = pq.read_table(tmp_path / "site" / "leaderboard.parquet").to_pylist()
    assert all(row["submitted_by"].startswith("Ann, 20") for row in rows)
    data = data_in(tmp_path / "site" / "index.html")
    (shown,) = data["benchmarks"]
    assert (data["title"], data["about"]) == ("Facts & figures", "Which arm is best?")
    assert (shown["name"], shown["anchor"]) == ("Three people, llama-0", "three-people-llama-0")
    assert shown["links"] == {"dataset": "https://example.org/data"}
    assert shown["arm_links"] == {"plain": "https://example.org/plain"}
    assert {entry["by"] for entry in shown["entries"]} == {"Ann"}
    assert [entry["seed"] for entry in shown["entries"]] == [0, 1] * 3
    assert any("pull request" in step for step in data["board"]["steps"])


def test_wrong_settings_are_one_line(board, tmp_path, capsys):
    set_up(board, links={"plain": "javascript:alert(1)"})
    build = ("leaderboard", "build", board, "--out", tmp_path / "site")
    assert "is no address: begin it with https://" in line_of_error(capsys, *build)
    (board / "board.yaml").write_text("titel: X\n")
    assert "did you mean 'title'?" in line_of_error(capsys, *build)
    assert not (tmp_path / "site").exists()
    checked = run("leaderboard", "check", board)
    assert (checked.exit_code, checked.output.count("titel")) == (1, 1)
    (board / "board.yaml").unlink()
    assert load_board_settings(board) == BoardSettings()


@pytest.mark.parametrize(
    "text", ['A: "x" #1', "two\n\nlines: of # text", "- 'yes'", "\u00e9 & <b>"]
)
def test_settings_that_are_written_are_read_again(text, tmp_path):
    settings = BoardSettings(title=text, about=text, names={"0" * 12: text, "1e5": text})
    (tmp_path / "board.yaml").write_text(render_board_settings(settings))
    assert load_board_settings(tmp_path) == settings


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Keep quiet."""


def test_the_space_opens_from_a_plain_file_server(board, tmp_path):
    done = run("publish", board, "--to", NAME, "--dry-run", "--out", tmp_path / "hub")
    assert done.exit_code == 0, done.output
    handler = partial(Quiet, directory=str(tmp_path / "hub" / "space"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/index.html#dataset-llama-0"
        dom, console = chromium(address, tmp_path, "--dump-dom")
    finally:
        server.shutdown()
        server.server_close()
    assert console == []
    assert 'data-ready="yes"' in dom
    assert "data-answers=" in dom
    assert f"hf download {NAME} --repo-type dataset" in dom


def test_a_space_and_a_dataset_are_published_and_lead_back_to_a_leaderboard(hub, board, tmp_path):
    first = outside(CLI, hub, tmp_path / "home", "publish", board, "--to", NAME)
    assert first.returncode == 0, first.stderr
    addresses = [line for line in first.stdout.splitlines() if line.startswith("http")]
    assert addresses == [f"{hub.endpoint}/datasets/{NAME}", f"{hub.endpoint}/spaces/{NAME}"]
    space = hub.repositories[f"spaces/{NAME}"].files()
    assert set(space) == {
        *(".gitattributes", "README.md", "index.html", "leaderboard.md", "leaderboard.parquet"),
        "manifest.json",
    }
    header = yaml.safe_load(space["README.md"].decode().split("---")[1])
    assert (header["sdk"], header["app_file"], header["datasets"]) == (
        "static", "index.html", [NAME]
    )  # fmt: skip
    for name, content in hub.repositories[f"datasets/{NAME}"].files().items():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(content)
    assert run("leaderboard", "check", tmp_path / "copy").exit_code == 0
    assert (load_board_settings(tmp_path / "copy").submit_to or "").endswith(f"/datasets/{NAME}")
    again = outside(CLI, hub, tmp_path / "home", "publish", board, "--to", NAME)
    assert again.stdout.count("nothing changed") == 2, again.stdout


def test_entries_that_the_hub_has_beside_ours_stay(hub, board, tmp_path):
    (tmp_path / "content").mkdir()
    build_board_repositories(board, tmp_path / "content", NAME)
    target = Target(NAME, "dataset", OWNED["dataset"])
    api = HfApi(endpoint=hub.endpoint, token=TOKEN)
    publish_folder(tmp_path / "content" / "dataset", target, "Publish", api)
    repository = hub.repositories[f"datasets/{NAME}"]
    theirs = {"entries/0123456789ab.json": b"{}"}
    repository.commit("main", repository.files() | theirs, "merged")
    publish_folder(tmp_path / "content" / "dataset", target, "Publish", api)
    assert theirs.items() <= repository.files().items()


def test_a_space_of_somebody_else_is_not_overwritten(hub: Hub, board, tmp_path):
    (tmp_path / "content").mkdir()
    build_board_repositories(board, tmp_path / "content", NAME)
    theirs = {"README.md": b"theirs", "index.html": b"theirs"}
    repository = hub.add(NAME, "space", {})
    repository.commit("main", theirs, "theirs")
    target = Target(NAME, "space", OWNED["space"])
    api = HfApi(endpoint=hub.endpoint, token=TOKEN)
    with pytest.raises(InputError, match=r"did not make \(index.html"):
        publish_folder(tmp_path / "content" / "space", target, "Publish", api)
    assert repository.files() == theirs


def test_the_dataset_of_a_leaderboard_loads(board, tmp_path):
    from datasets import load_dataset

    (tmp_path / "content").mkdir()
    build_board_repositories(board, tmp_path / "content", NAME)
    folder = str(tmp_path / "content" / "dataset")
    cache = str(tmp_path / "cache")
    table = load_dataset(folder, "leaderboard", split="train", cache_dir=cache)
    answers = load_dataset(folder, "answers", split="train", cache_dir=cache)
    assert sorted(table["arm"]) == ["plain", "random", "untrained"]
    assert len(answers) == 6 * 6


def test_a_broken_leaderboard_is_not_published(board, tmp_path, capsys):
    next(board.glob("entries/*.parquet")).unlink()
    out = tmp_path / "hub"
    line = line_of_error(capsys, "publish", board, "--to", NAME, "--dry-run", "--out", out)
    assert "has 1 problem" in line or "problems, such as" in line
    assert not out.exists()


def test_entries_on_a_part_of_the_questions_are_published_with_their_dataset(
    tmp_path, model_folder, capsys
):
    """Nothing in a board proves their gold answers; the dataset does."""
    plan = write_grid_plan(tmp_path, model_folder, seeds=[0], answering={"limit": 3})
    run_plan(load_plan(plan), tmp_path / "run")
    dataset = tmp_path / "run" / "dataset"
    run("leaderboard", "add", tmp_path / "run", "--to", tmp_path / "board")
    command = ("publish", tmp_path / "board", "--to", NAME, "--dry-run", "--out", tmp_path / "hub")
    assert "name their folders with --dataset DIR" in line_of_error(capsys, *command)
    result = run(*command, "--dataset", dataset)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "hub" / "space" / "index.html").exists()
    line = line_of_error(capsys, *command, "--dataset", tmp_path / "none")
    assert f"{tmp_path / 'none'}" in line
