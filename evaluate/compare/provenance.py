"""Versions and devices that differ between the cells of one table."""

from collections import defaultdict

from elusive.evaluate.cells.cell_folder import CellResult


def describe_differences(cells: list[CellResult]) -> str:
    """Describe in one line which versions and devices made some of the cells but not all.

    Returns:
        Empty if the cells that say so agree; cells of earlier versions do not record the device.
    """
    values: dict[str, set[str]] = defaultdict(set)
    for cell in cells:
        for name, value in {"device": cell.costs.get("device"), **cell.versions}.items():
            if value:
                values[name].add(value)
    parts = [
        f"{name} {', '.join(sorted(values[name]))}"
        for name in sorted(values, key=lambda name: (name != "device", name))
        if len(values[name]) > 1
    ]
    return f"The cells were not made alike: {'; '.join(parts)}." if parts else ""
