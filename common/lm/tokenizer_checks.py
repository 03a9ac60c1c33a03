"""What must hold for a tokenizer before a model is scored, trained or asked with it."""

from transformers import PreTrainedTokenizerBase

from elusive.common.answers import score_answer
from elusive.common.errors import InputError
from elusive.common.lm.encoding import encode_text

SAMPLE = "Question: Which firm did Ann O'Neil join in 1987?\nAnswer: Hill-Irwin Inc.\nShe was 23."
ANSWERS = ("Hill-Irwin Inc.", "May 7, 1987", "San José")


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, embedding_size: int) -> list[str]:
    """List what is wrong with a tokenizer, one line each; none if all is well.

    Args:
        tokenizer: a fast one.
        embedding_size: number of rows of the model's input embedding.
    """
    lines = [
        _find_ids_beyond(tokenizer, embedding_size),
        _find_lost_characters(tokenizer),
        _find_lost_newlines(tokenizer),
        _find_changed_answers(tokenizer),
    ]
    return [line for line in lines if line]


def require_embedding(
    tokenizer: PreTrainedTokenizerBase, embedding_size: int, reference: str
) -> None:
    """Raise InputError if the tokenizer of a model has tokens that the model cannot read."""
    line = _find_ids_beyond(tokenizer, embedding_size)
    if line:
        raise InputError(f"model {reference!r}: {line}")


def keeps_newlines(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether a newline after an answer is in a token, which may hold other characters."""
    last = encode_text("Answer: Rome\n", tokenizer).input_ids[-1]
    return "\n" in tokenizer.decode([last])


def _find_ids_beyond(tokenizer: PreTrainedTokenizerBase, embedding_size: int) -> str | None:
    needed = max(tokenizer.get_vocab().values()) + 1
    if needed <= embedding_size:
        return None
    return (
        f"the tokenizer has token ids up to {needed - 1}, the embedding only {embedding_size} "
        "rows: use the tokenizer that the model was trained with, or resize the embedding"
    )


def _find_lost_characters(tokenizer: PreTrainedTokenizerBase) -> str | None:
    offsets = encode_text(SAMPLE, tokenizer).offsets
    held = {position for start, end in offsets for position in range(start, end)}
    lost = [sign for index, sign in enumerate(SAMPLE) if not sign.isspace() and index not in held]
    if not lost and offsets == sorted(offsets):
        return None
    what = f"no token holds {''.join(lost)!r}" if lost else "tokens are not in the text's order"
    return f"{what} in the offsets of a sample text: use a model with another tokenizer"


def _find_lost_newlines(tokenizer: PreTrainedTokenizerBase) -> str | None:
    if keeps_newlines(tokenizer):
        return None
    return (
        "newlines vanish, so nothing ends an answer: use a model with another tokenizer, or "
        "chat_template"
    )


def _find_changed_answers(tokenizer: PreTrainedTokenizerBase) -> str | None:
    for answer in ANSWERS:
        encoded = encode_text(answer, tokenizer, add_start=False)
        decoded = str(tokenizer.decode(encoded.input_ids))
        if not score_answer(decoded, [answer])["em"]:
            return (
                f"{answer!r} is written as {decoded.strip()!r}, which is not an exact match: use a "
                "model with another tokenizer"
            )
    return None
