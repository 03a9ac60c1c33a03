"""Arms of the user's own: functions in a file that score the units of a document."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from runpy import run_path

import numpy as np

from elusive.common.dataset.records import Document, Span
from elusive.common.errors import InputError

UserScore = Callable[[Document, list[Span]], np.ndarray]
"""Takes a document and its units; returns one number per unit, higher for units to keep."""


def hash_method_file(method_file: str) -> str:
    """Compute the SHA-256 of the file that FILE.py:FUNCTION names.

    Raises:
        InputError: there is no such file.
    """
    return sha256(_find_file(method_file).read_bytes()).hexdigest()


@cache
def load_user_score(method_file: str) -> UserScore:
    """Load the function that FILE.py:FUNCTION names.

    Raises:
        InputError: there is no such file or function, or the file raises an error.
    """
    path, name = _find_file(method_file), method_file.rpartition(":")[2]
    try:
        function = run_path(str(path)).get(name)
    except (Exception, SystemExit) as error:
        raise InputError(f"{path} raises {type(error).__name__}: {error}") from error
    if not callable(function):
        raise InputError(f"{path} has no function {name!r}: define it, or name another")
    return function  # type: ignore[return-value]


def compute_user_scores(method_file: str, document: Document, units: list[Span]) -> np.ndarray:
    """Compute the scores that the user's own function gives to a document.

    Raises:
        InputError: the function raises an error, or does not return one number per unit.
    """
    score = load_user_score(method_file)
    try:
        scores = np.asarray(score(document, units), dtype=np.float64)
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{method_file} raises an error on document {document.doc_id!r}: "
            f"{type(error).__name__}: {reason}"
        ) from error
    got = f"{np.isnan(scores).sum()} NaN among" if np.isnan(scores).any() else ""
    if scores.shape != (len(units),):
        got = f"scores of shape {scores.shape} for"
    if got:
        raise InputError(
            f"{method_file} returned {got} the {len(units)} units of document "
            f"{document.doc_id!r}: return one number per unit, none of them NaN"
        )
    return _shorten(scores)


def _shorten(scores: np.ndarray) -> np.ndarray:
    """Convert scores to 32 bits, in the same order; by rank where these are too short for them."""
    with np.errstate(over="ignore"):
        short = scores.astype(np.float32)
    values, ranks = np.unique(scores, return_inverse=True)
    if len(np.unique(short)) == len(values) and (np.isinf(short) == np.isinf(scores)).all():
        return short
    return np.where(np.isinf(scores), scores, ranks).astype(np.float32)


def _find_file(method_file: str) -> Path:
    path = Path(method_file.rpartition(":")[0]).expanduser()
    if not path.is_file():
        raise InputError(
            f"method_file: there is no file {path} (paths start at the working directory)"
        )
    return path
