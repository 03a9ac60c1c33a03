"""Question sets that are known by name: their settings, unless the user gives others."""

import re

import pytest

from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.known_sets import KNOWN_SETS


@pytest.mark.parametrize("name", KNOWN_SETS)
def test_a_known_name_stands_for_a_commit_of_a_dataset(name):
    config = WikiqaConfig(hub=name)
    assert config.hub is not None
    assert config.hub.count("/") == 1
    assert re.fullmatch(r"[0-9a-f]{40}", config.revision or "")
    assert config == WikiqaConfig(**KNOWN_SETS[name])


def test_settings_that_the_user_gives_stay():
    config = WikiqaConfig(hub="triviaqa", revision="main", hub_config="rc", limit=3)
    assert (config.hub, config.revision, config.hub_config) == (
        "mandarjoshi/trivia_qa",
        "main",
        "rc",
    )
    assert (config.hub_split, config.limit) == ("validation", 3)


def test_other_names_and_sources_are_left_alone():
    config = WikiqaConfig(hub="org/mine")
    assert (config.hub, config.revision, config.hub_split) == ("org/mine", None, "train")
    assert WikiqaConfig.model_validate({"squad": "squad"}).hub is None
