"""What users write in YAML: read and checked, every mistake one line."""

from pathlib import Path
from typing import Any

import yaml

from elusive.common.errors import Config, InputError, validated


def load_yaml(path: Path, kind: str) -> Any:
    """The content of a YAML file.

    Args:
        path: of the file.
        kind: how to call it in an error, such as `plan`.

    Raises:
        InputError: no such file, or no YAML.
    """
    if not path.is_file():
        raise InputError(f"no {kind} at {path}")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def load_config(model: type[Config], path: Path, kind: str, example: str) -> Config:
    """A config from a YAML file that maps settings to values.

    Args:
        model: the config's class.
        path: of the file.
        kind: how to call it in an error, such as `plan`.
        example: a line such as the file may have.

    Raises:
        InputError: no such file, no YAML, or a setting that is wrong.
    """
    values = load_yaml(path, kind)
    if not isinstance(values, dict):
        raise InputError(f"{path} should map settings to values, such as `{example}`")
    return validated(model, values)
