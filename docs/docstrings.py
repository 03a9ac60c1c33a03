"""Docstrings as the Python pages show them: examples as code, settings with their descriptions."""

import ast
import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> .*?(?=\n\s*\n|\Z)", re.DOTALL | re.MULTILINE)


class ReadableDocstrings(griffe.Extension):
    """Fences examples, since `>>>` begins a quotation in markdown, and documents settings."""

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
        arguments = {keyword.arg: keyword.value for keyword in call.keywords}
        attr.value = ast.unparse(arguments["default"]) if "default" in arguments else None
        if attr.docstring is None and "description" in arguments:
            attr.docstring = griffe.Docstring(_read_text(arguments["description"]), parent=attr)


def _read_text(node: ast.expr) -> str:
    """Return a string; in an f-string, names stand for what they fill in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_read_text(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return ", ".join(part.id for part in ast.walk(node) if isinstance(part, ast.Name))
    return str(ast.literal_eval(node))
