"""Copies in other words, written by a chat model; names and values must stay as they are."""

from collections.abc import Sequence

from elusive.augment.config import AugmentConfig
from elusive.common.chat.models import ChatModel, build_chat_model
from elusive.common.dataset.records import Document, Span

PROMPT = """\
Rewrite the text below in other words, and in another order where possible. This is version \
{version}: word it differently from all other versions.

Rules:
- State every fact of the text, and nothing else.
- Copy these names and values letter by letter: {kept}.

Reply with nothing but the new text.

Text:
{text}"""
AGAIN = """

Your last reply left out one of the names and values. Copy each of them letter by letter: {kept}."""
EPOCHS = 1000
"""Epochs of a seed that have versions of their own."""
TOKENS_PER_WORD = 4
"""Most tokens of a reply, per word of the text."""


def write_paraphrases(
    documents: Sequence[Document], config: AugmentConfig, epoch: int = 0
) -> list[list[str]]:
    """Write `config.copies` paraphrases of every document, one more without originals.

    A paraphrase that lacks a value, or every mention of the entity, is asked for a second time; if
    that fails as well, the original stands in its place. Replies are stored, so the same command
    asks nothing twice.

    Args:
        documents: the originals.
        config: names the chat model as `writer`, and its `endpoint` if it is served.
        epoch: other epochs, like other seeds, have other versions.

    Returns:
        The paraphrases of each document, in order.
    """
    assert config.writer is not None
    chat = build_chat_model(config.writer, config.endpoint)
    num_copies = config.copies + (not config.original)
    first = num_copies * (epoch + EPOCHS * config.seed)
    jobs = [(document, first + copy) for document in documents for copy in range(1, num_copies + 1)]
    replies = _ask(chat, jobs)
    return [replies[start : start + num_copies] for start in range(0, len(replies), num_copies)]


def _ask(chat: ChatModel, jobs: list[tuple[Document, int]]) -> list[str]:
    if not jobs:
        return []
    max_tokens = TOKENS_PER_WORD * max(len(document.text.split()) for document, _ in jobs)
    prompts = [_render_prompt(document, version) for document, version in jobs]
    replies = [" ".join(reply.split()) for reply in chat.ask(prompts, max_tokens)]
    failed = [
        index
        for index, (document, _) in enumerate(jobs)
        if not keeps_clues(replies[index], document)
    ]
    again = [prompts[i] + AGAIN.format(kept=_list_kept(jobs[i][0])) for i in failed]
    for index, reply in zip(failed, chat.ask(again, max_tokens), strict=True):
        document, second = jobs[index][0], " ".join(reply.split())
        replies[index] = second if keeps_clues(second, document) else document.text
    return replies


def _render_prompt(document: Document, version: int) -> str:
    return PROMPT.format(version=version, kept=_list_kept(document), text=document.text)


def _list_kept(document: Document) -> str:
    names = [document.text[start:end] for start, end in document.heads[:1]]
    return "; ".join(dict.fromkeys([*names, *(fact.value for fact in document.facts)]))


def keeps_clues(text: str, document: Document) -> bool:
    """Whether a text has every value of a document, and a mention of its entity if that has one."""
    names = {document.text[start:end] for start, end in document.heads}
    has_name = not names or any(name in text for name in names)
    return has_name and all(fact.value in text for fact in document.facts)


def find_kept(text: str, document: Document) -> list[Span]:
    """Find the names and values of a document that a text has, as spans of the document."""
    spans = [*document.heads, *((fact.start, fact.end) for fact in document.facts)]
    return [(start, end) for start, end in sorted(spans) if document.text[start:end] in text]
