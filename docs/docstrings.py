"""Docstrings as the Python pages show them: examples as code, settings with their descriptions."""

import ast
import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> .*?(?=\n\s*\n|\Z)", re.DOTALL | re.MULTILINE)


class ReadableDocstrings(griffe.Extension):
    """Puts examples between fences, as `>>>` begins a quotation in markdown; documents settings."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change a docstring before it is parsed."""
        if obj.docstring:
            text = EXAMPLE.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)
            obj.docstring.value = re.sub(r"^(Source|Sources): ", r"**\1.** ", text, flags=re.M)

    def on_attribute(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        """Take the description of a pydantic field for its docstring."""
        if attr.docstring is None and (text := _description(str(attr.value or ""))):
            attr.docstring = griffe.Docstring(text, parent=attr)


def _description(value: str) -> str | None:
    """The description in `Field(...)`, where it is a plain string."""
    if not value.startswith("Field("):
        return None
    call = ast.parse(value, mode="eval").body
    assert isinstance(call, ast.Call)
    for keyword in call.keywords:
        if keyword.arg == "description":
            parts = ast.walk(keyword.value)
            return "".join(p.value for p in parts if isinstance(p, ast.Constant) and p.value)
    return None
