"""Dataset folders from records that a test has changed."""

from pathlib import Path

from elusive.common.dataset import DatasetFolder
from elusive.common.folders import new_folder, write_tables
from elusive.common.records import Document, Question, Shot, to_table


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
