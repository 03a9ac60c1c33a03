"""The user's cache folder, which keeps chat models' replies and token scores between runs."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from elusive.common.errors import InputError

VARIABLE = "ELUSIVE_CACHE"


def prepare_cache_folder() -> Path:
    """Create and return the folder named by `ELUSIVE_CACHE`, or else the system's cache folder.

    Raises:
        InputError: it cannot be created.
    """
    folder = Path(os.environ.get(VARIABLE) or user_cache_path("elusive"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot create the cache folder {folder} ({error.strerror}): "
            f"set {VARIABLE} to another folder"
        ) from None
    return folder
