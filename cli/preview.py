"""Print documents in the terminal, with names and values in color."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from elusive.common.dataset.records import Document, Question

HEAD, OTHER = "bold reverse", "reverse dim"
COLORS = ("cyan", "green", "yellow", "magenta", "blue", "red", "bright_cyan", "bright_green")


def print_documents(documents: list[Document], questions: list[Question]) -> None:
    """Print each document with its spans in color, its facts, and the questions about it."""
    console = Console(highlight=False)
    fields = list(dict.fromkeys(fact.field for doc in documents for fact in doc.facts))
    styles = {field: f"bold {COLORS[n % len(COLORS)]}" for n, field in enumerate(fields)}
    for document in documents:
        console.rule(f"{document.doc_id}  {document.split}  {document.variant}", align="left")
        console.print(render_text(document, styles))
        console.print(_facts(document, styles))
        for question in questions:
            if question.doc_id == document.doc_id:
                console.print(f"  ? {question.question}  ", end="", markup=False, style="dim")
                console.print(" | ".join(question.answers), markup=False)
    legend = Text("\nname", style=HEAD) + Text("  other person", style=OTHER)
    for field, style in styles.items():
        legend += Text(f"  {field}", style=style)
    console.print(legend)


def render_text(document: Document, styles: dict[str, str]) -> Text:
    """Return the document's text with a style on every mention and value."""
    text = Text(document.text)
    for start, end in document.heads:
        text.stylize(HEAD, start, end)
    for start, end in document.others:
        text.stylize(OTHER, start, end)
    for fact in document.facts:
        text.stylize(styles[fact.field], fact.start, fact.end)
    return text


def _facts(document: Document, styles: dict[str, str]) -> Table:
    """Table of the document's facts with their positions."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("field", "value"):
        table.add_column(name)
    for name in ("characters", "words from name", "sentence"):
        table.add_column(name, justify="right")
    for fact in document.facts:
        table.add_row(
            Text(fact.field, style=styles[fact.field]),
            Text(fact.value),
            f"{fact.start}-{fact.end}",
            "-" if fact.distance is None else str(fact.distance),
            str(fact.position),
        )
    return table
