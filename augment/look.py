"""Write the page of `elusive look`: what arms see in a text, and what their copies keep of it."""

from collections.abc import Iterable
from functools import cache
from itertools import takewhile
from pathlib import Path

from elusive.augment.arms import ARMS
from elusive.augment.config import AugmentConfig
from elusive.augment.look_page import build_look_page, render_augment_command, render_look_page
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.augment.scores.inputs import check_roles
from elusive.augment.sentences.choice import choose_restatements
from elusive.augment.sentences.restatements import restate_documents
from elusive.augment.training_text import TrainingTextFolder
from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.dataset.records import Document
from elusive.common.errors import InputError, validate_config
from elusive.common.folders import write_atomically
from elusive.common.lm.loading import load_model

MADE_BY = '<meta name="generator" content="elusive look">'
"""Part of every page; a file without it is never overwritten."""


def write_look_page(
    folder: Path, methods: tuple[str, ...], settings: dict[str, object], limit: int, out: Path
) -> dict:
    """Write the page of a dataset's first documents under some arms, and return what it shows.

    Args:
        folder: of the dataset.
        methods: names of arms; if empty, the arms that `choose_methods` chooses.
        settings: the other fields of AugmentConfig.
        limit: number of documents to read.
        out: the HTML file; an older page is replaced.

    Raises:
        InputError: a setting or the dataset is wrong, an arm lacks a model, or `out` is not a page.
    """
    configs = build_configs(methods or choose_methods(settings), settings)
    check_replaceable(out)
    dataset = load_dataset_folder(folder, limit)
    documents = dataset.select_training_documents()
    load = cache(load_model)
    sources = [_restate(documents, Scorers(config, load)) for config in configs]
    scored = [
        score_documents(own, Scorers(config, load))
        for own, config in zip(sources, configs, strict=True)
    ]
    page = build_look_page(documents, configs, scored, dataset.questions, sources) | {
        "dataset": folder.resolve().name,
        "commands": [render_augment_command(folder, config, limit) for config in configs],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, render_look_page(page))
    return page


def write_stored_page(
    dataset: Path, texts: dict[str, TrainingTextFolder], limit: int, out: Path
) -> dict:
    """Write the page of training texts that exist already, and return what it shows.

    Args:
        dataset: folder of the dataset that they were made from.
        texts: one or more by the name to show, all of this dataset.
        limit: number of documents to read.
        out: the HTML file; an older page is replaced.

    Raises:
        InputError: a text was made from another dataset, or `out` is not a page.
    """
    check_replaceable(out)
    folder = load_dataset_folder(dataset, limit)
    for text in texts.values():
        text.check_origin(folder.manifest.content_hash)
    documents = folder.select_training_documents()
    doc_ids = {document.doc_id for document in documents}
    scored, stored = [], []
    for text in texts.values():
        scores = text.read_scores()
        scored.append([scores[document.doc_id] for document in documents])
        # The first documents' texts come first.
        stored.append(list(takewhile(lambda row: row.doc_id in doc_ids, text.texts)))
    configs = [text.config for text in texts.values()]
    page = build_look_page(documents, configs, scored, stored=stored) | {
        "dataset": folder.name,
        "commands": [render_augment_command(dataset, config, limit) for config in configs],
    }
    for arm, name in zip(page["arms"], texts, strict=True):
        arm["method"] = name
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, render_look_page(page))
    return page


def select_first_seeds(texts: Iterable[TrainingTextFolder]) -> list[TrainingTextFolder]:
    """Select one training text of each arm, that of the lowest seed, in the order of the arms."""
    order = {name: position for position, name in enumerate(ARMS)}
    first: dict[str, TrainingTextFolder] = {}
    for text in sorted(texts, key=lambda text: text.config.seed):
        first.setdefault(text.config.model_copy(update={"seed": 0}).model_dump_json(), text)
    return sorted(first.values(), key=lambda text: order.get(text.config.method, len(order)))


def _restate(documents: list[Document], scorers: Scorers) -> list[Document]:
    if not scorers.config.clue_finder:
        return documents
    return restate_documents(documents, choose_restatements(documents, scorers))


def choose_methods(settings: dict[str, object]) -> tuple[str, ...]:
    """Choose the arms to show with the models that the settings name.

    >>> choose_methods({"model": "nano-large"})
    ('random', 'attention', 'depth-contrast')
    """
    single = ("attention", "depth-contrast") if settings.get("model") else ()
    double = ("contrast",) if settings.get("large") and settings.get("small") else ()
    return ("random", *single, *double)


def build_configs(methods: tuple[str, ...], settings: dict[str, object]) -> list[AugmentConfig]:
    """Build one config per arm; an arm that is named twice counts once.

    Raises:
        InputError: a setting is wrong, or an arm needs a model that is not named.
    """
    configs = [
        validate_config(AugmentConfig, settings | {"method": method})
        for method in dict.fromkeys(methods)
    ]
    for config in configs:
        check_roles(config)
    return configs


def check_replaceable(out: Path) -> None:
    """Raise InputError if `out` is a folder, or a file that is not a page of `elusive look`."""
    if out.is_dir():
        raise InputError(f"{out} is a folder: name a file such as {out / 'look.html'}")
    if out.exists() and MADE_BY.encode() not in out.read_bytes()[:1000]:
        raise InputError(f"{out} holds something else: choose another --out, or delete the file")
