"""Settings of the wikiqa stage."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from elusive.common.errors import InputError

FilterName = Literal["length", "leak", "dependent", "duplicate", "ambiguous", "none"]
ALL_FILTERS: tuple[FilterName, ...] = ("length", "leak", "dependent", "duplicate", "ambiguous")
SOURCES = ("squad", "table", "hub", "dump")


class WikiqaConfig(BaseModel, frozen=True, extra="forbid"):
    """What decides a Wikipedia question set; exactly one source is named."""

    squad: Path | None = Field(
        default=None, description="Source: a JSON file in SQuAD layout, 1.1 or 2.0."
    )
    table: Path | None = Field(
        default=None, description="Source: a JSON Lines or Parquet file, a question per row."
    )
    hub: str | None = Field(
        default=None, description="Source: a dataset of the Hub, a question per row."
    )
    dump: Path | None = Field(
        default=None,
        description="Source: pages-articles XML (plain, .gz, .bz2); questions are written for it.",
    )
    revision: str | None = Field(
        default=None,
        description="Revision of --hub; the newest if not given.",
    )
    hub_split: str = Field(default="train", description="Split of --hub that is read.")
    hub_config: str | None = Field(
        default=None, description="Configuration of --hub, such as 20231101.en."
    )
    raw: bool = Field(
        default=False,
        description="Rows of --hub or --table are whole articles with title, text and url, as in "
        "wikimedia/wikipedia; questions are written for them.",
    )
    columns: tuple[str, ...] = Field(
        default=(),
        description="Where --hub or --table has other columns than title, context, question, "
        "answers, id (with --raw: title, text, url): WANTED=THEIRS, once per column.",
    )
    limit: int | None = Field(default=None, ge=1, description="Only so many articles.")
    paragraphs_per_article: int | None = Field(
        default=None, ge=1, description="At most so many paragraphs of an article, drawn at random."
    )
    questions_per_paragraph: int | None = Field(
        default=None, ge=1, description="At most so many questions on a paragraph, drawn at random."
    )
    min_words: int = Field(
        default=20, ge=0, description="Shorter paragraphs of raw articles are left out."
    )
    filters: tuple[FilterName, ...] = Field(
        default=(),
        description=f"Leave out questions for: {', '.join(ALL_FILTERS)}; or none. Give the option "
        "once per reason; if not given, all where questions are written, and none elsewhere.",
    )
    max_answer_words: int = Field(default=8, ge=1, description="What the filter length allows.")
    shots: int = Field(
        default=8,
        ge=0,
        description="Articles outside the corpus whose questions are solved, for prompts and "
        "format replay; 0 keeps every question, and answering is zero-shot.",
    )
    dev_rate: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Share of the articles whose questions are for development.",
    )
    licence: str = Field(
        default="CC BY-SA 4.0", description="Licence of the text, kept in every row."
    )
    language: str = Field(default="en", description="Language of the text, for the card.")
    seed: int = Field(default=0, description="Seed of what is drawn: articles, questions, splits.")

    @model_validator(mode="after")
    def _one_source(self) -> "WikiqaConfig":
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            named = " and ".join(f"--{name}" for name in given) or "none"
            raise InputError(
                f"exactly one source is needed, and {named} is given: name one of "
                f"{', '.join(f'--{name}' for name in SOURCES)}"
            )
        if "none" in self.filters and len(self.filters) > 1:
            raise InputError("filters: none goes with no other reason: leave it or the others out")
        for name in ("revision", "hub_config"):
            if getattr(self, name) and not self.hub:
                raise InputError(f"{name} goes with hub: leave it out for files")
        for name in ("columns", "raw"):
            if getattr(self, name) and not (self.hub or self.table):
                raise InputError(f"{name} goes with hub and table: leave it out for other sources")
        for pair in self.columns:
            wanted, equals, theirs = pair.partition("=")
            if not equals or wanted not in COLUMNS or not theirs:
                raise InputError(
                    f"columns: {pair!r} should be WANTED=THEIRS, WANTED one of {', '.join(COLUMNS)}"
                )
        return self

    @property
    def is_raw(self) -> bool:
        """Whether the source has no questions, so that they are written."""
        return self.raw or self.dump is not None

    @property
    def active_filters(self) -> tuple[FilterName, ...]:
        """The filters in use."""
        if not self.filters:
            return ALL_FILTERS if self.is_raw else ()
        return tuple(name for name in self.filters if name != "none")

    @property
    def column_names(self) -> dict[str, str]:
        """Their name of each column that is wanted."""
        return {name: name for name in COLUMNS} | dict(
            pair.split("=", 1)
            for pair in self.columns  # type: ignore[misc]
        )


COLUMNS = ("title", "context", "question", "answers", "id", "text", "url")
