"""Arms of the user's own: a function in a file that scores the units of a document."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from runpy import run_path

import numpy as np

from elusive.common.dataset.records import Document, Span
from elusive.common.errors import InputError

UserScore = Callable[[Document, list[Span]], np.ndarray]
"""From a document and its droppable units to one number per unit, higher kept more often."""


def hash_method_file(method_file: str) -> str:
    """SHA-256 of the file that FILE.py:FUNCTION names.

    Raises:
        InputError: there is no such file.
    """
    return sha256(_find_file(method_file).read_bytes()).hexdigest()


@cache
def load_user_score(method_file: str) -> UserScore:
    """The function that FILE.py:FUNCTION names.

    Raises:
        InputError: there is no such file or function, or the file fails when it is read.
    """
    path, name = _find_file(method_file), method_file.rpartition(":")[2]
    try:
        function = run_path(str(path)).get(name)
    except Exception as error:
        raise InputError(f"{path} fails: {type(error).__name__}: {error}") from error
    if not callable(function):
        raise InputError(f"{path} has no function {name!r}")
    return function  # type: ignore[return-value]


def compute_user_scores(method_file: str, document: Document, units: list[Span]) -> np.ndarray:
    """What the user's own function gives for a document.

    Raises:
        InputError: the function fails, or does not give one number per unit.
    """
    score = load_user_score(method_file)
    try:
        scores = np.asarray(score(document, units), dtype=np.float32)
    except Exception as error:
        raise InputError(
            f"{method_file} fails on document {document.doc_id!r}: {type(error).__name__}: {error}"
        ) from error
    if scores.shape != (len(units),) or np.isnan(scores).any():
        raise InputError(
            f"{method_file} gave {scores.shape} numbers for the {len(units)} units of document "
            f"{document.doc_id!r}: return one number per unit, none of them NaN"
        )
    return scores


def _find_file(method_file: str) -> Path:
    path = Path(method_file.rpartition(":")[0]).expanduser()
    if not path.is_file():
        raise InputError(f"method_file: no file at {path}")
    return path
