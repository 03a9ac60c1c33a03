"""Nodes of wikitext to text, as Wikipedia prints it; what is not known leaves a hole."""

import re
from collections.abc import Iterable

from mwparserfromhell.nodes import (
    Argument,
    ExternalLink,
    HTMLEntity,
    Node,
    Tag,
    Template,
    Text,
    Wikilink,
)

from elusive.wikiqa.wikitext.calls import Call
from elusive.wikiqa.wikitext.computed import COMPUTED
from elusive.wikiqa.wikitext.languages import lower_text, raise_text
from elusive.wikiqa.wikitext.marks import (
    APOSTROPHE,
    BOLD,
    BOLD_END,
    FIRST_HOLE,
    FIRST_LINK,
    HOLE,
    LINK_END,
    MARKS,
    MAX_MARKS,
    NOT_PROSE,
)
from elusive.wikiqa.wikitext.namespaces import Wiki, sort_link
from elusive.wikiqa.wikitext.parser_functions import compute_parser_function, is_parser_function
from elusive.wikiqa.wikitext.pronunciations import render_pronunciation
from elusive.wikiqa.wikitext.templates import find_computed_name, find_pattern, sort_template

SILENT_TAGS = frozenset(
    (
        *("ref", "references", "gallery", "templatedata", "categorytree", "section", "inputbox"),
        *("includeonly", "templatestyles", "indicator", "maplink"),
    )
)
HOLE_TAGS = frozenset(
    (
        *("math", "chem", "ce", "score", "hiero", "pre", "poem", "syntaxhighlight", "source"),
        *("table", "timeline", "imagemap", "graph", "mapframe"),
    )
)
"""What a sentence cannot be read without; on lines of its own it interrupts no sentence."""
LIST_TAGS = frozenset(("li", "dt", "dd"))
PRONOUNCED = "pronunciation: "
"""Begins the name of a hole that may go without its sentence, if it stands in brackets."""
MAX_DEPTH = 12
"""Printed templates inside printed templates."""


class Renderer:
    """Renders the nodes of one section.

    Keeps the targets of its links, the names of its holes, and what is printed for those that say
    how a word is said.
    """

    def __init__(self, wiki: Wiki) -> None:
        self.targets: list[str] = []
        self.holes: list[str] = []
        self.spoken: dict[str, str] = {}
        self._wiki = wiki
        self._depth = 0

    def render(self, nodes: Iterable[Node], arguments: dict[str, str] | None = None) -> str:
        """Return the text of nodes with marks around links and bold, and marks for holes.

        Args:
            nodes: of an article or of a template's pattern.
            arguments: of the template whose pattern the nodes are.
        """
        pieces: list[str] = []
        for node in nodes:
            if isinstance(node, Text):
                pieces.append(str(node.value))
            elif isinstance(node, Wikilink):
                pieces.append(self._render_link(node, arguments))
            elif isinstance(node, ExternalLink):
                pieces.append(self._render_external_link(node, arguments))
            elif isinstance(node, HTMLEntity):
                pieces.append(_render_entity(node))
            elif isinstance(node, Tag):
                pieces.append(self._render_tag(node, arguments, "".join(pieces[-1:])))
            elif isinstance(node, Template):
                pieces.append(self._render_template(node, arguments, _is_line_start(pieces)))
            elif isinstance(node, Argument):
                pieces.append(self._render_argument(node, arguments))
        return "".join(pieces)

    def mark_hole(self, name: str) -> str:
        """Return the mark of a new hole."""
        if len(self.holes) < MAX_MARKS:
            self.holes.append(name)
        return chr(FIRST_HOLE + len(self.holes) - 1)

    def _render_link(self, node: Wikilink, arguments: dict[str, str] | None) -> str:
        title = str(node.title)
        kind = sort_link(title, self._wiki)
        if kind == "hidden":
            return ""
        target = " ".join(title.split("#")[0].replace("_", " ").split())
        if node.text is None:
            label = " ".join(title.replace("_", " ").split()).lstrip(":")
        elif str(node.text).strip():
            label = self.render(node.text.nodes, arguments)
        else:
            label = _trick_pipe(target.rpartition(":")[2] if kind == "elsewhere" else target)
        if not target or "{" in target or "[" in target or kind == "elsewhere":
            return label
        if len(self.targets) < MAX_MARKS:
            self.targets.append(target)
        return f"{chr(FIRST_LINK + len(self.targets) - 1)}{label}{LINK_END}"

    def _render_external_link(self, node: ExternalLink, arguments: dict[str, str] | None) -> str:
        if not node.brackets:
            return str(node.url)
        return "" if node.title is None else self.render(node.title.nodes, arguments)

    def _render_tag(self, node: Tag, arguments: dict[str, str] | None, before: str) -> str:
        name = str(node.tag).strip().casefold()
        if name in HOLE_TAGS:
            return self.mark_hole(f"<{name}>")
        if name in LIST_TAGS and node.self_closing:
            return NOT_PROSE
        if name in ("br", "hr"):
            return " " if name == "br" else "\n\n"
        if name in SILENT_TAGS or node.contents is None:
            return ""
        contents = self.render(node.contents.nodes, arguments)
        if name in ("sup", "sub"):
            return self._render_script(name, contents, before)
        if name == "nowiki":
            return contents.replace("'", APOSTROPHE)
        return f"{BOLD}{contents}{BOLD_END}" if name == "b" else contents

    def _render_script(self, name: str, contents: str, before: str) -> str:
        """Return superscript or subscript in the letters that Unicode has for it, or a hole."""
        text = MARKS.sub("", contents).replace("''", "").strip()
        if HOLE.search(contents) or text.startswith("["):  # the latter is a note
            return contents if HOLE.search(contents) else ""
        text = raise_text(text, before) if name == "sup" else lower_text(text)
        return self.mark_hole(f"<{name}>") if text is None else text

    def _render_template(
        self, node: Template, arguments: dict[str, str] | None, is_line_start: bool
    ) -> str:
        name = str(node.name)
        name = self.render(node.name.nodes, arguments) if "{" in name or "&" in name else name
        if is_parser_function(name):
            return self._render_parser_function(name, node, arguments)
        name = " ".join(MARKS.sub("", name).replace("_", " ").split()).casefold()
        kind = sort_template(name, self._wiki.language)
        if kind == "silent":
            return ""
        if kind == "printed" and self._depth < MAX_DEPTH:
            self._depth += 1
            pattern = find_pattern(name, self._wiki.language)
            text = self.render(pattern, self._list_arguments(node, arguments))
            self._depth -= 1
            return text
        if kind == "computed":
            call = Call(name, self._list_arguments(node, arguments), self._wiki.language)
            text = COMPUTED[find_computed_name(name)](call)
            if text is not None:
                return text
        if kind == "pronounced":
            call = Call(name, self._list_arguments(node, arguments), self._wiki.language)
            hole = self.mark_hole(f"{PRONOUNCED}{{{{{name}}}}}")
            if text := render_pronunciation(call):
                self.spoken[hole] = text
            return hole
        hole = self.mark_hole(f"{{{{{name}}}}}")
        return f"{hole}\n" if is_line_start and "\n" in str(node) else hole

    def _render_parser_function(
        self, name: str, node: Template, arguments: dict[str, str] | None
    ) -> str:
        values = [self.render(p.value.nodes, arguments) for p in node.params]
        values = [
            value if not p.showkey else f"{p.name}={value}"
            for p, value in zip(node.params, values, strict=True)
        ]
        text = compute_parser_function(name, values, self._wiki.language)
        hole = f"{{{{{name.partition(':')[0].strip().casefold()}:}}}}"
        return self.mark_hole(hole) if text is None else text

    def _list_arguments(self, node: Template, arguments: dict[str, str] | None) -> dict[str, str]:
        """Return the rendered arguments of a template by name; those without a name by number."""
        return {
            str(p.name).strip(): self.render(p.value.nodes, arguments)
            for p in node.params
            if not p.showkey or "\n" not in str(p.name).strip()
        }

    def _render_argument(self, node: Argument, arguments: dict[str, str] | None) -> str:
        """Return an argument, or its default; a hole if it has none and is missing or empty."""
        text = (arguments or {}).get(str(node.name).strip())
        if text is not None and (text.strip() or node.default is not None):
            return text
        if node.default is not None:
            return self.render(node.default.nodes, arguments)
        return self.mark_hole("{{{...}}}")


def _trick_pipe(target: str) -> str:
    """Return what [[target|]] prints: the target without its qualifier.

    >>> _trick_pipe("Paris, Texas"), _trick_pipe("Mercury (planet)")
    ('Paris', 'Mercury')
    """
    return re.sub(r"\s*\([^()]*\)$", "", target) if target.endswith(")") else target.split(",")[0]


def _is_line_start(pieces: list[str]) -> bool:
    text = MARKS.sub("", "".join(pieces[-3:]))
    return (not text.strip(" ") and len(pieces) < 3) or text.rstrip(" ").endswith("\n")


def _render_entity(node: HTMLEntity) -> str:
    """Return the character of an HTML entity; a space if it is white space or not valid."""
    try:
        character = node.normalize()
    except (ValueError, OverflowError):
        return " "
    if character == "'":
        return APOSTROPHE
    return " " if character.isspace() or MARKS.match(character) else character
