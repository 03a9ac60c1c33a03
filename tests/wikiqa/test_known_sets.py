"""Question sets that are known by name: their settings, unless the user gives others."""

import re

import pytest

from elusive.cli import wikiqa as command
from elusive.cli.main import cli
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.known_sets import KNOWN_SETS


@pytest.fixture
def configure(monkeypatch):
    """Return the settings with which a command line would make a dataset."""
    seen = []
    monkeypatch.setattr(command, "_write", lambda config, out, workers, share: seen.append(config))

    def run(*words: str) -> WikiqaConfig:
        cli.main(["wikiqa", *words, "--out", "nowhere"], standalone_mode=False)
        return seen.pop()

    return run


@pytest.mark.parametrize("name", KNOWN_SETS)
def test_a_known_name_stands_for_a_commit_of_a_dataset(name, configure):
    config = configure("--hub", name)
    assert config.hub.count("/") == 1
    assert re.fullmatch(r"[0-9a-f]{40}", config.revision)
    assert config == WikiqaConfig(**KNOWN_SETS[name])


def test_settings_that_the_user_gives_stay(configure):
    assert configure("--hub", "squad", "--hub-split", "train").hub_split == "train"
    config = configure("--hub", "triviaqa", "--revision", "main", "--limit", "3")
    assert (config.hub, config.revision, config.limit) == ("mandarjoshi/trivia_qa", "main", 3)
    assert config.hub_split == "validation"


def test_other_names_and_sources_are_left_alone(configure):
    config = configure("--hub", "org/mine")
    assert (config.hub, config.revision, config.hub_split) == ("org/mine", None, "train")
    assert configure("--squad", "squad").hub is None
