"""Dumps of Wikipedia: read alike however they are shared, and what is wrong in one line."""

import bz2
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from handmade import dump_file
from question_sets import build_set, counts, get_error, load, simple_file

from elusive.cli.main import cli
from elusive.common.dataset.check import check_dataset
from elusive.common.folders import read_manifest
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.gather import build_dump_work, gather_articles
from elusive.wikiqa.generate import generate_dataset
from elusive.wikiqa.wikitext.prose import LEFTOVER

DUMP = Path(__file__).resolve().parents[3] / "shared" / "data" / "enwiki-sample.xml.bz2"
needs_data = pytest.mark.skipif(not DUMP.exists(), reason=f"no file {DUMP}")

PAGES = {
    "Rome": "'''Rome''' is the capital of [[Italy]] and lies on the [[Tiber|river Tiber]], they "
    "say, in the middle of the country since the year 753 before our era.",
    "Roma": "#REDIRECT [[Rome]]",
    "Rome (disambiguation)": "'''Rome''' may refer to: * [[Rome]]",
    "List of cities": "* [[Rome]]",
    "Talk:Rome": "What a city! " * 10,
}


@pytest.mark.parametrize("name", ["d.xml", "d.xml.bz2", "d.xml.gz"])
def test_a_dump_gives_articles_alone_with_their_attribution(name, tmp_path):
    path = dump_file(tmp_path / name, PAGES)
    out = build_set(tmp_path / "set", dump=path, shots=0)
    (document,) = load(out)[0]
    assert document.entity == "Rome"
    assert document.revision == "1000"
    assert document.url == "https://en.wikipedia.org/wiki/Rome?oldid=1000"
    links = [(document.text[link.start : link.end], link.target) for link in document.links]
    assert links == [("Italy", "Italy"), ("river Tiber", "Tiber")]
    reasons = counts(out)
    for reason in ("redirect", "disambiguation", "list", "page of another namespace"):
        assert reasons[reason] == 1


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A question set of the real dump, written by one process without an interruption."""
    return build_set(tmp_path_factory.mktemp("whole") / "set", dump=DUMP, limit=60)


@needs_data
def test_the_real_dump_is_read_alike_by_any_number_of_processes(whole, tmp_path):
    out = tmp_path / "two"
    generate_dataset(WikiqaConfig(dump=(DUMP,), limit=60), out, 2)
    hashes = {read_manifest(folder, "dataset").content_hash for folder in (whole, out)}
    assert len(hashes) == 1
    assert list(check_dataset(out)) == []
    documents, questions, _ = load(out)
    assert len(documents) > 1500
    for document in documents:
        assert not LEFTOVER.search(document.text)
    assert {question.field for question in questions} == {"link", "date", "number", "quantity"}


@needs_data
def test_a_killed_run_goes_on_and_ends_the_same(whole, tmp_path):
    command = [sys.executable, "-m", "elusive.cli.main", "wikiqa", "--dump", str(DUMP)]
    command += ["--limit", "60", "--workers", "1", "--out", str(tmp_path / "killed")]
    running = subprocess.Popen(command, start_new_session=True)
    gathered = tmp_path / "killed" / ".progress" / "gathered"
    first = gathered / "00000" / "articles-000000.jsonl"
    deadline = time.monotonic() + 120
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "killed" / "manifest.json").exists()
    (tmp_path / "link").hardlink_to(first)
    before = (tmp_path / "link").stat()
    gather_articles(WikiqaConfig(dump=(DUMP,), limit=60), gathered, 2)
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    generate_dataset(WikiqaConfig(dump=(DUMP,), limit=60), tmp_path / "killed", 2)
    assert (
        read_manifest(tmp_path / "killed", "dataset").content_hash
        == read_manifest(whole, "dataset").content_hash
    )


def several_dumps(folder: Path) -> list[Path]:
    """A dump of three files, one of which holds more than a chunk of articles."""
    pages = {
        f"Town {n}": f"'''Town {n}''' lies on the [[River {n}]] and was founded in {1000 + n}, so "
        f"that its {n} citizens can say that it is older than most others of the country."
        for n in range(70)
    }
    pages |= {f"Hamlet {n}": f"#REDIRECT [[Town {n}]]" for n in range(4)}
    names = list(pages)
    parts = [names[:3] + names[70:72], names[3:53] + names[72:], names[53:70]]
    return [
        dump_file(folder / f"{number}.xml.bz2", {name: pages[name] for name in part})
        for number, part in enumerate(parts)
    ]


def read_files(out: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_a_dump_of_several_files_is_the_same_for_any_number_of_tasks(tmp_path):
    options = [word for path in several_dumps(tmp_path) for word in ("--dump", str(path))]
    for name, more in {"one": [], "two": ["--tasks", "2"], "four": ["--tasks", "4"]}.items():
        out = tmp_path / name
        result = CliRunner().invoke(cli, ["wikiqa", *options, *more, "--out", str(out)])
        assert result.exit_code == 0, result.output
        assert read_files(out) == read_files(tmp_path / "one")
        assert (counts(out)["articles read"], counts(out)["redirect"]) == (70, 4)
        assert {"Town 3", "Town 69"} <= {document.entity for document in load(out)[0]}
        command = "elusive wikiqa --dump 0.xml.bz2 --dump 1.xml.bz2 --dump 2.xml.bz2 --out DIR"
        assert command in (out / "README.md").read_text()
        assert not (out / ".progress").exists()


def test_files_of_a_dump_are_numbered_through_and_limited_together(tmp_path):
    dumps = several_dumps(tmp_path)
    out = build_set(tmp_path / "set", dump=dumps, limit=10, shots=0)
    assert [document.entity for document in load(out)[0]] == [f"Town {n}" for n in range(10)]
    both = build_set(tmp_path / "both", dump=dumps[:2], shots=0)
    ids = [document.doc_id for document in load(both)[0]]
    assert len(set(ids)) == len(ids) == 53


def test_what_tasks_cannot_share_is_one_line_before_anything_is_written(tmp_path):
    first, second, _ = several_dumps(tmp_path)
    wrong = {
        ("--squad", str(simple_file(tmp_path / "s.json"))): "tasks share the files of a dump",
        ("--dump", str(first), "--limit", "3"): "limit reads one file after the other",
        ("--dump", str(first), "--dump", str(first)): "the same file is given twice",
        ("--dump", str(second), "--set", "resources.cpus=3"): "needs a cluster: add --on slurm",
    }
    for options, message in wrong.items():
        command = ["wikiqa", *options, "--tasks", "2", "--out", str(tmp_path / "out")]
        result = CliRunner().invoke(cli, command)
        assert message in str(result.exception)
        assert not (tmp_path / "out").exists()


def test_a_task_leaves_a_file_alone_that_is_gathered(tmp_path):
    config = WikiqaConfig(dump=tuple(several_dumps(tmp_path)))
    folder = tmp_path / "gathered"
    folder.mkdir()
    work = build_dump_work(config, tmp_path, folder, 1)
    assert [work.count_missing(task, 2) for task in (0, 1)] == [2, 1]
    work.write(1, 2)
    assert [work.count_missing(task, 2) for task in (0, 1)] == [2, 0]
    chunk = folder / "00001" / "articles-000001.jsonl"
    chunk.write_text("changed")
    work.write(1, 2)
    assert chunk.read_text() == "changed"


def test_broken_dumps_are_one_line_with_the_page(tmp_path):
    pages = {
        f"City {n}": f"'''City {n}''' is a place with {n} people and a [[river]]. " * 30
        for n in range(40)
    }
    whole = dump_file(tmp_path / "whole.xml.bz2", pages).read_bytes()
    cut = tmp_path / "cut.xml.bz2"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    assert "cut.xml.bz2" in get_error(tmp_path / "a", dump=cut)
    plain = bz2.decompress(whole)
    bad = tmp_path / "bad.xml"
    bad.write_bytes(plain.replace(b"<title>City 20</title>", b"<title>City 20"))
    assert "not well-formed pages-articles XML after page" in get_error(tmp_path / "b", dump=bad)
    half = tmp_path / "half.xml"
    half.write_bytes(plain[: len(plain) // 2])
    assert "not well-formed pages-articles XML after page" in get_error(tmp_path / "c", dump=half)
    other = tmp_path / "other.xml.gz"
    other.write_bytes(whole)
    assert "other.xml.gz" in get_error(tmp_path / "d", dump=other)


def test_an_article_of_five_megabytes_is_left_out_and_counted(tmp_path):
    pages = PAGES | {"Huge": "'''Huge''' is a word that goes on and on. " * 120_000}
    out = build_set(tmp_path / "set", dump=dump_file(tmp_path / "d.xml", pages), shots=0)
    assert counts(out)["article of more than 2,000,000 characters"] == 1
    assert len(load(out)[0]) == 1


def test_a_file_that_is_no_dump_is_one_line(tmp_path):
    (tmp_path / "page.xml").write_text("<html><body>Rome</body></html>")
    message = get_error(tmp_path, dump=tmp_path / "page.xml")
    assert "is not well-formed pages-articles XML" in message


def test_a_maintenance_tag_makes_no_disambiguation(tmp_path):
    pages = {"Rome": PAGES["Rome"] + " [[John]]{{disambiguation needed|date=May}} lives there."}
    out = build_set(tmp_path / "set", dump=dump_file(tmp_path / "d.xml", pages), shots=0)
    assert len(load(out)[0]) == 1
