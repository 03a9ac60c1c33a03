"""Figures of a run: bins, clue recall, correlations, the ten highest tokens, and the files."""

import csv
import hashlib
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from commands import line_of_error, write_plan
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_model

from elusive.augment.clues.top_tokens import (
    KINDS,
    AttentionBefore,
    TopRow,
    _mark_kinds,
    contrast_attention,
    count_top_tokens,
    read_attention_before_values,
)
from elusive.augment.scores.model_scores import Reading
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.scores.units import encode
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.cli.main import cli
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import TrainingText
from elusive.common.errors import InputError
from elusive.common.intervals import Estimate
from elusive.common.lm.loading import LoadedModel
from elusive.common.lm.references import ModelSource
from elusive.evaluate.cells.cell_folder import CellResult, find_cells
from elusive.evaluate.compare.clue_gains import (
    ClueGains,
    Correlation,
    GainRow,
    _correlate,
    _resample_seeds,
    _resample_weights,
    keeps_clue,
    measure_gains,
)
from elusive.evaluate.compare.distances import (
    DistanceRow,
    choose_distance_bins,
    has_own_distances,
    measure_distances,
)
from elusive.evaluate.compare.groups import group_arms
from elusive.evaluate.compare.mentions import PLACES, measure_mentions, select_mentions
from elusive.evaluate.figures.arm_marks import assign_marks
from elusive.evaluate.figures.drawing import draw_distance, draw_gains, draw_top
from elusive.evaluate.plans import load_run_dataset


@given(st.lists(st.integers(0, 60), min_size=1, max_size=200))
def test_every_distance_lies_in_one_bin(distances):
    bins = choose_distance_bins(distances)
    assert len(bins) <= 6
    for distance in distances:
        assert sum(first <= distance <= last for first, last in bins) == 1
    assert bins == sorted(bins)


def test_a_copy_keeps_a_clue_if_it_keeps_a_name_and_the_value_whole():
    document = next(iter(generate_biographies(BiogenConfig(people=1, fullname=True))))
    fact, heads = document.facts[2], document.heads

    def kept(*spans: tuple[int, int]) -> bool:
        text = TrainingText("d", 1, "", list(spans), [], 0.0, "random", None, None, 0)
        return keeps_clue(text, document, fact)

    value = (fact.start, fact.end)
    assert kept((0, len(document.text)))
    assert kept(heads[-1], value)
    assert not kept(value)
    assert not kept(*heads)
    assert not kept(heads[0], (fact.start + 1, fact.end))
    assert not kept(heads[0], (fact.start, fact.start + 2), (fact.start + 2, fact.end))


def test_a_gain_that_is_the_recall_correlates_fully_and_noise_does_not():
    rng = np.random.default_rng(0)
    weights, still = _resample_weights(50, 0), np.zeros((2001, 20))
    level = rng.random((4, 5, 1))  # of each arm and field
    recall = level + 0.1 * rng.normal(size=(4, 5, 50))
    recall[0, 0, :10] = np.nan  # some entities lack a field
    (same,) = _correlate("em", recall, 2 * recall - 1, weights, still)
    assert same.pearson.mean == pytest.approx(1.0)
    assert same.pearson.low == pytest.approx(1.0)
    assert same.spearman.mean == pytest.approx(1.0)
    (turned,) = _correlate("em", recall, -recall, weights, still)
    assert turned.pearson.high == pytest.approx(-1.0)
    (noise,) = _correlate("em", recall, rng.normal(size=(4, 5, 50)), weights, still)
    assert noise.pearson.low < 0 < noise.pearson.high
    points = np.nanmean(recall, -1).ravel(), np.nanmean(same_gain := recall**2, -1).ravel()
    expected = np.corrcoef(*points)[0, 1]
    (squared,) = _correlate("em", recall, same_gain, weights, still)
    assert squared.pearson.mean == pytest.approx(expected)
    assert squared.pearson.low < expected < squared.pearson.high


def test_the_interval_holds_the_correlation_though_resampling_weakens_it():
    rng = np.random.default_rng(1)
    level = np.linspace(0, 1, 20).reshape(2, 10, 1)  # of each arm and field
    recall, gains = (level + rng.normal(size=(2, 10, 12)) for _ in range(2))
    (found,) = _correlate("em", recall, gains, _resample_weights(12, 0), np.zeros((1, 20)))
    assert found.pearson.low < found.pearson.mean < found.pearson.high


def test_trainings_that_differ_are_not_taken_for_a_correlation():
    """Six arms that are alike, whatever their recall; only chance in training sets them apart."""
    rng = np.random.default_rng(0)
    weights, num_right = _resample_weights(40, 0), {"people": 0, "people and seeds": 0}
    for number in range(60):
        level = rng.random((6, 5))
        recall = np.repeat(level[..., None], 40, axis=-1)
        trained = rng.normal(0, 0.1, (7, 1, 1, 3))  # of each arm and seed; the first is random
        scores = trained + rng.normal(0, 0.3, (7, 5, 40, 3))  # (arm, field, entity, seed)
        gains = scores[1:].mean(-1) - scores[0].mean(-1)
        noise = _resample_seeds([arm.mean(axis=1).T for arm in scores], number)
        for name, added in (("people", 0 * noise), ("people and seeds", noise)):
            (found,) = _correlate("em", recall, gains, weights, added)
            num_right[name] += found.pearson.low <= 0 <= found.pearson.high
    assert num_right["people"] < 48 < 54 <= num_right["people and seeds"]


def test_gains_that_are_all_alike_correlate_with_nothing():
    """Not even with 0, and chance in training does not make a correlation of them."""
    rng = np.random.default_rng(0)
    recall, alike = rng.random((2, 5, 12)), np.zeros((2, 5, 12))
    weights, noise = _resample_weights(12, 0), rng.normal(size=(2001, 10))
    assert _correlate("em", recall, alike, weights, noise) == []
    assert _correlate("em", alike, recall, weights, noise) == []


def test_a_single_seed_moves_no_gain():
    assert not _resample_seeds([np.ones((1, 5)), np.zeros((1, 5))], 0).any()


def test_attention_before_a_value_is_a_row_of_the_attention_map(tokenizer, tmp_path):
    documents = list(generate_biographies(BiogenConfig(people=2)))
    model = tiny_model("llama")
    loaded = LoadedModel(ModelSource("tiny", tmp_path), model, tokenizer, "0")
    rows = list(read_attention_before_values(documents, loaded, Reading()))
    assert len(rows) == 2 * len(documents[0].facts)
    model.set_attn_implementation("eager")
    for row in rows:
        text = encode(row.document.text, tokenizer)
        with torch.no_grad():
            maps = model(input_ids=torch.tensor([text.input_ids]), output_attentions=True)
        square = torch.stack(maps.attentions).mean((0, 1, 2))  # (query, key)
        assert len(row.scores.units) > 10
        last = text.unit_tokens[len(row.scores.units)]
        assert text.units[len(row.scores.units)][1] <= row.fact.start
        for scores, tokens in zip(row.scores.scores, text.unit_tokens, strict=False):
            # Even attention would give one share to each of the last token's keys.
            shares = square[last[-1], tokens] * (last[-1] + 1)
            assert scores == pytest.approx(float(shares.mean()), abs=1e-5)


def test_the_ten_highest_tokens_are_counted_by_kind():
    document = next(iter(generate_biographies(BiogenConfig(people=1))))
    fact = document.facts[-1]
    units = [(i, i + 1) for i in range(fact.start) if not document.text[i].isspace()]
    is_name = [end <= document.heads[0][1] for _, end in units]
    scores = np.where(is_name, 1.0, 0.0) - np.arange(len(units)) / 1e6
    before = AttentionBefore(document, fact, TokenScores(units, scores))
    assert (np.sum(list(_mark_kinds(before).values()), axis=0) == 1).all()
    rows = {row.kind: row.tokens.mean for row in count_top_tokens("by hand", [before])}
    assert sum(rows.values()) == 10
    assert rows["name"] == min(10, sum(is_name))
    assert set(rows) == set(KINDS)
    (nothing,) = contrast_attention([before], [before])
    assert not nothing.scores.scores.any()
    other = replace(before, document=replace(document, doc_id="another"))
    assert contrast_attention([before], [other]) == []


@pytest.fixture(scope="module")
def run_of_arms(tmp_path_factory, model_folder) -> Path:
    root = tmp_path_factory.mktemp("figures")
    models = {"large": str(model_folder("llama")), "small": str(model_folder("llama", 1))}
    plan = write_plan(
        root / "plan.yaml",
        model_folder("llama"),
        dataset={"people": 8, "num_shot_people": 20},
        augment={"copies": 3, "alpha": 0.3} | models,
        arms=["plain", "random", "contrast", "oracle"],
    )
    result = CliRunner().invoke(cli, ["run", str(plan), "--out", str(root / "run")])
    assert result.exit_code == 0, result.output
    return root / "run"


def test_a_run_gives_five_figures_with_their_numbers_the_same_each_time(run_of_arms, tmp_path):
    hashes = []
    for name in ("one", "two"):
        arguments = ["figures", str(run_of_arms), "--out", str(tmp_path / name)]
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
        assert "| forced-choice |" in result.output
        files = sorted(tmp_path.joinpath(name).glob("*.*"))
        hashes.append(
            [hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.suffix != ".json"]
        )
    assert hashes[0] == hashes[1]
    names = {path.name for path in (tmp_path / "one").iterdir()}
    for figure in (
        "accuracy-by-distance",
        "accuracy-by-mention",
        "top-10-by-attention",
        "top-10-by-difference",
        "recall-against-gain",
    ):
        assert {f"{figure}.png", f"{figure}.svg", f"{figure}.csv"} <= names
    with (tmp_path / "one" / "recall-against-gain.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["arm"] for row in rows} == {"contrast", "oracle"}
    assert all(float(row["recall"]) == 1.0 for row in rows if row["arm"] == "oracle")
    assert any(float(row["recall"]) < 1.0 for row in rows if row["arm"] == "contrast")


def test_answers_are_split_by_where_the_name_is_mentioned(run_of_arms, tmp_path):
    cells = group_arms(find_cells(run_of_arms))
    dataset = load_dataset_folder(run_of_arms / "dataset")
    rows = measure_mentions(cells, dataset)
    plain = {row.place: row.questions for row in rows if row.arm == "plain"}
    assert plain == {"in its sentence": 6, "only before it": 24}, "the name opens every text"
    twice = {
        arm: own + [replace(cell, parameters=cell.parameters | {"seed": 9}) for cell in own]
        for arm, own in cells.items()
    }
    again = {row.place: row.questions for row in measure_mentions(twice, dataset)}
    assert again == plain, "another seed asks no other questions"
    counts = [[row.questions for row in measure_distances(own)[0]] for own in (cells, twice)]
    assert counts[0] == counts[1]
    by_hand = [p for p in cells["plain"][0].predictions if p.field == "birth_date"]
    (row,) = (row for row in rows if (row.arm, row.place) == ("plain", "in its sentence"))
    assert row.scores["forced_choice"].mean == pytest.approx(
        np.mean([p.forced_choice or 0 for p in by_hand])
    )
    everywhere = tmp_path / "fullname"
    generate_dataset(BiogenConfig(people=8, num_shot_people=20, fullname=True), everywhere)
    with pytest.raises(InputError, match="all values have the name in the same place"):
        measure_mentions(cells, load_dataset_folder(everywhere))


def test_questions_about_no_fact_of_a_text_are_no_points_of_the_gains(run_of_arms):
    """Two hops join the facts of two people, so no copy keeps or loses their clue."""
    arms = group_arms(find_cells(run_of_arms))
    dataset = load_dataset_folder(run_of_arms / "dataset")
    hops = {
        name: [
            replace(
                cell,
                predictions=[
                    *cell.predictions,
                    *(replace(p, field=f"sibling.{p.field}") for p in cell.predictions),
                ],
            )
            for cell in cells
        ]
        for name, cells in arms.items()
    }
    assert measure_gains(hops, dataset, run_of_arms) == measure_gains(arms, dataset, run_of_arms)


def test_field_and_distance_are_one_also_where_a_bin_holds_two_fields(run_of_arms):
    (cell, *_) = group_arms(find_cells(run_of_arms))["plain"]
    fields = list(dict.fromkeys(p.field for p in cell.predictions))

    def move(distance: Callable[[int, int], int], **changes: str) -> dict[str, list[CellResult]]:
        """Put the answers of every field at distances by the field's number and their own."""
        moved = [
            replace(p, distance=distance(fields.index(p.field), number), **changes)
            for number, p in enumerate(cell.predictions)
        ]
        return {"plain": [replace(cell, predictions=moved)]}

    apart = move(lambda field, number: 10 * field + number % 3)
    assert any("," in names for names in measure_distances(apart)[1])
    assert has_own_distances(apart)
    assert not has_own_distances(move(lambda field, number: number % 3))
    one = move(lambda field, number: 10 * field + number % 3, field="answer")
    assert not has_own_distances(one), "a single field has nothing to be told apart from"


def test_cells_of_a_dataset_that_the_plan_lost_are_no_others(run_of_arms):
    (cell, *_) = find_cells(run_of_arms)
    assert load_run_dataset(run_of_arms, cell.parameters).path == run_of_arms / "dataset"
    with pytest.raises(InputError, match="its plan has another dataset than the one that 'lost'"):
        load_run_dataset(run_of_arms, {"dataset_name": "lost", "dataset": "0" * 64})


def test_a_table_of_facts_with_the_name_in_one_place(run_of_arms):
    dataset = load_dataset_folder(run_of_arms / "dataset")
    rows = measure_mentions(group_arms(find_cells(run_of_arms)), dataset)
    for name, questions in (("in", 6), ("before", 24)):
        arguments = ["table", str(run_of_arms), "--mention", name, "--format", "csv"]
        shown = CliRunner().invoke(cli, arguments)
        assert shown.exit_code == 0, shown.output
        by_arm = {row["arm"]: row for row in csv.DictReader(shown.output.splitlines())}
        for row in rows:
            if row.place == PLACES[name]:
                assert float(by_arm[row.arm]["questions"]) == questions
                assert float(by_arm[row.arm]["em"]) == pytest.approx(row.scores["em"].mean)


def test_a_place_of_the_name_that_no_question_is_about_is_left_out(run_of_arms):
    """Questions of the split dev, or beyond a limit, are not asked, but have places, too."""
    dataset = load_dataset_folder(run_of_arms / "dataset")
    places = {row.place for row in measure_mentions(group_arms(find_cells(run_of_arms)), dataset)}
    assert places == {PLACES["in"], PLACES["before"]}
    for short, left in (("in", "before"), ("before", "in")):
        cells = select_mentions(find_cells(run_of_arms), dataset, {PLACES[short]})
        with pytest.raises(InputError, match="in the same place"):
            measure_mentions(group_arms(cells), dataset)
        with pytest.raises(InputError, match=f"--mention {left}: none of the questions asked"):
            select_mentions(cells, dataset, {PLACES[left]})


def test_a_table_of_two_places_counts_the_facts_of_both(run_of_arms):
    arguments = ["table", str(run_of_arms), "--mention", "in,before", "--format", "csv"]
    both = CliRunner().invoke(cli, arguments)
    assert next(csv.DictReader(both.output.splitlines()))["questions"] == "30.0"
    alone = CliRunner().invoke(cli, ["table", str(run_of_arms), "--format", "csv"])
    assert both.output == alone.output


def test_a_table_of_a_place_that_no_name_has_gives_one_line(run_of_arms, tmp_path, capsys):
    line = line_of_error(capsys, "table", run_of_arms, "--mention", "none")
    assert "--mention none: none of the questions asked is about such a value" in line
    assert "(there are in, before)" in line
    alone, either = (
        CliRunner().invoke(cli, ["table", str(run_of_arms), "--mention", places]).output
        for places in ("before", "before,none")
    )
    assert "only questions about values with the name only before it\n" in alone
    part = "with the name not before it or only before it\n"
    assert either.replace(part, "with the name only before it\n") == alone
    line = line_of_error(capsys, "table", run_of_arms, "--mention", "befor")
    assert "should be one of in, before, none" in line or "did you mean" in line
    cell = next((run_of_arms / "cells").iterdir())
    assert "name a folder that" in line_of_error(capsys, "table", cell, "--mention", "in")


def test_what_a_run_has_no_data_for_is_left_out_and_said(finished_small, tmp_path):
    arguments = ["figures", str(finished_small), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "Left out: gains of arms that drop tokens are measured against 'random'" in result.output
    assert not (tmp_path / "out" / "recall-against-gain.png").exists()


@pytest.fixture(scope="module")
def finished_small(tmp_path_factory, model_folder) -> Path:
    root = tmp_path_factory.mktemp("small")
    plan = write_plan(root / "plan.yaml", model_folder("llama"), arms=["plain"])
    assert CliRunner().invoke(cli, ["run", str(plan), "--out", str(root / "run")]).exit_code == 0
    return root / "run"


def test_a_folder_that_is_no_run_gives_one_line(tmp_path, capsys):
    line = line_of_error(capsys, "figures", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert "no run folder at" in line
    assert not (tmp_path / "out").exists()


def test_a_long_path_as_a_models_name_leaves_room_for_the_bars():
    scorer = "attention of /" + "/".join(["a-folder-with-a-long-name"] * 12)
    rows = [TopRow(scorer, kind, Estimate(1.0, 0.5, 1.5)) for kind in KINDS]
    figure = draw_top(rows, "a title")
    figure.savefig(BytesIO())
    assert figure.axes[0].get_position().width > 0.3


DRAWN = ("em", "forced_choice")


def drawn_figures(arms: list[str]) -> list:
    """The figures of some arms that show one point per arm or distance."""
    one = Estimate(0.5, 0.4, 0.6)
    rows = [
        DistanceRow(arm, first, first + 2, 5, dict.fromkeys(DRAWN, one))
        for arm in arms
        for first in (0, 3)
    ]
    gains = [GainRow(arm, "major", 0.5, dict.fromkeys(DRAWN, 0.1)) for arm in arms]
    correlations = [Correlation(metric, one, one) for metric in DRAWN]
    marks = assign_marks({arm: arm for arm in arms})
    distances = draw_distance(rows, ["major, company"] * 2, marks)
    return [distances, draw_gains(ClueGains(gains, correlations), marks)]


def test_figures_have_titles_and_units_and_explain_their_whiskers():
    distances, gains = drawn_figures(["plain", "random"])
    assert [axes.get_title() for axes in distances.axes] == [
        "Exact match by distance", "Forced choice by distance"
    ]  # fmt: skip
    assert [axes.get_ylabel() for axes in distances.axes] == [
        "exact match, %", "forced choice, %"
    ]  # fmt: skip
    assert "95% intervals" in distances.get_supxlabel()
    assert [axes.get_ylabel() for axes in gains.axes] == [
        "gain over random, EM points", "gain over random, points"
    ]  # fmt: skip


@pytest.mark.parametrize("others", [["eda"], ["contrast", "attention", "eda"]])
def test_an_arm_has_one_color_and_mark_in_every_figure(others):
    """Whatever other arms stand beside it."""
    for figure in drawn_figures([*others, "oracle"]):
        (legend,) = figure.legends
        marks = [(line.get_color(), line.get_marker()) for line in legend.legend_handles]
        names = [text.get_text() for text in legend.get_texts()]
        assert dict(zip(names, marks, strict=True))["oracle"] == ("#009e73", "o")
        assert len(set(marks)) == len(names)
