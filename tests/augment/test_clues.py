"""The clue benchmark: what it measures, and that it tells good scorers from bad ones."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from elusive.augment.clue_spans import mark_targets
from elusive.augment.clues.benchmark import ClueReport, ScorerRow, run_clues
from elusive.augment.clues.folder import load_clues, write_clues
from elusive.augment.clues.report import render_terminal
from elusive.augment.clues.targets import measure_clues
from elusive.augment.scores.units import cut_words
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.cli.main import cli
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import Document, Fact
from elusive.common.errors import InputError
from elusive.common.lm.loading import load_model


@pytest.fixture(scope="module")
def documents():
    return list(generate_biographies(BiogenConfig(people=12, name_position="any")))


def test_targets_are_names_values_and_what_states_the_relation(documents):
    document = documents[0]
    units = cut_words(document.text)
    masks = mark_targets(document, units)

    def words(name: str) -> list[str]:
        return [document.text[s:e] for (s, e), on in zip(units, masks[name], strict=True) if on]

    assert set(words("name")) == set(document.entity.split())
    assert " ".join(words("value: major")) == next(
        fact.value for fact in document.facts if fact.field == "major"
    )
    assert not (masks["relation"] & (masks["name"] | masks["value"])).any()
    assert masks["relation"].any()
    by_field = np.any([mask for name, mask in masks.items() if name.startswith("value:")], axis=0)
    by_distance = np.any([m for name, m in masks.items() if name.startswith("value at")], axis=0)
    assert (by_field == masks["value"]).all()
    assert (by_distance <= masks["value"]).all()


def test_a_value_next_to_the_name_is_at_a_distance_like_any_other():
    text = "asphalt/bitumen"
    fact = Fact("material", "bitumen", 8, 15, distance=0, position=0)
    document = Document("d", "asphalt", text, [(0, 7)], [], [fact], "train", [], "single")
    masks = mark_targets(document, [(0, 7), (7, 8), (8, 15)])
    assert masks["value at 1-10 words"].tolist() == [False, False, True]


def test_perfect_and_inverted_scores_stand_at_the_ends(documents):
    units = cut_words(documents[0].text)
    names = mark_targets(documents[0], units)["name"].astype(float)
    (best,) = [m for m in measure_clues(documents[0], units, names) if m.target == "name"]
    (worst,) = [m for m in measure_clues(documents[0], units, -names) if m.target == "name"]
    assert (best.auroc, worst.auroc) == (1.0, 0.0)
    assert (best.recall, worst.recall) == (1.0, 0.0)
    assert best.mean_rank == (names.sum() - 1) / 2
    flat = np.zeros(len(units))
    assert all(measure.auroc == 0.5 for measure in measure_clues(documents[0], units, flat))


def test_the_report_has_every_scorer_pair_and_layer(documents, model_folder):
    names = [str(model_folder("llama", seed)) for seed in (0, 1)]
    report = run_clues(documents, names, depth=0.4)
    assert [row.scorer.split(",")[0] for row in report.scorers] == [
        "attention", "depth-contrast", "attention", "depth-contrast", "contrast", "position",
    ]  # fmt: skip
    assert len(report.layers) == 6
    for row in report.rows:
        assert 0 <= row.auroc.low <= row.auroc.mean <= row.auroc.high <= 1
        assert 0 <= row.recall.mean <= 1
    position = report.scorers[-1]
    assert position.position == pytest.approx(1.0)
    assert position.stability is None


def test_position_wins_where_names_open_the_text_and_not_elsewhere(documents, model_folder):
    model = [str(model_folder("llama"))]
    first = run_clues(list(generate_biographies(BiogenConfig(people=12))), model, depth=0.4)
    anywhere = run_clues(documents, model, depth=0.4)
    auroc = [
        next(r for r in report.rows if (r.scorer, r.target) == ("position", "name")).auroc.mean
        for report in (first, anywhere)
    ]
    assert auroc[0] == 1.0
    assert auroc[1] < 0.9


def test_noise_and_positions_in_disguise_are_named():
    rows = [
        ScorerRow("contrast, a - b", stability=0.1, position=0.2),
        ScorerRow("attention, a", stability=0.9, position=0.97),
        ScorerRow("depth-contrast, a", stability=0.8, position=0.5),
        ScorerRow("position", stability=None, position=1.0),
    ]
    noise, position = ClueReport([], rows, [], [], {}).list_warnings()
    assert noise.startswith("contrast, a - b: two halves of the heads hardly agree")
    assert position.startswith("attention, a: tokens are ranked by position")


def test_halves_of_the_heads_agree_in_a_model_that_repeats_its_heads(documents, model_folder):
    loaded = load_model(str(model_folder("llama", 2)))
    for layer in loaded.model.model.layers:
        for name in ("q_proj", "k_proj"):
            weight = getattr(layer.self_attn, name).weight
            weight.data.copy_(weight.data[:8].repeat(len(weight) // 8, 1))
    report = run_clues(documents, ["same"], 0.4, lambda name: loaded)
    assert report.scorers[0].stability == pytest.approx(1.0, abs=0.01)
    usual = run_clues(documents, [str(model_folder("llama", 2))], 0.4)
    assert usual.scorers[0].stability is not None
    assert usual.scorers[0].stability < 0.98


def test_the_command_writes_everything_once(people_folder, model_folder, tmp_path):
    out = tmp_path / "clues"
    model = str(model_folder("llama"))
    command = ["clues", str(people_folder), "--model", model, "--limit", "4", "--out", str(out)]
    first = CliRunner().invoke(cli, command)
    assert first.exit_code == 0, first.output
    assert "depth-contrast" in first.output
    stamp = (out / "clues.json").stat().st_mtime_ns
    second = CliRunner().invoke(cli, command)
    assert (out / "clues.json").stat().st_mtime_ns == stamp
    assert render_terminal(load_clues(out)) in second.output
    alone = CliRunner().invoke(cli, [*command[:-3], "1", "--out", str(tmp_path / "one")])
    assert alone.exit_code == 0, alone.output
    assert "Infinity" not in (tmp_path / "one" / "clues.json").read_text(), "it is no JSON"
    assert render_terminal(load_clues(tmp_path / "one")) in alone.output
    rows = (out / "clues.csv").read_text().splitlines()
    assert len(rows) - 1 == len(json.loads((out / "clues.json").read_text())["rows"])
    with Image.open(out / "clues.png") as picture:
        assert picture.size == (1320, 550)


@pytest.mark.parametrize(
    ("models", "depth", "message"),
    [(["nano-small"], 1.0, "depth"), (["nano-small", "nano-small"], 0.5, "names a model twice")],
)
def test_wrong_settings_are_one_line(people_folder, tmp_path, models, depth, message):
    with pytest.raises(InputError, match=message):
        write_clues(load_dataset_folder(people_folder), models, depth, tmp_path / "out")
