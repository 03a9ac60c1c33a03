"""What goes wrong with a training text is noticed and said."""

import numpy as np
import pytest
from click.testing import CliRunner

from elusive.augment.augment import read_summary, training_texts
from elusive.augment.config import AugmentConfig
from elusive.augment.diagnostics import Diagnostics, diagnose
from elusive.augment.scoring import TokenScores
from elusive.augment.tokens import word_units
from elusive.biogen.biographies import biographies
from elusive.biogen.config import BiogenConfig
from elusive.cli.main import cli


@pytest.fixture(scope="module")
def documents():
    return list(biographies(BiogenConfig(people=8)))


def diagnosed(documents, score, **settings) -> Diagnostics:
    config = AugmentConfig.model_validate({"method": "random", "copies": 3} | settings)
    scored = [
        TokenScores(units, np.asarray(score(document, units), dtype=np.float32))
        for document in documents
        for units in [word_units(document.text)]
    ]
    return diagnose(documents, scored, training_texts(documents, scored, config), True)


def test_nothing_is_lost_where_nothing_is_dropped_and_all_copies_repeat(documents):
    found = diagnosed(documents, lambda document, units: np.full(len(units), np.inf))
    assert (found.lost_names, found.lost_values, found.duplicates) == (0.0, 0.0, 1.0)
    assert "100% of the copies repeat another one" in found.warnings("random")[0]


def test_names_and_values_that_no_copy_has_are_counted(documents):
    def names_last(document, units):
        names = np.array([start < document.heads[0][1] for start, _ in units])
        return np.where(names, -np.inf, np.arange(len(units)))

    found = diagnosed(documents, names_last, alpha=1.0, beta=5.0)
    assert found.lost_names == 1.0
    assert found.lost_values == 1.0
    lines = found.warnings("attention")
    assert any("100% of the documents lose their name from all copies" in line for line in lines)
    kept = diagnosed(documents, names_last, alpha=1.0, beta=5.0, protect="values")
    assert kept.lost_values == 0.0


def test_ranks_that_are_those_of_the_position_are_named_as_such(documents):
    found = diagnosed(documents, lambda document, units: 1 / (1 + np.arange(len(units))))
    assert found.like_position == pytest.approx(1.0)
    assert any("ranks of the position" in line for line in found.warnings("attention"))
    assert not any("ranks of the position" in line for line in found.warnings("position"))
    rng = np.random.default_rng(0)
    other = diagnosed(documents, lambda document, units: rng.normal(size=len(units)))
    assert abs(other.like_position) < 0.3


def test_the_command_says_and_keeps_what_looks_wrong(people_folder, tmp_path):
    command = ["augment", str(people_folder), "--method", "random", "--alpha", "1.0"]
    command += ["--beta", "9", "--copies", "1", "--out", str(tmp_path / "text")]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert "warning: 100% of the documents lose" in result.output
    assert read_summary(tmp_path / "text").diagnostics.lost_names == 1.0
