"""Questions written by a chat model: the prompt, and the parser of its replies."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from pydantic import BaseModel, StringConstraints, TypeAdapter, ValidationError

from elusive.common.chat.models import ChatModel
from elusive.common.text.languages import compose
from elusive.common.text.text_spans import find_whole_words
from elusive.wikiqa.articles import Article, Asked, Counts, Paragraph, to_entity

FIELD = "written"
MAX_TOKENS = 768
PROMPT = """\
Read the paragraph from the Wikipedia article "{title}" and write up to {count} questions about \
facts that it states.

Rules:
- Whoever answers does not see the paragraph: name people, places and things, say neither "the \
text" nor "he", "she", "it", "this".
- Each question has one answer, of one to six words, copied letter by letter from the paragraph.
- The answer does not stand in the question.

Reply with nothing but a JSON list such as
[{{"question": "In which year was the Eiffel Tower finished?", "answer": "1889"}}]

Paragraph:
{text}"""
AGAIN = """

Your last reply could not be read. Reply with nothing but a JSON list of objects with the keys \
"question" and "answer"."""

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Written(BaseModel):
    """A question as a model writes it."""

    question: Words
    answer: Words


_WRITTEN = TypeAdapter(list[Written])


def add_written_questions(
    articles: list[Article], chat: ChatModel, count: int, counts: Counts
) -> list[Article]:
    """Return the articles with at most `count` questions on every paragraph, written by a model.

    If a reply cannot be parsed, the model is asked a second time. Replies and questions that are
    of no use are counted by reason.
    """
    prompts = [
        PROMPT.format(title=to_entity(article.title), count=count, text=paragraph.text)
        for article in articles
        for paragraph in article.paragraphs
    ]
    replies = iter(_ask(chat, prompts, counts))
    return [
        replace(
            article,
            paragraphs=[
                replace(paragraph, asked=list(_place(next(replies)[:count], paragraph, p, counts)))
                for p, paragraph in enumerate(article.paragraphs)
            ],
        )
        for article in articles
    ]


def _ask(chat: ChatModel, prompts: list[str], counts: Counts) -> list[list[Written]]:
    """Return the questions for each prompt; none if the second reply cannot be parsed either."""
    parsed = [parse_reply(reply) for reply in chat.ask(prompts, MAX_TOKENS)]
    failed = [index for index, written in enumerate(parsed) if written is None]
    second_replies = chat.ask([prompts[index] + AGAIN for index in failed], MAX_TOKENS)
    for index, reply in zip(failed, second_replies, strict=True):
        parsed[index] = parse_reply(reply)
    counts["reply of the writer that is no JSON list of questions"] += parsed.count(None)
    return [written or [] for written in parsed]


def parse_reply(reply: str) -> list[Written] | None:
    """Return the first JSON list of questions in a reply, or None if there is none.

    >>> parse_reply('Sure! ```json [{"question": "Who?", "answer": "Ada"}] ```')
    [Written(question='Who?', answer='Ada')]
    >>> parse_reply('["Who?"]') is None
    True
    """
    decoder, reply = json.JSONDecoder(), compose(reply)
    for index, character in enumerate(reply):
        if character == "[":
            try:
                return _WRITTEN.validate_python(decoder.raw_decode(reply, index)[0])
            except (json.JSONDecodeError, ValidationError, RecursionError):
                continue
    return None


def _place(
    questions: list[Written], paragraph: Paragraph, number: int, counts: Counts
) -> Iterator[Asked]:
    """Yield the questions whose answers the paragraph contains, with the first position of each."""
    for index, written in enumerate(questions):
        spans = find_whole_words(paragraph.text, [written.answer])
        if spans:
            answers = [(written.answer, spans[0][0])]
            yield Asked(f"{number}-{index}", written.question, answers, FIELD)
        else:
            counts["written question whose answer the paragraph has not"] += 1
