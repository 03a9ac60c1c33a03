"""YAML files that users write: read and checked, with one line per mistake."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from elusive.common.errors import Config, InputError, validate_config


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that is written twice in a mapping, where YAML would take the last one."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name, line = key.value, key.start_mark.line + 1
            if name in lines:
                raise yaml.YAMLError(
                    f"line {line} repeats {name!r} of line {lines[name]}: keep one of them"
                )
            lines[name] = line
        return node


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
        return yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def load_config(
    model: type[Config], path: Path, kind: str, example: str, changes: Sequence[str] = ()
) -> Config:
    """Read a config from a YAML file that maps settings to values.

    Args:
        model: the config's class.
        path: of the file.
        kind: what an error calls the file, such as `plan`.
        example: a valid line of such a file, for errors.
        changes: settings to change, such as `training.epochs=3`; the value is YAML.

    Raises:
        InputError: the file does not exist or is not YAML, or a setting or a change is wrong.
    """
    values = load_yaml(path, kind)
    if not isinstance(values, dict):
        raise InputError(f"{path} does not map settings to values: write lines such as `{example}`")
    for change in changes:
        _apply_change(values, change)
    return validate_config(model, values)


def build_config(model: type[Config], changes: Sequence[str]) -> Config:
    """Build a config from its defaults and some changes, written as for `load_config`.

    Raises:
        InputError: a change is wrong.
    """
    values: dict = {}
    for change in changes:
        _apply_change(values, change)
    return validate_config(model, values)


def _apply_change(values: dict, change: str) -> None:
    name, is_given, text = change.partition("=")
    *outer, last = name.split(".")
    for key in outer:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise InputError(f"--set {change}: {key!r} is not a group of settings: name another")
    if not (is_given and last):
        raise InputError(f"--set {change}: write SETTING=VALUE, such as training.epochs=3")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"--set {change}: {text!r} is not a YAML value: quote it") from None
