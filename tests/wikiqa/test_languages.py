"""Question sets in other languages than English: sentences, facts, copies and scores."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elusive.augment.augment import augment_dataset
from elusive.augment.config import AugmentConfig
from elusive.augment.training_text import TrainingTextFolder
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset as generate_people
from elusive.common.dataset.check import check_dataset
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import WikiQuestion, from_table, to_table
from elusive.common.errors import InputError, validate_config
from elusive.common.folders import read_table
from elusive.common.text.languages import count_words
from elusive.common.text.sentences import join_pieces
from elusive.wikiqa.articles import Article, Paragraph
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.generate import generate_dataset
from elusive.wikiqa.questions.cloze import add_cloze_questions, find_answer_spans

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
XQUAD = [
    language
    for language in ("ar", "de", "en", "zh")
    if (SHARED / f"xquad.{language}.json").exists()
]


def build_xquad(out: Path, language: str) -> Path:
    path = SHARED / f"xquad.{language}.json"
    generate_dataset(WikiqaConfig(squad=path, language=language, shots=0), out)
    return out


@pytest.mark.parametrize("language", XQUAD)
def test_sentences_are_permuted_and_counted_in_every_language(language, tmp_path):
    out = build_xquad(tmp_path / "set", language)
    assert list(check_dataset(out)) == []
    dataset = load_dataset_folder(out)
    positions = [fact.position for document in dataset.documents for fact in document.facts]
    assert np.mean(np.array(positions) > 0) > 0.6
    augment_dataset(dataset, AugmentConfig(method="permute", copies=4), tmp_path / "text")
    text = TrainingTextFolder(tmp_path / "text")
    assert text.summary.diagnostics.unchanged < 0.15
    assert ("joined as found" in text.parameters["sentences"]) == (language == "zh")


@pytest.mark.parametrize("language", XQUAD)
def test_permuted_sentences_are_joined_as_their_language_joins_them(language, tmp_path):
    dataset = load_dataset_folder(build_xquad(tmp_path / "set", language))
    config = AugmentConfig(method="random", rewrite="permute", copies=2)
    augment_dataset(dataset, config, tmp_path / "text")
    documents = {document.doc_id: document for document in dataset.documents}
    for text in TrainingTextFolder(tmp_path / "text").texts:
        document = documents[text.doc_id]
        whole = join_pieces(document.text, text.pieces, language)
        assert sorted("".join(whole.split())) == sorted("".join(document.text.split()))
        blanks = whole.count(" ") - document.text.count(" ")
        if language == "zh":
            assert abs(blanks) <= 1  # the last sentence may have moved
        else:
            assert len(whole.split()) >= len(document.text.split())
        if text.drop_rate == 0:
            assert text.text == whole
        assert text.text.count(" ") <= whole.count(" ")


@pytest.mark.parametrize("language", XQUAD)
def test_every_question_has_the_distance_and_position_of_its_own_fact(language, tmp_path):
    dataset = load_dataset_folder(build_xquad(tmp_path / "set", language))
    texts = {document.doc_id: document for document in dataset.documents}
    facts = dataset.match_facts()
    questions = from_table(read_table(dataset.path, "questions"), WikiQuestion)
    assert len(facts) == len(questions)
    for question in questions:
        fact = facts[question.question_id]
        assert fact in texts[question.doc_id].facts
        assert (fact.value, fact.start) == (question.answers[0], question.answer_starts[0])
    several = [len({f.start for f in d.facts}) for d in dataset.documents]
    assert max(several) > 3


def test_where_fields_are_unique_a_question_has_the_fact_of_its_field(tmp_path):
    config = BiogenConfig(
        people=30, questions=("direct", "yes-no", "reverse"), multi=2, permute=True
    )
    generate_people(config, tmp_path / "people")
    dataset = load_dataset_folder(tmp_path / "people")
    by_field = {(d.doc_id, f.field): f for d in dataset.documents for f in d.facts}
    assert len(by_field) == sum(len(d.facts) for d in dataset.documents)
    expected = {q.question_id: by_field.get((q.doc_id, q.field)) for q in dataset.questions}
    assert dataset.match_facts() == {name: fact for name, fact in expected.items() if fact}
    assert not dataset.places_answers


def test_a_question_whose_place_states_no_fact_is_a_problem(tmp_path, monkeypatch):
    out = build_set(
        tmp_path, "Rom liegt in Italien. Rom hat Kirchen. Paris nicht.", "Rom", "Kirchen"
    )
    questions = from_table(read_table(out, "questions"), WikiQuestion)
    moved = [replace(questions[0], answer_starts=[22]), *questions[1:]]
    path = next((out / "questions").glob("*.arrow"))
    import pyarrow as pa

    table = to_table(moved, WikiQuestion)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    messages = [str(problem) for problem in check_dataset(out)]
    assert any("no fact stands where its first gold answer should" in line for line in messages)


def build_set(folder: Path, text: str, *answers: str, language: str = "de") -> Path:
    qas = [
        {
            "id": f"q{n}",
            "question": f"Was {n}?",
            "answers": [{"text": a, "answer_start": text.index(a)}],
        }
        for n, a in enumerate(answers)
    ]
    data = {"data": [{"title": "T", "paragraphs": [{"context": text, "qas": qas}]}]}
    (folder / "s.json").write_text(json.dumps(data), encoding="utf-8")
    config = WikiqaConfig(squad=folder / "s.json", language=language, shots=0)
    generate_dataset(config, folder / "set")
    return folder / "set"


def test_distances_count_characters_where_no_blank_stands_between_words(tmp_path):
    data = {
        "data": [
            {
                "title": "罗马",
                "paragraphs": [
                    {
                        "context": "罗马位于意大利。它有教堂。",
                        "qas": [
                            {
                                "id": "1",
                                "question": "哪里?",
                                "answers": [{"text": "意大利", "answer_start": 4}],
                            }
                        ],
                    }
                ],
            }
        ]
    }
    (tmp_path / "s.json").write_text(json.dumps(data), encoding="utf-8")
    generate_dataset(
        WikiqaConfig(squad=tmp_path / "s.json", language="zh", shots=0), tmp_path / "set"
    )
    assert list(check_dataset(tmp_path / "set")) == []
    dataset = load_dataset_folder(tmp_path / "set")
    assert dataset.documents[0].facts[0].distance == 3
    assert dataset.documents[0].language == dataset.questions[0].language == "zh"


@pytest.mark.parametrize("method", ["permute", "reverse-training"])
def test_copies_that_equal_their_original_warn(method, tmp_path):
    text = "".join("这是没有句号的一段文字" for _ in range(3))
    dataset = load_dataset_folder(build_set(tmp_path, text, "文字", language="zh"))
    augment_dataset(dataset, AugmentConfig(method=method, copies=4), tmp_path / "text")
    diagnostics = TrainingTextFolder(tmp_path / "text").summary.diagnostics
    assert diagnostics.unchanged == 1.0
    assert diagnostics.num_unchanged == (4 if method == "permute" else 2)
    *others, line = diagnostics.list_warnings(method)
    assert line.startswith(f"100% of the copies of {method} equal their original: ")
    repeats = "100% of the copies repeat another one: make fewer --copies, or use longer texts"
    assert others == ([repeats] if method == "permute" else [])


def test_a_cloze_question_quotes_one_sentence_of_its_language():
    text = "罗马有教堂。它在1527年被洗劫。人们都走了。"
    (asked,) = add_cloze_questions(Article("罗马", [Paragraph(text)]), "zh").paragraphs[0].asked
    assert asked.question.endswith('"它在___年被洗劫。"')
    text = "Rom wurde 753 v. Chr. in Latium als 2. Stadt mit 1200 Menschen gebaut. Es wuchs."
    (asked,) = add_cloze_questions(Article("Rom", [Paragraph(text)]), "de").paragraphs[0].asked
    assert asked.question.endswith('gebaut."')
    assert "Rom wurde 753 v. Chr. in Latium" in asked.question


ANSWERED = {
    "de": (
        "Am 3. Oktober 1990 waren es 1,5 Millionen Menschen auf je 7 Metern, im Mai 1991"
        " schon 3.755.251 Einwohner; 20 % zogen 5 km weit.",
        [
            "3. Oktober 1990",
            "1,5 Millionen",
            "7 Metern",
            "Mai 1991",
            "3.755.251 Einwohner",
            "20 %",
            "5 km",
        ],
    ),
    "fr": (
        "Le 1er janvier 1999, il y avait 2 145 906 habitants sur 105,4 kilomètres carrés, et 3 "
        "millions en août 2001.",
        [
            "1er janvier 1999",
            "2 145 906 habitants",
            "105,4 kilomètres carrés",
            "3 millions",
            "août 2001",
        ],
    ),
    "es": (
        "El 12 de octubre de 1492 llegaron 90 personas; en mayo de 1493 recorrieron 7 kilómetros.",
        ["12 de octubre de 1492", "90 personas", "mayo de 1493", "7 kilómetros"],
    ),
    "ru": (
        "К 3 марта 1861 года там жило 12 миллионов человек, в среднем 21 километр пути.",
        ["3 марта 1861", "12 миллионов", "21 километр"],
    ),
    "ar": (
        "في 3 أكتوبر 1990 كان عدد السكان 5 ملايين نسمة على 12 كيلومترًا.",
        ["3 أكتوبر 1990", "5 ملايين", "12 كيلومترًا"],
    ),
    "zh": (
        "它于1990年10月3日成立，1992年5月有300万人，长5公里。",
        ["1990年10月3日", "1992年5月", "300万", "5公里"],
    ),
    "ja": (
        "東京は1868年9月3日に改称され、13平方キロメートルで、人口は20人。",
        ["1868年9月3日", "13平方キロメートル", "20人"],
    ),
    "tlh": ("Qo 12 km 1990 5 Millionen 1,024", ["12 km", "1990", "1,024"]),
    "en": (
        "On 3 May 1990 there were 1,234 people and 5 million miles, in May 1991 km 12.",
        ["3 May 1990", "1,234 people", "5 million", "May 1991"],
    ),
}


@pytest.mark.parametrize(
    ("language", "text", "years"),
    [
        ("hi", "भारत १९४७ में, फिर २०२४ और 1950 में भी।", ["१९४७", "२०२४", "1950"]),
        ("fa", "در سال ۱۹۷۹ و 2001", ["۱۹۷۹", "2001"]),
        ("en", "In 1971 or 2031, 3000", ["1971", "2031"]),
    ],
)
def test_years_are_found_in_the_digits_of_the_language(language, text, years):
    spans = find_answer_spans(Paragraph(text), language)
    assert [text[start:end] for kind, start, end in spans if kind == "date"] == years


@pytest.mark.parametrize("language", ANSWERED)
def test_dates_and_quantities_are_found_as_each_language_writes_them(language):
    text, expected = ANSWERED[language]
    spans = find_answer_spans(Paragraph(text), language)
    assert [text[start:end] for _, start, end in spans] == expected
    kinds = {kind for kind, _, _ in spans}
    assert kinds == ({"date", "quantity", "number"} if language == "tlh" else {"date", "quantity"})


def test_what_is_found_does_not_depend_on_the_languages_before():
    program = (
        "import sys\nfrom elusive.wikiqa.questions.answer_patterns import build_patterns\n"
        "for code in sys.argv[1:]: found = build_patterns(code)\nprint(found)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program, *codes], capture_output=True, text=True, check=True
        ).stdout
        for codes in (["no"], ["zh", "he", "no"])
    }
    assert len(outputs) == 1


def test_a_language_is_a_code():
    with pytest.raises(InputError, match="'Deutsch' should be a code such as de or pt-BR"):
        validate_config(WikiqaConfig, {"squad": Path("x"), "language": "Deutsch"})


def test_the_length_of_paragraphs_and_answers_counts_characters_where_no_blank_stands(tmp_path):
    (tmp_path / "texts").mkdir()
    long = "罗马位于意大利的台伯河边并且它在1527年被洗劫后来人们又回来了。"
    (tmp_path / "texts" / "罗马.txt").write_text(f"{long}\n\n它很老。\n", encoding="utf-8")
    config = WikiqaConfig(texts=tmp_path / "texts", language="zh", shots=0)
    generate_dataset(config, tmp_path / "set")
    (document,) = load_dataset_folder(tmp_path / "set").documents
    assert document.text == long
    statistics = json.loads((tmp_path / "set" / "statistics.json").read_text())
    assert list(statistics["words"]) == [str(count_words(long, "zh"))]
