"""Jinja templates: HTML, in which values are escaped, and markdown, in which they are not."""

import html
import sys
from functools import cache
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape


def render_template(path: Path, **values: object) -> str:
    """Fill in the template at `path`.

    Templates of HTML (`.html.j2`) escape values; other templates insert them as they are, unless
    they use the filter `markdown`, which escapes them.

    Raises:
        jinja2.UndefinedError: the template needs a value that is missing.
    """
    return _environment(path.parent).get_template(path.name).render(**values)


@cache
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=select_autoescape(["html.j2"]),
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    environment.filters["markdown"] = escape_markdown
    environment.filters["yaml"] = render_yaml
    return environment


def render_yaml(value: object) -> str:
    """Render a value for the header of a card, quoted where YAML would read something else.

    >>> render_yaml("no"), render_yaml("a: b #1"), render_yaml("en")
    ("'no'", "'a: b #1'", 'en')
    """
    text = yaml.safe_dump(value, allow_unicode=True, width=sys.maxsize, default_flow_style=True)
    return text.removesuffix("\n").removesuffix("\n...")


def escape_markdown(text: str) -> str:
    """Escape text so that markdown shows it literally, on one line, without HTML, links or tables.

    >>> escape_markdown("<b>|x")
    '&lt;b&gt;\\\\|x'
    """
    signs = "".join("\\" + sign if sign in "\\`*[]|" else sign for sign in " ".join(text.split()))
    return html.escape(signs, quote=False)
