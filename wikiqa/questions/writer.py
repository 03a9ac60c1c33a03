"""Questions that a chat model writes: the prompt, and the parser of its replies."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from pydantic import BaseModel, StringConstraints, TypeAdapter, ValidationError

from elusive.wikiqa.articles import Article, Asked, Counts, Paragraph, entity_of
from elusive.wikiqa.documents import whole_words
from elusive.wikiqa.questions.chat import ChatModel

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


def written_questions(
    articles: list[Article], chat: ChatModel, count: int, counts: Counts
) -> list[Article]:
    """The articles with at most `count` questions on every paragraph, written by a model.

    A paragraph whose reply cannot be read is asked about a second time. What is of no use is
    counted by reason.
    """
    places = [(a, p) for a, article in enumerate(articles) for p in range(len(article.paragraphs))]
    prompts = [_prompt(articles[a], articles[a].paragraphs[p], count) for a, p in places]
    parsed = _asked(chat, prompts, counts)
    asked = {
        (a, p): list(_usable(written[:count], articles[a].paragraphs[p], p, counts))
        for (a, p), written in zip(places, parsed, strict=True)
    }
    return [
        replace(
            article,
            paragraphs=[
                replace(paragraph, asked=asked[a, p])
                for p, paragraph in enumerate(article.paragraphs)
            ],
        )
        for a, article in enumerate(articles)
    ]


def _prompt(article: Article, paragraph: Paragraph, count: int) -> str:
    """What the model is told about a paragraph."""
    return PROMPT.format(title=entity_of(article.title), count=count, text=paragraph.text)


def _asked(chat: ChatModel, prompts: list[str], counts: Counts) -> list[list[Written]]:
    """What the model wrote for each prompt; nothing where its second reply is no better."""
    parsed = [parse_reply(reply) for reply in chat.ask(prompts, MAX_TOKENS)]
    unread = [index for index, written in enumerate(parsed) if written is None]
    again = chat.ask([prompts[index] + AGAIN for index in unread], MAX_TOKENS)
    for index, reply in zip(unread, again, strict=True):
        parsed[index] = parse_reply(reply)
    counts["reply of the writer that is no JSON list of questions"] += parsed.count(None)
    return [written or [] for written in parsed]


def parse_reply(reply: str) -> list[Written] | None:
    """The first JSON list of questions in a reply; None if there is none.

    >>> parse_reply('Sure! ```json [{"question": "Who?", "answer": "Ada"}] ```')
    [Written(question='Who?', answer='Ada')]
    >>> parse_reply('["Who?"]') is None
    True
    """
    decoder = json.JSONDecoder()
    for place, sign in enumerate(reply):
        if sign == "[":
            try:
                return _WRITTEN.validate_python(decoder.raw_decode(reply, place)[0])
            except (json.JSONDecodeError, ValidationError, RecursionError):
                continue
    return None


def _usable(
    written: list[Written], paragraph: Paragraph, number: int, counts: Counts
) -> Iterator[Asked]:
    """The questions whose answers stand in the paragraph, each with its answer's first place."""
    for index, each in enumerate(written):
        places = whole_words(each.answer, paragraph.text)
        if places:
            name = f"{number}-{index}"
            yield Asked(name, each.question, [(each.answer, places[0])], FIELD)
        else:
            counts["written question whose answer the paragraph has not"] += 1
