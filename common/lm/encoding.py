"""Text to tokens, in one place: what stands before a text, what ends it, and where tokens lie."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from transformers import GenerationConfig, PreTrainedTokenizerBase

from elusive.common.dataset.records import Span

Items = TypeVar("Items", str, list[int])


@dataclass(frozen=True)
class TokenizedText:
    """The tokens of a text, and the characters that each of them holds."""

    input_ids: list[int]
    """Start tokens, then the text; never an end token."""
    offsets: list[Span]
    """Characters of each token; (0, 0) for start tokens."""

    def count_before(self, character: int) -> int:
        """Count the first tokens, up to one that holds something from `character` on."""
        numbers = (number for number, (_, end) in enumerate(self.offsets) if end > character)
        return next(numbers, len(self.offsets))

    def cut_before(self, character: int) -> "TokenizedText":
        """Return the tokens before the one that holds `character`, or something behind it."""
        count = self.count_before(character)
        return TokenizedText(self.input_ids[:count], self.offsets[:count])


def encode_text(
    text: str, tokenizer: PreTrainedTokenizerBase, add_start: bool = True
) -> TokenizedText:
    """Encode a text without an end token, even if the tokenizer adds one to every text.

    A text must be encoded whole and cut by offsets: the tokens of its parts are others, because
    tokens reach over borders (".\\n") and some tokenizers put a space before every text.

    Args:
        text: to encode.
        tokenizer: a fast one, which knows offsets.
        add_start: put the tokenizer's start tokens before the text, if it has any.
    """
    encoded = tokenizer(
        text,
        add_special_tokens=add_start,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    is_added = encoded["special_tokens_mask"]  # true of start and end tokens
    if all(is_added):
        start = list_start_tokens(tokenizer) if add_start else []
        return TokenizedText(start, [(0, 0)] * len(start))
    count = len(ids) - is_added[::-1].index(0)
    return TokenizedText(ids[:count], [tuple(span) for span in offsets[:count]])


def list_start_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """List the tokens that a tokenizer puts before every text."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    marks = encoded["special_tokens_mask"]
    return encoded["input_ids"][: (*marks, 0).index(0)]


def get_end_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the token that ends a text, in a list that is empty if the tokenizer has none."""
    end = tokenizer.eos_token_id
    return [end] if isinstance(end, int) else []


def list_end_tokens(
    tokenizer: PreTrainedTokenizerBase, generation: GenerationConfig | None
) -> list[int]:
    """List the tokens that end what a model writes: the tokenizer's and the generation config's."""
    configured = generation.eos_token_id if generation else None
    if configured is None:
        configured = []
    ends = configured if isinstance(configured, list) else [configured]
    return list(dict.fromkeys([*get_end_tokens(tokenizer), *ends]))


@cache
def list_token_texts(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """List what each token id adds to a text."""
    before = tokenizer("a", add_special_tokens=False)["input_ids"][-1:]  # a first space may be cut
    ids = sorted(set(tokenizer.get_vocab().values()))
    texts = tokenizer.batch_decode(
        [[*before, token] for token in ids], clean_up_tokenization_spaces=False
    )
    length = len(tokenizer.decode(before, clean_up_tokenization_spaces=False))
    return {token: text[length:] for token, text in zip(ids, texts, strict=True)}


@cache
def list_newline_tokens(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """List all tokens that contain a newline, alone or beside other characters."""
    texts = list_token_texts(tokenizer)
    return frozenset(token for token, text in texts.items() if "\n" in text)


def get_pad_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return a token id for padding; any id will do, because padding is masked."""
    pad = tokenizer.pad_token_id
    return pad if isinstance(pad, int) else 0


def cut_at(tokens: list[int], ends: Collection[int]) -> list[int]:
    """Return the tokens before the first one that is among `ends`.

    >>> cut_at([5, 6, 2, 7], {2, 3})
    [5, 6]
    """
    numbers = (number for number, token in enumerate(tokens) if token in ends)
    return tokens[: next(numbers, len(tokens))]


def get_shared_start(sequences: Sequence[Items]) -> Items:
    """Return what all of several texts, or lists of tokens, begin with.

    >>> get_shared_start([[4, 5, 6], [4, 5], [4, 5, 7]])
    [4, 5]
    """
    first, last = min(sequences), max(sequences)
    pairs = enumerate(zip(first, last, strict=False))
    return first[: next((number for number, (a, b) in pairs if a != b), len(first))]
