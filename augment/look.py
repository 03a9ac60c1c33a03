"""A page that shows what arms see in a text, and what they leave of it."""

import shlex
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from elusive.augment.augment import scored_documents, training_texts
from elusive.augment.config import AugmentConfig
from elusive.augment.dropping import droppable_mask
from elusive.augment.rewrites import REWRITES
from elusive.augment.sampler import drop_probabilities, score_ranks
from elusive.augment.scores.scorers import NOT_DROPPING, Scorers
from elusive.augment.scores.scoring import TokenScores
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import Document, Span, TrainingText
from elusive.common.errors import InputError, validated
from elusive.common.folders import write_atomically
from elusive.common.lm.loading import load_model
from elusive.common.templates import render_template

TEMPLATE = "look.html.j2"
MADE_BY = '<meta name="generator" content="elusive look">'
"""Stands in every page, so that only pages are overwritten."""


def look_at(
    folder: Path, methods: tuple[str, ...], settings: dict[str, object], limit: int, out: Path
) -> dict:
    """Write the page of a dataset's first documents under some arms, and give what it shows.

    Args:
        folder: of the dataset.
        methods: names of arms; none for the usual ones.
        settings: all other fields of AugmentConfig.
        limit: how many documents to read.
        out: the HTML file; an older page is replaced.

    Raises:
        InputError: a setting or the dataset is wrong, an arm lacks its model, or `out` holds
            something else.
    """
    configs = arm_configs(methods or usual_methods(settings), settings)
    check_replaceable(out)
    documents = load_dataset_folder(folder, limit).training_documents()
    commands = [augment_command(folder, config, limit) for config in configs]
    page = build_page(documents, configs) | {"dataset": folder.resolve().name, "commands": commands}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, render_page(page))
    return page


def usual_methods(settings: dict[str, object]) -> tuple[str, ...]:
    """Arms worth a look with the models that the settings name.

    >>> usual_methods({"model": "nano-large"})
    ('random', 'attention', 'depth-contrast')
    """
    one = ("attention", "depth-contrast") if settings.get("model") else ()
    two = ("contrast",) if settings.get("large") and settings.get("small") else ()
    return ("random", *one, *two)


def arm_configs(methods: tuple[str, ...], settings: dict[str, object]) -> list[AugmentConfig]:
    """One config per arm, each named once.

    Raises:
        InputError: a setting is wrong, or a model that an arm needs is not named.
    """
    configs = [
        validated(AugmentConfig, settings | {"method": method}) for method in dict.fromkeys(methods)
    ]
    for config in configs:
        Scorers(config).check_roles()
    return configs


def check_replaceable(out: Path) -> None:
    """Raise InputError if `out` is a folder, or a file that is no page of this module's."""
    if out.is_dir():
        raise InputError(f"{out} is a folder: name a file such as {out / 'look.html'}")
    if out.exists() and MADE_BY.encode() not in out.read_bytes()[:1000]:
        raise InputError(f"{out} holds something else: choose another --out or delete it")


def augment_command(folder: Path, config: AugmentConfig, limit: int) -> str:
    """The `elusive augment` command that writes the copies of an arm, but for its --out."""
    words = ["elusive", "augment", str(folder)]
    for name, field in AugmentConfig.model_fields.items():
        value = getattr(config, name)
        if value != field.default:
            flag = "--" + name.replace("_", "-")
            words += [flag] if value is True else [flag, str(value)]
    return shlex.join([*words, "--limit", str(limit)])


def build_page(documents: list[Document], configs: list[AugmentConfig]) -> dict:
    """What the page shows, as JSON; scores, probabilities and copies are those of `augment`.

    Spans are characters of a document's text. Units stand in `units` once per way of cutting the
    text, and an arm names its own by `cut`.
    """
    load = cache(load_model)
    scored = [scored_documents(documents, Scorers(config, load)) for config in configs]
    return page_of_scores(documents, configs, scored)


def page_of_scores(
    documents: list[Document], configs: list[AugmentConfig], scored: list[list[TokenScores]]
) -> dict:
    """What the page shows of scores that are there already: of each arm, one per document."""
    return {
        "arms": [_arm(config) for config in configs],
        "documents": [
            _document(document, configs, list(of_arms))
            for document, *of_arms in zip(documents, *scored, strict=True)
        ],
    }


def _arm(config: AugmentConfig) -> dict:
    """Name and kind of an arm."""
    kinds = dict.fromkeys(NOT_DROPPING, "plain") | dict.fromkeys(REWRITES, "rewrite")
    return {"method": config.method, "kind": kinds.get(config.method, "drop")}


def _document(document: Document, configs: list[AugmentConfig], scored: list[TokenScores]) -> dict:
    """A document, its gold spans, and what every arm makes of it."""
    cuts: list[list[Span]] = []
    arms = []
    for config, scores in zip(configs, scored, strict=True):
        if scores.units not in cuts:
            cuts.append(scores.units)
        arms.append({"cut": cuts.index(scores.units)} | _under_arm(document, scores, config))
    return {
        "id": document.doc_id,
        "entity": document.entity,
        "text": document.text,
        "heads": document.heads,
        "values": [(fact.start, fact.end, fact.field) for fact in document.facts],
        "units": cuts,
        "arms": arms,
    }


def _under_arm(document: Document, scored: TokenScores, config: AugmentConfig) -> dict:
    """Scores, ranks and drop probabilities of a document's units, and its copies."""
    droppable, probabilities = unit_probabilities(document, scored, config)
    ranks = shared_ranks(scored.scores, droppable)
    _, *copies = training_texts([document], [scored], config)
    return {
        "scores": [f"{score:.3g}" for score in scored.scores],
        "ranks": [None if np.isnan(rank) else float(rank) for rank in ranks],
        "probabilities": [round(float(each), 4) for each in probabilities],
        "copies": [_copy(copy) for copy in copies],
    }


def _copy(copy: TrainingText) -> dict:
    """A copy: what it keeps, or for an arm that writes anew, its text."""
    if copy.method in REWRITES:
        return {"text": copy.text}
    return {"kept": copy.kept, "drop_rate": round(copy.drop_rate, 4)}


def unit_probabilities(
    document: Document, scored: TokenScores, config: AugmentConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Which units may be dropped, and with which probability each is.  # both (unit,)."""
    values = [(fact.start, fact.end) for fact in document.facts]
    protected = values if config.protect == "values" else []
    droppable = droppable_mask(document.text, scored.units, protected)
    return droppable, drop_probabilities(scored.scores, droppable, config.alpha, config.beta)


def shared_ranks(scores: np.ndarray, droppable: np.ndarray) -> np.ndarray:
    """Rank of each droppable unit, 0 for the highest score; ties share the mean of theirs.

    >>> shared_ranks(np.array([2.0, 1.0, 9.0, 1.0]), np.array([True, True, False, True]))
    array([0. , 1.5, nan, 1.5])
    """
    shared = np.full(len(scores), np.nan)
    if droppable.any():
        ranks, groups = score_ranks(scores[droppable])
        shared[droppable] = (np.bincount(groups, ranks) / np.bincount(groups))[groups]
    return shared


def render_page(page: dict) -> str:
    """The page as one HTML file that loads nothing.

    What comes from the dataset stands in it as JSON without `<`, `>` and `&`, and a content policy
    runs only the script that carries the page's own nonce.
    """
    return render_template(Path(__file__).parent / TEMPLATE, page=page, nonce=page_nonce(page))


def page_nonce(page: dict) -> str:
    """What a page's own script and style carry, so that they alone are run."""
    return sha256(repr(page).encode()).hexdigest()[:32]
