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
        """Show a pydantic field as its default value and its description."""
        value = str(attr.value or "")
        if not value.startswith("Field("):
            return
        call = ast.parse(value, mode="eval").body
        assert isinstance(call, ast.Call)
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        attr.value = ast.unparse(given["default"]) if "default" in given else None
        if attr.docstring is None and "description" in given:
            attr.docstring = griffe.Docstring(_text(given["description"]), parent=attr)


def _text(node: ast.expr) -> str:
    """A string; what an f-string fills in stands as its name."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return ", ".join(part.id for part in ast.walk(node) if isinstance(part, ast.Name))
    return str(ast.literal_eval(node))
