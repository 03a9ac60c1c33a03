"""Small tokenizers of the kinds that models have: how they cut, what they add, what they lose."""

import json
from collections.abc import Callable, Sequence

from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Where Llama 3 cuts: a newline belongs to the signs before it, a sign to the letters after it."""
START, END = "<start>", "<end>"
TEXTS = [
    "Ada Byron was born in Rome. She joined Hill-Irwin Inc.\nBo left Oslo, as he did in 1987.\n",
    "Question: Which firm did Ada join?\nAnswer: Hill-Irwin Inc.\n",
    "Question: Where was Bo born?\nAnswer: Oslo\nQuestion: When did he go?\nAnswer: May 7, 1987\n",
    "user:Which firm did Ada join?\nassistant:Hill-Irwin Inc.\nuser:Where?\nassistant: Oslo\n",
] * 4


def byte_level(
    pattern: str | None = None,
    add_prefix_space: bool = False,
    template: str | None = None,
    end: str | None = END,
    texts: Sequence[str] = (),
) -> PreTrainedTokenizerFast:
    """Byte-level BPE.

    Args:
        pattern: where texts are cut; GPT-2's pattern if None.
        add_prefix_space: put a space before every text.
        template: of the post-processor.
        end: the end token.
        texts: more texts to train on.
    """
    tokenizer = Tokenizer(models.BPE())
    cut = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space, use_regex=not pattern)
    if pattern:
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, cut])
    else:
        tokenizer.pre_tokenizer = cut
    tokenizer.decoder = decoders.ByteLevel()
    return finish(tokenizer, template, end, pre_tokenizers.ByteLevel.alphabet(), texts)


def metaspace(
    prepend: str, template: str | None = None, over_spaces: bool = False
) -> PreTrainedTokenizerFast:
    """BPE that writes spaces as a sign, with bytes for unknown characters, as Llama 2.

    Args:
        prepend: when a space is put before a text; `legacy`: by the normalizer.
        template: of the post-processor.
        over_spaces: let tokens reach over spaces, such as `:▁`.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    if prepend == "legacy":
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        tokenizer.decoder = decoders.Sequence(
            [
                *(decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()),
                decoders.Strip(" ", 1, 0),
            ]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend)
        tokenizer.decoder = decoders.Sequence(
            [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=prepend)]
        )
    cut = tokenizer.pre_tokenizer
    if prepend == "legacy" and not over_spaces:
        tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    wrapped = finish(tokenizer, template, END, [])
    wrapped.backend_tokenizer.pre_tokenizer = cut  # type: ignore[assignment]
    return wrapped


def word_piece() -> PreTrainedTokenizerFast:
    """WordPiece as BERT's, which loses newlines."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = [START, END, "<unk>"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return wrap(tokenizer, END)


def finish(
    tokenizer: Tokenizer,
    template: str | None,
    end: str | None,
    alphabet: list[str],
    more_texts: Sequence[str] = (),
) -> PreTrainedTokenizerFast:
    """Train a BPE tokenizer, with all bytes as tokens, and put its post-processor in place."""
    special = [START, END, "<unk>", "<turn>"]
    single_bytes = [] if alphabet else [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=len(special) + (400 if alphabet else 406),
        special_tokens=special + single_bytes,
        initial_alphabet=alphabet,
        min_frequency=2,
        show_progress=False,
    )
    # No merge reaches over a newline, as in SentencePiece.
    texts = (
        [*TEXTS, *more_texts] if alphabet else [line for text in TEXTS for line in text.split("\n")]
    )
    tokenizer.train_from_iterator(texts, trainer)
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = content["added_tokens"][: len(special)]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    if template:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[(START, 0), (END, 1)]
        )
    return wrap(tokenizer, end)


def wrap(tokenizer: Tokenizer, end: str | None) -> PreTrainedTokenizerFast:
    """Make a tokenizer of transformers, without a token for padding."""
    options = {"eos_token": end} if end else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        additional_special_tokens=["<turn>"],
        clean_up_tokenization_spaces=False,
        **options,
    )


KINDS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "gpt2": byte_level,
    "llama3": lambda: byte_level(LLAMA3, template=f"{START} $A"),
    "prefix-space": lambda: byte_level(add_prefix_space=True),
    "adds-end": lambda: byte_level(template=f"$A {END}"),
    "adds-both": lambda: byte_level(LLAMA3, template=f"{START} $A {END}"),
    "no-end": lambda: byte_level(end=None),
    "metaspace-always": lambda: metaspace("always", f"{START} $A"),
    "metaspace-first": lambda: metaspace("first", f"{START} $A {END}"),
    "metaspace-never": lambda: metaspace("never"),
    "legacy": lambda: metaspace("legacy", f"{START} $A"),
    "over-spaces": lambda: metaspace("legacy", f"{START} $A", over_spaces=True),
}
"""Tokenizers with which a model can be trained and asked."""
