"""What is kept between runs, in the user's cache folder: replies of chat models, token scores."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from elusive.common.errors import InputError

VARIABLE = "ELUSIVE_CACHE"


def cache_folder() -> Path:
    """The folder that `ELUSIVE_CACHE` names, else the user's cache folder of the system.

    Raises:
        InputError: it cannot be made.
    """
    folder = Path(os.environ.get(VARIABLE) or user_cache_path("elusive"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the cache folder {folder} ({error.strerror}): "
            f"name another with {VARIABLE}"
        ) from None
    return folder
