"""Droppable units of a text: their character spans, and the tokens that make up each unit."""

from dataclasses import dataclass

import regex
from transformers import PreTrainedTokenizerBase

from elusive.common.dataset.records import Span
from elusive.common.lm.encoding import encode_text, list_start_tokens
from elusive.common.text.languages import LETTER, RANGES

WORD_OR_SIGN = regex.compile(
    rf"[{RANGES}]\p{{M}}*|(?:(?![{RANGES}]){LETTER})+|[^\s\x1c-\x1f]"  # `re` takes these for blanks
)
NO_START_PREFIX = "Text: "
"""Put before each text if the model has no start token, so that the attention sink of the first
token does not fall on the text (arXiv 2409.17954, section on the analysis of attention)."""


@dataclass(frozen=True)
class EncodedText:
    """A text as a model reads it, and the position of its units."""

    input_ids: list[int]
    """Start token or prefix, then the text."""
    units: list[Span]
    """Characters of each droppable unit, in order, not overlapping, without surrounding spaces."""
    unit_tokens: list[list[int]]
    """Indices into `input_ids` of the tokens of each unit: several if a character is spread over
    several byte tokens."""
    prefix: int = 0
    """Number of tokens before the first token of the text."""


def cut_words(text: str) -> list[Span]:
    """Cut a text into words and signs, the units of arms that are used without a model.

    In scripts without blanks, each character with its marks is a unit.

    >>> cut_words("Born in Rome.")
    [(0, 4), (5, 7), (8, 12), (12, 13)]
    """
    return [match.span() for match in WORD_OR_SIGN.finditer(text)]


def encode(text: str, tokenizer: PreTrainedTokenizerBase) -> EncodedText:
    """Tokenize a text for scoring, with its units as characters of `text`."""
    # 1) Put the prefix before the text unless the tokenizer itself puts a start token there.
    prefix = "" if list_start_tokens(tokenizer) else NO_START_PREFIX
    encoded = encode_text(prefix + text, tokenizer)
    units: list[Span] = []
    unit_tokens: list[list[int]] = []
    for index, (start, end) in enumerate(encoded.offsets):
        # 2) Leave out start tokens, the prefix, and tokens of white space alone.
        span = _trim_span(text, start - len(prefix), end - len(prefix))
        if span is None:
            continue
        # 3) Merge tokens that share a character into one unit.
        if units and span[0] < units[-1][1]:
            units[-1] = (units[-1][0], max(span[1], units[-1][1]))
            unit_tokens[-1].append(index)
        else:
            units.append(span)
            unit_tokens.append([index])
    first = unit_tokens[0][0] if unit_tokens else len(encoded.input_ids)
    return EncodedText(encoded.input_ids, units, unit_tokens, prefix=first)


def _trim_span(text: str, start: int, end: int) -> Span | None:
    """Trim white space and what lies before the text; None if nothing is left."""
    start = max(start, 0)
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else None
