"""The table of arms: every way to prepare a text, or to train on it, that this toolkit compares.

Each arm is described here once. Its function is registered under its name in one of four dicts:
`SCORES` in `augment/scores/arm_scores.py`, `REARRANGEMENTS` or `NEW_WORDS` in
`augment/rewrites.py`, or `OBJECTIVES` in `evaluate/training/objectives.py`. Commands, plans,
tables, pages and docs take names, order and meanings from this module, which imports nothing heavy.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["score", "rewrite", "objective", "control"]


@dataclass(frozen=True)
class Arm:
    """What is known about an arm without running it."""

    kind: Kind
    """`score`: tokens are ranked by a score and dropped by Equation 1. `rewrite`: copies are
    rewritten and nothing is dropped. `objective`: the text is plain, and training changes.
    `control`: nothing is trained."""
    meaning: str
    """What it does, in one line of markdown."""
    models: tuple[str, ...] = ()
    """Settings that name the models it needs, such as `large`."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """The settings of training that belong to an objective, with their defaults."""
    matched: bool = True
    """Whether the tokens that a score always keeps make the others be dropped more often, so that
    the drop rate is that of every other arm."""


UNTRAINED, ZERO_DELTA, OPEN_BOOK = "untrained", "zero-delta", "open-book"

ARMS: dict[str, Arm] = {
    UNTRAINED: Arm("control", "the model before training"),
    ZERO_DELTA: Arm(
        "control",
        "the model with a new adapter that was not trained, saved and asked like trained ones; it "
        "must answer like `untrained`",
    ),
    OPEN_BOOK: Arm(
        "control",
        "the model before training, with the text in front of each question: what it can answer "
        "without having to remember",
    ),
    "plain": Arm("rewrite", "every copy repeats the original; nothing is dropped"),
    "random": Arm("score", "all tokens score the same, so each is dropped with the mean of p(r)"),
    "attention": Arm("score", "attention that a token receives from later tokens", ("model",)),
    "contrast": Arm(
        "score",
        "attention under a large model minus attention under a small one",
        ("large", "small"),
    ),
    "depth-contrast": Arm(
        "score",
        "attention over all layers of one model minus attention over its first layers",
        ("model",),
    ),
    "reverse-contrast": Arm(
        "score",
        "the contrast with its sign reversed (small minus large); a control",
        ("large", "small"),
    ),
    "surprisal-contrast": Arm(
        "score",
        "log-probability under a large model minus log-probability under a small one",
        ("large", "small"),
    ),
    "entropy": Arm(
        "score",
        "entropy of the model's prediction of a token, so that predictable tokens are dropped most "
        "(EntroDrop)",
        ("model",),
    ),
    "position": Arm("score", "earlier tokens are kept more often; a control"),
    "reverse-position": Arm("score", "later tokens are kept more often; a control"),
    "shuffled": Arm("score", "random ranks, the same in every copy of a document; a control"),
    "oracle": Arm(
        "score",
        "names and values are never dropped; to hold the rate, relation words and all others are "
        "dropped more often",
    ),
    "oracle-unmatched": Arm(
        "score",
        "names and values are never dropped; all others are dropped as often as under `random`, so "
        "the rate is lower",
        matched=False,
    ),
    "oracle-relations": Arm(
        "score",
        "names, values and relation words are never dropped; all others are dropped as often as "
        "under `random`, so the rate is lower",
        matched=False,
    ),
    "permute": Arm("rewrite", "the sentences are put in random order"),
    "permute-rest": Arm(
        "rewrite",
        "the first sentence stays where it is; those after it are put in random order",
    ),
    "restate": Arm(
        "rewrite",
        "each sentence says its clue again, in place of its pronoun or before it; a rule or a "
        "score finds the clue among the words before the sentence",
    ),
    "eda": Arm(
        "rewrite",
        "words are replaced by synonyms, inserted, swapped or deleted (Wei and Zou 2019)",
    ),
    "reverse-training": Arm(
        "rewrite",
        "every second copy runs from its last word to its first; names and values stay whole "
        "(Golovneva et al. 2024)",
    ),
    "paraphrase": Arm(
        "rewrite",
        "every copy is in other words, written by a chat model, with all names and values",
        ("writer",),
    ),
    "questions": Arm(
        "rewrite",
        "every copy is a list of solved questions about the text, in other phrasings than those "
        "that are held out",
    ),
    "d-ar": Arm(
        "objective",
        "a share `noise` of the input tokens is replaced by random ones; the labels stay the same "
        "(Saito et al. 2025)",
        defaults={"noise": 0.2},
    ),
    "meap": Arm(
        "objective",
        "a share `noise` of the input tokens is replaced by the mask token; the labels stay the "
        "same (Zhuang et al. 2025)",
        defaults={"noise": 0.15},
    ),
    "masked-fine-tuning": Arm(
        "objective",
        "each copy is written out after a version of it in which a share `noise` of the tokens is "
        "masked",
        defaults={"noise": 0.5},
    ),
    "attention-dropout": Arm(
        "objective",
        "a random share `noise` of the tokens that each token may attend to is masked",
        defaults={"noise": 0.2},
    ),
    "guided-masking": Arm(
        "objective",
        "a share `noise` of the tokens before each sentence is hidden from it: those that a "
        "reference model, or without one the first layers, attend to most beyond the whole model",
        defaults={"noise": 0.4, "reference": None},
    ),
    "rho-1": Arm(
        "objective",
        "only a share `selected` of the tokens counts: those that are hardest compared with a "
        "reference model (Lin et al. 2024)",
        ("reference",),
        defaults={"selected": 0.6, "reference": None},
    ),
    "memft": Arm(
        "objective",
        "only tokens that the model finds less probable than `known_above` count",
        defaults={"known_above": 0.5},
    ),
    "goldfish": Arm(
        "objective",
        "one in `one_in` tokens never counts, chosen by a hash of the tokens before it (Hans et "
        "al. 2024); expected to hurt",
        defaults={"one_in": 4},
    ),
    "lora-dropout": Arm(
        "objective",
        "the adapters' input is dropped with probability `lora_dropout`; a control",
        defaults={"lora_dropout": 0.1},
    ),
    "weight-decay": Arm(
        "objective",
        "the weights of the adapters decay by `weight_decay` times the learning rate at each step; "
        "a control",
        defaults={"weight_decay": 0.1},
    ),
}
"""Every arm by its name, in the order in which tables show them."""


CLUE_FINDERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "attention": ("the words that its tokens attend to most", ("model",)),
    "contrast": (
        "the words that its tokens attend to more under a large model than under a small one",
        ("large", "small"),
    ),
    "depth-contrast": (
        "the words that its tokens attend to more in all layers than in the first ones",
        ("model",),
    ),
    "surprisal": ("the least probable words", ("model",)),
    "agreement": (
        "the last subject after which a model expects the sentence's pronoun, *he* or *she*",
        ("model",),
    ),
    "random-span": ("random words; a control", ()),
    "first-words": ("the first words of the text; a control", ()),
    "last-subject": (
        "the first words of the last sentence that does not open with a pronoun; a control",
        (),
    ),
    "named-subject": (
        "the last name, of any length, that is the subject of a sentence; reads English, no model",
        (),
    ),
    "name-list": (
        "the last subject with a first name of the pronoun's gender, by Faker's lists; a control",
        (),
    ),
    "most-frequent": ("the words that occur most often; a control", ()),
    "title": ("the document's title, wherever it stands; needs no model", ()),
    "oracle": ("the longest gold mention of the entity, wherever it stands", ()),
}
"""How the clue of a sentence is found among the words before it, and the settings that name the
models which this needs."""


def list_arms(*kinds: Kind) -> tuple[str, ...]:
    """List the names of the arms of some kinds, in the order of tables.

    >>> list_arms("control")
    ('untrained', 'zero-delta', 'open-book')
    """
    return tuple(name for name, arm in ARMS.items() if arm.kind in kinds)


def is_objective(name: object) -> bool:
    """Return whether an arm acts in training, on plain text."""
    return name in list_arms("objective")


def drops_tokens(method: str) -> bool:
    """Return whether Equation 1 applies to a method: to every score, the user's own included."""
    return method not in ARMS or ARMS[method].kind == "score"


def describe_arm(name: str) -> str:
    """Return what an arm means, in one line; arms outside the table are the user's own."""
    return ARMS[name].meaning if name in ARMS else "a score defined by the user"
