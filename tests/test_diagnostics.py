"""What goes wrong with a training text is noticed and said."""

import numpy as np
import pytest
from click.testing import CliRunner

from elusive.augment.augment import augment_dataset
from elusive.augment.config import AugmentConfig
from elusive.augment.copies import build_training_texts
from elusive.augment.diagnostics import Diagnostics, diagnose
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.scores.units import cut_words
from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.cli.main import cli
from elusive.common.dataset.folder import load_dataset_folder


@pytest.fixture(scope="module")
def documents():
    return list(generate_biographies(BiogenConfig(people=8)))


def diagnosed(documents, score, **settings) -> Diagnostics:
    config = AugmentConfig.model_validate({"method": "random", "copies": 3} | settings)
    scored = [
        TokenScores(units, np.asarray(score(document, units), dtype=np.float32))
        for document in documents
        for units in [cut_words(document.text)]
    ]
    return diagnose(documents, scored, build_training_texts(documents, scored, config), True)


def test_nothing_is_lost_where_nothing_is_dropped_and_all_copies_repeat(documents):
    found = diagnosed(documents, lambda document, units: np.full(len(units), np.inf))
    assert (found.lost_names, found.lost_values, found.duplicates) == (0.0, 0.0, 1.0)
    assert "100% of the copies repeat another one" in found.list_warnings("random")[0]


def test_names_and_values_that_no_copy_has_are_counted(documents):
    def names_last(document, units):
        names = np.array([start < document.heads[0][1] for start, _ in units])
        return np.where(names, -np.inf, np.arange(len(units)))

    found = diagnosed(documents, names_last, alpha=1.0, beta=5.0)
    assert found.lost_names == 1.0
    assert found.lost_values == 1.0
    lines = found.list_warnings("attention")
    assert any("100% of the documents lose their name from all copies" in line for line in lines)
    kept = diagnosed(documents, names_last, alpha=1.0, beta=5.0, protect="values")
    assert kept.lost_values == 0.0


def test_ranks_that_are_those_of_the_position_are_named_as_such(documents):
    found = diagnosed(documents, lambda document, units: 1 / (1 + np.arange(len(units))))
    assert found.like_position == pytest.approx(1.0)
    assert any("rank tokens by position" in line for line in found.list_warnings("attention"))
    assert not any("rank tokens by position" in line for line in found.list_warnings("position"))
    rng = np.random.default_rng(0)
    other = diagnosed(documents, lambda document, units: rng.normal(size=len(units)))
    assert abs(other.like_position) < 0.3


def test_scores_on_which_two_halves_of_the_heads_disagree_are_called_noise(documents):
    rng = np.random.default_rng(0)
    units = [cut_words(document.text) for document in documents]
    signal = [rng.normal(size=len(of)) for of in units]

    def agreement(noise: float) -> Diagnostics:
        scored = [
            TokenScores(
                of,
                one.astype(np.float32),
                halves=(
                    one + noise * rng.normal(size=len(of)),
                    one + noise * rng.normal(size=len(of)),
                ),
            )
            for of, one in zip(units, signal, strict=True)
        ]
        texts = build_training_texts(documents, scored, AugmentConfig(method="random", copies=1))
        return diagnose(documents, scored, texts, True)

    clear, noisy = agreement(0.1), agreement(10.0)
    assert clear.halves_agree is not None
    assert clear.halves_agree > 0.9
    assert not any("noise" in line for line in clear.list_warnings("contrast"))
    assert noisy.halves_agree is not None
    assert abs(noisy.halves_agree) < 0.2
    assert any("contrast are mostly noise" in line for line in noisy.list_warnings("contrast"))


@pytest.mark.parametrize(
    ("method", "has_heads"), [("contrast", True), ("depth-contrast", True), ("random", False)]
)
def test_arms_that_read_attention_say_whether_halves_of_the_heads_agree(
    method, has_heads, people_folder, model_folder, tmp_path
):
    large, small = str(model_folder("llama")), str(model_folder("llama", 1))
    config = AugmentConfig(method=method, model=large, large=large, small=small, copies=1)
    found = []
    for unit in ("token", "word"):
        settings = config.model_copy(update={"unit": unit})
        for number in range(2):  # scored, and read from the cache
            out = tmp_path / f"{unit}{number}"
            augment_dataset(load_dataset_folder(people_folder), settings, out)
            found.append(TrainingTextFolder(out).summary.diagnostics.halves_agree)
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert all((each is not None) == has_heads for each in found)


def test_the_command_says_and_keeps_what_looks_wrong(people_folder, tmp_path):
    command = ["augment", str(people_folder), "--method", "random", "--alpha", "1.0"]
    command += ["--beta", "9", "--copies", "1", "--out", str(tmp_path / "text")]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert "warning: 100% of the documents lose" in result.output
    assert TrainingTextFolder(tmp_path / "text").summary.diagnostics.lost_names == 1.0
