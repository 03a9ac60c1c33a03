"""The model card of a trained adapter."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from jinja2 import Environment, FileSystemLoader

from elusive.common.folders import write_atomically

TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), keep_trailing_newline=True)


def write_adapter_card(cell: Path, parameters: dict[str, Any], base: str) -> None:
    """Write the card of a cell's adapter, as the Hub reads it.

    Args:
        cell: folder that holds `adapter/` and the metrics.
        parameters: of the cell.
        base: name of the model that the adapter is for.
    """
    base_model = base if _is_hub_name(base) else None
    metrics = json.loads((cell / "metrics.json").read_text(encoding="utf-8"))
    card = TEMPLATES.get_template("adapter.md.j2").render(
        base=base, base_model=base_model, parameters=parameters, metrics=metrics
    )
    write_atomically(cell / "adapter" / "README.md", card)


def _is_hub_name(base: str) -> bool:
    """Whether the Hub takes a name as that of a model; it refuses cards with a local path."""
    try:
        validate_repo_id(base)
    except HFValidationError:
        return False
    return True
