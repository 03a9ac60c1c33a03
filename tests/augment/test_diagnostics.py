"""What is wrong with a training text is noticed and reported."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from elusive.augment.augment import augment_dataset
from elusive.augment.config import AugmentConfig
from elusive.augment.copies import iterate_copies
from elusive.augment.diagnostics import Diagnostics, TextCounts, count_texts
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


def diagnose_scores(documents, score, **settings) -> Diagnostics:
    config = AugmentConfig.model_validate({"method": "random", "copies": 3} | settings)
    scored = [
        TokenScores(units, np.asarray(score(document, units), dtype=np.float32))
        for document in documents
        for units in [cut_words(document.text)]
    ]
    return diagnose(documents, scored, config)


def diagnose(documents, scored, config) -> Diagnostics:
    """Diagnose a text as `elusive augment` does, here with one shard for each half of it."""
    counts = TextCounts()
    for chosen in (slice(0, 4), slice(4, None)):
        (batch,) = iterate_copies(documents[chosen], scored[chosen], config)
        counts += count_texts(documents[chosen], scored[chosen], batch)
    return counts.diagnose(config.method, config.copies_differ)


def test_nothing_is_lost_where_nothing_is_dropped_and_all_copies_repeat(documents):
    shares = diagnose_scores(documents, lambda document, units: np.full(len(units), np.inf))
    assert (shares.lost_names, shares.lost_values, shares.duplicates) == (0.0, 0.0, 1.0)
    assert "100% of the copies repeat another one" in shares.list_warnings("random")[0]


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({"method": "permute"}, 6),
        ({"method": "permute-rest"}, 2),
        ({"method": "restate", "restate_by": "title", "rewrite": "permute"}, 6),
        ({"method": "restate", "restate_by": "title"}, None),
        ({"method": "plain"}, None),
        ({"method": "reverse-training"}, None),
    ],
)
def test_copies_that_repeat_are_counted_where_their_orders_should_differ(
    documents, settings: dict[str, str], most: int | None
):
    """Three sentences have six orders, of which thirteen texts repeat seven."""
    text = "Ann ran home. Ann sat there. Ann hid again."
    documents = [replace(d, text=text, entity="Ann", heads=[(0, 3)], facts=[]) for d in documents]
    shares = diagnose_scores(
        documents, lambda document, units: np.ones(len(units)), copies=12, **settings
    )
    assert shares.duplicates == 0 if most is None else shares.duplicates >= (13 - most) / 12
    lines = shares.list_warnings(settings["method"])
    assert any("repeat another one: make fewer --copies" in line for line in lines) is bool(most)


def test_names_and_values_that_no_copy_has_are_counted(documents):
    def names_last(document, units):
        names = np.array([start < document.heads[0][1] for start, _ in units])
        return np.where(names, -np.inf, np.arange(len(units)))

    shares = diagnose_scores(documents, names_last, alpha=1.0, beta=5.0)
    assert shares.lost_names == 1.0
    assert shares.lost_values == 1.0
    lines = shares.list_warnings("attention")
    assert any("100% of the documents lose their name from all copies" in line for line in lines)
    protected = diagnose_scores(documents, names_last, alpha=1.0, beta=5.0, protect="values")
    assert protected.lost_values == 0.0


def test_ranks_that_are_those_of_the_position_are_named_as_such(documents):
    shares = diagnose_scores(documents, lambda document, units: 1 / (1 + np.arange(len(units))))
    assert shares.like_position == pytest.approx(1.0)
    assert any("rank tokens by position" in line for line in shares.list_warnings("attention"))
    assert not any("rank tokens by position" in line for line in shares.list_warnings("position"))
    rng = np.random.default_rng(0)
    random_scores = diagnose_scores(documents, lambda document, units: rng.normal(size=len(units)))
    assert abs(random_scores.like_position) < 0.3


def test_scores_on_which_two_halves_of_the_heads_disagree_are_called_noise(documents):
    rng = np.random.default_rng(0)
    units = [cut_words(document.text) for document in documents]
    signals = [rng.normal(size=len(spans)) for spans in units]

    def diagnose_noise(noise: float) -> Diagnostics:
        scored = [
            TokenScores(
                spans,
                signal.astype(np.float32),
                halves=(
                    signal + noise * rng.normal(size=len(spans)),
                    signal + noise * rng.normal(size=len(spans)),
                ),
            )
            for spans, signal in zip(units, signals, strict=True)
        ]
        return diagnose(documents, scored, AugmentConfig(method="random", copies=1))

    clear, noisy = diagnose_noise(0.1), diagnose_noise(10.0)
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
    agreements = []
    for unit in ("token", "word"):
        settings = config.model_copy(update={"unit": unit})
        for number in range(2):  # scored, and read from the cache
            out = tmp_path / f"{unit}{number}"
            augment_dataset(load_dataset_folder(people_folder), settings, out)
            agreements.append(TrainingTextFolder(out).summary.diagnostics.halves_agree)
    assert agreements[0] == agreements[1]
    assert agreements[2] == agreements[3]
    assert all((agreement is not None) == has_heads for agreement in agreements)


def test_the_command_says_and_keeps_what_looks_wrong(people_folder, tmp_path):
    command = ["augment", str(people_folder), "--method", "random", "--alpha", "1.0"]
    command += ["--beta", "9", "--copies", "1", "--out", str(tmp_path / "text")]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert "warning: 100% of the documents lose" in result.output
    assert TrainingTextFolder(tmp_path / "text").summary.diagnostics.lost_names == 1.0


@pytest.mark.parametrize("method", ["contrast", "depth-contrast"])
def test_noisy_scores_are_not_advised_to_be_what_they_are(method):
    noisy = Diagnostics(0, 0, 0, 0, halves_agree=0.01)
    (line,) = noisy.list_warnings(method)
    advice = line.split(": use ")[1]
    assert ("depth-contrast" in advice) == (method != "depth-contrast")
    assert ("--depth" in advice) == (method == "depth-contrast")
