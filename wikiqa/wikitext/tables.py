"""Tables of data that the room keeps as YAML files beside its modules."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def load_table(name: str) -> dict[str, Any]:
    """Load `NAME.yaml`, once."""
    path = Path(__file__).parent / f"{name}.yaml"
    return yaml.load(path.read_text(encoding="utf-8"), LOADER)


def split_names(text: str) -> list[str]:
    """Split names at slashes between blanks.

    >>> split_names("km/h / kph")
    ['km/h', 'kph']
    """
    return [name.strip() for name in f" {text} ".split(" / ") if name.strip()]
