"""What a publisher says of a repository: title, authors, license, citation, tags."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CardDetails:
    """Details that replace those of the card that the folder has."""

    title: str | None = None
    authors: tuple[str, ...] = ()
    licence: str | None = None
    """Identifier of the Hub, such as cc-by-4.0."""
    citation: str | None = None
    """BibTeX, or a sentence."""
    tags: tuple[str, ...] = ()

    def change_header(self, header: dict[str, Any], title_key: str | None) -> dict[str, Any]:
        """Return the YAML header of a card with these details.

        Args:
            header: of the card.
            title_key: key of the title; None if the header has none, as those of models.
        """
        changes: dict[str, Any] = {"license": self.licence} if self.licence else {}
        if self.title and title_key:
            changes[title_key] = self.title
        tags = [*header.get("tags", []), *self.tags, "elusive"]
        return header | changes | {"tags": list(dict.fromkeys(tags))}

    def change_body(self, body: str) -> str:
        """Return the text of a card with the title, and with authors and citation at its end."""
        if self.title and body.startswith("# "):
            body = f"# {self.title}\n" + body.partition("\n")[2]
        parts = [body.rstrip() + "\n"]
        if self.authors:
            parts.append(f"\n## Authors\n\n{', '.join(self.authors)}\n")
        if self.citation:
            is_bibtex = self.citation.lstrip().startswith("@")
            text = (
                f"```bibtex\n{self.citation.strip()}\n```" if is_bibtex else self.citation.strip()
            )
            parts.append(f"\n## Citation\n\n{text}\n")
        return "".join(parts)


NO_DETAILS = CardDetails()
