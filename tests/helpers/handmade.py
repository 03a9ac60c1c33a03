"""Settings and dataset folders that several tests use."""

import bz2
import gzip
import json
from dataclasses import dataclass
from pathlib import Path

from elusive.biogen.config import BiogenConfig
from elusive.biogen.people.fields import FactField, list_built_in_names
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import Document, Question, Shot, to_table
from elusive.common.folders import create_folder, write_tables

COLOR = FactField(
    name="color",
    values=("ruby red", "sea green", "sky blue"),
    templates=(
        "{name/they} {paints/paint} {their} door {value}.",
        "It is {value} that suits {name/them}.",
    ),
    questions=("Which color has the door of {name}?",),
    yes_no="Is {value} the color of {name}?",
    reverse="Whose color is {value}?",
)
"""A field of one's own whose values have no capital letters."""

EVERYTHING = BiogenConfig(
    people=40,
    locale="de_DE",
    middle_names=True,
    they_rate=0.2,
    fields=tuple(list_built_in_names()),
    wordings=43,
    held_out_wordings=2,
    multi=2,
    permute=True,
    distractors=2,
    two_hop_rate=0.3,
    questions=("direct", "yes-no", "reverse", "multi-hop"),
    phrasings=4,
    held_out_phrasing=True,
)
"""All that biogen can do at once."""


@dataclass(frozen=True)
class Tables:
    """The records of a dataset, in memory."""

    documents: list[Document]
    questions: list[Question]
    shots: list[Shot]

    @classmethod
    def read(cls, folder: Path) -> "Tables":
        """The records of a dataset folder."""
        dataset = load_dataset_folder(folder)
        return cls(dataset.documents, dataset.questions, dataset.shots)


def write_dataset(out: Path, data: Tables) -> None:
    """Write records as a folder that passes for one of biogen's."""
    with create_folder(out, "dataset", {"generator": "biogen"}) as folder:
        tables = {
            "corpus": to_table(data.documents, Document),
            "questions": to_table(data.questions, Question),
            "shots": to_table(data.shots, Shot),
        }
        write_tables(folder, tables)
        (folder / "README.md").write_text("card", encoding="utf-8")


def squad_file(
    path: Path, articles: dict[str, list[tuple[str, list[tuple[str, str, int]]]]]
) -> Path:
    """A file in SQuAD layout: by title, paragraphs with (question, answer, start)."""
    data = []
    for title, paragraphs in articles.items():
        entries = []
        for number, (context, asked) in enumerate(paragraphs):
            qas = [
                {
                    "id": f"{title}-{number}-{index}",
                    "question": question,
                    "answers": [{"text": answer, "answer_start": start}],
                }
                for index, (question, answer, start) in enumerate(asked)
            ]
            entries.append({"context": context, "qas": qas})
        data.append({"title": title, "paragraphs": entries})
    path.write_text(json.dumps({"version": "1.1", "data": data}), encoding="utf-8")
    return path


def dump_file(path: Path, pages: dict[str, str]) -> Path:
    """A small dump in pages-articles XML, packed as its name says."""
    body = "".join(
        f"<page><title>{title}</title><ns>{int(title.startswith('Talk:'))}</ns><id>{number}</id>"
        f"<revision><id>{1000 + number}</id><timestamp>2020-01-01T00:00:00Z</timestamp>"
        f'<text xml:space="preserve">{text.replace("&", "&amp;").replace("<", "&lt;")}</text>'
        "</revision></page>"
        for number, (title, text) in enumerate(pages.items())
    )
    xml = (
        '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" '
        'xml:lang="en"><siteinfo><sitename>W</sitename><dbname>enwiki</dbname>'
        "<base>https://en.wikipedia.org/wiki/Main_Page</base><generator>M</generator>"
        f"<case>first-letter</case><namespaces/></siteinfo>{body}</mediawiki>"
    ).encode()
    packers = {".bz2": bz2.compress, ".gz": gzip.compress}
    path.write_bytes(packers.get(path.suffix, bytes)(xml))
    return path
