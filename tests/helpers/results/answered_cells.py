"""Cells whose answers are right or wrong as a test says."""

from pathlib import Path

from elusive.common.dataset.records import Prediction
from elusive.evaluate.cells.cell_folder import CellResult


def answer(person: int, kind: str, em: float) -> Prediction:
    name = f"{person}-{kind}"
    scores = (em, em, em, em, -1.0)
    return Prediction(name, f"P{person}", "major", "?", ["x"], "x", *scores, None, kind=kind)


def cell(label: str, seed: int, ems: dict[str, list[float]], targets: dict | None = None):
    """A cell with one answer per person and kind of question."""
    predictions = [
        answer(person, kind, em) for kind, values in ems.items() for person, em in enumerate(values)
    ]
    costs = {
        "seconds": {},
        "peak_memory_mib": {},
        "drop_rate": 0.0,
        "training_tokens": 0,
        "questions": len(predictions),
    }
    log = None if label == "untrained" else {"targets": targets or {}}
    parameters = {"label": label, "seed": seed, "augment": {"method": label}}
    return CellResult(Path(label), parameters, predictions, [], {}, costs, log)
