"""Build the page of `elusive look`: what arms see in a text, and what their copies keep of it.

This takes scores that exist already and imports no PyTorch; `augment/look.py` computes the scores.
"""

import shlex
from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from elusive.augment.arms import drops_tokens
from elusive.augment.config import AugmentConfig
from elusive.augment.copies import build_training_texts, find_drop_probabilities
from elusive.augment.drop_probabilities import rank_scores
from elusive.augment.scores.token_scores import TokenScores
from elusive.common.dataset.records import Document, Question, Span, TrainingText
from elusive.common.jinja import render_template

TEMPLATE = Path(__file__).parent / "look.html.j2"


def render_augment_command(folder: Path, config: AugmentConfig, limit: int) -> str:
    """Render the `elusive augment` command that writes the copies of an arm, without its --out."""
    words = ["elusive", "augment", str(folder)]
    for name, field in AugmentConfig.model_fields.items():
        value = getattr(config, name)
        if value != field.default:
            flag = ("--no-" if value is False else "--") + name.replace("_", "-")
            words += [flag] if isinstance(value, bool) else [flag, str(value)]
    return shlex.join([*words, "--limit", str(limit)])


NO_SCORES = TokenScores([], np.empty(0, np.float32))


def build_look_page(
    documents: list[Document],
    configs: list[AugmentConfig],
    scored: list[list[TokenScores]],
    questions: Sequence[Question] = (),
    sources: list[list[Document]] | None = None,
    stored: list[list[TrainingText]] | None = None,
) -> dict:
    """Build what the page shows, as JSON; probabilities and copies are those of `elusive augment`.

    Spans are characters of a document's text. A document's `units` hold every way in which arms cut
    its text, once each; an arm's `cut` is the index of its own.

    Args:
        documents: to be shown.
        configs: of the arms.
        scored: for each arm, the scores of every document.
        questions: of the dataset.
        sources: for each arm, what its copies are made of; by default `documents`. Where clues
            are said again, the page shows the copies' text, but no scores.
        stored: for each arm, the texts that `elusive augment` has written; made if None.
    """
    sources = sources or [documents] * len(configs)
    copies = stored or [
        build_training_texts(own, scores, config, questions=questions, originals=documents)
        for own, config, scores in zip(sources, configs, scored, strict=True)
    ]
    scored = [
        [NO_SCORES] * len(documents) if config.clue_finder else scores
        for config, scores in zip(configs, scored, strict=True)
    ]
    by_arm = [_group_copies(texts) for texts in copies]
    return {
        "arms": [{"method": config.method, "kind": _find_kind(config)} for config in configs],
        "documents": [
            _build_document(
                document, configs, list(scores), [texts[document.doc_id] for texts in by_arm]
            )
            for document, *scores in zip(documents, *scored, strict=True)
        ],
    }


def _group_copies(texts: list[TrainingText]) -> dict[str, list[TrainingText]]:
    """Group copies, without originals, by document."""
    groups: dict[str, list[TrainingText]] = defaultdict(list)
    for text in texts:
        if text.copy > 0:
            groups[text.doc_id].append(text)
    return groups


def _find_kind(config: AugmentConfig) -> str:
    """Find how to show the copies of an arm: with dropped units, as a new text, or neither."""
    if drops_tokens(config.method) and config.rewrite == "none" and not config.clue_finder:
        return "drop"
    return "plain" if config.method == "plain" else "rewrite"


def _build_document(
    document: Document,
    configs: list[AugmentConfig],
    scored: list[TokenScores],
    copies: list[list[TrainingText]],
) -> dict:
    cuts: list[list[Span]] = []
    arms = []
    for config, scores, texts in zip(configs, scored, copies, strict=True):
        if scores.units not in cuts:
            cuts.append(scores.units)
        arms.append({"cut": cuts.index(scores.units)} | _build_arm(document, scores, config, texts))
    return {
        "id": document.doc_id,
        "entity": document.entity,
        "text": document.text,
        "heads": document.heads,
        "values": [(fact.start, fact.end, fact.field) for fact in document.facts],
        "units": cuts,
        "arms": arms,
    }


def _build_arm(
    document: Document, scored: TokenScores, config: AugmentConfig, copies: list[TrainingText]
) -> dict:
    droppable, probabilities = find_drop_probabilities(document, scored, config)
    ranks = share_ranks(scored.scores, droppable)
    return {
        "scores": [f"{score:.3g}" for score in scored.scores],
        "ranks": [None if np.isnan(rank) else float(rank) for rank in ranks],
        "probabilities": [round(float(probability), 4) for probability in probabilities],
        "copies": [_build_copy(copy, _find_kind(config)) for copy in copies],
    }


def _build_copy(copy: TrainingText, kind: str) -> dict:
    if kind == "rewrite":
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
