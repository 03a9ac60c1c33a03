"""Copies in other words, written by a chat model; names and values must stay as they are."""

from collections.abc import Sequence

from elusive.augment.clue_spans import list_entity_spans
from elusive.augment.config import AugmentConfig
from elusive.common.chat.models import ChatModel, build_chat_model
from elusive.common.dataset.records import Document, Span
from elusive.common.text.languages import count_words

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
"""Most tokens of a reply, per word of the text; where words have no blanks, per character."""
TOKEN_STEP = 128
"""The most tokens of a reply are a multiple of this, so that many texts are asked about at once."""


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
    limits = [_limit_tokens(document) for document, _ in jobs]
    prompts = [_render_prompt(document, version) for document, version in jobs]
    replies = _ask_within(chat, prompts, limits)
    failed = [
        index
        for index, (document, _) in enumerate(jobs)
        if not keeps_clues(replies[index], document)
    ]
    again = [prompts[i] + AGAIN.format(kept=_list_kept(jobs[i][0])) for i in failed]
    second_replies = _ask_within(chat, again, [limits[i] for i in failed])
    for index, second in zip(failed, second_replies, strict=True):
        document = jobs[index][0]
        replies[index] = second if keeps_clues(second, document) else document.text
    return replies


def _limit_tokens(document: Document) -> int:
    """Return the most tokens of a paraphrase, which other documents must not change.

    A reply is stored under this number, too, so a prompt is paid for again when it changes.
    """
    tokens = TOKENS_PER_WORD * count_words(document.text, document.language)
    return (tokens // TOKEN_STEP + 1) * TOKEN_STEP


def _ask_within(chat: ChatModel, prompts: list[str], limits: list[int]) -> list[str]:
    """Return the reply to each prompt, on one line, within its own limit of tokens."""
    replies = [""] * len(prompts)
    for limit in sorted(set(limits)):
        chosen = [index for index, own in enumerate(limits) if own == limit]
        answers = chat.ask([prompts[index] for index in chosen], limit)
        for index, reply in zip(chosen, answers, strict=True):
            replies[index] = " ".join(reply.split())
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
    spans = sorted(list_entity_spans(document))
    return [(start, end) for start, end in spans if document.text[start:end] in text]
