"""The names of whom sentences are about, found by rules in any English text."""

from pathlib import Path

import pytest
from commands import line_of_error, run
from hypothesis import given
from hypothesis import strategies as st

from elusive.augment.clue_spans import split_sentences
from elusive.augment.config import AugmentConfig
from elusive.augment.scores.arm_scores import Scorers
from elusive.augment.sentences.choice import choose_restatements
from elusive.augment.sentences.named_subjects import find_named_subjects
from elusive.augment.sentences.restatements import restate_documents
from elusive.common.dataset.records import Document


def write(text: str) -> Document:
    return Document("d", "x", text, [], [], [], "train", [], "single")


def find_last(text: str) -> str | None:
    """The subject of the last sentence."""
    span = find_named_subjects(write(text))[-1]
    return span and text[slice(*span)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Aristotle was born in Ancient Greece. He taught.", "Aristotle"),
        ("Vincent Willem van Gogh left. He painted.", "Vincent Willem van Gogh"),
        ("J. K. Rowling wrote. She won.", "J. K. Rowling"),
        ("Abu al-Qasim al-Zahrawi cured many. His book is known.", "Abu al-Qasim al-Zahrawi"),
        ("Philip of Macedon died. His son ruled.", "Philip of Macedon"),
        # Prepositions, articles and times do not make subjects; lists follow their first name.
        ("In Germany the anarchist Erich Mühsam was arrested. He died.", "Erich Mühsam"),
        ("At the University of Notre Dame, Allan Dwan studied. He left.", "Allan Dwan"),
        ("In November, Luther wrote. He slept.", "Luther"),
        ("In May Luther wrote. He slept.", "Luther"),
        ("May Chen was born on August 3. She slept.", "May Chen"),
        ("Tesla won. The raid on Baghdad, Kiev and Merv followed. He slept.", "Tesla"),
        ("Tesla won. At 02:39 UTC it rained. He slept.", "Tesla"),
        # A capital that comes from the start of a sentence makes no name.
        ("Luther wrote. Students came. He spoke.", "Luther"),
        ("Luther wrote. Initially nobody came. He spoke.", "Luther"),
        ("Bo had met Rivers. Rivers left. He slept.", "Rivers"),
        # Sentences that have a pronoun before their name go on about the last subject.
        ("Ada Byron left. In 1840 she met Charles Babbage. She won.", "Ada Byron"),
        # First names of the other gender are passed over.
        ("Anna Lie won. John Lie lost. She sang.", "Anna Lie"),
        ("Anna Lie won. John Lie lost. He sang.", "John Lie"),
        # A title tells the gender, and is passed over by the lists.
        ("Ann Lie won. Mr. Bob Ray left. She slept.", "Ann Lie"),
        ("Queen Elizabeth II left. He had lost. She slept.", "Queen Elizabeth II"),
        ("Bo and I won. Women came. Companies grew. He slept.", None),
        # Nothing is found before the first name, or where a name stands before the pronoun.
        ("It rained. He slept.", None),
        ("Bo Lie won. Ada Byron said that she lost.", None),
    ],
)
def test_the_last_named_subject_is_found(text: str, name: str | None):
    assert find_last(text) == name


def restate(text: str, **settings) -> str:
    config = AugmentConfig(method="restate", restate_by="named-subject", **settings)
    documents = [write(text)]
    (restated,) = restate_documents(documents, choose_restatements(documents, Scorers(config)))
    return restated.text


def test_only_he_and_she_give_way_to_the_name():
    text = "Aristotle taught. His students left him. They had, and he kept, their books. It rained."
    assert restate(text, restate_in="pronouns") == (
        "Aristotle taught. Aristotle's students left him. "
        "They had, and Aristotle kept, their books. It rained."
    )


WORDS = [
    "Ada",
    "van",
    "of",
    "He",
    "she",
    "won",
    ",",
    "and",
    ".",
    "In",
    "May",
    "UTC",
    "al-Qasim",
    "é",
    "王",
]


def test_a_name_is_said_again_in_one_line_and_an_object_stays():
    assert restate("Ada\nByron won. She slept.", restate_in="pronouns").endswith("Ada Byron slept.")
    text = "Ada Byron won. It made her happy. In her time, nobody else did. Her prize was gold."
    assert restate(text, restate_in="pronouns") == (
        "Ada Byron won. It made her happy. In Ada Byron's time, nobody else did. "
        "Ada Byron's prize was gold."
    )


def test_long_text_without_full_stops_takes_no_long_time():
    text = (
        "Tom Lie met Bob Ray and, in London, " * 5000
        + ". He slept. "
        + "Ann won. She slept. " * 5000
    )
    assert find_last(text) == "Ann"


@given(st.lists(st.sampled_from(WORDS), max_size=30))
def test_a_named_subject_is_a_name_of_an_earlier_sentence(words: list[str]):
    document = write(" ".join(words))
    sentences = split_sentences(document)
    found = find_named_subjects(document)
    assert len(found) == len(sentences)
    for (start, _), span in zip(sentences, found, strict=True):
        if span:
            name = document.text[slice(*span)]
            assert span[1] <= start
            assert name[0].isupper() or name.startswith("al-")
            assert not {"He", "In", "UTC", ".", ","} & set(name.split())


def test_text_in_another_language_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "texts").mkdir()
    text = "Luther wohnte in Wittenberg. Er starb 1546 in Eisleben, seiner Geburtsstadt."
    (tmp_path / "texts" / "Luther.txt").write_text(text)
    settings = ("--language", "de", "--min-words", 3, "--shots", 0)
    result = run("wikiqa", "--texts", tmp_path / "texts", *settings, "--out", tmp_path / "data")
    assert result.exit_code == 0
    arm = ("--method", "restate", "--restate-by", "named-subject", "--out", tmp_path / "out")
    error = line_of_error(capsys, "augment", tmp_path / "data", *arm)
    assert "'named-subject' reads English, and the language" in error
    assert not (tmp_path / "out").exists()
