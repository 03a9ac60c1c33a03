"""Settings and dataset folders that several tests use."""

from pathlib import Path

from elusive.biogen.config import BiogenConfig
from elusive.biogen.fields import FactField, built_in_names
from elusive.common.dataset import DatasetFolder
from elusive.common.folders import new_folder, write_tables
from elusive.common.records import Document, Question, Shot, to_table

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
    fields=tuple(built_in_names()),
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


def write_dataset(out: Path, data: DatasetFolder) -> None:
    """Write records as a folder that passes for one of biogen's."""
    with new_folder(out, "dataset", {"generator": "biogen"}) as folder:
        tables = {
            "corpus": to_table(data.documents, Document),
            "questions": to_table(data.questions, Question),
            "shots": to_table(data.shots, Shot),
        }
        write_tables(folder, tables)
        (folder / "README.md").write_text("card", encoding="utf-8")
