"""Question sets of the Hub that are known by a short name, each at a fixed commit.

Whatever changes there later, the same name gives the same questions.
"""

from collections.abc import Container, Mapping
from typing import Any

KNOWN_SETS: dict[str, dict[str, Any]] = {
    "squad": {
        "hub": "rajpurkar/squad",
        "revision": "7b6d24c440a36b6815f21b70d25016731768db1f",
        "hub_split": "validation",
    },
    "triviaqa": {
        "hub": "mandarjoshi/trivia_qa",
        "revision": "0f7faf33a3908546c6fd5b73a660e0f8ff173c2f",
        "hub_config": "rc.wikipedia",
        "hub_split": "validation",
    },
    "popqa": {
        "hub": "akariasai/PopQA",
        "revision": "098765c79ea10a2cb19c828324e33281b8336ec0",
        "hub_split": "test",
        "columns": ("answers=possible_answers", "title=s_wiki_title"),
    },
}
"""Settings of `elusive wikiqa` by the name of a set. PopQA has questions without texts."""


def fill_known_set(settings: Mapping[str, Any], given: Container[str]) -> dict[str, Any]:
    """Fill in the settings of a set that `hub` names.

    Args:
        settings: all settings, among them defaults.
        given: names of those that the user gave, which stay.

    >>> fill_known_set({"hub": "squad", "hub_split": "train"}, ["hub"])["hub_split"]
    'validation'
    """
    known = KNOWN_SETS.get(str(settings.get("hub")), {})
    return {
        **settings,
        **{name: value for name, value in known.items() if name == "hub" or name not in given},
    }
