"""The table of arms: every way to prepare a text, or to train on it, that this toolkit compares.

Each arm is described here once. Its function is registered under its name in one of three dicts:
`SCORES` in `augment/scores/arm_scores.py`, `REWRITES` in `augment/rewrites.py`, or `OBJECTIVES` in
`evaluate/training/objectives.py`. Commands, plans, tables, pages and docs take names, order and
meanings from this module, which imports nothing heavy.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["score", "rewrite", "objective"]


@dataclass(frozen=True)
class Arm:
    """What is known about an arm without running it."""

    kind: Kind
    """`score`: tokens are ranked by a score and dropped by Equation 1. `rewrite`: copies are
    rewritten and nothing is dropped. `objective`: the text is plain, and training changes."""
    meaning: str
    """What it does, in one line of markdown."""
    models: tuple[str, ...] = ()
    """Settings that name the models it needs, such as `large`."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """The settings of training that belong to an objective, with their defaults."""
    keeps_order: bool = True
    """Whether copies keep the order of the original, so that its next tokens can be predicted."""


ARMS: dict[str, Arm] = {
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
    "position": Arm("score", "earlier tokens are kept more often; a control"),
    "reverse-position": Arm("score", "later tokens are kept more often; a control"),
    "shuffled": Arm("score", "random ranks, the same in every copy of a document; a control"),
    "oracle": Arm(
        "score",
        "names and values are never dropped; to hold the rate, relation words and all others are "
        "dropped more often",
    ),
    "permute": Arm("rewrite", "the sentences are put in random order", keeps_order=False),
    "eda": Arm(
        "rewrite",
        "words are replaced by synonyms, inserted, swapped or deleted (Wei and Zou 2019)",
        keeps_order=False,
    ),
    "reverse-training": Arm(
        "rewrite",
        "every second copy runs from its last word to its first; names and values stay whole "
        "(Golovneva et al. 2024)",
        keeps_order=False,
    ),
    "d-ar": Arm(
        "objective",
        "a share `noise` of the input tokens is replaced by random ones; the labels stay the same "
        "(Saito et al. 2025)",
        defaults={"noise": 0.2},
    ),
    "attention-dropout": Arm(
        "objective",
        "a random share `noise` of the tokens that each token may attend to is masked, anew at "
        "every step",
        defaults={"noise": 0.2},
    ),
    "rho-1": Arm(
        "objective",
        "only a share `selected` of the tokens counts: those that are hardest compared with a "
        "reference model (Lin et al. 2024)",
        ("reference",),
        defaults={"selected": 0.6, "reference": None},
    ),
}
"""Every arm by its name, in the order in which tables show them."""


def list_arms(*kinds: Kind) -> tuple[str, ...]:
    """List the names of the arms of some kinds, in the order of tables.

    >>> list_arms("objective")
    ('d-ar', 'attention-dropout', 'rho-1')
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
