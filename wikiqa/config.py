"""Settings of the wikiqa stage."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from elusive.common.errors import InputError

FilterName = Literal[
    "length", "leak", "dependent", "duplicate", "ambiguous", "known", "unanswerable", "none"
]
TEXT_FILTERS: tuple[FilterName, ...] = ("length", "leak", "dependent", "duplicate", "ambiguous")
EXAM_FILTERS: tuple[FilterName, ...] = ("known", "unanswerable")
"""Answered without the paragraph; not answered with it."""
CLOZE = "cloze"
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
    writer: str = Field(
        default=CLOZE,
        description="Who asks about raw text: cloze, or a chat model (Hub id, folder, GGUF file, "
        "name, or its name at --endpoint).",
    )
    examiner: str | None = Field(
        default=None,
        description="Model that answers every question without and with its paragraph; the grades "
        "stay in the rows, the shares in the card.",
    )
    endpoint: str | None = Field(
        default=None,
        description="Address of an OpenAI-compatible server for --writer and --examiner, such as "
        "http://localhost:8000/v1; the key is taken from OPENAI_API_KEY.",
    )
    filters: tuple[FilterName, ...] = Field(
        default=(),
        description=f"Leave out questions for: {', '.join((*TEXT_FILTERS, *EXAM_FILTERS))} (the "
        "last two with --examiner: right without the paragraph, wrong with it); or none. Give the "
        "option once per reason; if not given, all where questions are written, none elsewhere.",
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
        for name in EXAM_FILTERS:
            if name in self.filters and not self.examiner:
                raise InputError(f"filters: {name} needs examiner: name the model that is asked")
        if self.writes_by_model and not self.is_raw:
            raise InputError("writer goes with dump and raw: other sources have questions already")
        if self.endpoint and not (self.examiner or self.writes_by_model):
            raise InputError("endpoint goes with writer and examiner: name a model that it serves")
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
    def writes_by_model(self) -> bool:
        """Whether a chat model writes the questions."""
        return self.writer != CLOZE

    @property
    def active_filters(self) -> tuple[FilterName, ...]:
        """The filters in use."""
        if not self.filters:
            with_exam = (*TEXT_FILTERS, *EXAM_FILTERS) if self.examiner else TEXT_FILTERS
            return with_exam if self.is_raw else ()
        return tuple(name for name in self.filters if name != "none")

    @property
    def column_names(self) -> dict[str, str]:
        """Their name of each column that is wanted."""
        return {name: name for name in COLUMNS} | dict(
            pair.split("=", 1)
            for pair in self.columns  # type: ignore[misc]
        )


COLUMNS = ("title", "context", "question", "answers", "id", "text", "url")
