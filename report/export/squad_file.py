"""Export a dataset as one file in the SQuAD 1.1 layout."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from elusive.common.dataset.folder import DatasetFolder, load_dataset_folder
from elusive.common.dataset.records import (
    Document,
    Question,
    WikiDocument,
    WikiQuestion,
)
from elusive.common.errors import InputError
from elusive.common.folders import read_table
from elusive.wikiqa.sources.squad import write_squad

NOT_STATED = "questions whose answer is not in the text"
OTHER_WORDS = "further gold answers of questions above, in words that the text does not use"


def export_squad(folder: Path, out: Path) -> tuple[int, Counter[str]]:
    """Write the questions of a dataset whose answers are spans of its texts.

    Of biographies, these are the questions for a field or for a person; the answers of yes-no and
    multi-hop questions are not spans.

    Args:
        folder: dataset of biographies or of Wikipedia paragraphs.
        out: file to write.

    Returns:
        Number of questions written, and the number of questions and answers left out, by reason.

    Raises:
        InputError: `folder` is not a dataset, `out` exists, or no answer is a span of its text.
    """
    if out.exists():
        raise InputError(f"{out} exists: choose another --out or delete it")
    dataset = load_dataset_folder(folder)
    left_out: Counter[str] = Counter()
    num_questions = 0

    def iterate_counted() -> Iterator[tuple[WikiDocument, list[WikiQuestion]]]:
        nonlocal num_questions
        for document, questions in _iterate_paragraphs(dataset, left_out):
            num_questions += len(questions)
            yield document, questions

    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    try:
        write_squad(iterate_counted(), draft)
        if not num_questions:
            raise InputError(
                f"{folder}: no question has its answer in the text, which the SQuAD layout requires"
            )
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
    return num_questions, left_out


def _iterate_paragraphs(
    dataset: DatasetFolder, left_out: Counter[str]
) -> Iterator[tuple[WikiDocument, list[WikiQuestion]]]:
    """Yield every document with those of its questions whose answers it states."""
    is_wiki = "title" in read_table(dataset.path, "corpus").column_names
    for documents in dataset.iterate_documents(WikiDocument if is_wiki else Document):
        by_id = {document.doc_id: document for document in documents}
        asked = defaultdict(list)
        for question in dataset.read_questions(by_id, WikiQuestion if is_wiki else Question):
            if not isinstance(question, WikiQuestion):
                question = _with_starts(question, by_id[question.doc_id], left_out)
            if question:
                asked[question.doc_id].append(question)
        for document in documents:
            article = document if isinstance(document, WikiDocument) else _as_article(document)
            yield article, asked[document.doc_id]


def _as_article(document: Document) -> WikiDocument:
    """Convert a biography to a paragraph of an article about its person."""
    return WikiDocument(
        **_fields(document),
        title=document.entity,
        section="",
        links=[],
        revision="",
        url="",
        licence="",
    )


def _with_starts(
    question: Question, document: Document, left_out: Counter[str]
) -> WikiQuestion | None:
    """Keep the answers of a question that its document states; None if it states none."""
    starts = find_answer_starts(question, document)
    if not starts:
        left_out[f"{NOT_STATED} ({question.kind})"] += 1
        return None
    left_out[OTHER_WORDS] += len(question.answers) - len(starts)
    values: dict[str, Any] = _fields(question) | {"answers": list(starts)}
    return WikiQuestion(
        **values, answer_starts=list(starts.values()), blind="", informed="", licence=""
    )


def find_answer_starts(question: Question, document: Document) -> dict[str, int]:
    """Return the offset of each gold answer that the document states, in characters, by answer.

    A document states an answer as the value of a fact, or as a mention of the name.
    """
    if question.kind == "direct":
        facts = [fact for fact in document.facts if fact.field == question.field]
        stated = {fact.value: fact.start for fact in reversed(facts)}
    elif question.kind == "reverse":
        stated = {document.text[start:end]: start for start, end in reversed(document.heads)}
    else:
        stated = {}
    return {answer: stated[answer] for answer in question.answers if answer in stated}


def _fields(record: Document | Question) -> dict[str, Any]:
    # Unlike `asdict`, this keeps nested records as records.
    return {field.name: getattr(record, field.name) for field in fields(record)}
