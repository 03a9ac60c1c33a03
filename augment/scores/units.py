"""Droppable units of a text: character spans of tokens, and which tokens gave each."""

import re
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from elusive.common.dataset.records import Span

WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]")
NO_START_PREFIX = "Text: "
"""Put before texts of models that have no start token, so that the first token's attention sink
does not fall on the text (arXiv 2409.17954, section on the analysis of attention)."""


@dataclass(frozen=True)
class EncodedText:
    """A text as a model reads it, and where its units stand."""

    input_ids: list[int]
    """Start token or prefix, then the text."""
    units: list[Span]
    """Characters of each droppable unit, in order, without white space, not overlapping."""
    unit_tokens: list[list[int]]
    """Indices into `input_ids` of the tokens of each unit: more than one where a character is
    spread over several byte tokens."""
    prefix: int = 0
    """Tokens before the text's first one."""


def word_units(text: str) -> list[Span]:
    """Words and signs of a text, for arms that are used without a model.

    >>> word_units("Born in Rome.")
    [(0, 4), (5, 7), (8, 12), (12, 13)]
    """
    return [match.span() for match in WORD_OR_SIGN.finditer(text)]


def encode(text: str, tokenizer: PreTrainedTokenizerBase) -> EncodedText:
    """Tokenize a text for scoring, with its units in characters of `text`."""
    has_start = tokenizer.bos_token_id is not None and _adds_start(tokenizer)
    prefix = "" if has_start else NO_START_PREFIX
    encoded = tokenizer(prefix + text, return_offsets_mapping=True)
    units: list[Span] = []
    unit_tokens: list[list[int]] = []
    for index, (start, end) in enumerate(encoded["offset_mapping"]):
        span = _without_space(text, start - len(prefix), end - len(prefix))
        if span is None:
            continue
        if units and span[0] < units[-1][1]:
            units[-1] = (units[-1][0], max(span[1], units[-1][1]))
            unit_tokens[-1].append(index)
        else:
            units.append(span)
            unit_tokens.append([index])
    first = unit_tokens[0][0] if unit_tokens else len(encoded["input_ids"])
    return EncodedText(encoded["input_ids"], units, unit_tokens, prefix=first)


def _adds_start(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer itself puts a start token before every text."""
    ids = tokenizer("a")["input_ids"]
    return len(ids) > 0 and ids[0] == tokenizer.bos_token_id


def _without_space(text: str, start: int, end: int) -> Span | None:
    """The span narrowed to its non-space characters; None if nothing of the text is left."""
    start = max(start, 0)
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else None
