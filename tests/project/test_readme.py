"""The README: its commands and code run as written, on few people and small files."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from commands import FIELDS
from doc_pages import find_code, find_commands

from elusive.augment.arms import ARMS, list_arms
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import FactField, load_fields
from elusive.biogen.people.pools import POOLS
from elusive.cli.main import cli
from elusive.evaluate.cells.metrics import SCORES

ROOT = Path(__file__).resolve().parents[2]
DEMO = "presets/nano-demo.yaml"
SMALLER = {"100": "10"}
"""Words of a command, and what replaces them; `elusive wikiqa` sets eight articles aside."""
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A working folder with a smaller demo, and with no other file that a reader may lack."""
    monkeypatch.chdir(tmp_path)
    plan = yaml.safe_load((ROOT / DEMO).read_text())
    plan["dataset"] |= {"people": 3, "fields": FIELDS}
    plan["known"] |= {"people": 2, "fields": FIELDS}
    plan["augment"]["copies"] = 1
    plan["training"] |= {"epochs": 1, "batch_size": 4, "format_replay": 2}
    (tmp_path / "presets").mkdir()
    (tmp_path / DEMO).write_text(yaml.safe_dump(plan))


@pytest.mark.usefixtures("clone")
def test_the_readmes_commands_run_in_order():
    commands = find_commands(README)
    assert len(commands) >= 7
    for command in commands:
        words = [SMALLER.get(word, word) for word in shlex.split(command)[1:]]
        if words[0] == "evaluate":
            words += ["--epochs", "1"]
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception!r}"
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    written = {path.name for path in Path.cwd().iterdir()} - {"presets"}
    assert written - ignored == set(), "git would list these in a clone"


def test_the_readmes_python_runs(capsys):
    (example,) = find_code(README, "python")
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3 + 15


def test_the_readme_counts_what_there_is():
    architectures = (ROOT / "docs" / "architectures.md").read_text(encoding="utf-8")
    probed = re.search(r"(\d+) were probed", architectures)
    assert probed
    trained = len(list_arms("score", "rewrite", "objective"))
    assert f"{trained} arms and {len(ARMS) - trained} controls that train nothing, " in README
    assert f"{len(SCORES)} metrics" in README
    assert f"{probed[1]} architectures" in README


def test_the_first_page_is_short():
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    assert len(prose.split()) <= 950


def test_the_guides_own_field_works(tmp_path):
    guide = (ROOT / "docs" / "biogen.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "fields.yaml").write_text(example)
    fields = load_fields(tmp_path / "fields.yaml")
    config = BiogenConfig(people=3, own_fields=fields, wordings=2)
    for document in generate_biographies(config):
        assert document.facts[-1].field == fields[-1].name


def test_the_guide_names_every_key_of_a_field():
    guide = (ROOT / "docs" / "biogen.md").read_text(encoding="utf-8")
    for name in [*FactField.model_fields, *POOLS]:
        assert f"`{name}`" in guide, name
