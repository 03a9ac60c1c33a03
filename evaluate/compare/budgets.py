"""Training budgets: how often training shows a document, or how many tokens it reads."""

from typing import Any


def count_exposures(parameters: dict[str, Any]) -> int | None:
    """Count how often training shows each document: its original and copies, times the epochs.

    With a budget of tokens, an arm reads as many tokens as this number of whole documents has.

    Returns:
        None if nothing was trained, or if the cell does not say.

    >>> count_exposures({"augment": {"copies": 10}, "training": {"epochs": 4}})
    44
    """
    copies = parameters["augment"].get("copies")
    epochs = (parameters.get("training") or {}).get("epochs")
    if not isinstance(copies, int) or not isinstance(epochs, int):
        return None
    return (1 + copies) * epochs


def describe_budget(parameters: dict[str, Any]) -> str | None:
    """Name the budget of a trained cell; arms of different budgets cannot be compared.

    Where a sweep chose the epochs of every arm, the number of texts and the sweep are the budget.

    Returns:
        None if nothing was trained: such a cell can be compared with any budget.

    >>> describe_budget({"augment": {"copies": 1}, "training": {"epochs": 3, "budget": "tokens"}})
    'tokens of 6 exposures'
    """
    training = parameters.get("training")
    if training is None:
        return None
    exposures = count_exposures(parameters)
    if exposures is None:
        return "unknown budget"
    tokens = "tokens of " if training.get("budget") == "tokens" else ""
    chosen = parameters.get("chosen") or {}
    # Earlier versions did not record which epochs were tried.
    if len(chosen["epochs"]) > 1 if "epochs" in chosen else chosen:
        texts = 1 + parameters["augment"]["copies"]
        return f"{tokens}{texts} texts per document, epochs chosen per arm"
    return f"{tokens}{exposures} exposures"
