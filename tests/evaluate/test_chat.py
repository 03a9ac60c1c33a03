"""Chat models: endpoint and local; replies are kept; questions that they write; what they know."""

import json
import re
import shutil
from pathlib import Path
from zlib import crc32

import pytest
from click.testing import CliRunner
from handmade import dump_file, squad_file
from stand_in_chat import chat_server

import elusive.common.chat.models as chat_module
import elusive.common.endpoints as endpoints
from elusive.cli.main import cli
from elusive.common.chat.kept_replies import KeptReplies
from elusive.common.chat.local import generate_replies
from elusive.common.chat.models import build_chat_model
from elusive.common.dataset.check import check_dataset
from elusive.common.dataset.records import WikiQuestion, from_table
from elusive.common.errors import InputError
from elusive.common.folders import read_table
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.generate import generate_dataset
from elusive.wikiqa.questions.writer import parse_reply


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("ELUSIVE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def questions(out: Path) -> list[WikiQuestion]:
    return from_table(read_table(out, "questions"), WikiQuestion)


def left_out(out: Path) -> dict[str, int]:
    return json.loads((out / "statistics.json").read_text())["read_and_left_out"]


def test_replies_come_in_the_order_of_the_prompts_and_are_asked_for_once(own_cache):
    with chat_server(lambda prompt: prompt.upper()) as server:
        prompts = [f"say {n}" for n in range(20)] + ["say 3"]
        model = build_chat_model("echo", server.url)
        assert model.ask(prompts, 8) == [prompt.upper() for prompt in prompts]
        assert sorted(server.prompts) == sorted(set(prompts))
        assert build_chat_model("echo", server.url).ask(prompts, 8) == [p.upper() for p in prompts]
        assert len(server.prompts) == 20
        build_chat_model("echo", server.url).ask(["say 1"], 9)  # a longer reply may be another one
        build_chat_model("other", server.url).ask(["say 1"], 8)
        assert len(server.prompts) == 22


def test_busy_and_failing_servers_are_asked_again():
    with chat_server(str.upper) as server:
        server.failures = [429, 500, 503]
        assert build_chat_model("echo", server.url).ask(["hello"], 8) == ["HELLO"]
        assert len(server.prompts) == 4


@pytest.mark.parametrize(("status", "hint"), [(401, "OPENAI_API_KEY"), (404, "try again")])
def test_a_refusal_is_one_line(status, hint):
    with chat_server(str.upper) as server:
        server.failures = [status]
        with pytest.raises(InputError, match=rf"status {status} \(.*not now.*{hint}"):
            build_chat_model("echo", server.url).ask(["hello"], 8)


def test_no_server_is_one_line_and_kept_replies_stay(monkeypatch):
    monkeypatch.setattr(endpoints, "RETRIES", 1)
    monkeypatch.setattr(chat_module, "TOGETHER", 2)
    with chat_server(str.upper) as server:
        model = build_chat_model("echo", server.url)
        model.ask(["a", "b"], 8)
        server.failures = [500] * 50
        with pytest.raises(InputError, match="status 500"):
            model.ask(["a", "b", "c"], 8)
        url = server.url
    assert build_chat_model("echo", url).ask(["a", "b"], 8) == ["A", "B"]
    with pytest.raises(InputError, match=r"is the server running\?"):
        build_chat_model("echo", url).ask(["c"], 8)


def test_a_broken_file_of_replies_is_one_line(tmp_path):
    (tmp_path / "replies.sqlite").write_bytes(b"no database, but long enough" * 40)
    with pytest.raises(InputError, match="delete it"):
        KeptReplies(tmp_path / "replies.sqlite")


def test_a_local_model_replies_alike_alone_and_in_a_batch(model_folder):
    model = build_chat_model(str(model_folder("llama")))
    prompts = ["Who was born in Paris?", "Where?", "She studied music. What did she study there?"]
    together = model.ask(prompts, 6)
    assert all(together)
    alone = [generate_replies(str(model_folder("llama")), [prompt], 6)[0] for prompt in prompts]
    assert alone == together


def test_a_model_with_another_chat_template_gets_no_stored_replies_of_the_first(
    model_folder, tmp_path
):
    model = model_folder("llama")
    copies = [shutil.copytree(model, tmp_path / name) for name in ("same", "other")]
    (copies[1] / "chat_template.jinja").write_text("{{ messages[0].content }}")
    first, same, other = (build_chat_model(str(folder)).identity for folder in (model, *copies))
    assert first == same != other


def paragraph_of(prompt: str) -> str:
    return prompt.rsplit("Paragraph:\n", 1)[-1]


def asked_question(prompt: str) -> str:
    return re.findall(r"Question: (.*)\nAnswer:", prompt)[-1]


@pytest.mark.parametrize(
    ("reply", "count"),
    [
        ('[{"question": "Who?", "answer": "Ada"}]', 1),
        ('Here: ```json\n[{"question": "Who?", "answer": "Ada", "note": 1}]\n```', 1),
        ("[]", 0),
        (
            'see [1]: [{"question": " Who? ", "answer": "Ada"}, {"question": "B?", "answer": "b"}]',
            2,
        ),
    ],
)
def test_lists_of_questions_are_found_in_replies(reply, count):
    written = parse_reply(reply)
    assert written is not None
    assert len(written) == count
    assert all(question.question == question.question.strip() for question in written)


@pytest.mark.parametrize(
    "reply", ["", "I cannot", '[{"question": "Who?"}]', '[{"question": "", "answer": "A"}]', "[[[["]
)
def test_other_replies_are_no_questions(reply):
    assert parse_reply(reply) is None


def write_badly_then_well(prompt: str) -> str:
    """A writer that does not reply in JSON at once about every paragraph with the word Rome."""
    if "Rome" in prompt.rsplit("Paragraph:", 1)[-1] and "could not be read" not in prompt:
        return "Sure, I will!"
    words = paragraph_of(prompt).split("\n")[0].split()
    written = [
        {"question": f"Which word opens text {crc32(prompt.encode())}?", "answer": words[0]},
        {"question": "Which word does the text lack?", "answer": "xylophone"},
    ]
    return json.dumps(written)


def wiki_dump(path: Path) -> Path:
    pages = {
        f"Place {n}": (f"{word} is a place number {n} of many places where people live and work, "
         "and it has been one for a very long time, as all of them say.")
        for n, word in enumerate(["Rome", "Oslo", "Lima", "Bern", "Kyiv", "Riga"])
    }  # fmt: skip
    return dump_file(path, pages)


def test_a_model_writes_questions_and_what_is_of_no_use_is_counted(tmp_path):
    dump, out = wiki_dump(tmp_path / "dump.xml"), tmp_path / "set"
    with chat_server(write_badly_then_well) as server:
        config = WikiqaConfig(dump=(dump,), writer="w", endpoint=server.url, shots=1, min_words=5)
        generate_dataset(config, out)
        assert len(server.prompts) == 7  # six paragraphs, one of them twice
        second = tmp_path / "again"
        generate_dataset(config, second)
        assert len(server.prompts) == 7
    assert list(check_dataset(out)) == []
    assert {question.field for question in questions(out)} == {"written"}
    assert len(questions(out)) == 5
    assert left_out(out)["written question whose answer the paragraph has not"] == 6
    assert left_out(out)["questions written"] == 6
    assert questions(out) == questions(second)
    with chat_server(write_badly_then_well) as elsewhere:
        assert not generate_dataset(config.model_copy(update={"endpoint": elsewhere.url}), out)
    files = [path.read_bytes() for path in out.rglob("*") if path.is_file()]
    assert not any(server.url.encode() in content for content in files), "an inner address"
    assert "--endpoint URL" in (out / "README.md").read_text()
    assert "written by the model `w`" in (out / "README.md").read_text()


def test_only_drawn_paragraphs_are_written_about(tmp_path):
    text = "\n\n".join(f"Word{n} stands in this paragraph of some length." for n in range(9))
    dump = dump_file(tmp_path / "dump.xml", {"Long": text, "Other": text.replace("Word", "W")})
    with chat_server(write_badly_then_well) as server:
        config = WikiqaConfig(
            dump=(dump,), writer="w", endpoint=server.url, shots=0, min_words=3,
            paragraphs_per_article=2, dev_rate=0,
        )  # fmt: skip
        generate_dataset(config, tmp_path / "set")
        assert len(server.prompts) == 4
    assert len(questions(tmp_path / "set")) == 4


def knows(prompt: str) -> str:
    """An examinee that knows the mayor of City 1, finds all but that of City 2 in a text."""
    number = re.findall(r"City (\d+)\?", asked_question(prompt))[0]
    with_text = "Text: " in prompt
    if (with_text and number != "2") or number == "1":
        return f" The mayor is M{number}.\nQuestion: What next?"
    return "I do not know, M77?"


def cities(path: Path) -> Path:
    return squad_file(
        path,
        {
            f"City_{n}": [(f"City {n} has mayor M{n}.", [(f"Who runs City {n}?", f"M{n}", 17)])]
            for n in range(5)
        },
    )


def test_both_grades_and_the_contamination_are_kept(tmp_path):
    out = tmp_path / "set"
    with chat_server(knows) as server:
        generate_dataset(
            WikiqaConfig(
                squad=cities(tmp_path / "c.json"), examiner="m", endpoint=server.url, shots=0
            ),
            out,
        )
    assert list(check_dataset(out)) == []
    grades = {question.entity: (question.blind, question.informed) for question in questions(out)}
    assert grades == {
        "City 0": ("wrong", "right"),
        "City 1": ("right", "right"),
        "City 2": ("wrong", "wrong"),
        "City 3": ("wrong", "right"),
        "City 4": ("wrong", "right"),
    }
    card = (out / "README.md").read_text()
    assert re.search(r"\| without the paragraph \(blind\) \| 20\.0 \[0\.0, \d+\.0\] \|", card)
    assert re.search(r"\| with the paragraph \(informed\) \| 80\.0 \[\d+\.0, 100\.0\] \|", card)
    exam = json.loads((out / "statistics.json").read_text())["exam"]
    assert (exam["examiner"], exam["questions"], exam["blind"]["mean"]) == ("m", 5, 0.2)


def test_known_and_unanswerable_questions_are_left_out_on_demand(tmp_path):
    out = tmp_path / "set"
    with chat_server(knows) as server:
        config = WikiqaConfig(
            squad=cities(tmp_path / "c.json"), examiner="m", endpoint=server.url, shots=0,
            filters=("known", "unanswerable"),
        )  # fmt: skip
        generate_dataset(config, out)
    assert [question.entity for question in questions(out)] == ["City 0", "City 3", "City 4"]
    assert left_out(out)["question left out: known"] == 1
    assert left_out(out)["question left out: unanswerable"] == 1
    assert "20.0 [0.0, 80.0]" in (out / "README.md").read_text()  # counted before leaving out


def test_a_local_model_is_an_examiner_too(tmp_path, model_folder):
    out = tmp_path / "set"
    config = WikiqaConfig(
        squad=cities(tmp_path / "c.json"), examiner=str(model_folder("llama")), shots=0
    )
    generate_dataset(config, out)
    assert {question.blind for question in questions(out)} == {"wrong"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--filters", "known"], "known needs examiner"),
        (["--writer", "m"], "writer needs dump, texts or raw"),
        (["--endpoint", "http://localhost:1/v1"], "endpoint needs writer or examiner"),
        (["--examiner", "no/such-model"], "no model 'no/such-model'"),
    ],
)
def test_settings_that_do_not_go_together_are_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    source = cities(tmp_path / "c.json")
    command = ["wikiqa", "--squad", str(source), *arguments, "--out", str(tmp_path / "set")]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 2 or isinstance(done.exception, InputError)
    assert message in str(done.exception) + done.output
