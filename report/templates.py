"""Templates beside this file: pages, whose values are escaped, and markdown, whose are not."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from elusive.evaluate.table_layouts import markdown_text

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=select_autoescape(["html.j2"]),
)
_ENVIRONMENT.filters["markdown"] = markdown_text


def render(template: str, **values: object) -> str:
    """A template of this folder, filled in.

    Raises:
        jinja2.UndefinedError: the template wants a value that is not given.
    """
    return _ENVIRONMENT.get_template(template).render(**values)
