"""Build the page of `elusive look`: what arms see in a text, and what their copies keep of it.

This takes scores that exist already and imports no PyTorch; `augment/look.py` computes the scores.
"""

import shlex
from hashlib import sha256
from pathlib import Path

import numpy as np

from elusive.augment.arms import drops_tokens
from elusive.augment.config import AugmentConfig
from elusive.augment.copies import build_training_texts, find_drop_probabilities
from elusive.augment.drop_probabilities import rank_scores
from elusive.augment.scores.token_scores import TokenScores
from elusive.common.dataset.records import Document, Span, TrainingText
from elusive.common.jinja import render_template

TEMPLATE = Path(__file__).parent / "look.html.j2"


def render_augment_command(folder: Path, config: AugmentConfig, limit: int) -> str:
    """Render the `elusive augment` command that writes the copies of an arm, without its --out."""
    words = ["elusive", "augment", str(folder)]
    for name, field in AugmentConfig.model_fields.items():
        value = getattr(config, name)
        if value != field.default:
            flag = "--" + name.replace("_", "-")
            words += [flag] if value is True else [flag, str(value)]
    return shlex.join([*words, "--limit", str(limit)])


def build_look_page(
    documents: list[Document], configs: list[AugmentConfig], scored: list[list[TokenScores]]
) -> dict:
    """Build what the page shows, as JSON; probabilities and copies are those of `elusive augment`.

    Spans are characters of a document's text. A document's `units` hold every way in which arms cut
    its text, once each; an arm's `cut` is the index of its own.

    Args:
        documents: to be shown.
        configs: of the arms.
        scored: for each arm, the scores of every document.
    """
    return {
        "arms": [
            {"method": config.method, "kind": _find_kind(config.method)} for config in configs
        ],
        "documents": [
            _build_document(document, configs, list(scores))
            for document, *scores in zip(documents, *scored, strict=True)
        ],
    }


def _find_kind(method: str) -> str:
    """Find how to show the copies of an arm: with dropped units, as a new text, or neither."""
    if drops_tokens(method):
        return "drop"
    return "plain" if method == "plain" else "rewrite"


def _build_document(
    document: Document, configs: list[AugmentConfig], scored: list[TokenScores]
) -> dict:
    cuts: list[list[Span]] = []
    arms = []
    for config, scores in zip(configs, scored, strict=True):
        if scores.units not in cuts:
            cuts.append(scores.units)
        arms.append({"cut": cuts.index(scores.units)} | _build_arm(document, scores, config))
    return {
        "id": document.doc_id,
        "entity": document.entity,
        "text": document.text,
        "heads": document.heads,
        "values": [(fact.start, fact.end, fact.field) for fact in document.facts],
        "units": cuts,
        "arms": arms,
    }


def _build_arm(document: Document, scored: TokenScores, config: AugmentConfig) -> dict:
    droppable, probabilities = find_drop_probabilities(document, scored, config)
    ranks = share_ranks(scored.scores, droppable)
    _, *copies = build_training_texts([document], [scored], config)
    return {
        "scores": [f"{score:.3g}" for score in scored.scores],
        "ranks": [None if np.isnan(rank) else float(rank) for rank in ranks],
        "probabilities": [round(float(probability), 4) for probability in probabilities],
        "copies": [_build_copy(copy) for copy in copies],
    }


def _build_copy(copy: TrainingText) -> dict:
    if _find_kind(copy.method) == "rewrite":
        return {"text": copy.text}
    return {"kept": copy.kept, "drop_rate": round(copy.drop_rate, 4)}


def share_ranks(scores: np.ndarray, droppable: np.ndarray) -> np.ndarray:
    """Rank the droppable units, 0 for the highest score; tied units share their mean rank.

    >>> share_ranks(np.array([2.0, 1.0, 9.0, 1.0]), np.array([True, True, False, True]))
    array([0. , 1.5, nan, 1.5])
    """
    shared = np.full(len(scores), np.nan)
    if droppable.any():
        ranks, groups = rank_scores(scores[droppable])
        shared[droppable] = (np.bincount(groups, ranks) / np.bincount(groups))[groups]
    return shared


def render_look_page(page: dict) -> str:
    """Render the page as one HTML file that loads nothing else.

    The texts of the dataset are embedded as JSON without `<`, `>` and `&`, and a content policy
    allows only the script that carries the page's own nonce.
    """
    return render_template(TEMPLATE, page=page, nonce=compute_nonce(page))


def compute_nonce(page: dict) -> str:
    """Compute the nonce of the page's script and style; the browser runs nothing without it."""
    return sha256(repr(page).encode()).hexdigest()[:32]
