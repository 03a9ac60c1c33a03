"""Question sets as people have them: formats, packers and layouts, each with a tiny file."""

import bz2
import csv
import gzip
import json
import lzma
import random
import unicodedata
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from commands import run

from elusive.common.dataset.check import check_dataset
from elusive.common.dataset.records import Shot, WikiDocument, WikiQuestion, from_table
from elusive.common.errors import InputError, validate_config
from elusive.common.folders import read_table
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.generate import generate_dataset
from elusive.wikiqa.sources.joining import AskedRow, join_rows
from elusive.wikiqa.sources.row_tables import _build_hub_error

ROME = "Rome lies on the Tiber. It was founded in 753."
OSLO = "Oslo is cold. It lies in Norway."


def load(out: Path, **settings: object) -> tuple[list[WikiDocument], list[WikiQuestion]]:
    """Build a question set, check it, and return its tables."""
    config = validate_config(WikiqaConfig, {"shots": 0, "min_words": 3} | settings)
    generate_dataset(config, out)
    assert list(check_dataset(out)) == []
    assert from_table(read_table(out, "shots"), Shot) == []
    return (
        from_table(read_table(out, "corpus"), WikiDocument),
        from_table(read_table(out, "questions"), WikiQuestion),
    )


def get_error(out: Path, **settings: object) -> str:
    with pytest.raises(InputError) as error:
        load(out, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def count_left_out(out: Path) -> dict[str, int]:
    return json.loads((out / "statistics.json").read_text())["read_and_left_out"]


def build_squad(**changes: object) -> dict:
    qa = {"id": "1", "question": "On what?", "answers": [{"text": "Tiber", "answer_start": 17}]}
    paragraph = {"context": ROME, "qas": [qa | changes]}
    return {"version": "1.1", "data": [{"title": "Rome", "paragraphs": [paragraph]}]}


ROWS = [
    {"title": "Rome", "context": ROME, "question": "On what?", "answers": "Tiber"},
    {"title": "Oslo", "context": OSLO, "question": "Where?", "answers": "Norway"},
]


def pack_zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACKERS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": pack_zstd,
    "": bytes,
}


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_files_may_be_packed_and_begin_with_a_byte_order_mark(suffix, mark, tmp_path):
    contents = {
        "squad": (".json", json.dumps(build_squad())),
        "table": (".jsonl", "\n".join(map(json.dumps, ROWS))),
    }
    for option, (ending, content) in contents.items():
        path = tmp_path / f"{option}{ending}{suffix}"
        path.write_bytes(PACKERS[suffix](mark + content.encode()))
        _, questions = load(tmp_path / option, **{option: path})
        assert questions[0].answers == ["Tiber"]


def test_a_cut_archive_and_utf_16_are_one_line(tmp_path):
    packed = gzip.compress(json.dumps(build_squad()).encode() * 200)
    (tmp_path / "cut.json.gz").write_bytes(packed[: len(packed) // 2])
    assert "cut.json.gz" in get_error(tmp_path / "a", squad=tmp_path / "cut.json.gz")
    (tmp_path / "wide.jsonl").write_bytes(json.dumps(ROWS[0]).encode("utf-16"))
    assert "convert it to UTF-8" in get_error(tmp_path / "b", table=tmp_path / "wide.jsonl")


def test_the_wrong_option_for_a_json_file_is_named(tmp_path):
    rows, squad = tmp_path / "rows.jsonl", tmp_path / "squad.json"
    rows.write_text("\n".join(map(json.dumps, ROWS)))
    squad.write_text(json.dumps(build_squad()))
    assert "name it with --table" in get_error(tmp_path / "a", squad=rows)
    assert "name it with --squad" in get_error(tmp_path / "b", table=squad)
    squad.write_text(json.dumps(build_squad(), indent=1))
    assert "with --squad" in get_error(tmp_path / "c", table=squad)


def test_articles_in_a_list_and_rows_in_an_array_are_read(tmp_path):
    (tmp_path / "list.json").write_text(json.dumps(build_squad()["data"]))
    assert load(tmp_path / "a", squad=tmp_path / "list.json")[1][0].answers == ["Tiber"]
    (tmp_path / "rows.json").write_text(json.dumps(ROWS, indent=1))
    assert len(load(tmp_path / "b", table=tmp_path / "rows.json")[1]) == 2


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_csv_and_tsv_hold_answers_as_text_json_or_python(suffix, delimiter, tmp_path):
    rows = [
        ROWS[0],
        ROWS[1] | {"answers": '["Norway", "Norge"]'},
        ROWS[0] | {"question": "When?", "answers": "{'text': ['753'], 'answer_start': [42]}"},
    ]
    path = tmp_path / f"rows{suffix}"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    documents, questions = load(tmp_path / "set", table=path)
    assert [document.title for document in documents] == ["Rome", "Oslo"]
    answers = {question.question: question.answers for question in questions}
    assert answers == {"On what?": ["Tiber"], "When?": ["753"], "Where?": ["Norway", "Norge"]}
    path.write_text(delimiter.join(ROWS[0]) + "\na\n")
    assert "line 2: the row has another number of columns" in get_error(tmp_path / "b", table=path)
    # A quotation mark that opens no quoted value would swallow the rows after it.
    titles = ["title", "context", "question", "answers"]
    first = ["Bob", '"No end said Bob in Oslo.', "Where?", "Oslo"]
    second = ["Dan", 'Dan said "hi" in Bern.', "Where?", "Bern"]
    path.write_text("\n".join(map(delimiter.join, [titles, first, second])))
    assert "write each quotation mark twice" in get_error(tmp_path / "c", table=path)


def test_numeric_titles_are_titles(tmp_path):
    squad = build_squad()
    squad["data"][0]["title"] = 1984
    (tmp_path / "s.json").write_text(json.dumps(squad))
    assert load(tmp_path / "a", squad=tmp_path / "s.json")[0][0].entity == "1984"
    (tmp_path / "t.jsonl").write_text(json.dumps(ROWS[0] | {"title": 0}))
    assert load(tmp_path / "b", table=tmp_path / "t.jsonl")[0][0].title == "0"


NUMBERS = (1969, [1969], [1969, 3.5], {"text": [1969], "answer_start": [0]}, "[1969]")
MORE_NUMBERS = (
    {"value": 1969, "aliases": [69]},
    {"text": 1969, "answer_start": 0},
    [{"text": 1969}],
)


@pytest.mark.parametrize("answers", [*NUMBERS, *MORE_NUMBERS])
def test_numbers_are_answers_as_they_are_printed(answers, tmp_path):
    row = {"title": "T", "context": "It began in 1969 at 3.5.", "question": "When?"}
    (tmp_path / "t.jsonl").write_text(json.dumps(row | {"answers": answers}))
    _, (question,) = load(tmp_path / "set", table=tmp_path / "t.jsonl")
    assert (question.answers[0], question.answer_starts[0]) == ("1969", 12)
    assert question.answers[1:] in ([], ["3.5"], ["69"])


@pytest.mark.parametrize("answer", [1969.0, 1e-7, True, float("nan")])
def test_numbers_that_could_be_written_in_several_ways_are_one_line(answer, tmp_path):
    (tmp_path / "t.jsonl").write_text(json.dumps(ROWS[0] | {"answers": [answer]}))
    message = get_error(tmp_path / "a", table=tmp_path / "t.jsonl")
    assert "t.jsonl, row 0: " in message
    squad = build_squad(answers=[{"text": answer, "answer_start": 0}])
    (tmp_path / "s.json").write_text(json.dumps(squad))
    if answer == answer:  # NaN is no JSON
        assert "s.json: article 1: " in get_error(tmp_path / "b", squad=tmp_path / "s.json")
    is_number = not isinstance(answer, bool)
    assert ("put it into quotes" if is_number else "should be a text or a number") in message


def test_a_number_is_an_answer_in_squad_layout(tmp_path):
    (tmp_path / "s.json").write_text(
        json.dumps(build_squad(answers=[{"text": 753, "answer_start": 41}]))
    )
    assert load(tmp_path / "set", squad=tmp_path / "s.json")[1][0].answers == ["753"]


@pytest.mark.parametrize(
    "answers",
    [
        ["Tiber"],
        "Tiber",
        {"text": ["Tiber"], "answer_start": [17]},
        [{"text": "Tiber"}],
        [{"text": "Tiber", "answer_start": "17"}],
        [{"text": "Tiber", "answer_start": 17.0}],
        [{"text": "Tiber", "answer_start": None}],
    ],
)
def test_both_layouts_read_answers_in_every_shape(answers, tmp_path):
    (tmp_path / "s.json").write_text(json.dumps(build_squad(answers=answers)))
    (tmp_path / "t.jsonl").write_text(json.dumps(ROWS[0] | {"answers": answers}))
    for option, name in (("squad", "s.json"), ("table", "t.jsonl")):
        _, (question,) = load(tmp_path / option, **{option: tmp_path / name})
        assert (question.answers, question.answer_starts) == (["Tiber"], [17])


@pytest.mark.parametrize("answers", [[["Tiber"]], {"text": "x"}, [{"answer_start": 3}], 5.0])
def test_answers_in_no_shape_are_one_line_in_both_layouts(answers, tmp_path):
    (tmp_path / "s.json").write_text(json.dumps(build_squad(answers=answers)))
    (tmp_path / "t.jsonl").write_text(json.dumps(ROWS[0] | {"answers": answers}))
    for option, name in (("squad", "s.json"), ("table", "t.jsonl")):
        message = get_error(tmp_path / option, **{option: tmp_path / name})
        assert "answer" in message
        assert "Error" not in message


@pytest.mark.parametrize("filters", [(), ("duplicate",), ("length",)])
def test_lists_of_no_answers_are_a_question_without_one(filters, tmp_path):
    (tmp_path / "s.json").write_text(
        json.dumps(build_squad(answers={"text": [], "answer_start": []}))
    )
    message = get_error(tmp_path / "set", squad=tmp_path / "s.json", filters=filters)
    assert message.startswith("none of the 1 questions of s.json has an answer")


@pytest.mark.parametrize("title", [["Rome"], {"en": "Rome"}])
def test_a_title_that_is_no_text_is_one_line(title, tmp_path):
    squad = build_squad()
    squad["data"][0]["title"] = title
    (tmp_path / "s.json").write_text(json.dumps(squad))
    (tmp_path / "t.jsonl").write_text(json.dumps(ROWS[0] | {"title": title}))
    for option, name in (("squad", "s.json"), ("table", "t.jsonl")):
        message = get_error(tmp_path / option, **{option: tmp_path / name})
        assert "a title should be a text (got " in message


BROKEN_ROWS = [
    {"question": "q", "answer": "Tiber", "entity_pages": None},
    {"document_text": None, "question_text": "q", "annotations": []},
    {"document_text": "a b", "question_text": "q", "annotations": None},
    {"document": {}, "question": {"text": "q"}, "annotations": {}},
    {"fact": "x", "eval": "no JSON"},
    {"fact": "x", "eval": ["a"]},
    {"fact": "x", "eval": {"reliability": "Q"}},
]


@pytest.mark.parametrize("row", BROKEN_ROWS)
def test_a_known_set_with_other_contents_is_one_line(row, tmp_path):
    (tmp_path / "t.jsonl").write_text(json.dumps(row))
    message = get_error(tmp_path / "set", table=tmp_path / "t.jsonl")
    assert "row 0: it has the columns " in message


def test_a_source_without_a_question_says_why(tmp_path):
    for name in ("t.jsonl", "t.csv"):
        (tmp_path / name).write_text(
            "" if name == "t.jsonl" else "title,context,question,answers\n"
        )
        assert get_error(tmp_path / "a", table=tmp_path / name).endswith(f"{name} has no rows")
    (tmp_path / "t.jsonl").write_text(json.dumps(ROWS[0] | {"answers": "Paris"}))
    message = get_error(tmp_path / "b", table=tmp_path / "t.jsonl")
    assert "no answer stands in the paragraph (1)" in message
    (tmp_path / "t.jsonl").write_text(json.dumps(ROWS[0] | {"question": " "}))
    assert "it is empty (1)" in get_error(tmp_path / "c", table=tmp_path / "t.jsonl")
    (tmp_path / "s.json").write_text(json.dumps(build_squad(question="")))
    assert "it is empty (1)" in get_error(tmp_path / "d", squad=tmp_path / "s.json")
    assert "is a folder: name one of its files" in get_error(tmp_path / "e", table=tmp_path)
    (tmp_path / "l.jsonl").write_bytes('{"title": "Zürich"}'.encode("latin-1"))
    assert "is not UTF-8" in get_error(tmp_path / "f", table=tmp_path / "l.jsonl")
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    assert "name it with --table" in get_error(tmp_path / "g", squad=tmp_path / "rows.json")


@pytest.mark.parametrize(
    ("header", "row", "reason"),
    [
        (
            "title,question,answers",
            "paris,Where?,the Tiber",
            "no file has its title (1)",
        ),
        ("title,question,answers", "rome,Where?,the Seine", "no text states its answer (1)"),
        ("titel,question,answers", "rome,Where?,the Tiber", "no column 'title'"),
    ],
)
def test_questions_that_fit_no_text_are_told_why(header, row, reason, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "rome.txt").write_text("Rome lies on the Tiber.")
    (tmp_path / "t.csv").write_text(f"{header}\n{row}\n")
    message = get_error(tmp_path / "a", table=tmp_path / "t.csv", texts=tmp_path / "texts")
    assert reason in message
    assert "shots" not in message


def test_questions_that_fit_no_text_are_named_and_counted_once(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "rome.txt").write_text("Rome lies on the Tiber.")
    rows = ["rome,Where?,the Tiber", "rome,What?,the Seine", "paris,Who?,the Tiber"]
    (tmp_path / "t.csv").write_text("\n".join(["title,question,answers", *rows]))
    given = ("--table", tmp_path / "t.csv", "--texts", tmp_path / "texts")
    result = run("wikiqa", *given, "--shots", 0, "--out", tmp_path / "set")
    assert result.stderr.splitlines() == [
        "note: row 1 left out, as no text states its answer: 'What?'",
        "note: row 2 left out, as no file has its title: 'Who?'",
    ]
    assert result.stdout.splitlines()[1:] == [
        "2 of 3 questions left out: no file has its title 1, no text states its answer 1"
    ]


def test_every_missing_column_is_named(tmp_path):
    (tmp_path / "t.jsonl").write_text(json.dumps({"question": "q", "answer": "a"}))
    message = get_error(tmp_path / "a", table=tmp_path / "t.jsonl")
    assert "has no column 'context' and no 'answers' (it has question, answer)" in message
    assert "--columns OURS=THEIRS" in message
    assert "--texts DIR" in message


def test_columns_of_one_name_are_one_line(tmp_path):
    (tmp_path / "t.csv").write_text("title,title,context,question,answers\nRome,Oslo,x,y,z\n")
    message = get_error(tmp_path / "a", table=tmp_path / "t.csv")
    assert "has 2 columns 'title': rename one" in message


def test_a_csv_file_may_have_semicolons_or_tabs(tmp_path):
    for sign in ";\t":
        lines = [sign.join(map(str, cells)) for cells in (ROWS[0], ROWS[0].values())]
        (tmp_path / "t.csv").write_text("\n".join(lines))
        _, (question,) = load(tmp_path / f"set{ord(sign)}", table=tmp_path / "t.csv")
        assert question.answers == ["Tiber"]


def test_a_paragraph_may_have_no_questions(tmp_path):
    squad = build_squad()
    squad["data"][0]["paragraphs"].append({"context": OSLO})
    (tmp_path / "s.json").write_text(json.dumps(squad))
    documents, questions = load(tmp_path / "set", squad=tmp_path / "s.json")
    assert (len(documents), len(questions)) == (2, 1)


@pytest.mark.parametrize("changes", [{"answers": []}, {"answers": None}])
def test_a_hidden_test_set_is_called_one(changes, tmp_path):
    (tmp_path / "s.json").write_text(json.dumps(build_squad(**changes)))
    message = get_error(tmp_path / "a", squad=tmp_path / "s.json")
    assert message.startswith(
        "none of the 1 questions of s.json has an answer, as in a hidden test"
    )
    (tmp_path / "t.jsonl").write_text(json.dumps(ROWS[0] | changes))
    assert "hidden test" in get_error(tmp_path / "b", table=tmp_path / "t.jsonl")


@pytest.mark.parametrize(("value", "count"), [("False", 1), ("false", 1), (False, 1), ("True", 0)])
def test_is_impossible_may_be_written_as_text(value, count, tmp_path):
    squad = build_squad(is_impossible=value)
    squad["data"][0]["paragraphs"] += build_squad(id="2")["data"][0]["paragraphs"]
    (tmp_path / "s.json").write_text(json.dumps(squad))
    assert len(load(tmp_path / "set", squad=tmp_path / "s.json")[1]) == 1 + count


@pytest.mark.parametrize(
    "answers",
    [
        {"value": "Tiber", "aliases": ["Tevere", "TIBER"]},
        ["Tiber", "Tevere"],
        [{"text": "Tiber", "answer_start": 17}, {"text": "Tevere"}],
        '["Tiber", "Tevere"]',
    ],
)
def test_other_names_of_an_answer_count_as_right(answers, tmp_path):
    (tmp_path / "t.jsonl").write_text(json.dumps(ROWS[0] | {"answers": answers}))
    (document,), (question,) = load(tmp_path / "set", table=tmp_path / "t.jsonl")
    assert question.answers == ["Tiber", "Tevere"]
    assert question.answer_starts == [17, -1]
    assert [fact.value for fact in document.facts] == ["Tiber"]


PAGE = "<H1> Rome </H1> <P> Rome lies on the Tiber . </P> <P> Other . </P>"
TOKENS = PAGE.split(" ")
LAYOUTS = {
    "TriviaQA": {
        "question": "On what?",
        "question_id": "tc_1",
        "answer": {"value": "Tiber", "aliases": ["Tiber", "Tevere"], "type": "WikipediaEntity"},
        "entity_pages": {
            "title": ["Oslo", "Rome"],
            "wiki_context": [OSLO, f"A city.\n\n{ROME}\n\nMore of the Tiber."],
        },
        "search_results": {"title": [], "search_context": []},
    },
    "Natural Questions, simplified": {
        "document_text": PAGE,
        "question_text": "On what?",
        "document_url": "https://en.wikipedia.org//w/index.php?title=Rome&amp;oldid=1",
        "example_id": 7,
        "annotations": [
            {
                "long_answer": {"start_token": 3, "end_token": 11},
                "short_answers": [{"start_token": 8, "end_token": 9}],
            }
        ],
    },
    "Natural Questions": {
        "id": "7",
        "document": {
            "title": "Rome",
            "tokens": {"token": TOKENS, "is_html": [token[0] == "<" for token in TOKENS]},
        },
        "question": {"text": "On what?"},
        "annotations": {
            "id": ["1"],
            "long_answer": [{"start_token": 3, "end_token": 11}],
            "short_answers": [{"start_token": [8], "end_token": [9], "text": ["Tiber"]}],
        },
    },
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_rows_of_a_public_question_set_are_read_as_they_are(name, tmp_path):
    (tmp_path / "t.jsonl").write_text(json.dumps(LAYOUTS[name]))
    (document,), (question,) = load(tmp_path / "set", table=tmp_path / "t.jsonl")
    assert (document.title, question.question) == ("Rome", "On what?")
    assert question.answers[0] == "Tiber"
    assert document.text[question.answer_starts[0] :].startswith("Tiber")
    assert "<" not in document.text
    assert "More of" not in document.text


@pytest.mark.parametrize("pack", [json.dumps, dict])
def test_a_fact_of_wikidyk_is_a_text_with_its_questions(pack, tmp_path):
    asked = {
        "reliability": {"prompt": "On what does Rome lie?", "answer": "the Tiber"},
        "paraphrase": {"prompt": "Rome lies on what?", "answer": "Tiber"},
        "portability": {"prompt": "Which sea is near?", "answer": "the Tyrrhenian Sea"},
        "locality": {"prompt": "What is a city?", "answer": "Rome"},
        "counterfactual": {"prompt": "If Rome lay elsewhere?", "answer": "Rome"},
    }
    row = {"fact": "... that Rome lies on the Tiber?", "eval": pack(asked), "year": "2024"}
    (tmp_path / "t.jsonl").write_text(json.dumps(row))
    (document,), questions = load(tmp_path / "set", table=tmp_path / "t.jsonl")
    assert document.text == "Rome lies on the Tiber."
    assert [question.answers for question in questions] == [["the Tiber"], ["Tiber"]]
    counts = count_left_out(tmp_path / "set")
    assert counts["questions read"] == 3
    assert counts["question left out: no answer stands in the paragraph"] == 1


NO_TEXTS = {
    "KILT": {
        "id": "1",
        "input": "On what?",
        "output": [{"answer": "Tiber", "provenance": [{"title": "Rome"}]}, {"answer": "Tevere"}],
    },
    "PopQA": {
        "question": "On what?",
        "possible_answers": '["Tiber", "Tevere"]',
        "s_wiki_title": "Rome",
        "subj": "Rome",
    },
    "own": {"title": "Rome", "question": "On what?", "answers": ["Tiber", "Tevere"]},
}


@pytest.mark.parametrize("name", NO_TEXTS)
def test_questions_without_texts_go_with_a_folder_of_texts(name, tmp_path):
    table, texts = tmp_path / "t.jsonl", tmp_path / "texts"
    table.write_text(json.dumps(NO_TEXTS[name]))
    assert "--texts DIR" in get_error(tmp_path / "a", table=table)
    (texts / "cities").mkdir(parents=True)
    (texts / "cities" / "rome.md").write_text(
        f"---\nauthor: me\n---\n# Rome\n\nA *fine* [city](x.html).\n\n## Place\n\n{ROME}\n"
    )
    (texts / "Oslo.txt").write_text(OSLO)
    (document,), (question,) = load(tmp_path / "set", table=table, texts=texts)
    assert (document.text, question.answers) == (ROME, ["Tiber", "Tevere"])
    table.write_text(json.dumps(NO_TEXTS["own"] | {"title": "Paris"}))
    get_error(tmp_path / "b", table=table, texts=texts)


def test_titles_of_one_file_are_one_article(tmp_path):
    """Else its text would be trained on twice, and shown in the solved questions."""
    asked = NO_TEXTS["own"]
    rows = [
        asked,
        asked | {"title": "rome", "question": "Which river?"},
        asked | {"title": "Rome.md"},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "rome.md").write_text(ROME)
    documents, questions = load(
        tmp_path / "set", table=tmp_path / "t.jsonl", texts=tmp_path / "texts"
    )
    assert [document.title for document in documents] == ["Rome"]
    assert documents[0].heads
    assert {question.entity for question in questions} == {"Rome"}


ANGELIQUE = unicodedata.normalize("NFD", "Angélique née à Orléans, à Orléans même.")


def build_decomposed(folder: Path, kind: str) -> dict[str, object]:
    """Write a set whose texts and files decompose accents, or whose questions do, in two forms."""
    question = {"question": "Ou\u0300 ?", "id": "1"}
    place, answer = ANGELIQUE.rindex("Orle"), unicodedata.normalize("NFD", "Orléans")
    path = folder / "set.json"
    if kind == "squad":
        answers = [{"text": answer, "answer_start": place}]
        paragraph = {"context": ANGELIQUE, "qas": [question | {"answers": answers}]}
        path.write_text(json.dumps({"data": [{"title": "Ange\u0301", "paragraphs": [paragraph]}]}))
        return {"squad": path}
    row = question | {"title": "Ange\u0301", "answers": {"text": [answer], "answer_start": [place]}}
    if kind == "texts":
        (folder / "texts").mkdir()
        (folder / "texts" / "Angé.txt").write_text(ANGELIQUE)
        path.write_text(json.dumps(row | {"answers": answer}))
        return {"table": path, "texts": folder / "texts"}
    path.write_text(json.dumps(row | {"context": ANGELIQUE}))
    return {"table": path}


@pytest.mark.parametrize("kind", ["squad", "table", "texts"])
def test_accents_are_composed_wherever_they_stand(kind, tmp_path):
    (document,), (question,) = load(tmp_path / "set", **build_decomposed(tmp_path, kind))
    assert (document.entity, document.text) == ("Angé", "Angélique née à Orléans, à Orléans même.")
    assert (question.question, question.answers) == ("Où ?", ["Orléans"])
    assert question.answer_starts == [16 if kind == "texts" else 27]
    mended = [reason for reason in count_left_out(tmp_path / "set") if "mended" in reason]
    assert mended == []


def test_a_folder_of_texts_is_asked_about(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "Rome.txt").write_text("Rome lies\non the Tiber.\n\nIt fell in 1527.\n")
    (tmp_path / "texts" / "Oslo.md").write_text(
        "# Oslo\n\n```\ncode 1999\n```\n- **Oslo** burnt in 1624.\n\n"
        "## Later\n\nIt grew in __1924__.\n"
    )
    documents, questions = load(tmp_path / "set", texts=tmp_path / "texts")
    assert [(document.entity, document.text, document.section) for document in documents] == [
        ("Oslo", "Oslo burnt in 1624.", ""),
        ("Oslo", "It grew in 1924.", "Later"),
        ("Rome", "Rome lies on the Tiber.", ""),
        ("Rome", "It fell in 1527.", ""),
    ]
    assert [question.answers for question in questions] == [["1624"]]
    assert count_left_out(tmp_path / "set")["question left out: dependent"] == 2
    assert "no folder at" in get_error(tmp_path / "a", texts=tmp_path / "none")
    assert "exactly one source" in get_error(tmp_path / "b", texts=tmp_path, squad=tmp_path)
    (tmp_path / "texts" / "oslo.txt").write_text("x")
    (tmp_path / "t.jsonl").write_text(json.dumps(NO_TEXTS["own"]))
    settings = {"texts": tmp_path / "texts", "table": tmp_path / "t.jsonl"}
    assert "have one name: rename one" in get_error(tmp_path / "c", **settings)


def test_marks_of_markdown_are_no_text_and_numbers_of_the_text_are_no_marks(tmp_path):
    """A line that a year begins had lost it, and a list was part of the paragraph before it."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "Ada.md").write_text(
        "She won the prize in\n1990. Then she died in\n12. December 1999.\n\n"
        "- First born in 1980.\n- Second.\n\n1. One was\n1984. It was red.\n2. Two\n\n---\n\n"
        "> Quoted\n> twice, see [Foo](https://x.org/Foo_(bar)).\n"
    )
    documents, _ = load(tmp_path / "set", texts=tmp_path / "texts", min_words=1)
    assert [document.text for document in documents] == [
        "She won the prize in 1990. Then she died in 12. December 1999.",
        "First born in 1980. Second.",
        "One was 1984. It was red. Two",
        "Quoted twice, see Foo.",
    ]


def test_articles_are_counted_once_wherever_their_paragraphs_stand(tmp_path):
    table = tmp_path / "t.jsonl"
    rows = [
        {
            "title": f"Town {number % 3}",
            "context": f"It burnt in {1600 + number} for days.",
            "question": f"When, {number}?",
            "answers": [str(1600 + number)],
        }
        for number in range(12)
    ]
    table.write_text("\n".join(map(json.dumps, rows)))
    load(tmp_path / "set", table=table, min_words=1)
    statistics = json.loads((tmp_path / "set" / "statistics.json").read_text())
    assert (statistics["documents"], statistics["entities"]) == (12, 3)
    assert "12 paragraphs of 3 " in (tmp_path / "set" / "README.md").read_text()


def test_texts_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for name in ("north/index.txt", "south/Index.md", "rome.txt"):
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"The town of {path.parent.name} burnt down twice in the year 1624.\n")
    documents, _ = load(tmp_path / "set", texts=tmp_path / "texts", min_words=1)
    entities = [document.entity for document in documents]
    assert entities == ["north/index", "rome", "south/Index"]


def test_a_shuffled_table_gives_each_paragraph_once(tmp_path):
    rows = [
        {
            "title": f"T{t}",
            "context": f"T{t} has a{t}{p} and b.",
            "question": f"{t}{p}{q}?",
            "answers": f"a{t}{p}",
            "id": f"{t}{p}{q}",
        }
        for t in range(3)
        for p in range(3)
        for q in range(5)
    ]
    (tmp_path / "sorted.jsonl").write_text("\n".join(map(json.dumps, rows)))
    random.Random(1).shuffle(rows)
    (tmp_path / "mixed.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tables = [
        load(tmp_path / name, table=tmp_path / f"{name}.jsonl") for name in ("sorted", "mixed")
    ]
    for documents, questions in tables:
        assert len(documents) == len({document.text for document in documents}) == 9
        assert len(questions) == 45
        assert len({document.doc_id.split("-")[0] for document in documents}) == 3
    assert {q.question for q in tables[0][1]} == {q.question for q in tables[1][1]}


def test_a_limit_keeps_all_questions_of_the_articles(tmp_path):
    rows = [
        ROWS[0] | {"title": f"T{t}", "context": f"T{t}: {ROME}", "question": f"{q}?"}
        for q in range(4)
        for t in range(5)
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    documents, questions = load(tmp_path / "set", table=tmp_path / "t.jsonl", limit=2)
    assert [document.title for document in documents] == ["T0", "T1"]
    assert len(questions) == 8
    counts = count_left_out(tmp_path / "set")
    assert counts["question of an article beyond the limit"] == 12
    assert counts["questions read"] == 20


def test_rows_without_a_title_are_articles_of_their_own():
    rows = [AskedRow("", text, None) for text in "abab"]
    articles = list(join_rows(rows))
    assert [[p.text for p in article.paragraphs] for article in articles] == [["a"], ["b"]]
    assert len(list(join_rows(rows, limit=1))) == 1


def test_an_old_name_of_the_hub_is_given_with_its_new_one():
    message = str(_build_hub_error("cannot reach 'squad' on the Hub", ValueError("no such name")))
    assert message.endswith("it is now 'rajpurkar/squad'")
    assert "--table FILE" in str(_build_hub_error("cannot reach 'my/squad'", ValueError("x")))


def test_counts_name_what_each_row_lacked(tmp_path):
    rows = [ROWS[0], ROWS[1] | {"answers": None}, ROWS[1] | {"answers": "Sweden", "question": "W?"}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    load(tmp_path / "set", table=tmp_path / "t.jsonl")
    counts = Counter(count_left_out(tmp_path / "set"))
    assert counts["question without an answer"] == 1
    assert counts["question left out: no answer stands in the paragraph"] == 1


@pytest.mark.parametrize("with_rows", [True, False])
def test_nobody_says_that_your_own_text_is_wikipedias(tmp_path: Path, with_rows: bool):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "Rome.txt").write_text(f"{ROME} It has 2,860,009 people.")
    (tmp_path / "rows.json").write_text(json.dumps(ROWS[:1]))
    settings: dict[str, object] = {"texts": tmp_path / "notes", "filters": ("none",)}
    settings |= {"table": tmp_path / "rows.json"} if with_rows else {}
    documents, questions = load(tmp_path / "own", **settings)
    assert {row.licence for row in (*documents, *questions)} == {"unknown"}
    card = (tmp_path / "own" / "README.md").read_text()
    assert "license: unknown\n" in card
    assert "Wikipedia" not in card
    assert "- wikipedia" not in card
    load(tmp_path / "stated", licence="CC BY-SA 4.0", **settings)
    card = (tmp_path / "stated" / "README.md").read_text()
    assert "license: cc-by-sa-4.0\n" in card
    assert "--licence 'CC BY-SA 4.0'" in card


def test_the_text_of_other_sources_is_wikipedias(tmp_path: Path):
    (tmp_path / "squad.json").write_text(json.dumps(build_squad()))
    documents, _ = load(tmp_path / "out", squad=tmp_path / "squad.json")
    assert documents[0].licence == "CC BY-SA 4.0"
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: cc-by-sa-4.0\n" in card
    assert "written by the authors of Wikipedia" in card
    assert "--licence" not in card
