"""The one error that means "the user's input is wrong"; it suggests the nearest allowed name."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

Config = TypeVar("Config", bound=BaseModel)
LISTS = ("tuple_type", "list_type")
EXPECTED = {
    **dict.fromkeys(LISTS, "should be a list"),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type"),
        "should map settings to values, such as {name: value}",
    ),
    "string_type": "should be a text; write it in quotes",
    "path_type": "should be a folder, or settings such as {name: value} where they are allowed",
    "bool_parsing": "should be true or false",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_parsing": "should be a number",
}
"""What pydantic expects, in words for people who do not know its types."""


class InputError(ValueError):
    """Wrong input; one line says what was got, what is allowed, and what to do.

    The command line prints that line without a traceback and exits with code 2.
    """


def build_unknown_name_error(kind: str, got: str, allowed: Iterable[str]) -> InputError:
    """Build the error for a name outside a closed set; it suggests the nearest allowed name."""
    names = sorted(allowed)
    shown = names if not any("," in name for name in names) else list(map(repr, names))
    nearest = difflib.get_close_matches(got, names, n=1, cutoff=0.4)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return InputError(f"unknown {kind} {got!r}: {hint}allowed are {', '.join(shown)}")


def validate_config(model: type[Config], values: Mapping[str, Any]) -> Config:
    """Build a config from raw values.

    Raises:
        InputError: a field is wrong; the message names the first one and what it allows.
    """
    try:
        return model(**values)
    except ValidationError as error:
        raise InputError(_first_problem(model, error)) from None


def _first_problem(model: type[BaseModel], error: ValidationError) -> str:
    # A mistyped key also leaves the right key missing; the user needs to hear about the mistake.
    problem = min(error.errors(), key=lambda entry: entry["type"] != "extra_forbidden")
    # pydantic puts the kind of a union's member among the names, as `lax-or-strict[...]`.
    path = ".".join(str(part) for part in problem["loc"] if "[" not in str(part))
    if problem["type"] == "extra_forbidden":
        return str(build_unknown_name_error("key", path, _sibling_keys(model, problem["loc"])))
    message = problem["msg"].removeprefix("Value error, ")
    if isinstance(problem.get("ctx", {}).get("error"), InputError):
        return message
    got = "" if problem["type"] == "missing" else f" (got {problem['input']!r})"
    if problem["type"] in EXPECTED:
        message = EXPECTED[problem["type"]]
    message = message.replace("Tuple should have", "The list should have")
    if problem["type"] in LISTS and isinstance(problem["input"], (str, int, float)):
        message += f", such as [{problem['input']}]"
    return f"{path or model.__name__}: {message[0].lower()}{message[1:]}{got}"


def _sibling_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are allowed in place of the unknown one at `path`."""
    for part in path[:-1]:
        if isinstance(part, str):
            model = _model_in(model.model_fields[part].annotation)
    prefix = ".".join(str(part) for part in path[:-1])
    return [f"{prefix}.{name}" if prefix else name for name in model.model_fields]


def _model_in(annotation: Any) -> type[BaseModel]:
    """Return the pydantic model in an annotation such as `Model` or `tuple[Model, ...]`."""
    inner = [annotation, *get_args(annotation)]
    return next(part for part in inner if isinstance(part, type) and issubclass(part, BaseModel))
