"""The report page: its data, and what a browser makes of it."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from browser import chromium, data_in, tried
from click.testing import CliRunner
from commands import line_of_error, write_plan

from elusive.augment.arms import ARMS
from elusive.augment.training_text import TrainingTextFolder
from elusive.cli.main import cli
from elusive.common.dataset.records import Prediction
from elusive.common.errors import InputError
from elusive.common.intervals import Estimate, format_estimate
from elusive.evaluate.cells.cell_folder import CellResult, find_cells
from elusive.evaluate.compare.groups import group_arms
from elusive.evaluate.figures.arm_marks import SHAPES, assign_marks
from elusive.evaluate.tables.columns import build_arrow_table
from elusive.evaluate.tables.table import build_table
from elusive.report.page.answers_data import build_answer_data
from elusive.report.page.merged_runs import load_runs
from elusive.report.page.page import build_page_data, render_report, write_page
from elusive.report.page.settings import describe_arms

EVIL_PERSON = "<script>alert(1)</script>"
EVIL_ARM = '"><img src=x onerror="document.title=\'hurt\'">'
FIELDS = ("major", "company", "birth_city")


def cell(arm: str, seed: int, rate: float, people: int = 8, dataset: str = "people") -> CellResult:
    """A cell of invented answers; about a share `rate` of them is right."""
    rng = random.Random(f"{arm} {seed} {dataset}")
    predictions = []
    for person in range(people):
        for number, field in enumerate(FIELDS):
            em = float(rng.random() < rate)
            answer = Prediction(
                f"{person}-{field}", f"P{person}", field, "?", ["x"], "x", em, em, em, em, em - 2, 0
            )
            predictions.append(replace(answer, distance=3 + 5 * number, position=number))
    parameters = {
        "label": arm,
        "seed": seed,
        "dataset": dataset,
        "dataset_name": dataset,
        "model": "nano",
        "weights": "w",
        "train": f"{arm}-{seed}",
        "augment": {"method": arm, "alpha": 0.7},
        "answering": {"num_shots": 5, "split": "test"},
        "training": {"epochs": 1},
        "scoring": "s",
    }
    stages = ("scoring", "dropping", "training", "answering")
    costs = {
        "seconds": {stage: 1.0 + rate for stage in stages},
        "peak_memory_mib": dict.fromkeys(stages, 512.0),
        "drop_rate": 0.4,
        "training_tokens": 1000,
        "questions": len(predictions),
    }
    log = {"losses": [3.0, 2.0 - rate, 1.0], "steps": 10}
    return CellResult(Path("nowhere") / arm, parameters, predictions, [], {}, costs, log)


def some_cells() -> list[CellResult]:
    rates = {"plain": 0.5, "random": 0.1, "oracle": 0.9}
    return [cell(arm, seed, rate) for arm, rate in rates.items() for seed in (0, 1)]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A page of three arms, two seeds each."""
    out = tmp_path_factory.mktemp("page") / "report.html"
    write_page(some_cells(), out, "Invented")
    return out


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder) -> Path:
    """A real run of four arms that need no model to score."""
    root = tmp_path_factory.mktemp("run")
    arms = ["plain", "random", "position", "permute"]
    plan = write_plan(root / "plan.yaml", model_folder("llama"), arms=arms)
    assert CliRunner().invoke(cli, ["run", str(plan), "--out", str(root / "run")]).exit_code == 0
    return root / "run"


def test_the_page_shows_the_numbers_of_the_table(page):
    (shown,) = data_in(page)["benchmarks"]
    assert shown["rows"] == build_arrow_table(build_table(some_cells())).to_pylist()
    assert "oracle" in shown["headline"]


def test_the_page_loads_nothing_and_says_why_parts_are_missing(page):
    html = page.read_text()
    code = re.sub(r'<script type="application/json".*?</script>', "", html, flags=re.DOTALL)
    code = code.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"\bsrc=|url\(|@import|fetch\(|https?:|innerHTML|unsafe-inline", code)
    (shown,) = data_in(page)["benchmarks"]
    assert "without the run folder" in shown["gains"]["why"]
    assert "without the run folder" in shown["viewer"]["why"]


def test_the_page_of_a_run_whose_dataset_was_deleted_says_so(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(run / "dataset")
    result = CliRunner().invoke(cli, ["report", str(run)])
    assert result.exit_code == 0, result.output
    (shown,) = data_in(run / "report.html")["benchmarks"]
    assert [row["arm"] for row in shown["rows"]]
    assert "no dataset folder" in shown["gains"]["why"]
    assert "no dataset folder" in shown["viewer"]["why"]


def test_sorting_works_by_click_and_by_keyboard(page, tmp_path):
    script = """
      const sorting = () => [...inner.querySelectorAll('#table [aria-sort]')].map(
        (e) => [e.querySelector('button').dataset.column, e.getAttribute('aria-sort')]);
      result.first = [arms(), sorting()];
      const button = (id) => inner.querySelector(`#table [data-column="${id}"]`);
      button('arm').click();
      result.byName = [arms(), sorting()];
      button('em').focus();
      inner.activeElement.click();
      result.descending = arms();
      inner.activeElement.click();
      result.byKey = [arms(), sorting(), inner.activeElement.dataset.column];
      result.stops = [button('em').tagName, button('em').tabIndex]"""
    result = tried(page, script, tmp_path)
    ordered = ["oracle", "plain", "random"]
    assert result["first"] == [ordered, [["rank", "ascending"]]]
    assert result["byName"] == [ordered, [["arm", "ascending"]]]
    assert result["descending"] == ordered
    assert result["byKey"] == [ordered[::-1], [["em", "ascending"]], "em"]
    assert result["stops"] == ["BUTTON", 0]


def test_filter_columns_and_legend_work(page, tmp_path):
    script = """
      const type = (id, kind, value) => {
        $(id).value = value;
        $(id).dispatchEvent(new view.Event(kind));
      };
      type('filter', 'input', 'ORA');
      result.filtered = [arms(), $('count').textContent];
      type('filter', 'input', '');
      type('which', 'change', 'best');
      result.best = arms();
      inner.querySelectorAll('#groups button')[1].click();
      const heads = [...inner.querySelectorAll('#table thead button')];
      result.columns = heads.map((e) => e.dataset.column);
      const marks = () => inner.querySelectorAll('#charts figure:nth-child(3) .mark').length;
      result.marks = [marks()];
      inner.querySelector('#legend button').click();
      result.marks.push(marks());
      result.pressed = inner.querySelector('#legend button').getAttribute('aria-pressed');
      const details = inner.querySelector('#charts details');
      details.open = true;
      await new Promise((done) => setTimeout(done, 50));
      result.rows = details.querySelectorAll('tbody tr').length"""
    result = tried(page, script, tmp_path)
    assert result["filtered"][0] == ["oracle"]
    assert result["filtered"][1].startswith("1 of 3 arms")
    (shown,) = data_in(page)["benchmarks"]
    best = {row["arm"] for row in shown["rows"] if row["rank"] == 1}
    assert set(result["best"]) == best
    assert {"training", "memory", "speed", "perplexity"} <= set(result["columns"])
    assert result["marks"] == [3, 2]
    assert result["pressed"] == "false"
    assert result["rows"] == 3


def test_the_headline_names_all_arms_with_the_highest_score(tmp_path):
    """Where nothing was answered, it had named the first arm of the table alone."""
    rates = {"untrained": 0.0, "plain": 0.0, "random": 0.0}
    write_page([cell(arm, 0, rate) for arm, rate in rates.items()], tmp_path / "page.html", "None")
    headline = data_in(tmp_path / "page.html")["benchmarks"][0]["headline"]
    assert all(f"{arm} 0% [" in headline for arm in rates), headline


def test_a_page_of_one_seed_shows_no_ranks(tmp_path):
    out = tmp_path / "page.html"
    write_page([cell(arm, 0, rate) for arm, rate in (("plain", 0.5), ("random", 0.9))], out, "One")
    (shown,) = data_in(out)["benchmarks"]
    assert [row["rank"] for row in shown["rows"]] == [None, None]
    assert shown["headline"].startswith("One seed per arm, so there are no ranks; highest exact")
    assert "random" in shown["headline"]
    assert any("Each arm has only one seed" in caution for caution in shown["cautions"])
    script = """
      result.head = [...inner.querySelectorAll('#table th[scope=col]')].map((th) => th.textContent);
      result.arms = [...inner.querySelectorAll('#table tbody th')].map((th) => th.textContent);
      result.shared = getComputedStyle($('shared-ranks')).display"""
    result = tried(out, script, tmp_path)
    assert "rank" not in result["head"]
    assert result["shared"] == "none"
    assert len(result["arms"]) == 2


def test_names_that_look_like_markup_do_no_harm(tmp_path):
    out = tmp_path / "page.html"
    cells = [cell(arm, 0, 0.5) for arm in ("random", EVIL_ARM, EVIL_PERSON)]
    named = [
        replace(cell, predictions=[replace(p, entity=EVIL_PERSON + p.entity, field=EVIL_PERSON)
                                   for p in cell.predictions])
        for cell in cells
    ]  # fmt: skip
    write_page(named, out, EVIL_PERSON)
    html = out.read_text()
    assert html.count("<script") == html.count("</script>") == 2
    script = "result.title = inner.title; result.arms = arms(); result.images = inner.images.length"
    result = tried(out, script, tmp_path)
    assert result["title"] == f"{EVIL_PERSON} - elusive report"
    assert {EVIL_ARM, EVIL_PERSON} < set(result["arms"])
    assert result["images"] == 0


@pytest.mark.parametrize(
    ("name", "options", "light"),
    [
        ("desktop", ["--window-size=1280,1600"], True),
        ("phone", ["--window-size=500,1600"], True),
        ("dark", ["--window-size=1280,1600", "--blink-settings=preferredColorScheme=0"], False),
    ],
)
def test_a_browser_draws_the_page(name, options, light, page, tmp_path):
    picture = tmp_path / f"{name}.png"
    _, console = chromium(page, tmp_path, f"--screenshot={picture}", *options)
    assert console == []
    pixels = matplotlib.image.imread(picture)[..., :3]
    assert (np.median(pixels) > 0.9) == light
    assert len(np.unique((255 * pixels).astype(int).reshape(-1, 3), axis=0)) > 100


def test_a_phone_needs_no_scrolling_sideways(page, tmp_path):
    script = "result.wide = [inner.documentElement.scrollWidth, view.innerWidth]"
    wide, inner = tried(page, script, tmp_path, width=390)["wide"]
    assert wide <= inner == 390


def test_a_thousand_cells_make_a_small_and_quick_page(tmp_path):
    out = tmp_path / "page.html"
    cells = [
        cell(f"arm {arm}", seed, arm / 20, people=7, dataset=f"set {dataset}")
        for dataset in range(5)
        for arm in range(20)
        for seed in range(10)
    ]
    write_page(cells, out, "A thousand")
    assert out.stat().st_size < 10_000_000
    script = """
      result.ready = inner.documentElement.dataset.ready;
      result.before = arms().length;
      const start = performance.now();
      $('benchmark').value = '4';
      $('benchmark').dispatchEvent(new view.Event('change'));
      result.redrawn = performance.now() - start;
      const times = view.performance.getEntriesByType('navigation')[0];
      result.loaded = times.loadEventEnd || times.domComplete;
      result.facts = $('facts').textContent"""
    start = time.perf_counter()
    result = tried(out, script, tmp_path)
    assert time.perf_counter() - start < 60
    assert result["ready"] == "yes"
    assert result["before"] == 20
    assert result["loaded"] < 3000
    assert result["redrawn"] < 3000
    assert "set 4" in result["facts"]


def test_one_person_gives_a_page_without_intervals(tmp_path):
    out = tmp_path / "page.html"
    write_page([cell(arm, 0, 0.5, people=1) for arm in ("plain", "random")], out, "One")
    (shown,) = data_in(out)["benchmarks"]
    assert shown["rows"][0]["em_low"] is None
    result = tried(out, "result.text = $('table').textContent", tmp_path)
    assert "no interval" in result["text"]


def test_every_arm_has_a_meaning():
    shown = describe_arms({arm: [cell(arm, 0, 0.5)] for arm in ARMS})["arms"]
    assert [arm["meaning"] for arm in shown] == [arm.meaning for arm in ARMS.values()]


def test_the_text_viewer_shows_what_the_arms_were_trained_on(finished):
    (shown,) = build_page_data(find_cells(finished), "Run", [finished])["benchmarks"]
    page = json.loads(
        re.findall(r'id="data">(.*?)</script>', shown["viewer"]["html"], re.DOTALL)[0]
    )
    labels = [arm["method"] for arm in page["arms"]]
    em = {row["arm"]: row["em"] for row in shown["rows"]}
    assert set(labels) == {"plain", "random", "position", "permute"}
    rates = [em[label] for label in labels]
    assert rates == sorted(rates, reverse=True), "best first"
    for arm, cells in group_arms(find_cells(finished)).items():
        if arm == "untrained":
            continue
        number = labels.index(arm)
        (folder,) = finished.glob(f"train/{arm}-seed{cells[0].parameters['seed']}-*")
        stored = {
            (text.doc_id, text.copy): text for text in TrainingTextFolder(folder).read_texts()
        }
        for document in page["documents"]:
            for copy, drawn in enumerate(document["arms"][number]["copies"], start=1):
                text = stored[document["id"], copy]
                if "text" in drawn:
                    assert drawn["text"] == text.text
                else:
                    assert drawn["kept"] == [list(span) for span in text.kept]


def test_a_browser_opens_the_text_viewer_inside_the_page(finished, tmp_path):
    out = tmp_path / "report.html"
    done = CliRunner().invoke(cli, ["report", str(finished), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("wrote ")
    script = """
      inner.querySelector('#viewer button').click();
      const frame = inner.querySelector('#viewer iframe');
      await new Promise((done) => { frame.onload = done; });
      result.arms = frame.contentDocument.querySelectorAll('#arms input').length;
      const labels = [...frame.contentDocument.querySelectorAll('#arms label')];
      result.index = labels.findIndex((label) => label.textContent === 'random');
      labels[result.index].querySelector('input').click();
      result.struck = frame.contentDocument.querySelectorAll('article del').length;
      result.hash = frame.contentWindow.location.hash"""
    result = tried(out, script, tmp_path)
    assert result["arms"] == 4
    assert result["struck"] > 0
    assert result["hash"] == f"#document=0&arm={result['index']}"


def test_wrong_input_is_one_line_and_nothing_is_overwritten(finished, tmp_path, capsys):
    notes = tmp_path / "notes.html"
    notes.write_text("mine")
    assert "is not a report page" in line_of_error(capsys, "report", finished, "--out", notes)
    assert notes.read_text() == "mine"
    assert "is a folder" in line_of_error(capsys, "report", finished, "--out", tmp_path)
    out = tmp_path / "new.html"
    line = line_of_error(capsys, "report", finished, "--baseline", "rndom", "--out", out)
    assert "did you mean 'random'?" in line
    assert "no run folder" in line_of_error(capsys, "report", tmp_path / "no", "--out", out)
    assert not out.exists()
    with pytest.raises(InputError, match="no cells"):
        write_page([], out, "Empty")


def test_an_arm_looks_the_same_in_every_table_and_has_its_family_s_color():
    every = assign_marks({arm: arm for arm in ARMS})
    assert len(set(every.values())) == len(ARMS)
    assert all(not mark.hollow for mark in every.values())
    for names in (["oracle", "contrast"], ["contrast"], ["plain", "eda", "rho-1", "contrast"]):
        assert assign_marks({name: name for name in names}) == {name: every[name] for name in names}
    twice = assign_marks({"random": "random", "random (2)": "random", "mine": "my-score"})
    assert twice["random"] == every["random"]
    assert twice["random (2)"] == replace(every["random"], hollow=True)
    assert twice["mine"].family == "own"


def test_the_page_has_an_outline_of_every_shape(page, tmp_path):
    script = """
      result.shapes = [...Array(NUMBER).keys()].map(
        (shape) => view.mark(['own', shape, false]).getAttribute('d'));
      const marks = [...inner.querySelectorAll('#table th .mark')];
      result.drawn = marks.map((e) => e.getAttribute('class'))"""
    result = tried(page, script.replace("NUMBER", str(len(SHAPES))), tmp_path)
    assert len(set(result["shapes"])) == len(SHAPES)
    assert result["drawn"] == ["mark f-oracle", "mark f-unscored", "mark f-unscored"]


@pytest.mark.parametrize("digits", [0, 1, 2])
def test_the_page_rounds_like_the_tables(digits, page, tmp_path):
    rng = random.Random(digits)
    numbers = [n / 2 ** rng.randrange(6) for n in range(-40, 200)]
    numbers += [rng.uniform(-10, 10) for _ in range(200)] + [100 * 0.065, 2.675, 0.285, 1.115]
    script = f"result.texts = {json.dumps(numbers)}.map((n) => view.fixed(n, {digits}))"
    texts = tried(page, script, tmp_path)["texts"]
    expected = [format_estimate(Estimate(n, n, n), 1, digits).split(" ")[0] for n in numbers]
    assert [text.replace("\u2212", "-") for text in texts] == expected


def test_bars_of_a_column_begin_at_one_place(page, tmp_path):
    script = """
      result.left = [...inner.querySelectorAll('#table tbody tr')].map((row) =>
        row.querySelector('td .bar svg').getBoundingClientRect().left)"""
    left = tried(page, script, tmp_path)["left"]
    assert len(left) == 3
    assert len(set(left)) == 1


def test_a_phone_shows_names_ranks_and_intervals_without_scrolling(page, tmp_path):
    script = """
      const box = inner.querySelector('#table .box').getBoundingClientRect();
      const cells = [...inner.querySelectorAll('#table tbody tr')].map(
        (row) => [...row.children].slice(0, 3));
      result.right = cells.flat().map((cell) => cell.getBoundingClientRect().right - box.right);
      result.cut = cells.map(([name]) => name.scrollWidth - name.clientWidth);
      result.bottom = cells.at(-1)[0].getBoundingClientRect().bottom"""
    result = tried(page, script, tmp_path, width=390)
    assert max(result["right"]) <= 0
    assert max(result["cut"]) <= 0
    assert result["bottom"] < 2 * 844


BROWSE = """
      const until = async (test) => {
        while (!test()) await new Promise((done) => setTimeout(done, 20));
      };
      await until(() => inner.documentElement.dataset.answers);
      const choose = (name, value, kind = 'change') => {
        const control = inner.querySelector(`[data-choice="${name}"]`);
        control.value = value;
        control.dispatchEvent(new view.Event(kind));
      };
      const signs = () => [...inner.querySelectorAll('#answer-table tbody tr')].map((row) =>
        [...row.querySelectorAll('[role=img]')].map((e) => e.getAttribute('aria-label')));
"""


def test_the_answers_can_be_searched_and_compared(page, tmp_path):
    script = f"""{BROWSE}
      result.count = $('answer-count').textContent;
      choose('first', 'oracle');
      choose('second', 'random');
      choose('outcome', 'onlyFirst');
      result.only = [signs(), $('answer-count').textContent];
      choose('field', 'major');
      result.field = $('answer-count').textContent;
      choose('words', 'nothing like this', 'input');
      result.empty = $('answer-table').textContent;
      choose('words', '', 'input');
      choose('outcome', 'all');
      const details = inner.querySelector('#answer-table details');
      details.open = true;
      await until(() => details.querySelector('tbody'));
      result.every = [...details.querySelectorAll('th[scope=row]')].map((e) => e.textContent)"""
    result = tried(page, script, tmp_path)
    by_arm = {
        arm: {p.question_id: p for p in cell(arm, 0, rate).predictions}
        for arm, rate in (("oracle", 0.9), ("random", 0.1))
    }
    only = [name for name, p in by_arm["oracle"].items() if p.em > by_arm["random"][name].em]
    assert result["count"].startswith("24 questions of 24.")
    signs, count = result["only"]
    assert set(map(tuple, signs)) == {("right", "wrong")}
    assert len(signs) == min(15, len(only))
    assert count.startswith(f"{len(only)} questions of 24. Right among them: oracle {len(only)}")
    assert result["field"].startswith(f"{sum('major' in name for name in only)} question")
    assert "No question matches" in result["empty"]
    assert result["every"] == ["oracle", "plain", "random"]


def test_a_hundred_thousand_answers_are_sampled_and_answer_quickly(tmp_path):
    out = tmp_path / "page.html"
    rng = random.Random(0)
    arms = ("plain", "random", "oracle")
    cells = [cell(arm, seed, 0.5, people=1700) for arm in arms for seed in range(7)]
    varied = [
        replace(
            c, predictions=[replace(p, prediction=f"{rng.random():.8f}") for p in c.predictions]
        )
        for c in cells
    ]
    data = build_answer_data(group_arms(varied), 900_000)
    assert len(varied) * len(varied[0].predictions) > 100_000
    assert len(data["packed"]) <= 900_000
    assert 0 < data["shown"] < data["total"] == 5100
    assert data["answers"] == 21 * data["shown"]
    start = time.perf_counter()
    whole = build_answer_data(group_arms(cells), 900_000)
    assert time.perf_counter() - start < 20
    assert whole["shown"] == whole["total"], "answers that repeat need no sample"
    page_data = build_page_data(some_cells(), "Many")
    page_data["benchmarks"][0]["answers"] = data
    out.write_text(render_report(page_data))
    assert out.stat().st_size < 2_000_000
    script = f"""{BROWSE}
      result.note = $('answers-note').textContent;
      const start = performance.now();
      choose('words', '0.99', 'input');
      result.milliseconds = performance.now() - start"""
    result = tried(out, script, tmp_path)
    assert f"A random sample of {data['shown']:,} of 5,100 questions" in result["note"]
    assert result["milliseconds"] < 500


def test_the_colors_can_be_chosen(page, tmp_path):
    script = """
      const color = () => view.getComputedStyle(inner.body).backgroundColor;
      result.seen = [];
      for (let turn = 0; turn < 3; turn += 1) {
        result.seen.push([$('theme').textContent, color()]);
        $('theme').click();
      }"""
    seen = dict(tried(page, script, tmp_path)["seen"])
    assert seen["Colors: light"] == seen["Colors: system"] == "rgb(251, 251, 250)"
    assert seen["Colors: dark"] == "rgb(18, 21, 26)"


def test_the_contents_lead_to_every_section(page, tmp_path):
    script = """
      const links = [...inner.querySelectorAll('#contents a')].map((e) => e.getAttribute('href'));
      result.missing = links.filter((href) => !inner.querySelector(href));
      result.first = links[0];
      result.order = [...inner.querySelectorAll('main h2')].map((e) => e.id)"""
    result = tried(page, script, tmp_path)
    assert result["missing"] == []
    assert result["first"] == "#results"
    assert result["order"].index("results") < result["order"].index("design")


def test_an_empty_table_says_why(tmp_path):
    out = tmp_path / "page.html"
    write_page([cell(arm, 0, 0.5) for arm in ("oracle", "eda")], out, "One seed, no baseline")
    script = """
      const show = (value) => {
        $('which').value = value;
        $('which').dispatchEvent(new view.Event('change'));
        return $('table').querySelector('tbody').textContent;
      };
      result.texts = [show('best'), show('different')];"""
    best, different = tried(out, script, tmp_path)["texts"]
    assert "With one seed per arm there are no ranks" in best
    assert "There is no baseline" in different


def test_a_page_of_several_runs_tells_their_arms_apart(finished, tmp_path, model_folder, capsys):
    training = {"epochs": 1, "format_replay": 4, "learning_rate": 0.01}
    plan = write_plan(
        tmp_path / "plan.yaml", model_folder("llama"), arms=["plain"], training=training
    )
    second, out = tmp_path / "second", tmp_path / "both.html"
    assert CliRunner().invoke(cli, ["run", str(plan), "--out", str(second)]).exit_code == 0
    done = CliRunner().invoke(cli, ["report", str(finished), str(second), "--out", str(out)])
    assert done.exit_code == 0, done.output
    (shown,) = data_in(out)["benchmarks"]
    labels = {row["arm"] for row in shown["rows"]}
    assert labels == {"untrained", "plain (run)", "plain (second)", "random", "position", "permute"}
    assert shown["viewer"]["run"] == "run"
    assert "learning_rate: 0.01" in data_in(out)["plan"]
    assert len(load_runs([finished, finished])) == len(find_cells(finished)), "each cell once"
    line = line_of_error(capsys, "report", finished, second)
    assert "--out: 2 runs share one page" in line


def test_a_run_s_page_is_written_into_its_folder_and_opened(finished, tmp_path, monkeypatch):
    opened = tmp_path / "opened"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    script.chmod(0o755)
    command = [sys.executable, "-m", "elusive.cli.main", "report", str(finished), "--open"]
    environment = os.environ | {"BROWSER": f"{script} %s"}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    assert opened.read_text().strip() == (finished / "report.html").as_uri()
    (finished / "report.html").unlink()


def test_a_plan_can_ask_for_its_report(tmp_path, model_folder):
    plan = write_plan(
        tmp_path / "plan.yaml", model_folder("llama"), arms=["plain"], then=["report"]
    )
    for _ in range(2):  # the second time, every cell is there already
        done = CliRunner().invoke(cli, ["run", str(plan), "--out", str(tmp_path / "run")])
        assert done.exit_code == 0, done.output
        (shown,) = data_in(tmp_path / "run" / "report.html")["benchmarks"]
        assert {row["arm"] for row in shown["rows"]} == {"untrained", "plain"}
