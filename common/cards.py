"""Cards of datasets and models: markdown from a template beside the code that knows the content."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATE = "card.md.j2"


def render_template(folder: Path, **values: object) -> str:
    """The card of a folder of code, filled in.

    Raises:
        jinja2.UndefinedError: the template wants a value that is not given.
    """
    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    return environment.get_template(TEMPLATE).render(**values)
