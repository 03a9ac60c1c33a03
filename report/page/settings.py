"""Meaning and settings of each arm of a benchmark, and the versions that made its cells."""

from collections import defaultdict
from typing import Any

from elusive.augment.arms import describe_arm
from elusive.common.lm.references import find_hub_id
from elusive.evaluate.cells.cell import get_arm
from elusive.evaluate.cells.cell_folder import CellResult

HASHES = (
    *("dataset", "known", "train", "weights", "settings", "scoring", "method_hash", "reference"),
    "reference_settings",
)
UNNAMED = ("label", "seed", "augment", "dataset_name", *HASHES)


def describe_arms(arms: dict[str, list[CellResult]]) -> dict[str, Any]:
    """Describe the settings that arms share, and each arm's meaning and its own settings.

    Settings that all trained arms share count as shared, because the model before training has
    none.
    """
    flat = {arm: _flatten(cells[0].parameters) for arm, cells in arms.items()}
    trained = [flat[arm] for arm, cells in arms.items() if cells[0].parameters.get("training")]
    compared = trained or list(flat.values())
    shared = {
        key: value
        for key, value in compared[0].items()
        if all(other.get(key) == value for other in compared)
    }
    return {
        "shared": {key: _format(value) for key, value in shared.items()},
        "arms": [
            {
                "arm": arm,
                "meaning": _find_meaning(cells[0]),
                "method": get_arm(cells[0].parameters),
                "settings": {
                    key: _format(value)
                    for key, value in flat[arm].items()
                    if shared.get(key) != value
                },
            }
            for arm, cells in arms.items()
        ],
    }


def _find_meaning(cell: CellResult) -> str:
    return describe_arm(get_arm(cell.parameters))


def _flatten(parameters: dict[str, Any]) -> dict[str, Any]:
    """List a cell's settings by dotted name, without seeds, names and hashes."""
    parts = {"augment": parameters["augment"]} | {
        key: value for key, value in parameters.items() if key not in UNNAMED
    }
    flat: dict[str, Any] = {}
    for name, value in parts.items():
        if isinstance(value, dict):
            left_out = (*HASHES, "seed", "method")
            flat |= {f"{name}.{key}": own for key, own in value.items() if key not in left_out}
        else:
            flat[name] = value
    return {key: value for key, value in flat.items() if value not in (None, [], {})}


def _format(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def find_links(cells: list[CellResult]) -> dict[str, str]:
    """Find addresses of what the page names: of the model, where its name is one of the Hub.

    Returns:
        Addresses by the term under which the page lists the design.
    """
    hub_id = find_hub_id(str(cells[0].parameters["model"]))
    return {"model": f"https://huggingface.co/{hub_id}"} if hub_id else {}


def collect_versions(cells: list[CellResult]) -> dict[str, str]:
    """Collect the versions of the packages that made the cells; several if they differ."""
    versions: dict[str, list[str]] = defaultdict(list)
    for cell in cells:
        for package, version in cell.versions.items():
            if version not in versions[package]:
                versions[package].append(version)
    return {package: ", ".join(sorted(names)) for package, names in versions.items()}
