"""Build click options from a pydantic config, so that each setting is written only once."""

from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from elusive.augment.arms import ARMS, Kind, list_arms
from elusive.evaluate.engines.resources import Resources


def add_config_options(model: type[BaseModel], leave_out: tuple[str, ...] = ()) -> Callable:
    """Return a decorator that adds one option per field of `model` to a command.

    The model checks the values, not click, so YAML and options give the same errors.
    """

    def decorate(command: Callable) -> Callable:
        for name, field in reversed(model.model_fields.items()):
            if name not in leave_out:
                command = _option(name, field)(command)
        return command

    return decorate


def _option(name: str, field: Any) -> Callable:
    annotation, many = _unwrap(field.annotation)
    flag = "--" + name.replace("_", "-")
    required = field.default is PydanticUndefined and field.default_factory is None
    settings: dict[str, Any] = {"help": field.description, "required": required}
    if annotation is bool:
        flag = f"{flag}/--no-{name.replace('_', '-')}"
    elif get_origin(annotation) is Literal:
        settings.update(type=str, metavar="|".join(str(choice) for choice in get_args(annotation)))
    else:
        settings.update(type=annotation)
    if not required:
        settings.update(default=field.get_default(call_default_factory=True))
        settings.update(show_default=settings["default"] not in (None, ()))
    if many:
        return add_list_option(flag, name, of=settings.pop("type"), **settings)
    return click.option(flag, name, **settings)


def _unwrap(annotation: Any) -> tuple[Any, bool]:
    """The inner type of `X | None` or `tuple[X, ...]`, and whether it is that of a tuple."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0], True
    return annotation, False


def list_given_options() -> list[str]:
    """List the parameters that the user gave to the running command; others have defaults."""
    context = click.get_current_context()
    default = click.core.ParameterSource.DEFAULT
    return [name for name in context.params if context.get_parameter_source(name) != default]


def note_unused(names: Sequence[str], user: str) -> None:
    """Say on stderr which given options have no effect.

    Args:
        names: of the options' parameters.
        user: what does not use them, such as an arm.
    """
    for name in names:
        click.echo(f"note: {user} does not use --{name.replace('_', '-')}", err=True)


def render_arms(*kinds: Kind) -> str:
    """The arms of some kinds and their meanings, as the end of a command's help."""
    names = list_arms(*kinds)
    width = max(map(len, names))
    lines = [f"  {name:{width}}  {ARMS[name].meaning}" for name in names]
    return "\n".join(["\b", "Arms:", *lines])


class CommaList(click.ParamType):
    """Values of another type, separated by commas."""

    def __init__(self, inner: Any = str) -> None:
        self.inner = click.types.convert_type(inner)
        self.name = f"{self.inner.name}[,...]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """Convert each part; a value that is not a text stands for itself."""
        parts = value.split(",") if isinstance(value, str) else [value]
        return tuple(self.inner.convert(part, param, ctx) for part in parts if part != "")


def add_list_option(*names: str, of: Any = str, **settings: Any) -> Callable:
    """Return a decorator that adds an option to repeat, or to give a list with commas."""

    def join(ctx: click.Context, param: click.Parameter, values: Sequence[tuple]) -> tuple:
        return tuple(part for value in values for part in value)

    return click.option(*names, type=CommaList(of), multiple=True, callback=join, **settings)


def add_set_option(text: str) -> Callable:
    """Return a decorator that adds the option that changes settings.

    Args:
        text: its help.
    """
    return click.option("--set", "changes", multiple=True, metavar="SETTING=VALUE", help=text)


threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Number of CPU threads that models compute with on any machine; by default 1 for models "
    "with up to 50 MB of weights and 2 for larger ones. Another number changes the last bits.",
)


def add_device_options(*names: str) -> Callable:
    """Return a decorator that adds the options that say what a model computes with.

    Args:
        names: of fields of `Resources`.
    """
    return add_config_options(Resources, tuple(set(Resources.model_fields) - {*names}))


def add_comparison_options(command: Callable) -> Callable:
    """Add the options that say how to compare arms to a command."""
    command = click.option(
        "--metric",
        default="em",
        show_default=True,
        help="Metric that ranks and compares the arms: em, f1, log_probability or forced_choice.",
    )(command)
    return click.option(
        "--baseline",
        help="Arm to compare the others with; by default random, else plain.",
    )(command)
