"""Leave paths of this machine out of what is published: only their last parts stay."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from elusive.common.folders import write_atomically

SETTINGS = ("manifest.json", "adapter_config.json", "plan.yaml")
"""Files whose values may be paths."""
TEXTS = (".json", ".md", ".yaml")
LOCAL = re.compile(r"(?:[/~]|\.{1,2}/|[A-Za-z]:[\\/])")
"""How a path starts that cannot be the name of a repository."""


def leave_out_paths(folder: Path) -> list[str]:
    """Replace paths in the texts of a repository by their last parts; return the paths.

    A model at `/home/me/models/mine` becomes `mine`. Paths are found in the values of manifests,
    adapters and plans, and replaced there and in cards. Hashes in manifests are those of tables, so
    they stay true; no id of a cell depends on a path.

    Args:
        folder: content of a repository, which is changed.
    """
    names = [path for name in SETTINGS for path in folder.rglob(name)]
    found = {value for path in names for value in _iterate_texts(_read(path)) if is_local(value)}
    paths = sorted(found, key=len, reverse=True)
    if not paths:
        return []
    pattern = re.compile(rf"(?<![\w.~/-])(?:{'|'.join(map(re.escape, paths))})(?![\w/-])")
    for path in sorted(folder.rglob("*")):
        if path.suffix in TEXTS and path.is_file():
            text = path.read_text(encoding="utf-8")
            shorter = pattern.sub(lambda match: get_last_part(match[0]), text)
            if shorter != text:
                write_atomically(path, shorter)
    return sorted(found)


def is_local(value: str) -> bool:
    """Whether a setting is a path of this machine.

    >>> [is_local(name) for name in ("/models/mine", "../data", "org/name", "nano-large")]
    [True, True, False, False]
    """
    return bool(LOCAL.match(value)) or ("/" in value and Path(value).exists())


def get_last_part(path: str) -> str:
    """Return the last part of a path, with a function's name after it.

    >>> get_last_part("/home/me/my_arms.py:vowels")
    'my_arms.py:vowels'
    """
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1] or "path"


def _read(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)


def _iterate_texts(value: Any) -> Iterator[str]:
    """Yield every text among nested values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _iterate_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _iterate_texts(inner)
