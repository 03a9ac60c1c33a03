"""Sentences of the report page: what was table, what was compared, what to be careful about."""

from typing import Any

from elusive.common.intervals import Estimate, format_estimate
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.power import compute_smallest_difference
from elusive.evaluate.compare.table import ArmRow, ResultTable
from elusive.evaluate.config import UNTRAINED

METRIC_NAMES = {"em": "exact match", "f1": "F1", "log_probability": "gold log-probability"}
FEW_PEOPLE = 30
FLOOR = 0.05
"""Exact match below which arms can hardly be told apart by it."""
FORGOTTEN = 0.1
"""Loss of exact match on what was known before that is worth a warning."""
MOST_NAMED = 4


def write_headline(table: ResultTable) -> str:
    """What was table, in two sentences."""
    name = METRIC_NAMES[table.metric]
    best = sorted(
        (row for row in table.rows if row.rank == 1),
        key=lambda row: -getattr(row, table.metric).mean,
    )
    told = [f"{row.label} {_shown(getattr(row, table.metric), table.metric)}" for row in best]
    if len(table.rows) == 1:
        return f"One arm alone, so nothing is compared: {name} of {told[0]}."
    if len(best) == len(table.rows):
        return f"No arm is significantly better than another one in {name}; highest: {told[0]}."
    if len(best) == 1:
        return f"Best in {name}: {told[0]}, the one arm that none is significantly better than."
    more = f" and {len(best) - MOST_NAMED} more" if len(best) > MOST_NAMED else ""
    shared = "; ".join(told[:MOST_NAMED]) + more
    return f"Best in {name}, sharing rank 1 because no arm is significantly better: {shared}."


def _shown(estimate: Estimate, metric: str) -> str:
    """A mean with its interval and unit."""
    scale, digits, unit = (1, 2, " nats") if metric == "log_probability" else (100, 0, "%")
    return format_estimate(estimate, scale, digits, unit)


def list_design_facts(table: ResultTable, cells: list[CellResult]) -> list[tuple[str, str]]:
    """What was compared, as terms and their values."""
    first = cells[0]
    answering = first.parameters.get("answering") or {}
    people, questions = table.rows[0].people, len(first.predictions)
    seeds = sorted({cell.parameters["seed"] for cell in cells})
    facts = [
        ("dataset", str(first.parameters["dataset_name"])),
        ("model", str(first.parameters["model"])),
        ("arms", str(len(table.rows))),
        ("seeds per arm", f"{len(seeds)} ({_brief(seeds)})"),
        ("people asked about", str(people)),
        ("questions per cell", str(questions)),
        ("solved questions in the prompt", str(answering.get("num_shots", "not recorded"))),
        ("questions of the split", str(answering.get("split", "not recorded"))),
        ("compared with", table.baseline or "no arm: neither random nor plain is there"),
        ("ranked by", METRIC_NAMES[table.metric]),
    ]
    if people > 1 and len(table.rows) > 1:
        points = 100 * compute_smallest_difference(
            people, round(questions / people), len(table.rows)
        )
        facts.append(("difference table in 80% of such runs", f"{points:.0f} EM points or more"))
    return facts


def _brief(seeds: list[int]) -> str:
    """Seeds, or the first and last of many.

    >>> _brief([0, 1, 2, 3, 4, 5, 6, 7])
    '0 to 7'
    """
    if len(seeds) > 5:
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def list_cautions(table: ResultTable, confounded: bool) -> list[str]:
    """What a reader should be careful about, as far as the results themselves show it.

    Args:
        table: the table.
        confounded: whether every distance has a field of its own.
    """
    rows = table.rows
    checks = [_seeds(rows), _people(rows), _before(rows), _floor(table), _forgotten(rows)]
    if confounded:
        checks.append(
            "Every distance has a field of its own, so distance and field vary together: the curve "
            "by distance is no effect of distance alone."
        )
    checks.append(
        "The numbers are those of this dataset and this model; the order of the arms can be "
        "another one elsewhere. Seconds and memory are those of the machine that ran the cells."
    )
    return [each for each in checks if each]


def _seeds(rows: list[ArmRow]) -> str:
    """On too few seeds."""
    if rows[0].seeds > 1:
        return ""
    return (
        "One seed per arm: the intervals say how much the choice of people matters, and nothing "
        "about how much another training run would differ."
    )


def _people(rows: list[ArmRow]) -> str:
    """On too few people."""
    if rows[0].people >= FEW_PEOPLE:
        return ""
    return f"Only {rows[0].people} people: intervals and tests of so few are rough."


def _before(rows: list[ArmRow]) -> str:
    """On what the model knew before training."""
    before = next((row for row in rows if row.label == UNTRAINED), None)
    if before is None:
        return (
            f"There is no arm {UNTRAINED!r}, so the page does not show what the model could answer "
            "before training."
        )
    if before.em.mean <= FLOOR:
        return ""
    return (
        f"The model answers {_shown(before.em, 'em')} of the questions before any training: that "
        "much is guessed or was known."
    )


def _floor(table: ResultTable) -> str:
    """On arms that answer next to nothing."""
    low = [row.label for row in table.rows if row.label != UNTRAINED and row.em.mean < FLOOR]
    if table.metric != "em" or len(low) < 2:
        return ""
    return (
        f"{len(low)} trained arms answer less than {FLOOR:.0%} exactly. Exact match hardly tells "
        "such arms apart; the gold log-probability does."
    )


def _forgotten(rows: list[ArmRow]) -> str:
    """On what training cost elsewhere."""
    before = next((row.known_em for row in rows if row.label == UNTRAINED), None)
    trained = [row for row in rows if row.label != UNTRAINED and row.known_em is not None]
    if before is None or not trained:
        return "" if trained else "Nothing was asked about what the model knew before."
    worst = min(trained, key=lambda row: row.known_em or 0)
    if before - (worst.known_em or 0) < FORGOTTEN:
        return ""
    return (
        f"Training costs earlier knowledge: of what it knew before, the model answers {before:.0%} "
        f"untrained and {worst.known_em:.0%} after {worst.label}, the most forgetful arm."
    )


def explain_method(table: ResultTable, cells: list[CellResult]) -> list[str]:
    """How the numbers came about, one step after the other."""
    metric = METRIC_NAMES[table.metric]
    shots: Any = (cells[0].parameters.get("answering") or {}).get("num_shots", "some")
    return [
        f"Every arm trains the same model from the same weights, and answers the same questions "
        f"closed-book: the prompt holds {shots} solved questions about other people and no text.",
        "Exact match (EM): the answer equals a gold answer after lower-casing, without "
        "punctuation and articles. F1: overlap of their words. Gold log-probability: mean per "
        "token of the first gold answer, in nats; nearer to 0 is better.",
        "95% intervals: bootstrap over people, each with all of their questions, and over seeds "
        "where there are several.",
        "Difference: an arm minus the baseline on the same questions and seeds, with its interval; "
        "p from a paired permutation test over people, corrected for the number of arms (Holm).",
        f"Rank: 1 plus the number of arms that are significantly better in {metric}. All pairs are "
        "tested and corrected (Holm); arms that cannot be told apart can share a rank.",
        "Forgetting: exact match and perplexity on things that the model knew before training.",
        "Costs: mean seconds per cell by stage; peak memory is the largest of all stages and "
        "seeds. EM points per minute: EM in percent by minutes of scoring, dropping and training.",
    ]
