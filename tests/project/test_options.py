"""Options that may be repeated take lists with commas as well."""

import click
import pytest
from commands import line_of_error

from elusive.cli.main import cli


def parse(name: str, *words: str) -> dict:
    """The values that a command line gives its command."""
    command = cli.commands[name]
    return command.make_context(name, list(words)).params


@pytest.mark.parametrize(
    ("name", "words", "parameter", "values"),
    [
        ("biogen", ("--fields", "company,major", "--fields", "sport"), "fields", 3),
        ("biogen", ("--distance", "10,40"), "distance", (10, 40)),
        ("run", ("plan", "--seed", "0,1", "--seed", "3", "--out", "x"), "seeds", (0, 1, 3)),
        ("run", ("plan", "--arm", "plain,oracle", "--out", "x"), "arms", ("plain", "oracle")),
        ("clues", ("data", "--model", "a,b", "--out", "x"), "models", ("a", "b")),
        ("look", ("data", "--method", "random,oracle", "--out", "x"), "methods", 2),
        ("table", ("run", "--columns", "rank,em"), "columns", ("rank", "em")),
        ("wikiqa", ("--columns", "title=a,context=b"), "columns", ("title=a", "context=b")),
    ],
)
def test_a_list_with_commas_is_as_good_as_repeating(name, words, parameter, values):
    parsed = parse(name, *words)[parameter]
    assert parsed == values or len(parsed) == values


def test_every_option_that_may_be_repeated_takes_a_list():
    """Except values with commas of their own."""
    whole = {"changes", "source", "datasets", "tags", "authors"}
    for name, command in cli.commands.items():
        for option in command.params:
            if isinstance(option, click.Option) and option.multiple and option.name not in whole:
                assert "[,...]" in option.type.name, f"{name} --{option.name}"


def test_a_wrong_part_of_a_list_is_named(capsys, tmp_path):
    line = line_of_error(capsys, "run", "plan", "--seed", "0,x", "--out", tmp_path)
    assert "'x' is not a valid integer" in line
