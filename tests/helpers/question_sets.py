"""Small question sets, made, checked and read back."""

import json
from pathlib import Path

import pytest
from handmade import squad_file

from elusive.common.dataset.check import check_dataset
from elusive.common.dataset.records import Shot, WikiDocument, WikiQuestion, from_table
from elusive.common.errors import InputError
from elusive.common.folders import read_table
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.generate import generate_dataset

ROME = "Rome is the capital of Italy. It lies on the Tiber, and has 2,800,000 inhabitants."


def simple_file(path: Path, count: int = 6) -> Path:
    """A file of articles with one paragraph and one question each."""
    return squad_file(
        path,
        {
            f"City_{n}": [(f"City {n} has mayor M{n}.", [(f"Who runs City {n}?", f"M{n}", 17)])]
            for n in range(count)
        },
    )


def load(out: Path) -> tuple[list[WikiDocument], list[WikiQuestion], list[Shot]]:
    """The tables of a question set with all their columns."""
    return (
        from_table(read_table(out, "corpus"), WikiDocument),
        from_table(read_table(out, "questions"), WikiQuestion),
        from_table(read_table(out, "shots"), Shot),
    )


def counts(out: Path) -> dict[str, int]:
    """What was read and left out."""
    return json.loads((out / "statistics.json").read_text())["read_and_left_out"]


def build_set(out: Path, **settings: object) -> Path:
    """Build a question set, and check it."""
    generate_dataset(WikiqaConfig.model_validate(settings), out)
    assert list(check_dataset(out)) == []
    return out


def get_error(tmp_path: Path, **settings: object) -> str:
    """Return the one line that a wrong input gives."""
    with pytest.raises(InputError) as error:
        generate_dataset(WikiqaConfig.model_validate(settings), tmp_path / "out")
    assert "\n" not in str(error.value)
    return str(error.value)
