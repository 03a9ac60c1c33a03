"""Settings of the wikiqa stage."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from elusive.common.errors import InputError
from elusive.common.text.languages import CODE
from elusive.wikiqa.known_sets import KNOWN_SETS

FilterName = Literal[
    "length", "leak", "dependent", "duplicate", "ambiguous", "known", "unanswerable", "none"
]
TEXT_FILTERS: tuple[FilterName, ...] = ("length", "leak", "dependent", "duplicate", "ambiguous")
EXAM_FILTERS: tuple[FilterName, ...] = ("known", "unanswerable")
"""Questions that the examiner answers without the paragraph, or fails to answer with it."""
CLOZE = "cloze"
SOURCES = ("squad", "table", "hub", "dump", "texts")
WIKIPEDIA_LICENCE = "CC BY-SA 4.0"
UNKNOWN_LICENCE = "unknown"


class WikiqaConfig(BaseModel, frozen=True, extra="forbid"):
    """Settings that decide a Wikipedia question set; exactly one of them names the source."""

    squad: Path | None = Field(
        default=None, description="Source: a JSON file in SQuAD layout, version 1.1 or 2.0."
    )
    table: Path | None = Field(
        default=None,
        description="Source: a file with a question per row: JSON Lines, JSON array, CSV, TSV or "
        "Parquet.",
    )
    hub: str | None = Field(
        default=None,
        description="Source: a dataset of the Hub with a question per row, or the name of a known "
        f"one, which stands for its commit, split and columns: {', '.join(KNOWN_SETS)}.",
    )
    dump: tuple[Path, ...] = Field(
        default=(),
        description="Source: pages-articles XML (plain, .gz, .bz2); questions are written for it. "
        "Repeat the option for a dump of several files.",
    )
    texts: Path | None = Field(
        default=None,
        description="Source: a folder of .txt and .md files, whose names are titles. Questions are "
        "written for them; with --table or --hub, whose rows lack the context, they are those of "
        "the rows.",
    )
    revision: str | None = Field(
        default=None,
        description="Revision of --hub; by default the newest.",
    )
    hub_split: str = Field(default="train", description="Split of --hub to read.")
    hub_config: str | None = Field(
        default=None, description="Configuration of --hub, such as 20231101.en."
    )
    raw: bool = Field(
        default=False,
        description="The rows of --hub or --table are whole articles with title, text and url, as "
        "in wikimedia/wikipedia, for which questions are written.",
    )
    columns: tuple[str, ...] = Field(
        default=(),
        description="Column names of --hub or --table that differ from title, context, question, "
        "answers, id (with --raw: title, text, url), as OURS=THEIRS, once per column.",
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="Number of articles, with all of their questions; by default all.",
    )
    paragraphs_per_article: int | None = Field(
        default=None, ge=1, description="Paragraphs per article, at most, drawn at random."
    )
    questions_per_paragraph: int | None = Field(
        default=None, ge=1, description="Questions per paragraph, at most, drawn at random."
    )
    min_words: int = Field(
        default=20,
        ge=0,
        description="Fewest words in a paragraph of a raw article; shorter ones are left out.",
    )
    writer: str = Field(
        default=CLOZE,
        description="Who writes questions about raw text: cloze, or a chat model (Hub id, folder, "
        "GGUF file, built-in name, or its name at --endpoint).",
    )
    examiner: str | None = Field(
        default=None,
        description="Model that answers every question without and with its paragraph; the grades "
        "are stored in the rows, and the shares in the card.",
    )
    endpoint: str | None = Field(
        default=None,
        description="Address of an OpenAI-compatible server for --writer and --examiner, such as "
        "http://localhost:8000/v1; OPENAI_API_KEY holds the key.",
    )
    filters: tuple[FilterName, ...] = Field(
        default=(),
        description=f"Reason to leave out questions: {', '.join((*TEXT_FILTERS, *EXAM_FILTERS))} "
        "(the last two need --examiner: right without the paragraph, wrong with it), or none. "
        "Repeat the option for several. By default all if questions are written, else none.",
    )
    max_answer_words: int = Field(
        default=8, ge=1, description="Words that the filter length allows an answer."
    )
    shots: int = Field(
        default=8,
        ge=0,
        description="Articles outside the corpus whose questions are solved, for prompts and "
        "format replay; with 0, every question is kept and answering is zero-shot.",
    )
    dev_rate: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Share of the articles whose questions have the split dev.",
    )
    licence: str | None = Field(
        default=None,
        description="License of the text, stored in every row; by default Wikipedia's, "
        f"{WIKIPEDIA_LICENCE}, and {UNKNOWN_LICENCE} for --table and --texts.",
    )
    language: str = Field(
        default="en",
        description="Code of the language of the text, such as de or pt-BR; decides where "
        "sentences end and how answers are normalized.",
    )
    seed: int = Field(
        default=0, description="Seed of all random draws: articles, questions, splits."
    )

    @field_validator("dump", mode="before")
    @classmethod
    def _accept_single_file(cls, value: object) -> object:
        return (value,) if isinstance(value, str | Path) else value

    @model_validator(mode="before")
    @classmethod
    def _fill_licence(cls, settings: Any) -> Any:
        """Never claim that somebody's own text is Wikipedia's."""
        if not isinstance(settings, dict) or settings.get("licence") is not None:
            return settings
        is_own = settings.get("table") is not None or settings.get("texts") is not None
        return {**settings, "licence": UNKNOWN_LICENCE if is_own else WIKIPEDIA_LICENCE}

    @model_validator(mode="after")
    def _one_source(self) -> "WikiqaConfig":
        sources = [f"--{name}" for name in SOURCES if getattr(self, name)]
        if len(sources) != 1 and sources not in (["--table", "--texts"], ["--hub", "--texts"]):
            raise InputError(
                f"exactly one source is needed, got {' and '.join(sources) or 'none'}: choose one "
                f"of {', '.join(f'--{name}' for name in SOURCES)}"
            )
        if len(set(self.dump)) < len(self.dump):
            raise InputError("dump: the same file is given twice: remove one")
        if "none" in self.filters and len(self.filters) > 1:
            raise InputError("filters: none excludes all other reasons: remove it or the others")
        for name in EXAM_FILTERS:
            if name in self.filters and not self.examiner:
                raise InputError(f"filters: {name} needs examiner: name a model to examine")
        if self.raw and self.texts:
            raise InputError("raw and texts exclude each other: remove one")
        if self.writes_by_model and not self.is_raw:
            raise InputError(
                "writer needs dump, texts or raw: other sources already have questions"
            )
        if self.endpoint and not (self.examiner or self.writes_by_model):
            raise InputError("endpoint needs writer or examiner: name a model that it serves")
        if not CODE.fullmatch(self.language):
            raise InputError(f"language: {self.language!r} should be a code such as de or pt-BR")
        for name in ("revision", "hub_config"):
            if getattr(self, name) and not self.hub:
                raise InputError(f"{name} needs hub: remove it for files")
        for name in ("columns", "raw"):
            if getattr(self, name) and not (self.hub or self.table):
                raise InputError(f"{name} needs hub or table: remove it for other sources")
        seen: dict[str, str] = {}
        for pair in self.columns:
            ours, _, theirs = pair.partition("=")
            if (other := seen.setdefault(ours, pair)) != pair:
                raise InputError(f"columns: got {other} and {pair}: name {ours} once")
            if ours not in COLUMNS or not theirs:
                raise InputError(
                    f"columns: {pair!r} should be OURS=THEIRS with OURS one of {', '.join(COLUMNS)}"
                )
        return self

    def list_unused(self, names: Iterable[str]) -> list[str]:
        """List those of some settings that this source does not use.

        >>> WikiqaConfig(squad=Path("dev.json")).list_unused(["hub_split", "limit", "min_words"])
        ['hub_split', 'min_words']
        """
        used = {
            "hub_split": self.hub is not None,
            "min_words": self.is_raw,
            "max_answer_words": "length" in self.active_filters,
        }
        return [name for name in names if not used.get(name, True)]

    @property
    def is_raw(self) -> bool:
        """Whether the source has no questions, so that questions are written."""
        return self.raw or self.source in ("dump", "texts")

    @property
    def source(self) -> str:
        """Field of the source; that of the rows if --texts goes with them."""
        return next(name for name in SOURCES if getattr(self, name))

    @property
    def is_own_text(self) -> bool:
        """Whether the text comes from files that may be the user's own, not from Wikipedia."""
        return self.table is not None or self.texts is not None

    @property
    def has_default_licence(self) -> bool:
        """Whether the license is the one that the source has if none is named."""
        return self.licence == (UNKNOWN_LICENCE if self.is_own_text else WIKIPEDIA_LICENCE)

    @property
    def writes_by_model(self) -> bool:
        """Whether a chat model writes the questions."""
        return self.writer != CLOZE

    @property
    def active_filters(self) -> tuple[FilterName, ...]:
        """Filters that are applied."""
        if not self.filters:
            with_exam = (*TEXT_FILTERS, *EXAM_FILTERS) if self.examiner else TEXT_FILTERS
            return with_exam if self.is_raw else ()
        return tuple(name for name in self.filters if name != "none")

    @property
    def column_names(self) -> dict[str, str]:
        """The source's name of each of our columns."""
        return {name: name for name in COLUMNS} | dict(
            pair.split("=", 1)
            for pair in self.columns  # type: ignore[misc]
        )


COLUMNS = ("title", "context", "question", "answers", "id", "text", "url")
