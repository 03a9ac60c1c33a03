"""The pages: their examples run, their commands and paths exist, and the site builds."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from commands import FIELDS
from doc_pages import TUTORIAL, find_code, find_commands, find_steps
from handmade import squad_file
from rooms import MAY_IMPORT, MOST_MODULES

from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import load_fields
from elusive.cli.main import cli
from elusive.common.errors import validate_config
from elusive.evaluate.plans import Plan

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(p for p in (ROOT / "docs").rglob("*.md") if p.parent.name != "board")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TEXTS = {page.relative_to(ROOT / "docs").as_posix(): page.read_text("utf-8") for page in PAGES}
TOO_LARGE = re.compile(r"Qwen|gpt-oss|smollm2|--hub|--endpoint|enwiki|nano-family|--on ")
"""Commands with one of these need much time, the network or a cluster; they are only parsed."""
SMALLER = {"100": "3", "presets/nano-demo.yaml": "plan.yaml", "presets/nano.yaml": "plan.yaml"}
SMALLER |= {"runs/paper": "runs/demo", "runs/nano": "runs/demo"}
"""Words of a command, and what replaces them in a test."""


def parse_command(line: str) -> None:
    """Raise the error of click for a command line that it rejects."""
    command: click.Command = cli
    words = shlex.split(line)[1:]
    while isinstance(command, click.Group) and words:  # a group may do something by itself
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)


COMMANDS = [(page, command) for page, text in TEXTS.items() for command in find_commands(text)]


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_every_command_of_a_page_is_one_that_the_program_takes(page: str, command: str):
    parse_command(command)


def test_no_folder_is_written_by_two_commands_that_would_refuse_each_others():
    """Pages that are replaced, dry runs, and runs that go on elsewhere may share a place."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    writers: dict[str, set[str]] = {}
    for command in [*find_commands(readme), *(command for _, command in COMMANDS)]:
        words = shlex.split(command)
        if "--out" in words and not {"--dry-run", "--on"} & set(words):
            writers.setdefault(words[words.index("--out") + 1], set()).add(command)
    folders = {out: commands for out, commands in writers.items() if not out.endswith(".html")}
    assert {out: commands for out, commands in folders.items() if len(commands) > 1} == {}


def test_every_command_is_shown_on_the_readme_or_a_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = {command.split()[1] for command in find_commands(readme)}
    assert shown | {command.split()[1] for _, command in COMMANDS} == set(cli.commands)


def test_a_command_that_does_not_exist_is_noticed():
    with pytest.raises(click.UsageError, match="No such option"):
        parse_command("elusive biogen --peeple 3")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages presuppose: a dataset, training text, a run, source files."""
    folder = tmp_path_factory.mktemp("workspace")
    articles = {
        f"A{n}": [(f"A{n} has b{n}.", [(f"What has A{n}?", f"b{n}", 7)])] for n in range(10)
    }
    squad_file(folder / "dev-v1.1.json", articles)
    (folder / "mine.jsonl").write_text(find_code(TEXTS["extending.md"], "json")[0])
    extending = TEXTS["extending.md"]
    (folder / "fields.yaml").write_text(find_code(extending, "yaml")[0])
    (folder / "my_arms.py").write_text(find_code(extending, "python")[0])
    plan = {
        "dataset": {"people": 3, "start": 8000, "dev_rate": 0, "fields": FIELDS},
        "model": "nano-large",
        "arms": ["plain", "random", "attention", "contrast", "oracle"],
        "augment": {"large": "nano-large", "small": "nano-small", "copies": 1},
        "training": {"epochs": 1, "batch_size": 2, "format_replay": 2},
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (
            "biogen --people 3 --start 8500 --out data/people",
            "augment data/people --method random --model nano-large --out data/random",
            "wikiqa --squad dev-v1.1.json --out data/squad",
            "run plan.yaml --out runs/demo",
        ):
            run_command(f"elusive {command}")
    return folder


def run_command(command: str) -> None:
    """Run a command at a smaller size, and assert that it succeeds."""
    words = [SMALLER.get(word, word) for word in shlex.split(command)[1:]]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception!r}"


@pytest.mark.parametrize(
    "page", [page for page, text in TEXTS.items() if page != TUTORIAL and list(find_steps(text))]
)
def test_the_examples_of_a_page_run_in_their_order(
    page: str, workspace: Path, tmp_path, monkeypatch
):
    monkeypatch.chdir(shutil.copytree(workspace, tmp_path / "workspace"))
    for language, code in find_steps(TEXTS[page]):
        if language == "python":
            exec(compile(code, page, "exec"), {})
        elif not TOO_LARGE.search(code):
            run_command(code)


@pytest.mark.parametrize("page", [page for page, text in TEXTS.items() if find_code(text, "yaml")])
def test_the_settings_on_a_page_are_allowed(page: str, tmp_path: Path):
    for number, text in enumerate(find_code(TEXTS[page], "yaml")):
        content = yaml.safe_load(text)
        if isinstance(content, dict):
            assert validate_config(Plan, content).arms
            continue
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        fields = load_fields(path)
        (document,) = generate_biographies(BiogenConfig(people=1, own_fields=fields))
        assert {fact.field for fact in document.facts} >= {field.name for field in fields}


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("*.md")], ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path):
    """The pages are read on the site, and as files of the repository."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", page.read_text(encoding="utf-8"))
    local = {link for link in links if not re.match("[a-z]+:", link)}
    assert [link for link in sorted(local) if not (page.parent / link).exists()] == []


def test_every_path_in_the_guide_for_contributors_exists():
    """Paths start at the root or, in the sections about them, in biogen or wikiqa."""
    for path in re.findall(r"`([a-z_.]+/[a-z0-9_./]+)`", CONTRIBUTING):
        folders = [ROOT, ROOT / "biogen", ROOT / "wikiqa"]
        assert path == "site/" or any((folder / path).exists() for folder in folders), path


def test_the_guide_for_contributors_has_every_room_and_arrow():
    rows = re.findall(r"^\| `([a-z/]+)/` \| .* \| (.*)\|$", CONTRIBUTING, re.MULTILINE)
    rooms = {room: set(re.findall(r"`([a-z/]+)/`", imports)) for room, imports in rows}
    assert rooms == {room: {*imports} - {"common"} for room, imports in MAY_IMPORT.items()}
    assert f"at most {MOST_MODULES} modules" in CONTRIBUTING


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("site")
    process = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return folder


def walk_commands(group: click.Group, path: str = "elusive") -> Iterator[tuple[str, click.Command]]:
    """Every command below a group, with the words that call it."""
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from walk_commands(command, f"{path} {name}")


def test_every_command_has_a_section_with_all_its_options(site: Path):
    for path, command in walk_commands(cli):
        name = path.split()[1]
        page = (site / "commands" / f"{name}.html").read_text("utf-8")
        assert re.search(rf"<h\d[^>]*>{path}<", page), path
        for option in command.params:
            for flag in option.opts if isinstance(option, click.Option) else []:
                assert f"<code>{flag}</code>" in page, f"{path} {flag}"


def test_the_site_loads_nothing_from_the_network(site: Path):
    loads = re.compile(r"<(?:script|img|iframe)[^>]+src=.?https?:|<link[^>]+href=.?https?:")
    for page in site.rglob("*.html"):
        links = [tag for tag in loads.findall(page.read_text("utf-8")) if "canonical" not in tag]
        assert links == [], page


def test_the_python_pages_show_signatures_and_examples(site: Path):
    page = (site / "api" / "augment.html").read_text("utf-8")
    assert "elusive.augment.drop_probabilities.compute_drop_probabilities" in page
    assert "language-pycon" in page
    assert "Highest drop probability, in (0, 1]." in page


def test_every_preset_is_shown(site: Path):
    page = (site / "presets.html").read_text("utf-8")
    for path in (ROOT / "presets").glob("*.yaml"):
        assert f">{path.name}<" in page


def test_the_index_for_language_models_links_every_page():
    text = (ROOT / "llms.txt").read_text(encoding="utf-8")
    links = set(re.findall(r"\]\(([^)]+)\)", text))
    assert all((ROOT / link).exists() for link in links)
    pages = {f"docs/{name}" for name in TEXTS if "/" not in name}
    assert pages - links == {"docs/index.md"}


def test_the_tables_of_the_leaderboard_are_those_that_are_built_today(tmp_path: Path):
    board = shutil.copytree(ROOT / "docs" / "board", tmp_path / "board")
    run_command(f"elusive leaderboard build {board}")
    tables = (board / "leaderboard.md").read_text("utf-8")
    assert tables == (ROOT / "docs" / "board" / "leaderboard.md").read_text("utf-8"), (
        "run `elusive leaderboard build docs/board`"
    )


def test_the_picture_of_the_findings_is_that_which_is_drawn_today(tmp_path: Path):
    script = runpy.run_path(str(ROOT / "docs" / "draw_findings.py"))
    script["write_picture"](tmp_path / "findings.svg")
    drawn = (tmp_path / "findings.svg").read_text("utf-8")
    assert drawn == (ROOT / "docs" / "assets" / "findings.svg").read_text("utf-8"), (
        "run `python docs/draw_findings.py`"
    )
    rows = re.findall(r"^\| .*\|$", TEXTS["findings-pretrained.md"], re.MULTILINE)
    for arm, values in script["WIKIPEDIA"].items():
        mean, low, high = (f"{100 * value:.0f}" for value in values)
        row = rf"\| {arm} \|.* {mean} \[{low}, {high}\] .*"
        assert any(re.fullmatch(row, line) for line in rows), f"{arm} on Wikipedia"
