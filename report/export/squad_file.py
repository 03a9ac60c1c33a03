"""A dataset as one file in SQuAD 1.1 layout."""

from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import (
    Document,
    Question,
    WikiDocument,
    WikiQuestion,
    from_table,
)
from elusive.common.errors import InputError
from elusive.common.folders import read_table
from elusive.wikiqa.sources.squad import write_squad

NOT_STATED = "the answer is not in the text"
OTHER_WORDS = "other ways to write an answer"


def export_squad(folder: Path, out: Path) -> tuple[int, Counter[str]]:
    """Number of questions written, and what was left out, by reason.

    SQuAD asks for spans of the paragraph. Of biographies, questions for a field and for a person
    have them; yes-no and multi-hop ones do not.

    Args:
        folder: of a dataset, of biographies or of paragraphs.
        out: file to write.

    Raises:
        InputError: no dataset, `out` exists, or no question has its answer in the text.
    """
    if out.exists():
        raise InputError(f"{out} exists: choose another --out or delete it")
    dataset = load_dataset_folder(folder)
    left_out: Counter[str] = Counter()
    if "title" in read_table(folder, "corpus").column_names:
        documents = from_table(read_table(folder, "corpus"), WikiDocument)
        questions = from_table(read_table(folder, "questions"), WikiQuestion)
    else:
        documents = [_as_article(document) for document in dataset.documents]
        by_id = {document.doc_id: document for document in dataset.documents}
        found = (_with_starts(q, by_id[q.doc_id], left_out) for q in dataset.questions)
        questions = [question for question in found if question]
    if not questions:
        raise InputError(f"{folder}: no question has its answer in the text, as SQuAD layout asks")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_squad(documents, questions, out)
    return len(questions), left_out


def _as_article(document: Document) -> WikiDocument:
    """A biography as a paragraph of the article about its person."""
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
    """A question with those of its answers that its document states; None if there is none."""
    starts = answer_starts(question, document)
    if not starts:
        left_out[f"{NOT_STATED} ({question.kind})"] += 1
        return None
    left_out[OTHER_WORDS] += len(question.answers) - len(starts)
    own: dict[str, Any] = _fields(question) | {"answers": list(starts)}
    return WikiQuestion(
        **own, answer_starts=list(starts.values()), blind="", informed="", licence=""
    )


def answer_starts(question: Question, document: Document) -> dict[str, int]:
    """Where the document states each gold answer: as the field's value, or as a name."""
    if question.kind == "direct":
        facts = [fact for fact in document.facts if fact.field == question.field]
        stated = {fact.value: fact.start for fact in reversed(facts)}
    elif question.kind == "reverse":
        stated = {document.text[start:end]: start for start, end in reversed(document.heads)}
    else:
        stated = {}
    return {answer: stated[answer] for answer in question.answers if answer in stated}


def _fields(record: Document | Question) -> dict[str, Any]:
    """The fields of a record by name, nested records as they are."""
    return {each.name: getattr(record, each.name) for each in fields(record)}
