"""Arms of one's own: a function in a file that scores the units of a document."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from runpy import run_path

import numpy as np

from elusive.common.dataset.records import Document, Span
from elusive.common.errors import InputError

OwnScore = Callable[[Document, list[Span]], np.ndarray]
"""From a document and its droppable units to one number per unit, higher kept more often."""


def own_method_hash(method_file: str) -> str:
    """Hash of the file that holds a method.

    Raises:
        InputError: there is no such file.
    """
    return sha256(_file(method_file).read_bytes()).hexdigest()


@cache
def load_own_method(method_file: str) -> OwnScore:
    """The function that FILE.py:FUNCTION names.

    Raises:
        InputError: no such file or function, or the file fails when it is read.
    """
    path, name = _file(method_file), method_file.rpartition(":")[2]
    try:
        found = run_path(str(path)).get(name)
    except Exception as error:
        raise InputError(f"{path} fails: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise InputError(f"{path} has no function {name!r}")
    return found  # type: ignore[return-value]


def own_scores(method_file: str, document: Document, units: list[Span]) -> np.ndarray:
    """What a method of one's own gives for a document.

    Raises:
        InputError: it fails, or gives other than one number per unit.
    """
    score = load_own_method(method_file)
    try:
        scores = np.asarray(score(document, units), dtype=np.float32)
    except Exception as error:
        raise InputError(
            f"{method_file} fails on document {document.doc_id!r}: {type(error).__name__}: {error}"
        ) from error
    if scores.shape != (len(units),) or np.isnan(scores).any():
        raise InputError(
            f"{method_file} gave {scores.shape} numbers for the {len(units)} units of document "
            f"{document.doc_id!r}: one number per unit is needed, none of them NaN"
        )
    return scores


def _file(method_file: str) -> Path:
    """The file of FILE.py:FUNCTION."""
    path = Path(method_file.rpartition(":")[0]).expanduser()
    if not path.is_file():
        raise InputError(f"method_file: no file at {path}")
    return path
