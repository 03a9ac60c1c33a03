"""Copies in other words by a chat model, and copies that are solved questions."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from commands import line_of_error
from stand_in_chat import chat_server

from elusive.augment.augment import augment_dataset
from elusive.augment.config import AugmentConfig
from elusive.augment.paraphrase import find_kept, keeps_clues, write_paraphrases
from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.cli.main import cli
from elusive.common.chat.models import build_chat_model
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import Document
from elusive.evaluate.cells.cell import select_questions
from elusive.evaluate.config import AnsweringConfig


def reword(prompt: str) -> str:
    """A reply that keeps all words of the text and says which version it is."""
    text = prompt.rpartition("Text:\n")[2].partition("\n\nYour last reply")[0]
    version = prompt.partition("This is version ")[2].partition(":")[0]
    return f"In version {version},\n{text}"


def augment(dataset, out, *options: str):
    arguments = ["augment", str(dataset), *options, "--copies", "2", "--out", str(out)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return result, TrainingTextFolder(out)


def test_a_chat_model_writes_every_copy(people_folder, tmp_path):
    with chat_server(reword) as server:
        options = ("--method", "paraphrase", "--writer", "stand-in", "--endpoint", server.url)
        _, folder = augment(people_folder, tmp_path / "text", *options)
        num_prompts = len(server.prompts)
        augment(people_folder, tmp_path / "again", *options)
        assert len(server.prompts) == num_prompts, "replies are stored"
    documents = {d.doc_id: d for d in load_dataset_folder(people_folder).documents}
    texts = folder.read_texts()
    assert num_prompts == 2 * len(documents)
    for text in texts:
        original = documents[text.doc_id].text
        expected = original if text.copy == 0 else f"In version {text.copy}, {original}"
        assert text.text == expected
        assert bool(text.pieces) == (text.copy == 0)
        for fact in documents[text.doc_id].facts:
            assert any(s <= fact.start and fact.end <= e for s, e in text.kept)
    assert folder.summary.diagnostics.lost_values == 0


def test_a_server_that_moved_is_not_asked_again_and_its_address_is_not_written(
    people_folder, tmp_path
):
    """On a cluster, a model is served from another machine every time."""
    dataset = load_dataset_folder(people_folder)

    def run(url: str) -> bool:
        config = AugmentConfig(method="paraphrase", copies=1, writer="moves", endpoint=url)
        return augment_dataset(dataset, config, tmp_path / "text")

    with chat_server(reword) as server:
        assert run(server.url)
        assert server.prompts
        written = [path.read_text() for path in (tmp_path / "text").glob("*.json")]
        assert not any(server.url in content for content in written)
    with chat_server(reword) as other:
        assert other.url != server.url
        assert not run(other.url), "the folder is this one's"
        assert build_chat_model("moves", other.url).identity == (
            build_chat_model("moves", server.url).identity
        )
        assert not other.prompts


def test_a_paraphrase_that_loses_a_value_is_asked_for_again_and_then_left_out(
    people_folder, tmp_path
):
    dataset = load_dataset_folder(people_folder)
    value = dataset.documents[0].facts[0].value

    def forget(prompt: str) -> str:
        is_second = "Your last reply" in prompt
        if value in prompt:
            return "Nothing is known."
        return reword(prompt) if is_second else "Nothing is known, either."

    with chat_server(forget) as server:
        options = ("--method", "paraphrase", "--writer", "forgets", "--endpoint", server.url)
        result, folder = augment(people_folder, tmp_path / "text", *options)
    copies = [text for text in folder.read_texts() if text.copy > 0]
    for text in copies:
        is_first = text.doc_id == dataset.documents[0].doc_id
        assert text.text.startswith("In version") != is_first
    assert folder.summary.diagnostics.not_paraphrased == pytest.approx(1 / 6)
    assert "17% of the copies repeat the original" in result.output


def test_a_paraphrase_keeps_all_values_and_one_mention(people_folder):
    document = load_dataset_folder(people_folder).documents[0]
    name = document.text[slice(*document.heads[0])]
    values = ", ".join(fact.value for fact in document.facts)
    assert keeps_clues(f"{name}: {values}", document)
    assert not keeps_clues(values, document)
    assert not keeps_clues(f"{name}: {values[:-1]}", document)
    assert len(find_kept(values, document)) == len(document.facts)
    assert keeps_clues("", replace(document, heads=[], facts=[]))


def write_document(text: str, language: str = "en") -> Document:
    return Document(text[:20], "", text, [], [], [], "train", [], "", language)


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("罗马位于意大利" * 30, "zh", 210),
        ("ローマはイタリアにある" * 20, "ja", 220),
        ("กรุงโรมอยู่ในอิตาลี" * 10, "th", 190),
        ("Rome lies in Italy. " * 50, "en", 200),
        ("Rome.", "en", 1),
    ],
)
def test_a_paraphrase_is_allowed_tokens_by_the_words_of_its_language(text, language, words):
    with chat_server(reword) as server:
        config = AugmentConfig(
            method="paraphrase", copies=1, writer="stand-in", endpoint=server.url
        )
        write_paraphrases([write_document(text, language)], config)
    assert 4 * words <= server.max_tokens[0] <= 4 * words + 128


def test_another_document_does_not_make_stored_replies_be_asked_for_again():
    short, long = write_document("Rome lies in Italy."), write_document("Oslo is old. " * 99)
    with chat_server(reword) as server:
        config = AugmentConfig(
            method="paraphrase", copies=1, writer="stand-in", endpoint=server.url
        )
        alone = write_paraphrases([short], config)
        assert len(server.prompts) == 1
        together = write_paraphrases([short, long], config)
        assert len(server.prompts) == 2
        assert together == [*alone, *write_paraphrases([long], config)]
        assert len(server.prompts) == 2


def test_a_writer_is_needed(people_folder, tmp_path, capsys):
    arguments = ("augment", people_folder, "--method", "paraphrase", "--out", tmp_path / "x")
    assert "method 'paraphrase' needs --writer MODEL" in line_of_error(capsys, *arguments)


def test_questions_are_trained_on_in_other_phrasings_than_those_that_are_asked(tmp_path, capsys):
    config = BiogenConfig(people=4, num_shot_people=8, phrasings=3, held_out_phrasing=True)
    generate_dataset(config, tmp_path / "people")
    dataset = load_dataset_folder(tmp_path / "people")
    _, folder = augment(tmp_path / "people", tmp_path / "text", "--method", "questions")
    asked = select_questions(dataset, AnsweringConfig(split="all", phrasing="held-out"))
    assert asked
    assert all(question.held_out for question in asked)
    arguments = ("evaluate", tmp_path / "people", "--train", tmp_path / "text", "--split", "all")
    refused = line_of_error(
        capsys, *arguments, "--model", "nano-small", "--num-shots", 0, "--out", tmp_path / "cell"
    )
    assert "ask only those in held-out phrasings" in refused
    copies = [text for text in folder.read_texts() if text.copy > 0]
    for text in copies:
        own = [q for q in dataset.questions if q.doc_id == text.doc_id]
        for question in own:
            assert (question.question in text.text) == (not question.held_out)
        assert text.text.count("Answer: ") == sum(not q.held_out for q in own)
    orders = {text.text for text in copies}
    assert len(orders) > len({text.doc_id for text in copies})
    assert np.mean([text.drop_rate for text in copies]) == 0


def test_questions_that_are_asked_are_not_trained_on(people_folder, tmp_path, capsys):
    arguments = ("augment", people_folder, "--method", "questions", "--out", tmp_path / "x")
    assert "with --held-out-phrasing" in line_of_error(capsys, *arguments)
