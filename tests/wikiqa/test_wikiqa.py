"""Question sets: what is chosen, what is left out, and how tables are read."""

import json
import shlex
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from handmade import squad_file
from question_sets import ROME, build_set, counts, get_error, load, simple_file

from elusive.cli.main import cli
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import Shot
from elusive.common.errors import InputError
from elusive.common.text.text_spans import find_whole_words
from elusive.evaluate.answering.prompts import get_topic, split_shots
from elusive.wikiqa.articles import Article, Asked, Paragraph
from elusive.wikiqa.card import build_command_line
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.filters import find_drop_reason
from elusive.wikiqa.generate import generate_dataset
from elusive.wikiqa.questions.cloze import add_cloze_questions
from elusive.wikiqa.sources.squad import write_squad

XQUAD = Path(__file__).resolve().parents[3] / "shared" / "data" / "xquad.en.json"
needs_data = pytest.mark.skipif(not XQUAD.exists(), reason=f"no file {XQUAD}")


@needs_data
def test_real_squad_layout_comes_through_and_back_without_loss(tmp_path):
    out = build_set(tmp_path / "set", squad=XQUAD, shots=0)
    documents, questions, shots = load(out)
    assert (len(documents), len(questions), len(shots)) == (240, 1190, 0)
    for question in questions:
        (document,) = [d for d in documents if d.doc_id == question.doc_id][:1]
        for answer, start in zip(question.answers, question.answer_starts, strict=True):
            assert document.text[start : start + len(answer)] == answer
    asked = ((d, [q for q in questions if q.doc_id == d.doc_id]) for d in documents)
    write_squad(asked, tmp_path / "back.json")
    before = json.loads(XQUAD.read_text(encoding="utf-8"))["data"]
    assert json.loads((tmp_path / "back.json").read_text(encoding="utf-8"))["data"] == before


@needs_data
def test_articles_for_shots_are_in_no_other_table_and_splits_follow_articles(tmp_path):
    out = build_set(tmp_path / "set", squad=XQUAD, dev_rate=0.3)
    documents, questions, shots = load(out)
    assert not {shot.entity for shot in shots} & {document.entity for document in documents}
    assert len({shot.entity for shot in shots}) == 8
    splits = {(question.entity, question.split) for question in questions}
    assert len(splits) == len({entity for entity, _ in splits}) == 40
    assert {split for _, split in splits} == {"dev", "test"}


def test_prompts_show_as_many_shots_per_kind_from_as_many_articles_as_can_be(tmp_path):
    shots = [
        Shot(f"a{n}", field, f"{n} {field} {k}?", "x")
        for n in range(8)
        for field in ("link", "date")
        for k in range(3)
    ]
    prompt, rest = split_shots(shots, 5, 0)
    assert Counter(get_topic(shot)[1] for shot in prompt) == {"link": 5, "date": 5}
    assert len({shot.entity for shot in prompt}) == 5
    assert {shot.entity for shot in rest} | {shot.entity for shot in prompt} == {
        f"a{n}" for n in range(8)
    }
    assert not {shot.entity for shot in rest} & {shot.entity for shot in prompt}


def test_unanswerable_questions_are_left_out_and_counted(tmp_path):
    path = simple_file(tmp_path / "v2.json")
    content = json.loads(path.read_text())
    for article in content["data"][:2]:
        article["paragraphs"][0]["qas"][0] |= {"is_impossible": True, "answers": []}
    path.write_text(json.dumps(content))
    out = build_set(tmp_path / "set", squad=path, shots=0)
    assert counts(out)["question without an answer"] == 2
    assert len(load(out)[1]) == 4


def test_heads_are_whole_words_and_the_longest_name_wins():
    text = "New York City is not York; New Yorkers know. York?"
    spans = find_whole_words(text, ["York", "New York City"])
    names = [text[start:end] for start, end in spans]
    assert names == ["New York City", "York", "York"]


def test_a_combining_mark_makes_a_longer_word():
    assert find_whole_words("Andre\u0301 and Andre", ["Andre"]) == [(11, 16)]
    assert find_whole_words("किताब कि", ["कि"]) == [(6, 8)]
    assert find_whole_words("100², 100", ["100"]) == [(6, 9)]


def test_an_underscore_makes_a_longer_word_in_mentions_leaks_and_checks_alike(tmp_path):
    assert find_whole_words("art_2, _art and art", ["art"]) == [(16, 19)]
    text = "Art_2 is by Ann. Art hangs in a hall."
    questions = [("Which file is Ann_1 in?", "Ann", 12), ("What hangs in a hall?", "Art", 17)]
    path = squad_file(tmp_path / "s.json", {"Art": [(text, questions)]})
    out = build_set(tmp_path / "set", squad=path, shots=0, filters=["leak"])
    (document,), kept_questions, _ = load(out)
    assert document.heads == [(17, 20)]
    assert [question.answers for question in kept_questions] == [["Ann"], ["Art"]]


def test_facts_say_distance_and_sentence(tmp_path):
    path = squad_file(
        tmp_path / "one.json",
        {"Rome": [(ROME, [("On what?", "Tiber", 45), ("Capital of what?", "Italy", 23)])]},
    )
    out = build_set(tmp_path / "set", squad=path, shots=0)
    (document,) = load(out)[0]
    assert [(f.value, f.distance, f.position) for f in document.facts] == [
        ("Italy", 5, 0),
        ("Tiber", 10, 1),
    ]
    assert document.licence == "CC BY-SA 4.0"


def test_sampling_is_seeded_and_keeps_the_order(tmp_path):
    path = squad_file(
        tmp_path / "many.json",
        {
            f"T{n}": [
                (f"Text {p} of {n}: a b c d.", [(f"{n} {p} {q}?", q, 0) for q in "abcd"])
                for p in range(6)
            ]
            for n in range(4)
        },
    )
    chosen = {}
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        out = build_set(
            tmp_path / name,
            squad=path,
            shots=0,
            seed=seed,
            paragraphs_per_article=3,
            questions_per_paragraph=2,
        )
        documents, questions, _ = load(out)
        assert len(documents) == 12
        assert len(questions) == 24
        assert [d.text for d in documents if d.title == "T0"] == sorted(
            d.text for d in documents if d.title == "T0"
        )
        chosen[name] = [question.question for question in questions]
    assert chosen["one"] == chosen["again"] != chosen["other"]


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        (
            "Who built it, the long answer?",
            "one two three four five six seven eight nine",
            "length",
        ),
        ("Was Rome or Paris first?", "rome", "leak"),
        ("Where did he live?", "Rome", "dependent"),
        (
            'Which words fill the blank in this sentence about X? "It lies in ___."',
            "Rome",
            "dependent",
        ),
        ("Where does the Tiber end?", "Rome", None),
        (
            'Which words fill the blank in this sentence about X? "Romans live in ___."',
            "Rome",
            None,
        ),
    ],
)
def test_each_filter_leaves_out_what_it_is_for(question, answer, reason):
    config = WikiqaConfig(dump=(Path("x"),))
    asked = Asked("1", question, [(answer, 0)])
    assert find_drop_reason(asked, Article("X", []), config) == reason


def test_duplicates_and_ambiguous_questions_are_counted(tmp_path):
    rome = [("Which city?", "Rome", 0), ("Which  CITY?", "Rome", 0)]
    path = squad_file(
        tmp_path / "some.json",
        {
            "Rome": [("Rome is old. The river is long.", [*rome, ("What is long?", "river", 17)])],
            "Nile": [("Nile is long. Rome is not.", [("What is long?", "Nile", 0)])],
        },
    )
    out = build_set(tmp_path / "set", squad=path, shots=0, filters=["duplicate", "ambiguous"])
    assert [question.question for question in load(out)[1]] == ["Which city?"]
    assert counts(out)["question left out: duplicate"] == 1
    assert counts(out)["question left out: ambiguous"] == 2


def test_cloze_questions_name_the_article_and_ask_for_what_stands_once():
    paragraph = Paragraph(
        "Rome has 2,800,000 inhabitants. It was founded on 21 April 753 and sacked in 1527. "
        "Rome is not Paris, as Paris is in France.",
    )
    asked = add_cloze_questions(Article("Rome", [paragraph])).paragraphs[0].asked
    assert [(a.answers[0][0], a.field) for a in asked] == [
        ("2,800,000 inhabitants", "quantity"),
        ("21 April", "date"),
        ("1527", "date"),
    ]
    assert asked[0].question == (
        'Which words fill the blank in this sentence about Rome? "Rome has ___."'
    )
    for question in asked:
        answer, start = question.answers[0]
        assert paragraph.text[start : start + len(answer)] == answer


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_table_with_other_column_names_is_read(suffix, tmp_path):
    rows = [
        {"passage": ROME, "q": "On which river?", "a": "Tiber", "title": "Rome"},
        {"passage": ROME, "q": "Capital of what?", "a": ["Italy", "the Tiber"], "title": "Rome"},
        {"passage": "Oslo is cold.", "q": "What is cold?", "a": "Oslo", "title": "Oslo"},
    ]
    path = tmp_path / f"rows{suffix}"
    if suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    else:
        lists = [
            {**row, "a": [row["a"]] if isinstance(row["a"], str) else row["a"]} for row in rows
        ]
        pq.write_table(pa.Table.from_pylist(lists), path)
    columns = ("context=passage", "question=q", "answers=a")
    out = build_set(tmp_path / "set", table=path, columns=columns, shots=0)
    documents, questions, _ = load(out)
    assert [document.text for document in documents] == [ROME, "Oslo is cold."]
    assert [question.answers for question in questions] == [
        ["Tiber"],
        ["Italy", "the Tiber"],
        ["Oslo"],
    ]


def test_raw_articles_of_a_table_are_asked_about(tmp_path):
    text = (
        "Rome is old and has 2,800,000 inhabitants, of whom many like the city very much.\n\nShort."
    )
    rows = [{"id": "1", "url": "https://x.org/Rome", "title": "Rome", "text": text}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "raw.parquet")
    out = build_set(
        tmp_path / "set", table=tmp_path / "raw.parquet", raw=True, shots=0, min_words=5
    )
    (document,), (question,), _ = load(out)
    assert document.url == "https://x.org/Rome"
    assert question.answers == ["2,800,000 inhabitants"]
    assert counts(out)["short paragraph"] == counts(out)["questions written"] == 1
    message = get_error(
        tmp_path / "b", table=tmp_path / "raw.parquet", columns=["text=body"], raw=True
    )
    assert "no column 'body'" in message


def test_broken_files_are_one_line_with_the_place(tmp_path):
    whole = simple_file(tmp_path / "whole.json").read_bytes()
    cut = tmp_path / "cut.json"
    cut.write_bytes(whole[: len(whole) // 2])
    assert "is not a complete JSON file" in get_error(tmp_path / "a", squad=cut)
    latin = tmp_path / "latin.json"
    latin.write_bytes(whole.replace(b"City 0", b"C\xeft\xe9 0"))
    assert "latin.json" in get_error(tmp_path / "b", squad=latin)
    (tmp_path / "other.json").write_text('{"rows": []}')
    assert "has no articles" in get_error(tmp_path / "c", squad=tmp_path / "other.json")
    (tmp_path / "flat.json").write_text('{"data": [{"title": "A", "paragraphs": [{}]}]}')
    assert "article 1 is not in SQuAD layout" in get_error(
        tmp_path / "d", squad=tmp_path / "flat.json"
    )
    assert "no file at" in get_error(tmp_path / "e", squad=tmp_path / "none.json")
    (tmp_path / "bad.jsonl").write_text('{"context": "x", "question": "y", "answers": "x"}\n{oh')
    assert "line 2: not JSON" in get_error(tmp_path / "f", table=tmp_path / "bad.jsonl")
    (tmp_path / "thin.jsonl").write_text('{"context": "x", "question": "y"}\n')
    message = get_error(tmp_path / "g", table=tmp_path / "thin.jsonl")
    assert "no column 'answers' (it has context, question)" in message


def test_an_empty_paragraph_is_left_out_and_counted(tmp_path):
    path = squad_file(
        tmp_path / "e.json", {"Rome": [("  ", []), (ROME, [("On what?", "Tiber", 45)])]}
    )
    out = build_set(tmp_path / "set", squad=path, shots=0)
    assert counts(out)["empty paragraph"] == 1
    assert len(load(out)[0]) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "exactly one source is needed, got none"),
        ({"squad": "a", "dump": "b"}, "got --squad and --dump: choose one of"),
        ({"squad": "a", "revision": "x"}, "revision needs hub"),
        ({"squad": "a", "raw": True}, "raw needs hub or table"),
        ({"table": "a", "hub_config": "en"}, "hub_config needs hub"),
        ({"dump": "a", "filters": ["none", "leak"]}, "none excludes all other reasons"),
        ({"squad": "a", "columns": ["a=b"]}, "columns needs hub or table"),
        ({"table": "a", "columns": ["passage=context"]}, "should be OURS=THEIRS"),
        (
            {"table": "a", "columns": ["title=a", "title=b"]},
            "got title=a and title=b: name title once",
        ),
        ({"squad": "a", "filters": ["leek"]}, "filters"),
    ],
)
def test_settings_that_do_not_go_together_are_one_line(settings, message, tmp_path):
    from elusive.common.errors import validate_config

    with pytest.raises(InputError) as error:
        validate_config(WikiqaConfig, settings)
    assert message in str(error.value)


def test_more_shots_than_articles_is_one_line(tmp_path):
    message = get_error(tmp_path, squad=simple_file(tmp_path / "s.json", 3), shots=8)
    assert "lower --shots" in message


@pytest.mark.parametrize(
    "row",
    [
        {"context": None, "question": "What?", "answers": "It"},
        {"context": "It is.", "question": None, "answers": "It"},
        {"context": "It is.", "question": "What?", "answers": 5.0},
        {"context": "It is.", "question": "What?", "answers": {"text": ["It"], "answer_start": 0}},
        {
            "context": "It is.",
            "question": "W?",
            "answers": {"text": ["It"], "answer_start": ["x"]},
        },
    ],
)
def test_a_dirty_row_is_one_line_with_its_number(row, tmp_path):
    good = {"context": "It is.", "question": "What?", "answers": "It"}
    (tmp_path / "r.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(row)}\n")
    assert "r.jsonl, row 1: " in get_error(tmp_path, table=tmp_path / "r.jsonl", shots=0)


def test_a_mended_command_may_write_to_the_same_folder(tmp_path):
    row = {"passage": "Rome is old.", "question": "What is old?", "answers": "Rome"}
    (tmp_path / "r.jsonl").write_text(json.dumps(row))
    assert "no column 'context'" in get_error(tmp_path, table=tmp_path / "r.jsonl")
    columns = ["context=passage"]
    build_set(tmp_path / "out", table=tmp_path / "r.jsonl", columns=columns, shots=0)


def test_a_dirty_question_in_squad_layout_is_one_line(tmp_path):
    for changes in ({"text": None}, {"answer_start": "x"}):
        path = simple_file(tmp_path / "s.json", 2)
        content = json.loads(path.read_text())
        content["data"][1]["paragraphs"][0]["qas"][0]["answers"][0] |= changes
        path.write_text(json.dumps(content))
        message = get_error(tmp_path / str(list(changes)), squad=path)
        assert "s.json: article 2: an" in message


def test_repeated_identifiers_are_told_apart(tmp_path):
    rows = [
        {"id": "q", "title": f"T{n}", "context": f"{n} is.", "question": f"{n}?", "answers": str(n)}
        for n in range(3)
    ]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = build_set(tmp_path / "set", table=tmp_path / "r.jsonl", shots=0)
    assert [question.question_id for question in load(out)[1]] == ["q", "q#1", "q#2"]
    raw = [
        {"title": "Same", "text": f"Rome had 1{n}00 ships in the year 15{n}0."} for n in range(3)
    ]
    (tmp_path / "raw.jsonl").write_text("\n".join(map(json.dumps, raw)))
    settings = {"table": tmp_path / "raw.jsonl", "raw": True, "shots": 0, "min_words": 3}
    build_set(tmp_path / "raw", **settings)


def test_an_answer_without_a_place_is_found_as_a_whole_word(tmp_path):
    row = {"title": "A", "context": "The party liked art.", "question": "What?", "answers": "art"}
    (tmp_path / "r.jsonl").write_text(json.dumps(row))
    (question,) = load(build_set(tmp_path / "set", table=tmp_path / "r.jsonl", shots=0))[1]
    assert question.answer_starts == [16]


def test_the_cards_command_is_one_that_the_command_line_takes(tmp_path):
    config = WikiqaConfig(
        hub="wikimedia/wikipedia", hub_config="20231101.en", raw=True, licence="CC BY 4.0"
    )
    words = shlex.split(build_command_line(config, "wikimedia/wikipedia"))[1:]
    context = cli.commands["wikiqa"].make_context("wikiqa", words[1:])
    names = WikiqaConfig.model_fields.keys() & context.params.keys()
    assert WikiqaConfig.model_validate({name: context.params[name] for name in names}) == config


def test_articles_without_a_title_are_told_apart(tmp_path):
    path = simple_file(tmp_path / "s.json", 12)
    content = json.loads(path.read_text())
    for article in content["data"]:
        del article["title"]
    path.write_text(json.dumps(content))
    documents, _, shots = load(build_set(tmp_path / "set", squad=path, shots=4))
    assert len({document.entity for document in documents}) == 8
    assert len({shot.entity for shot in shots}) == 4


def test_a_source_without_a_question_is_refused_and_the_folder_stays_free(tmp_path):
    path = squad_file(tmp_path / "s.json", {"Rome": [(ROME, [])]})
    with pytest.raises(InputError, match=r"no question of s\.json is left \(1 articles read"):
        generate_dataset(WikiqaConfig(squad=path), tmp_path / "set")
    build_set(tmp_path / "set", squad=simple_file(tmp_path / "other.json"), shots=1)


def test_the_command_writes_shows_and_does_not_write_twice(tmp_path):
    path = simple_file(tmp_path / "s.json", 12)
    command = ["wikiqa", "--squad", str(path), "--out", str(tmp_path / "set")]
    first, second = (CliRunner().invoke(cli, command) for _ in range(2))
    assert "wrote" in first.output, first.output
    assert "already there" in second.output
    preview = CliRunner().invoke(cli, ["wikiqa", "--squad", str(path), "--preview", "1"])
    assert "City 0 has mayor M0." in preview.output
    assert "Who runs City 0?" in preview.output
    dataset = load_dataset_folder(tmp_path / "set")
    assert len(dataset.documents) == 4
    card = (tmp_path / "set" / "README.md").read_text()
    assert "elusive wikiqa --squad s.json --out DIR" in card
    assert "cc-by-sa-4.0" in card


@pytest.mark.parametrize("shots", [8, 0])
def test_arms_are_trained_and_scored_on_it_unchanged(shots, tmp_path, model_folder):
    path = simple_file(tmp_path / "s.json", 12)
    plan = {
        "dataset": str(build_set(tmp_path / "set", squad=path, shots=shots, dev_rate=0)),
        "model": str(model_folder("llama")),
        "arms": ["plain", "random", "attention", "oracle", "permute"],
        "augment": {"copies": 2},
        "training": {"epochs": 1, "format_replay": 2 if shots else 0},
        "answering": {"num_shots": 5 if shots else 0},
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    command = ["run", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert len(list(tmp_path.glob("run/cells/*/predictions.parquet"))) == 6
