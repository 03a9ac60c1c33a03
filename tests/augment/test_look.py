"""The page that shows what arms see and drop: its data, and what a browser makes of it."""

import json
import re
import shlex
import shutil
import subprocess
from collections import Counter
from functools import cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from commands import write_plan
from handmade import Tables, write_dataset
from PIL import Image

from elusive.augment.arms import drops_tokens
from elusive.augment.config import METHODS as ALL_METHODS
from elusive.augment.config import AugmentConfig
from elusive.augment.copies import build_training_texts, find_drop_probabilities
from elusive.augment.drop_probabilities import compute_thresholds, draw_keep_mask
from elusive.augment.look import build_configs, write_look_page
from elusive.augment.look_page import build_look_page
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.cli.main import cli
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import Document, Fact, Question, Shot
from elusive.common.errors import InputError
from elusive.common.lm.loading import load_model
from elusive.common.seeding import derived_seed, hash_names, hashed
from elusive.evaluate.jobs import list_jobs
from elusive.evaluate.plans import load_plan
from elusive.evaluate.run_folder import RunFolder

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, BROWSERS) if path), None)
EVIL = "<script>alert(1)</script>"
METHODS = tuple(name for name in ALL_METHODS if name not in ("paraphrase", "questions"))
"""Arms that need neither a chat model nor held-out questions."""


@pytest.fixture(scope="module")
def settings(model_folder) -> dict[str, object]:
    """Settings that every arm can work with."""
    large, small = str(model_folder("llama")), str(model_folder("llama", 1))
    return {
        "model": large,
        "large": large,
        "small": small,
        "copies": 2,
        "seed": 3,
    }


@pytest.fixture(scope="module")
def every_arm(people_folder, settings, tmp_path_factory) -> tuple[Path, dict]:
    """A page of every arm, and what it shows."""
    out = tmp_path_factory.mktemp("look") / "page.html"
    return out, write_look_page(people_folder, METHODS, settings, 4, out)


def test_copies_of_every_number_and_questions_are_shown(tmp_path):
    phrased = BiogenConfig(people=2, num_shot_people=8, phrasings=2, held_out_phrasing=True)
    generate_dataset(phrased, tmp_path / "people")
    options = {"copies": 2, "original": False}
    page = write_look_page(
        tmp_path / "people", ("random", "questions"), options, 2, tmp_path / "page.html"
    )
    for document in page["documents"]:
        assert [len(arm["copies"]) for arm in document["arms"]] == [3, 3]
        assert "Answer: " in document["arms"][1]["copies"][0]["text"]
    assert all("--no-original" in command for command in page["commands"])
    permuted = {"copies": 2, "rewrite": "permute"}
    page = write_look_page(tmp_path / "people", ("random",), permuted, 2, tmp_path / "page.html")
    assert page["arms"][0]["kind"] == "rewrite"


def data_in(page: Path) -> dict:
    """The data that stands in a page, as the browser gets it."""
    match = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL
    )
    assert match
    return json.loads(match[1])


def test_the_page_shows_what_augment_writes(every_arm, tmp_path):
    """The command that the page names is run, and its copies are those of the page."""
    path, page = every_arm
    shown = data_in(path)
    assert [arm["method"] for arm in shown["arms"]] == list(METHODS)
    for number, arm in enumerate(shown["arms"]):
        out = tmp_path / arm["method"]
        command = shlex.split(shown["commands"][number])
        assert command.pop(0) == "elusive"
        assert CliRunner().invoke(cli, [*command, "--out", str(out)]).exit_code == 0
        copies = [text for text in TrainingTextFolder(out).read_texts() if text.copy > 0]
        shown_copies = [
            copy for document in shown["documents"] for copy in document["arms"][number]["copies"]
        ]
        if arm["kind"] == "rewrite":
            assert [copy["text"] for copy in shown_copies] == [text.text for text in copies]
        else:
            kept = [list(map(list, text.kept)) for text in copies]
            assert [copy["kept"] for copy in shown_copies] == kept
    assert len(page["documents"]) == 4


@pytest.mark.parametrize("protect", ["none", "values"])
def test_the_shown_probabilities_are_those_that_drop(protect, people_folder, settings):
    documents = load_dataset_folder(people_folder).documents
    changes = {"method": "depth-contrast", "protect": protect, "unit": "word"}
    config = AugmentConfig(**settings | changes)
    scored = score_documents(documents, Scorers(config))
    texts = build_training_texts(documents, scored, config)
    for document, scores in zip(documents, scored, strict=True):
        droppable, probabilities = find_drop_probabilities(document, scores, config)
        assert not probabilities[~droppable].any()
        for text in texts:
            if text.doc_id == document.doc_id and text.copy > 0:
                keys = hashed(
                    derived_seed(config.seed, "units", text.copy, 0), hash_names([document.doc_id])
                )
                keeps = draw_keep_mask(
                    compute_thresholds(probabilities), keys, np.arange(len(probabilities))
                )
                assert 1 - keeps.mean() == pytest.approx(text.drop_rate)


def test_scores_and_ranks_agree(every_arm):
    for document in every_arm[1]["documents"]:
        for arm, method in zip(document["arms"], METHODS, strict=True):
            scores = np.array(arm["scores"], dtype=float)
            ranks = np.array(arm["ranks"], dtype=float)
            droppable = ~np.isnan(ranks)
            assert len(scores) == len(document["units"][arm["cut"]])
            assert ranks[droppable].sum() == droppable.sum() * (droppable.sum() - 1) / 2
            in_order = scores[droppable][np.argsort(ranks[droppable])]
            assert (in_order[1:] <= in_order[:-1]).all()
            if method == "random":
                assert len(set(ranks[droppable])) == 1


def test_usual_arms_are_those_that_the_models_allow(people_folder, settings, tmp_path):
    model: dict[str, object] = {"model": settings["model"]}
    pair: dict[str, object] = {"large": settings["large"], "small": settings["small"]}
    for models, methods in (
        ({}, "random"),
        (model, "random attention depth-contrast"),
        (pair, "random contrast"),
        (model | pair, "random attention depth-contrast contrast"),
    ):
        page = write_look_page(people_folder, (), models | {"copies": 1}, 1, tmp_path / "page.html")
        assert " ".join(arm["method"] for arm in page["arms"]) == methods


def test_the_command_writes_one_page_that_loads_nothing(people_folder, tmp_path):
    out = tmp_path / "new" / "page.html"
    arguments = ["look", str(people_folder), "--out", str(out), "--limit", "2", "--alpha", "0.4"]
    for _ in range(2):
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
        assert result.output == f"wrote 2 documents under random to {out}\n"
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]
    assert "--alpha 0.4" in data_in(out)["commands"][0]
    code = re.sub(r"<script type=\"application/json\".*?</script>", "", out.read_text())
    assert not re.search(r"\b(src|href)=|url\(|@import|fetch\(|https?:", code)
    assert "innerHTML" not in code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "contrst"], "did you mean 'contrast'?"),
        (["--method", "attention"], "method 'attention' needs --model MODEL"),
        (["--copies", "0"], "copies: input should be greater than or equal to 1"),
        (["--limit", "0"], "limit: should be at least 1"),
        (["--out", "."], "is a folder: name a file such as look.html"),
        (["--out", "notes.txt"], "notes.txt holds something else"),
    ],
)
def test_wrong_input_is_one_line(arguments, message, people_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("mine")
    words = ["look", str(people_folder), "--out", "page.html", *arguments]
    result = CliRunner().invoke(cli, words)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert [path.name for path in Path().iterdir()] == ["notes.txt"]
    assert Path("notes.txt").read_text() == "mine"


class Elements(HTMLParser):
    """What a browser drew: elements by tag and class, and the text of each card."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.counts: list[Counter] = []
        self.texts: list[str] = []
        self.scripts = 0
        self.title = ""
        self.in_text = self.in_title = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = (dict(attrs).get("class") or "").split()
        self.scripts += tag == "script"
        self.in_title = tag == "title"
        if tag == "article":
            self.counts.append(Counter())
        if tag == "p" and "text" in names and self.counts:
            self.in_text = True
            self.texts.append("")
        if self.counts:
            self.counts[-1].update([tag, *names])

    def handle_endtag(self, tag: str) -> None:
        self.in_text = self.in_text and tag != "p"
        self.in_title = False

    def handle_data(self, data: str) -> None:
        if self.in_text:
            self.texts[-1] += data
        if self.in_title:
            self.title += data


def browsed(page: Path, fragment: str, tmp_path: Path, action: str = "--dump-dom") -> str:
    """What Chromium prints about a page after its script ran: by default, its document."""
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium")
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--allow-file-access-from-files"),
        *("--no-first-run", "--hide-scrollbars", "--window-size=1200,900"),
        *("--virtual-time-budget=5000", action, f"{page.as_uri()}{fragment}"),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.parametrize("method", ["random", "contrast", "oracle", "plain", "permute"])
def test_a_browser_strikes_through_what_is_dropped(method, every_arm, tmp_path):
    path, page = every_arm
    number = METHODS.index(method)
    document = page["documents"][2]
    shown = document["arms"][number]
    drawn = Elements(browsed(path, f"#document=2&arm={number}", tmp_path))
    original, *copies = drawn.counts
    units = document["units"][shown["cut"]]
    colored = sum(original[f"q{step}"] for step in range(9))
    droppable = sum(rank is not None for rank in shown["ranks"])
    assert original["tok"] == len(units)
    assert colored == (droppable if drops_tokens(method) else 0)
    assert original["head"] >= len(document["heads"])
    assert original["value"] >= len(document["values"])
    assert len(copies) == len(shown["copies"]) == 2
    for counts, copy in zip(copies, shown["copies"], strict=True):
        if page["arms"][number]["kind"] == "rewrite":
            assert copy["text"] in drawn.texts[1:]
            assert not counts["tok"]
            assert counts["head"] >= len(document["heads"])
            assert counts["value"] == len(document["values"])
        else:
            assert counts["tok"] == len(units)
            assert counts["del"] == round(copy["drop_rate"] * len(units))
    assert drawn.texts[0] == document["text"]


@pytest.mark.parametrize(("method", "is_counted"), [("random", True), ("permute", False)])
def test_only_arms_that_drop_say_how_many_tokens_they_may_drop(
    method, is_counted, every_arm, tmp_path
):
    shown = browsed(every_arm[0], f"#document=2&arm={METHODS.index(method)}", tmp_path)
    body = shown[shown.index("<body") : shown.index("<script")]
    assert ("droppable" in body) == is_counted


def pictured(page: Path, fragment: str, tmp_path: Path) -> np.ndarray:
    """The pixels of a page in Chromium.  # (row, column, channel)"""
    path = tmp_path / "page.png"
    browsed(page, fragment, tmp_path, f"--screenshot={path}")
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_arms_that_score_show_colors_and_plain_text_none(every_arm, tmp_path):
    shown = {}
    for method in ("plain", "contrast"):
        fragment = f"#document=2&arm={METHODS.index(method)}"
        shown[method] = pictured(every_arm[0], fragment, tmp_path)
    assert shown["plain"].shape == shown["contrast"].shape == (900, 1200, 3)
    spread = {name: np.ptp(pixels.astype(int), axis=2) for name, pixels in shown.items()}
    colorful = {name: (pixels > 40).mean() for name, pixels in spread.items()}
    assert colorful["contrast"] > 0.01
    assert colorful["contrast"] > 2 * colorful["plain"]
    dark = (shown["contrast"].max(axis=2) < 120).mean()
    assert 0.005 < dark < 0.4, "no text to be read"


def test_names_and_texts_that_look_like_markup_do_no_harm(tmp_path):
    text = (
        f"{EVIL} \U0001f600 was born in </script><script>document.title='x'</script>Rome & <!-- ."
    )
    start = text.index("Rome")
    document = Document(
        doc_id="<b>",
        entity=EVIL,
        text=text,
        heads=[(0, len(EVIL))],
        others=[],
        facts=[Fact("<i>", "Rome", start, start + 4, 3, 0)],
        split="train",
        templates=[""],
        variant="single",
    )
    question = Question("q", "<b>", EVIL, "<i>", "Where?", ["Rome"], "dev")
    shots = [Shot("A", "<i>", "Where?", "Bonn")]
    folder = tmp_path / "<u>&data"
    write_dataset(folder, Tables([document], [question], shots))
    out = tmp_path / "page.html"
    write_look_page(folder, ("random",), {"copies": 1}, 1, out)
    html = out.read_text()
    assert html.count("<script") == html.count("</script>") == 2
    assert data_in(out)["documents"][0]["text"] == text
    dom = browsed(out, "", tmp_path)
    drawn = Elements(dom)
    assert '<span class="value">Rome</span>' in dom
    assert drawn.scripts == 2
    assert drawn.title == "<u>&data - elusive look"
    assert drawn.texts[:2] == [text, text]


HARNESS = """<!DOCTYPE html><iframe id="frame" src="page.html"></iframe><pre id="result"></pre>
<script>
document.getElementById("frame").onload = (event) => {
  const inner = event.target.contentDocument;
  const view = event.target.contentWindow;
  const $ = (id) => inner.getElementById(id);
  const result = {};
  inner.querySelector("#original .tok").focus();
  const press = (key) => inner.activeElement.dispatchEvent(
    new view.KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  press("ArrowRight");
  result.walked = inner.activeElement.dataset.index;
  press("End");
  press("ArrowLeft");
  result.ended = Number(inner.activeElement.dataset.index);
  result.status = [...$("status").children].map((part) => part.textContent);
  result.same = inner.querySelectorAll(".same").length;
  result.stops = inner.querySelectorAll("#original [tabindex='0']").length;
  inner.querySelectorAll("#arms input")[1].click();
  $("next").click();
  result.hash = view.location.hash;
  $("brief").click();
  const struck = [...inner.querySelectorAll("article del")];
  result.recolored = struck.filter((unit) =>
    !inner.querySelector(`#original [data-index="${unit.dataset.index}"]`).classList.contains(
      unit.classList[1])).length;
  result.struck = [struck.length > 0, struck.filter((unit) => unit.offsetWidth).length];
  $("search").value = "SEARCHED";
  $("search").dispatchEvent(new view.Event("input"));
  result.matches = [...$("documents").options].map((option) => option.textContent);
  result.chosen = $("documents").value;
  result.ends = [$("previous").disabled, $("next").disabled];
  $("search").value = "nobody at all";
  $("search").dispatchEvent(new view.Event("input"));
  result.notice = $("notice").textContent;
  document.getElementById("result").textContent = JSON.stringify(result);
};
</script>"""


def test_keys_search_and_buttons_work(people_folder, tmp_path):
    settings: dict[str, object] = {"copies": 2}
    page = write_look_page(
        people_folder, ("position", "random"), settings, 6, tmp_path / "page.html"
    )
    last = page["documents"][-1]
    harness = tmp_path / "harness.html"
    harness.write_text(HARNESS.replace("SEARCHED", last["entity"].upper()))
    match = re.search(r'<pre id="result">(.*?)</pre>', browsed(harness, "", tmp_path))
    assert match
    result = json.loads(unescape(match[1]))
    units = page["documents"][0]["units"][0]
    droppable = sum(rank is not None for rank in page["documents"][0]["arms"][0]["ranks"])
    start, end = units[-2]
    assert result["walked"] == "1"
    assert result["ended"] == len(units) - 2
    assert result["status"][0] == page["documents"][0]["text"][start:end]
    assert f"rank {droppable - 1} of 0\N{EN DASH}{droppable - 1}" in result["status"]
    assert result["same"] == 3
    assert result["stops"] == 1
    assert result["hash"] == "#document=1&arm=1"
    assert result["struck"] == [True, 0]
    assert result["recolored"] == 0, "dropped tokens have the colors of the original"
    assert result["matches"] == [f"6. {last['entity']}"]
    assert result["chosen"] == "5"
    assert result["ends"] == [True, True]
    assert result["notice"] == "0 documents found"


def test_one_cut_of_the_text_is_stored_once(people_folder, settings):
    documents = load_dataset_folder(people_folder).documents[:1]
    configs = build_configs(("random", "attention", "contrast", "random"), settings)
    load = cache(load_model)
    scored = [score_documents(documents, Scorers(config, load)) for config in configs]
    page = build_look_page(documents, configs, scored)
    assert len(page["arms"]) == 3
    assert len(page["documents"][0]["units"]) == 1


def look_at(*arguments: object):
    return CliRunner().invoke(cli, ["look", *map(str, arguments)])


def test_a_run_shows_what_its_arms_were_trained_on(tmp_path, model_folder):
    again = {"method": "random", "label": "less", "alpha": 0.2}
    arms = ["plain", again, "random", "permute"]
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), arms=arms, seeds=[1, 2])
    run = RunFolder(load_plan(plan), tmp_path / "run")
    jobs = [job for job in list_jobs(run.plan) if job.arm]
    texts = {job.label: run.prepare_text(job) for job in reversed(jobs)}  # those of the first seed
    shutil.copy(plan, tmp_path / "run" / "plan.yaml")
    result = look_at(tmp_path / "run", "--limit", 2, "--out", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    page = data_in(tmp_path / "page.html")
    names = [arm["method"] for arm in page["arms"]]
    assert (names[0], set(names[1:3]), names[3]) == ("plain", {"less", "random"}, "permute")
    for document in page["documents"]:
        for name, arm in zip(names[1:3], document["arms"][1:3], strict=True):
            text = texts[name]
            assert text
            rows = text.read_texts()
            kept = [row.kept for row in rows if row.doc_id == document["id"] and row.copy > 0]
            assert [copy["kept"] for copy in arm["copies"]] == json.loads(json.dumps(kept))
    one = next((tmp_path / "run").glob("train/random-*"))
    result = look_at(one, "--out", tmp_path / "one.html")
    assert result.exit_code == 0, result.output
    assert len(data_in(tmp_path / "one.html")["arms"]) == 1
    noted = look_at(one, "--alpha", 0.2, "--copies", 9, "--out", tmp_path / "one.html")
    for option in ("alpha", "copies"):
        assert f"note: the page of texts that exist already does not use --{option}" in noted.stderr
    wrong = look_at(tmp_path / "run", "--method", "oracle", "--out", tmp_path / "no.html")
    assert "unknown method of these training texts 'oracle'" in str(wrong.exception)


def test_a_training_text_outside_a_run_needs_its_dataset(people_folder, tmp_path):
    text = tmp_path / "data" / "text"
    options = ["--method", "random", "--copies", "2", "--out", str(text)]
    CliRunner().invoke(cli, ["augment", str(people_folder), *options])
    (tmp_path / "plan.yaml").write_text("a plan beside the data makes no run of the folder")
    wrong = look_at(text, "--out", tmp_path / "page.html")
    assert "name the dataset that it was made from with --dataset DIR" in str(wrong.exception)
    options = ("--dataset", people_folder, "--out", tmp_path / "page.html")
    assert look_at(text, *options).exit_code == 0
    assert len(data_in(tmp_path / "page.html")["documents"]) == 6
