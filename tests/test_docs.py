"""The pages of docs/: their examples run, their commands exist, and the site builds."""

import os
import re
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
from handmade import squad_file

from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import load_fields
from elusive.cli.main import cli
from elusive.common.errors import validate_config
from elusive.evaluate.plans import Plan

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(p for p in (ROOT / "docs").rglob("*.md") if p.parent.name != "board")
TEXTS = {page.relative_to(ROOT / "docs").as_posix(): page.read_text("utf-8") for page in PAGES}
ELSEWHERE = re.compile(r"Qwen|gpt-oss|smollm2|--hub|--endpoint|enwiki|nano-family")
"""What a command has that is too large, or too far away, for a test; such commands are parsed."""
SMALLER = {"100": "3", "presets/nano-demo.yaml": "plan.yaml", "presets/nano.yaml": "plan.yaml"}
SMALLER |= {"runs/paper": "runs/demo", "runs/nano": "runs/demo"}
"""What a word of a command is replaced by."""


def blocks(text: str, language: str) -> list[str]:
    """Code of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands_of(text: str) -> list[str]:
    """Every `elusive` command of a page, comments cut off."""
    lines = "\n".join(blocks(text, "bash")).splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.startswith("elusive ")]


def steps_of(text: str) -> Iterator[tuple[str, str]]:
    """Commands and Python of a page, in their order."""
    for language, code in re.findall(r"^```(bash|python)\n(.*?)^```", text, re.DOTALL | re.M):
        if language == "python":
            yield "python", code
        else:
            yield from (("bash", line) for line in commands_of(f"```bash\n{code}```\n"))


def parsed(command: str) -> None:
    """Raise what click raises for a command line that it does not take."""
    found: click.Command = cli
    words = shlex.split(command)[1:]
    while isinstance(found, click.Group):
        found = found.commands[words.pop(0)]
    found.make_context(found.name, words)


COMMANDS = [(page, command) for page, text in TEXTS.items() for command in commands_of(text)]


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_every_command_of_a_page_is_one_that_the_program_takes(page: str, command: str):
    parsed(command)


def test_a_command_that_does_not_exist_is_noticed():
    with pytest.raises(click.UsageError, match="No such option"):
        parsed("elusive biogen --peeple 3")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what pages take as given: a dataset, training text, a run, source files."""
    folder = tmp_path_factory.mktemp("made")
    articles = {
        f"A{n}": [(f"A{n} has b{n}.", [(f"What has A{n}?", f"b{n}", 7)])] for n in range(10)
    }
    squad_file(folder / "dev-v1.1.json", articles)
    (folder / "mine.jsonl").write_text(blocks(TEXTS["extending.md"], "json")[0])
    extending = TEXTS["extending.md"]
    (folder / "fields.yaml").write_text(blocks(extending, "yaml")[0])
    (folder / "my_arms.py").write_text(blocks(extending, "python")[0])
    plan = {
        "dataset": {"people": 3, "start": 8000, "num_shot_people": 20, "dev_rate": 0},
        "model": "nano-large",
        "arms": ["plain", "random", "attention", "contrast", "oracle"],
        "augment": {"large": "nano-large", "small": "nano-small", "copies": 1},
        "training": {"epochs": 1, "batch_size": 2, "format_replay": 2},
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (
            "biogen --people 3 --start 8000 --out data/people",
            "augment data/people --method random --model nano-large --out data/random",
            "wikiqa --squad dev-v1.1.json --out data/squad",
            "run plan.yaml --out runs/demo",
        ):
            run(f"elusive {command}")
    return folder


def run(command: str) -> None:
    """Run a command, made smaller, and hold that it succeeds."""
    words = [SMALLER.get(word, word) for word in shlex.split(command)[1:]]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception!r}"


@pytest.mark.parametrize("page", [page for page, text in TEXTS.items() if list(steps_of(text))])
def test_the_examples_of_a_page_run_in_their_order(page: str, made: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "made"))
    for language, code in steps_of(TEXTS[page]):
        if language == "python":
            exec(compile(code, page, "exec"), {})
        elif not ELSEWHERE.search(code):
            run(code)


@pytest.mark.parametrize("page", [page for page, text in TEXTS.items() if blocks(text, "yaml")])
def test_the_settings_on_a_page_are_allowed(page: str, tmp_path: Path):
    for number, text in enumerate(blocks(TEXTS[page], "yaml")):
        content = yaml.safe_load(text)
        if isinstance(content, dict):
            assert validate_config(Plan, content).arms
            continue
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        own = load_fields(path)
        (document,) = generate_biographies(BiogenConfig(people=1, own_fields=own))
        assert {fact.field for fact in document.facts} >= {field.name for field in own}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def all_commands(group: click.Group, path: str = "elusive") -> Iterator[tuple[str, click.Command]]:
    """Every command below a group, by what is typed."""
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{path} {name}")


def test_every_command_has_a_section_with_all_its_options(site: Path):
    for path, command in all_commands(cli):
        name = path.split()[1]
        page = (site / "commands" / f"{name}.html").read_text("utf-8")
        assert re.search(rf"<h\d[^>]*>{path}<", page), path
        for option in command.params:
            for flag in option.opts if isinstance(option, click.Option) else []:
                assert f"<code>{flag}</code>" in page, f"{path} {flag}"


def test_the_site_loads_nothing_from_the_network(site: Path):
    loads = re.compile(r"<(?:script|img|iframe)[^>]+src=.?https?:|<link[^>]+href=.?https?:")
    for page in site.rglob("*.html"):
        found = [hit for hit in loads.findall(page.read_text("utf-8")) if "canonical" not in hit]
        assert found == [], page


def test_the_python_pages_show_signatures_and_examples(site: Path):
    page = (site / "api" / "augment.html").read_text("utf-8")
    assert "elusive.augment.sampler.drop_probabilities" in page
    assert "language-pycon" in page
    assert "Highest drop probability, in (0, 1]." in page


def test_every_preset_is_shown(site: Path):
    page = (site / "presets.html").read_text("utf-8")
    for path in (ROOT / "presets").glob("*.yaml"):
        assert f">{path.name}<" in page
