"""The arm `restate`: each sentence says its clue again, and all spans move with the text."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from commands import write_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from elusive.augment.augment import augment_dataset
from elusive.augment.clue_spans import split_sentences
from elusive.augment.config import AugmentConfig
from elusive.augment.copies import build_training_texts
from elusive.augment.diagnostics import count_texts
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.augment.scores.inputs import check_roles
from elusive.augment.sentences.choice import choose_restatements
from elusive.augment.sentences.restatements import (
    Restatement,
    restate_document,
    restate_documents,
)
from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.cli.main import cli
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import WIKIPEDIA, Document, Fact, TrainingText, to_table
from elusive.common.errors import InputError, validate_config
from elusive.common.lm.loading import load_model
from elusive.evaluate.cells.cell_folder import find_cells
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.plans import ArmConfig
from elusive.evaluate.training.objectives import Objective
from elusive.evaluate.training.rows import SequenceBuilder


def write(text: str, heads=(), facts=()) -> Document:
    return Document("d", "Ada Byron", text, list(heads), [], list(facts), "train", [], "single")


def restate(documents: list[Document], **settings) -> list[Document]:
    config = AugmentConfig(method="restate", **settings)
    return restate_documents(documents, choose_restatements(documents, Scorers(config)))


def test_the_oracle_writes_the_text_that_has_the_name_in_every_sentence():
    config = BiogenConfig(people=60, they_rate=0)
    documents = list(generate_biographies(config))
    expected = list(generate_biographies(config.model_copy(update={"fullname": True})))
    for finder in ("oracle", "title", "first-words", "last-subject", "named-subject", "name-list"):
        for restated, named in zip(restate(documents, restate_by=finder), expected, strict=True):
            assert restated.text == named.text
            assert restated.heads == named.heads
            assert restated.facts == [
                replace(fact, position=own.position)
                for fact, own in zip(named.facts, restated.facts, strict=True)
            ]


def test_pronouns_become_names_and_possessives_and_other_sentences_begin_with_the_name():
    text = (
        "Ada Byron was here. She won. Her prize was gold. Bo saw her. They met Bo. Rome fell. "
        "In May, he left his job. It is hers."
    )
    (restated,) = restate([write(text, [(0, 9)])], restate_by="oracle")
    assert restated.text == (
        "Ada Byron was here. Ada Byron won. Ada Byron's prize was gold. Bo saw Ada Byron. "
        "Ada Byron: They met Bo. Ada Byron: Rome fell. In May, Ada Byron left his job. "
        "It is Ada Byron's."
    )
    assert [restated.text[start:end] for start, end in restated.heads] == ["Ada Byron"] * 8


def test_sentences_without_a_pronoun_can_be_left_as_they_are():
    text = "Ada Byron was here. She won. Bo Lie lost. They met Bo. Her prize was gold."
    (restated,) = restate([write(text, [(0, 9)])], restate_by="oracle", restate_in="pronouns")
    assert restated.text == (
        "Ada Byron was here. Ada Byron won. Bo Lie lost. They met Bo. Ada Byron's prize was gold."
    )


def test_a_possessive_that_a_name_in_its_sentence_binds_stays():
    text = "Ada Byron was here. Bo Lie lost his hat. Bo Lie saw her. In May, she lost her hat."
    (restated,) = restate([write(text, [(0, 9)])], restate_by="oracle", restate_in="pronouns")
    assert restated.text == (
        "Ada Byron was here. Bo Lie lost his hat. Bo Lie saw Ada Byron. "
        "In May, Ada Byron lost her hat."
    )


def test_pronouns_within_names_and_values_stay():
    text = "Ada Byron was here. A book is His Dark Home."
    fact = Fact("book", "His Dark Home", 30, 43, 5, 1)
    (restated,) = restate([write(text, [(0, 9)], [fact])], restate_by="oracle")
    assert restated.text == "Ada Byron was here. Ada Byron: A book is His Dark Home."
    (moved,) = restated.facts
    assert restated.text[moved.start : moved.end] == "His Dark Home"
    assert moved.distance == 4


def test_only_a_clue_that_is_a_gold_mention_becomes_one():
    text = "Ada Byron met Bo Lie. She won."
    document = replace(write(text, [(0, 9)]), others=[(14, 20)])

    def say(start: int, end: int) -> Document:
        clue = Restatement(22, 25, text[start:end], end - start, start, end)
        return restate_document(document, [clue])

    name, other, part = say(0, 9), say(14, 20), say(4, 9)
    assert (name.heads, name.others) == ([(0, 9), (22, 31)], [(14, 20)])
    assert (other.heads, other.others) == ([(0, 9)], [(14, 20), (22, 28)])
    assert (part.heads, part.text) == ([(0, 9)], "Ada Byron met Bo Lie. Byron won.")


def test_a_threshold_leaves_sentences_without_a_clear_clue_alone(model_folder):
    documents = list(generate_biographies(BiogenConfig(people=8)))
    model = str(model_folder("llama"))
    finder: dict[str, Any] = {"restate_by": "attention", "model": model}

    def count_changed(lead: float | None) -> int:
        restated = restate(documents, **finder, restate_above=lead)
        return sum(a.text != b.text for a, b in zip(documents, restated, strict=True))

    always, sometimes, never = map(count_changed, (None, 1.6, 1e6))
    assert (always, never) == (8, 0)
    config = AugmentConfig(method="restate", **finder, restate_above=1.6)
    some = choose_restatements(documents, Scorers(config))
    assert sometimes > 0
    assert 0 < sum(len(own.restatements) for own in some) < sum(own.sentences for own in some)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_spans_move_with_the_text_whatever_is_said_where(data):
    config = BiogenConfig(
        people=1, start=data.draw(st.integers(0, 500)), distractors=1, wordings=43
    )
    (document,) = generate_biographies(config)
    finder = data.draw(st.sampled_from(["random-span", "title", "oracle", "most-frequent"]))
    (own,) = choose_restatements(
        [document],
        Scorers(AugmentConfig(method="restate", restate_by=finder, restate_words=3)),
    )
    restated = restate_document(document, own.restatements)
    for before, after in zip(document.facts, restated.facts, strict=True):
        assert restated.text[after.start : after.end] == before.value
        ends = [end for _, end in restated.heads if end <= after.start]
        assert after.distance == (
            restated.text.count(" ", max(ends), after.start) if ends else None
        )
        numbers = [
            sum(start <= fact.start for start, _ in split_sentences(text))
            for text, fact in ((document, before), (restated, after))
        ]
        assert numbers[0] == numbers[1]
    assert {restated.text[start:end] for start, end in restated.heads} <= {document.entity}
    assert restated.heads == sorted(set(restated.heads))
    named = {document.text[start:end] for start, end in document.others}
    assert {restated.text[start:end] for start, end in restated.others} <= named
    undone = restated.text
    for restatement in reversed(own.restatements):
        shift = sum(
            len(r.text) - (r.end - r.start)
            for r in own.restatements
            if r.end <= restatement.start and r is not restatement
        )
        at = restatement.start + shift
        assert undone[at : at + len(restatement.text)] == restatement.text
        undone = (
            undone[:at]
            + document.text[restatement.start : restatement.end]
            + undone[at + len(restatement.text) :]
        )
    assert undone == document.text  # fmt: skip


def make_texts(documents: list[Document], **settings):
    config = AugmentConfig(
        **({"method": "restate", "restate_by": "oracle", "copies": 3} | settings)
    )
    scorers = Scorers(config)
    sources = restate_documents(documents, choose_restatements(documents, scorers))
    scored = score_documents(sources, scorers)
    return sources, build_training_texts(sources, scored, config, originals=documents)


def test_the_original_stays_and_copies_can_be_permuted_and_lose_tokens():
    documents = list(generate_biographies(BiogenConfig(people=10)))
    for changes in ({}, {"rewrite": "permute"}, {"rewrite": "permute", "method": "random"}):
        sources, texts = make_texts(documents, **changes)
        for document, source in zip(documents, sources, strict=True):
            original, *copies = [text for text in texts if text.doc_id == document.doc_id]
            assert original.text == document.text
            assert original.kept == original.pieces == [(0, len(document.text))]
            for copy in copies:
                whole = " ".join(source.text[start:end] for start, end in copy.pieces)
                assert sorted(whole) == sorted(source.text)
                kept = [source.text[start:end] for start, end in copy.kept]
                assert "".join(" ".join(kept).split()) == "".join(copy.text.split())
                if changes.get("rewrite") == "permute":
                    assert sorted(copy.pieces) == split_sentences(source)
                else:
                    assert copy.text == source.text
        is_dropping = changes.get("method") == "random"
        assert (np.mean([text.drop_rate for text in texts if text.copy]) > 0.2) == is_dropping


@pytest.fixture(scope="module")
def folder(tmp_path_factory, people_folder):
    """A training text in which clues are said again, copies are permuted and tokens dropped."""
    out = tmp_path_factory.mktemp("text") / "restated"
    config = AugmentConfig(method="random", restate_by="title", rewrite="permute", copies=2)
    augment_dataset(load_dataset_folder(people_folder), config, out)
    return TrainingTextFolder(out)


def test_the_folder_tells_what_was_added_and_gives_its_sources_back(folder, people_folder):
    dataset = load_dataset_folder(people_folder)
    documents = dataset.select_training_documents()
    sources = folder.get_sources(documents)
    assert [folder.get_source(d, row) for row, d in enumerate(documents)] == sources
    assert any(a.text != b.text for a, b in zip(documents, sources, strict=True))
    diagnostics = folder.summary.diagnostics
    assert 0 < diagnostics.restated < 1
    assert (diagnostics.restated_names, diagnostics.restated_others) == (1, 0)
    assert 0 < diagnostics.tokens_added < 0.5
    assert "restate_by" in folder.parameters


def test_the_summary_tells_whose_names_are_said_again(tmp_path):
    """What is right is counted from gold spans, and the command says it."""
    asked = {"name_position": "any", "distractors": 2, "dev_rate": 0}
    generate_dataset(BiogenConfig(people=30, **asked), tmp_path / "people")
    documents = load_dataset_folder(tmp_path / "people").documents
    for finder in ("random-span", "oracle"):
        options = f"--method restate --restate-by {finder} --restate-in pronouns --copies 1".split()
        out = tmp_path / finder
        arguments = ["augment", str(tmp_path / "people"), *options, "--out", str(out)]
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
        restated = TrainingTextFolder(out).restatements
        assert restated
        said = [
            (document, document.text[restatement.clue_start : restatement.clue_end])
            for document, own in zip(documents, restated, strict=True)
            for restatement in own.restatements
        ]
        is_name = [any(word in d.entity.split() for word in clue.split()) for d, clue in said]
        names = [[d.text[start:end] for start, end in d.others] for d, _ in said]
        is_other = [
            any(word in name.split() for name in own for word in clue.split())
            for (_, clue), own in zip(said, names, strict=True)
        ]
        diagnostics = TrainingTextFolder(out).summary.diagnostics
        assert len(said) > 30
        assert diagnostics.restated_names == pytest.approx(np.mean(is_name))
        assert diagnostics.restated_others == pytest.approx(np.mean(is_other))
        shares = f"{np.mean(is_name):.0%} of these are the name, {np.mean(is_other):.0%} another"
        assert shares in result.output
    assert np.mean(is_name) == 1


def test_a_restated_copy_equals_its_original_only_if_nothing_is_said_again(tmp_path):
    texts = ["Ada Byron wrote. She won.", "Ada Byron wrote. Ada Byron won."]
    people = list(generate_biographies(BiogenConfig(people=2)))
    documents = [
        replace(person, text=text, entity="Ada Byron", heads=[(0, 9)], others=[], facts=[])
        for person, text in zip(people, texts, strict=True)
    ]
    sources, copies = make_texts(documents, restate_by="title", copies=3)
    assert [source.text == text for source, text in zip(sources, texts, strict=True)] == [0, 1]
    scored = score_documents(sources, Scorers(AugmentConfig(method="plain")))
    (batch,) = to_table(copies, TrainingText).combine_chunks().to_batches()
    diagnostics = count_texts(sources, scored, batch, documents).diagnose("restate", False)
    assert (diagnostics.num_unchanged, diagnostics.unchanged) == (3, 0.5)
    arguments = f"augment {write_people(tmp_path)} --method restate --restate-by title --out"
    result = CliRunner().invoke(cli, [*arguments.split(), str(tmp_path / "text")])
    assert result.exit_code == 0
    assert "warning" not in result.output
    assert "equal their" not in result.output


def write_people(folder: Path) -> Path:
    generate_dataset(BiogenConfig(people=5), folder / "people")
    return folder / "people"


def test_texts_in_which_nothing_is_said_again_have_no_new_parameters_or_tables(
    tmp_path, people_folder
):
    out = tmp_path / "plain"
    augment_dataset(load_dataset_folder(people_folder), AugmentConfig(method="plain"), out)
    text = TrainingTextFolder(out)
    assert not {"restate_by", "restate_words", "restate_above"} & text.parameters.keys()
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["scores", "texts"]
    assert text.restatements is None


@pytest.mark.parametrize("labels", ["dropped", "clean"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_training_reads_copies_of_restated_documents(
    folder, people_folder, model_folder, labels, dynamic
):
    dataset, loaded = load_dataset_folder(people_folder), load_model(str(model_folder("llama")))
    training = TrainingConfig(corrupt="mask", labels=labels, dynamic=dynamic)
    builder = SequenceBuilder(folder, dataset, loaded, training, Objective(), 0)
    sequences = builder.get_epoch_builder()(0)
    documents = dataset.select_training_documents()
    mask = loaded.tokenizer.pad_token_id
    for row, document in enumerate(documents):
        source = folder.get_source(document, row)
        original, *copies = sequences[row * 3 : row * 3 + 3]
        assert loaded.tokenizer.decode(original.input_ids[:-1]) == document.text
        for copy in copies:
            assert mask in copy.input_ids
            if labels == "clean":
                whole = loaded.tokenizer.decode(copy.labels[:-1])
                assert sorted(whole) == sorted(source.text)


def test_a_plan_compares_restating_with_its_controls(tmp_path, model_folder):
    arms = [
        "plain",
        {"method": "restate", "restate_by": "attention", "rewrite": "permute"},
        {"method": "random", "restate_by": "random-span"},
        {"method": "restate"},
    ]
    plan = write_plan(tmp_path / "plan.yaml", model_folder("llama"), arms=arms, seeds=[0])
    result = CliRunner().invoke(cli, ["run", str(plan), "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    labels = {cell.parameters["label"] for cell in find_cells(tmp_path / "run")}
    assert labels >= {
        "plain", "permute + restate by attention", "restate by random-span + random", "restate",
    }  # fmt: skip


def test_the_page_of_copies_shows_the_restated_text(tmp_path, people_folder):
    out = tmp_path / "look.html"
    options = ("--method", "restate", "--restate-by", "title", "--limit", "2", "--out", str(out))
    result = CliRunner().invoke(cli, ["look", str(people_folder), *options])
    assert result.exit_code == 0, result.output
    document = load_dataset_folder(people_folder, 2).select_training_documents()[0]
    (restated,) = restate([document], restate_by="title")
    assert restated.text in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "restate", "restate_by": "atention"}, "attention"),
        ({"method": "permute", "restate_by": "title"}, "use it with --method restate"),
        ({"method": "restate", "restate_words": 0}, "restate_words"),
    ],
)
def test_wrong_settings_are_one_line(settings, message):
    with pytest.raises(InputError, match=message):
        validate_config(AugmentConfig, settings)


def test_a_missing_model_is_named():
    with pytest.raises(InputError, match="with restate_by 'contrast' needs --large MODEL"):
        check_roles(AugmentConfig(method="restate", restate_by="contrast"))
    assert ArmConfig(method="restate", rewrite="permute").name == "permute + restate"


def test_an_article_without_a_title_is_not_called_by_its_number():
    document = replace(write("Rome is old. It rained."), variant=WIKIPEDIA)
    assert restate([document], restate_by="title")[0].text.startswith("Ada Byron: Rome")
    untitled = replace(document, entity="article 12")
    assert restate([untitled], restate_by="title") == [untitled]


def test_a_sentence_without_blanks_lacks_a_clue_of_which_it_has_one_character():
    document = replace(write("王伟是作家。他姓王。王伟老了。"), language="zh")
    (restated,) = restate([document], restate_by="first-words")
    assert restated.text == "王伟是作家。王伟\uff1a他姓王。王伟老了。"


def test_what_is_said_again_fits_a_text_without_blanks():
    text = "罗马是意大利的首都。它很老。人们来自1527年。"
    fact = Fact("date", "1527年", 18, 23, None, 2)
    document = Document("d", "罗马", text, [(0, 2)], [], [fact], "train", [], "", "zh")
    sources, texts = make_texts([document], restate_by="title", rewrite="permute")
    (source,) = sources
    assert source.text == "罗马是意大利的首都。罗马\uff1a它很老。罗马\uff1a人们来自1527年。"
    assert source.facts[0].distance == 4
    for copy in texts:
        assert " " not in copy.text
        assert sorted(copy.text) == sorted(source.text if copy.copy else text)
    assert len({copy.text for copy in texts}) > 2
