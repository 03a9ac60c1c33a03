"""The model card of a trained adapter."""

import json
from pathlib import Path
from typing import Any

from elusive.common.folders import write_atomically
from elusive.common.jinja import render_template
from elusive.common.lm.references import BUILT_IN_NAMES, find_hub_id
from elusive.evaluate.cells.cell import get_arm


def write_adapter_card(cell: Path, parameters: dict[str, Any], base: str) -> None:
    """Write the model card of a cell's adapter, in the format of the Hub.

    Args:
        cell: folder that holds `adapter/` and the metrics.
        parameters: of the cell.
        base: name of the adapter's base model.
    """
    metrics = json.loads((cell / "metrics.json").read_text(encoding="utf-8"))
    write_atomically(cell / "adapter" / "README.md", render_adapter_card(parameters, metrics, base))


def render_adapter_card(
    parameters: dict[str, Any], metrics: dict[str, Any], base: str, location: str = '"adapter"'
) -> str:
    """Render the model card of an adapter.

    Args:
        parameters: of the cell.
        metrics: of the cell.
        base: name of the adapter's base model.
        location: where the adapter is, as Python arguments of `PeftModel.from_pretrained`.
    """
    return render_template(
        Path(__file__).parent / "adapter.md.j2",
        load_base=render_base_argument(base),
        base_model=find_hub_id(base),
        arm=get_arm(parameters),
        parameters=parameters,
        metrics=metrics,
        location=location,
    )


def render_base_argument(base: str) -> str:
    """Render where a base model is loaded from, as an argument of `from_pretrained`.

    Models that come with this package are not on the Hub.

    >>> render_base_argument("nano-large")
    'find_model("nano-large").folder'
    """
    return f'find_model("{base}").folder' if base in BUILT_IN_NAMES else f'"{base}"'
