"""What each arm of a benchmark is: its meaning, its settings, the versions that made it."""

from collections import defaultdict
from typing import Any

from elusive.common.folders import MANIFEST, read_manifest
from elusive.evaluate.cells.cell import CellResult
from elusive.evaluate.config import UNTRAINED

MEANINGS = {
    UNTRAINED: "the model before training",
    "plain": "nothing is dropped: the original again and again",
    "random": "every token is dropped with the same probability",
    "attention": "kept more often: tokens that get much attention from later ones",
    "contrast": "kept more often: tokens that a large model attends to more than a small one",
    "depth-contrast": "kept more often: tokens that all layers attend to more than the first ones",
    "reverse-contrast": "kept more often: tokens that a small model attends to more than a large "
    "one; should hurt",
    "surprisal-contrast": "kept more often: tokens that a large model expects more than a small "
    "one",
    "position": "kept more often: early tokens; a control",
    "reverse-position": "kept more often: late tokens; a control",
    "shuffled": "ranks drawn once per text, whatever the tokens are; a control",
    "oracle": "the gold names and values are never dropped: the ceiling of the idea",
    "permute": "nothing is dropped, the sentences come in another order",
    "eda": "words replaced by synonyms, inserted, swapped or deleted",
    "reverse-training": "every second copy is written from its end, names and values whole",
    "d-ar": "plain text; in training some input tokens are random ones",
    "attention-dropout": "plain text; in training some of the attention is closed",
    "rho-1": "plain text; in training only the tokens that are hardest next to a reference count",
}
"""Of each method, in a few words."""
HASHES = ("dataset", "known", "train", "weights", "scoring", "method_hash")
UNNAMED = ("label", "seed", "augment", "dataset_name", *HASHES)


def arm_settings(named: dict[str, list[CellResult]]) -> dict[str, Any]:
    """Settings that all arms share, and of each arm its meaning and what it alone has.

    What all trained arms share counts as shared, too: the model before training has none.
    """
    flat = {arm: _flat(cells[0].parameters) for arm, cells in named.items()}
    trained = [flat[arm] for arm, cells in named.items() if cells[0].parameters.get("training")]
    of_all = trained or list(flat.values())
    shared = {
        key: value
        for key, value in of_all[0].items()
        if all(other.get(key) == value for other in of_all)
    }
    arms = [
        {
            "arm": arm,
            "meaning": MEANINGS.get(_method(cells[0]), "an arm of its makers' own"),
            "method": _method(cells[0]),
            "settings": _different(flat[arm], shared),
        }
        for arm, cells in named.items()
    ]
    return {"shared": {key: _shown(value) for key, value in shared.items()}, "arms": arms}


def _method(cell: CellResult) -> str:
    """Name of the method of a cell's arm."""
    return cell.parameters["augment"]["method"]


def _different(settings: dict[str, Any], shared: dict[str, Any]) -> dict[str, str]:
    """Settings that are not the shared ones."""
    return {key: _shown(value) for key, value in settings.items() if shared.get(key) != value}


def _flat(parameters: dict[str, Any]) -> dict[str, Any]:
    """Settings of a cell by dotted name; seeds, names and hashes left out."""
    parts = {"augment": parameters["augment"]} | {
        key: value for key, value in parameters.items() if key not in UNNAMED
    }
    flat: dict[str, Any] = {}
    for name, value in parts.items():
        if isinstance(value, dict):
            left_out = (*HASHES, "seed", "method")
            flat |= {f"{name}.{key}": each for key, each in value.items() if key not in left_out}
        else:
            flat[name] = value
    return {key: value for key, value in flat.items() if value not in (None, [], {})}


def _shown(value: object) -> str:
    """A setting as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def package_versions_of(cells: list[CellResult]) -> dict[str, str]:
    """Versions of the packages that made some cells; several where they differ."""
    found: dict[str, list[str]] = defaultdict(list)
    for cell in cells:
        if not (cell.folder / MANIFEST).exists():
            continue
        for package, version in read_manifest(cell.folder, "cell").versions.items():
            if version not in found[package]:
                found[package].append(version)
    return {package: ", ".join(sorted(versions)) for package, versions in found.items()}
