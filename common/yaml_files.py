"""YAML files that users write: read and checked, with one line per mistake."""

from pathlib import Path
from typing import Any

import yaml

from elusive.common.errors import Config, InputError, validate_config


def load_yaml(path: Path, kind: str) -> Any:
    """Read a YAML file.

    Args:
        path: of the file.
        kind: what an error calls the file, such as `plan`.

    Raises:
        InputError: the file does not exist or is not YAML.
    """
    if not path.is_file():
        raise InputError(f"no {kind} at {path}")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def load_config(model: type[Config], path: Path, kind: str, example: str) -> Config:
    """Read a config from a YAML file that maps settings to values.

    Args:
        model: the config's class.
        path: of the file.
        kind: what an error calls the file, such as `plan`.
        example: a valid line of such a file, for errors.

    Raises:
        InputError: the file does not exist or is not YAML, or a setting is wrong.
    """
    values = load_yaml(path, kind)
    if not isinstance(values, dict):
        raise InputError(f"{path} does not map settings to values: write lines such as `{example}`")
    return validate_config(model, values)
