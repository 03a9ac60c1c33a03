"""Dumps of any wiki, with pages that are too much for a parser: counted, not waited for."""

import bz2
import re
import resource
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from commands import run
from handmade import dump_file
from hypothesis import given
from hypothesis import strategies as st
from page_tasks import clean_or_misbehave, die_writing, write_titles

from elusive.common.dataset.records import Link
from elusive.common.errors import InputError
from elusive.wikiqa.articles import Article, Counts, Paragraph
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.documents import build_document
from elusive.wikiqa.page_workers import Job, Limits, PageWorkers
from elusive.wikiqa.questions.cloze import add_cloze_questions
from elusive.wikiqa.sources.dump import build_article, read_pages
from elusive.wikiqa.sources.xml_stream import CUT, BoundedXml
from elusive.wikiqa.wikitext.clean import clean_article

PROSE = "'''Rome''' is the capital of [[Italy]] and lies on the Tiber. "


def read_titles(path: Path, counts: Counts, language: str = "en") -> list[str]:
    return [page.title for page in read_pages(path, counts, language)]


def test_a_text_that_unpacks_to_gigabytes_is_counted_without_being_held(tmp_path):
    path = dump_file(tmp_path / "d.xml", {"Rome": PROSE, "Bomb": "HERE", "Oslo": PROSE})
    head, tail = path.read_bytes().split(b"HERE")
    packed = tmp_path / "d.xml.bz2"
    with bz2.BZ2File(packed, "wb") as file:
        file.write(head)
        for _ in range(200):
            file.write(b"a" * 1_000_000)
        file.write(tail)
    assert packed.stat().st_size < 4000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts: Counts = Counter()
    assert read_titles(packed, counts) == ["Rome", "Oslo"]
    assert counts["article of more than 2,000,000 characters"] == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024  # KiB


class Pieces:
    """A file that is read in pieces of a few bytes."""

    def __init__(self, content: bytes, size: int) -> None:
        self.content, self.size = content, size

    def read(self, size: int = -1) -> bytes:
        piece, self.content = self.content[: self.size], self.content[self.size :]
        return piece


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_text_is_cut_between_characters_and_outside_of_entities(size):
    whole = "é&amp;中&#x4e2d;aé &lt;b&gt;éé" * 3
    source = f"<mediawiki><siteinfo></siteinfo><page>{whole}</page><a>short</a>"
    for limit in range(30, 60):
        stream = BoundedXml(Pieces(source.encode(), size), limit)
        text = b"".join(iter(stream.read, b"")).decode()
        body = text.split("<page>")[1].split("</page>")[0]
        assert body.endswith(CUT)
        assert whole.startswith(body.removesuffix(CUT))
        assert body.count("&") == body.count(";")
        assert len(body.encode()) <= limit + 16
        assert text.endswith("</page><a>short</a>")


def test_a_dump_without_siteinfo_is_read(tmp_path):
    path = dump_file(tmp_path / "d.xml", {"Rom": PROSE, "Kategorie:Stadt": PROSE})
    xml = path.read_text()
    xml = xml[: xml.index("<siteinfo>")] + xml[xml.index("</siteinfo>") + len("</siteinfo>") :]
    path.write_text(xml.replace("<ns>0</ns>", ""))
    counts: Counts = Counter()
    assert read_titles(path, counts, "de") == ["Rom"]
    assert counts["page of another namespace"] == 1


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("<title>Rom</title>", "<title></title>"),
        ("<ns>0</ns>", "<ns>zero</ns>"),
        ("<title>Rom</title>", ""),
    ],
)
def test_a_page_that_is_not_as_in_a_dump_is_one_line(good, bad, tmp_path):
    path = dump_file(tmp_path / "d.xml", {"Rom": PROSE})
    assert good in path.read_text()
    path.write_text(path.read_text().replace(good, bad))
    with pytest.raises(InputError, match="after page 0 is not as in pages-articles XML"):
        read_titles(path, Counter(), "en")


def german_dump(path: Path) -> Path:
    """A dump of the German Wikipedia, with its namespaces."""
    text = "[[Datei: x.jpg|mini|Bild]]Rom hat 2.872.800 Einwohner und 3,5 km Mauern." + (
        "[[Kategorie:Stadt]] [[Ostsee]]küste gibt es keine in Rom."
    )
    xml = dump_file(path, {"Rom": text}).read_text()
    names = (
        '<namespaces><namespace key="6">Datei</namespace><namespace key="14">Kategorie</namespace>'
    )
    xml = xml.replace("<namespaces/>", f"{names}</namespaces>").replace("//en.", "//de.")
    path.write_text(xml)
    return path


def test_a_german_dump_asks_for_german_numbers_and_no_category(tmp_path):
    (page,) = read_pages(german_dump(tmp_path / "d.xml"), Counter(), "de")
    article = add_cloze_questions(build_article(page, 1, Counter()), "de")
    (paragraph,) = article.paragraphs
    answers = {asked.answers[0][0]: asked.field for asked in paragraph.asked}
    assert answers == {
        "2.872.800 Einwohner": "quantity",
        "3,5 km": "quantity",
        "Ostseeküste": "link",
    }
    assert "Kategorie" not in paragraph.text


def test_a_dump_in_another_language_than_stated_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"is a dump of https://de.*--language is en: add --lang"):
        list(read_pages(german_dump(tmp_path / "d.xml"), Counter()))


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("There are 10<sup>11</sup> stars.", []),
        ("It has 5.98{{e|24}} kg there.", ["5.98×10²⁴ kg"]),
        ("It is 5.98{{e|24}} there.", ["5.98×10²⁴"]),
        ("It is 3.1415 or $1500 long.", ["3.1415"]),
        ("It has 1,048,576.5 parts.", ["1,048,576.5"]),
        ("It began in 1990, and ended.", ["1990"]),
        ("It cost US$2 billion there.", ["US$2 billion"]),
        ("It is {{val|1.2|0.3}} there.", []),
    ],
)
def test_an_answer_is_the_whole_number(text, answers):
    article = Article("Rome", clean_article(text, Counter()).paragraphs)
    (paragraph,) = add_cloze_questions(article).paragraphs
    assert [asked.answers[0][0] for asked in paragraph.asked] == answers


def test_time_grows_with_the_length_of_a_paragraph():
    sentence = "In {0} the [[Place {0}|Place{0}]] of Rome had {0} km of {{{{hole|{0}}}}} walls. "
    sentence += "Rome met [[Person {0}]] then. "
    seconds, config = {}, WikiqaConfig(dump=(Path("x"),))
    for count in (2000, 8000):
        text = "".join(sentence.format(10_000 + n) for n in range(count))
        start = time.process_time()
        article = Article("Rome", clean_article(text, Counter()).paragraphs)
        article = add_cloze_questions(article)
        (paragraph,) = article.paragraphs
        document = build_document(article, paragraph, 0, 0, config)
        seconds[count] = time.process_time() - start
        assert len(document.facts) == len(paragraph.asked) == count
        assert {(fact.distance, fact.position) for fact in document.facts} == {
            (2, index) for index in range(count)
        }
    assert seconds[8000] < 8 * seconds[2000] + 0.5  # quadratic: 16 times


@given(st.text("ab ", min_size=1, max_size=40), st.data())
def test_an_answer_that_occurs_again_is_no_answer(text, data):
    cuts = data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=9, unique=True))
    links = [Link(start, end, "L") for start, end in pairwise(sorted(cuts))]
    article = add_cloze_questions(Article("T", [Paragraph(text, links=links)]))
    answers = [asked.answers[0][0] for asked in article.paragraphs[0].asked]
    expected = [text[link.start : link.end] for link in links]
    assert answers == [answer for answer in expected if count_all(text, answer) == 1]


def count_all(text: str, words: str) -> int:
    return sum(text.startswith(words, place) for place in range(len(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("aab ab", ["aab"]), ("xyz abc", ["xyz", "abc"]), ("abxxx abc", ["abxxx", "abc"])],
)
def test_an_answer_that_occurs_within_a_word_occurs_again(text, expected):
    links = [Link(match.start(), match.end(), "L") for match in re.finditer(r"^\w+|\w+$", text)]
    article = add_cloze_questions(Article("T", [Paragraph(text, links=links)]))
    assert [asked.answers[0][0] for asked in article.paragraphs[0].asked] == expected


def test_a_page_beyond_a_limit_is_left_out_and_counted_and_the_others_are_kept(tmp_path):
    limits = Limits(seconds=2, memory=256 << 20)
    endless = "{{a|" * 20_000  # takes mwparserfromhell minutes
    with PageWorkers(1, clean_or_misbehave, write_titles, limits) as pool:
        job = Job(
            tmp_path / "a", ["one.", endless, "memory", "two.", "crash", "six."], Counter(), limits
        )
        start = time.monotonic()
        assert pool.submit(job).result() == 6
        assert time.monotonic() - start < 120
        assert pool.submit(Job(tmp_path / "b", ["ten."], Counter(), limits)).result() == 1
    assert (tmp_path / "a").read_text() == (
        "['one.', 'two.', 'six.'] [('article that takes more than 2 s', 2), "
        "('article that takes more than 256 MiB', 1), ('cleaned', 3), ('sentences read', 3)]"
    )
    assert (tmp_path / "b").read_text().startswith("['ten.']")


def test_an_error_in_a_worker_reaches_the_command(tmp_path):
    with PageWorkers(1, clean_or_misbehave, write_titles, Limits()) as pool:
        job = Job(tmp_path / "a", ["one.", "error"], Counter(), Limits())
        with pytest.raises(InputError, match="wrong"):
            pool.submit(job).result()


def test_an_error_of_the_system_in_a_worker_reaches_the_command(tmp_path):
    with PageWorkers(1, clean_or_misbehave, write_titles, Limits()) as pool:
        job = Job(tmp_path / "no folder" / "a", ["one."], Counter(), Limits())
        with pytest.raises(FileNotFoundError):
            pool.submit(job).result(60)


def test_an_error_that_cannot_be_sent_reaches_the_command_in_words(tmp_path):
    with PageWorkers(1, clean_or_misbehave, write_titles, Limits()) as pool:
        job = Job(tmp_path / "a", ["one.", "unsendable error"], Counter(), Limits())
        with pytest.raises(RuntimeError, match=r"RuntimeError: .*odd"):
            pool.submit(job).result()


def test_a_worker_that_the_system_ends_is_an_error_and_no_page_is_left_out(tmp_path):
    with PageWorkers(1, clean_or_misbehave, write_titles, Limits()) as pool:
        job = Job(tmp_path / "a", ["one.", "SIGKILL", "two."], Counter(), Limits())
        with pytest.raises(InputError, match=r"exit code -9, page 2 of 3.*lower --workers"):
            pool.submit(job).result()
    assert not (tmp_path / "a").exists()
    assert not job.skipped


def test_a_page_that_crashes_its_parser_is_left_out_under_a_reason_of_its_own(tmp_path):
    with PageWorkers(1, clean_or_misbehave, write_titles, Limits()) as pool:
        job = Job(tmp_path / "a", ["one.", "SIGSEGV", "two."], Counter(), Limits())
        assert pool.submit(job).result() == 3
    assert (tmp_path / "a").read_text() == (
        "['one.', 'two.'] [('article that crashes the parser', 1), ('cleaned', 2), "
        "('sentences read', 2)]"
    )


def test_a_worker_that_dies_while_it_writes_blames_no_page(tmp_path):
    with PageWorkers(1, clean_or_misbehave, die_writing, Limits()) as pool:
        job = Job(tmp_path / "a", ["one."], Counter(), Limits())
        with pytest.raises(InputError, match=r"exit code -11, no page"):
            pool.submit(job).result()


def test_half_a_megabyte_of_one_paragraph_is_asked_about_in_seconds():
    text = "".join(
        f"In {1000 + n % 900} the Town {n} had {n * 7 + 1000:,} inhabitants. "
        for n in range(10_000)
    )
    start = time.process_time()
    clean_article(text, Counter())
    article = add_cloze_questions(Article("T", [Paragraph(text)]))
    assert len(article.paragraphs[0].asked) > 5000
    assert time.process_time() - start < 30


def test_a_sentence_too_long_to_be_one_is_counted():
    counts: Counts = Counter()
    text = "It lies, " + "they say, " * 200 + "in the year 1990."
    assert (
        not add_cloze_questions(Article("T", [Paragraph(text)]), "en", counts).paragraphs[0].asked
    )
    assert counts["answer in a sentence of more than 1,000 characters"] == 1


def test_the_command_and_the_card_say_what_sentences_were_left_out_for(tmp_path):
    hole = "It is {{foo}} long. " * 3 + "It is {{bar}} wide. "
    path = dump_file(tmp_path / "d.xml", {"Rome": PROSE + hole + "It is old."})
    options = ["--shots", "0", "--min-words", "5", "--workers", "1", "--filters", "none"]
    result = run("wikiqa", "--dump", path, *options, "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    assert "4 of 6 sentences left out (66.7%): {{foo}} 3, {{bar}} 1" in result.output
    card = (tmp_path / "o" / "README.md").read_text()
    assert card.index("| `{{foo}}` | 3 |") < card.index("| `{{bar}}` | 1 |")
