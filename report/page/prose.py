"""Sentences of the report page: results, design, limits, and how the numbers were made."""

from typing import Any

from elusive.augment.arms import UNTRAINED, list_arms
from elusive.common.intervals import Estimate, format_estimate
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.metrics import METRICS
from elusive.evaluate.compare.power import compute_smallest_difference, count_questions
from elusive.evaluate.tables.columns import UNVERIFIED, format_exposures, is_unverified
from elusive.evaluate.tables.table import ArmRow, ResultTable

FEW_PEOPLE = 30
FLOOR = 0.05
"""Exact match below which it hardly tells arms apart."""
FORGOTTEN = 0.1
"""Loss of exact match on earlier knowledge that is worth a warning."""
MOST_NAMED = 4
"""Largest number of best arms that the headline names."""


def write_headline(table: ResultTable) -> str:
    """Write which arms are best, in one or two sentences."""
    name = METRICS[table.metric].name
    best = [row for row in table.rows if row.rank == 1 or table.is_people_only]
    highest = max(getattr(row, table.metric).mean for row in best)
    named = _join([row for row in best if getattr(row, table.metric).mean == highest], table)
    if len(table.rows) == 1:
        return f"There is only one arm, so nothing is compared: {name} of {_join(best, table)}."
    if table.is_people_only:
        return f"One seed per arm, so there are no ranks; highest {name}: {named}."
    if len(best) == len(table.rows):
        return f"No arm is significantly better than another in {name}; highest: {named}."
    if len(best) == 1:
        return f"Best in {name}: {_join(best, table)}. No other arm shares rank 1."
    return (
        f"Best in {name}: {_join(best, table)}. They share rank 1, because no arm is significantly "
        "better."
    )


def _join(rows: list[ArmRow], table: ResultTable) -> str:
    """Name the first arms of some rows, with their scores."""
    scores = [
        f"{row.label} {_format_score(getattr(row, table.metric), table.metric)}"
        for row in rows[:MOST_NAMED]
    ]
    more = f" and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
    return "; ".join(scores) + more


def _format_score(estimate: Estimate, metric: str) -> str:
    shown = METRICS[metric]
    unit = "%" if shown.unit == "%" else f" {shown.unit}"
    return format_estimate(estimate, shown.scale, shown.digits, unit)


def list_design_facts(table: ResultTable, cells: list[CellResult]) -> list[tuple[str, str]]:
    """List what was compared, as pairs of term and value."""
    first = cells[0]
    answering = first.parameters.get("answering") or {}
    people, questions = table.rows[0].people, len(first.predictions)
    seeds = sorted({cell.parameters["seed"] for cell in cells})
    facts = [
        ("dataset", str(first.parameters["dataset_name"])),
        ("model", str(first.parameters["model"])),
        ("arms", str(len(table.rows))),
        ("seeds per arm", f"{len(seeds)} ({_format_seeds(seeds)})"),
        ("people or articles asked about", str(people)),
        ("questions per cell", str(questions)),
        ("solved questions in each prompt", str(answering.get("num_shots", "not recorded"))),
        ("split of the questions", str(answering.get("split", "not recorded"))),
        ("training", _list_budgets(table)),
        ("baseline", table.baseline or "none, because neither random nor plain was run"),
        ("ranked by", METRICS[table.metric].name),
    ]
    if people > 1 and len(table.rows) > 1:
        counts = count_questions(prediction.entity for prediction in first.predictions)
        points = 100 * compute_smallest_difference(counts, len(table.rows), len(seeds))
        facts.append(
            ("difference that 80% of such runs would find", f"{points:.0f} EM points or more")
        )
    return facts


def _list_budgets(table: ResultTable) -> str:
    """List how often training showed each document."""
    budgets = dict.fromkeys(filter(None, map(format_exposures, table.rows)))
    return f"{', '.join(budgets)} exposures per document" if budgets else "not recorded"


def _format_seeds(seeds: list[int]) -> str:
    """Format seeds, or only the first and the last of many.

    >>> _format_seeds([0, 1, 2, 3, 4, 5, 6, 7])
    '0 to 7'
    """
    if len(seeds) > 5:
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def list_cautions(table: ResultTable, cells: list[CellResult], confounded: bool) -> list[str]:
    """List what limits the conclusions, as far as the results show it.

    Args:
        table: the results.
        cells: their cells.
        confounded: whether every distance belongs to one field.
    """
    rows = table.rows
    cautions = [
        table.differences,
        *list_trust_cautions(table, cells),
        _warn_about_seeds(rows),
        _warn_about_people(rows),
        _warn_about_guesses(table),
        _warn_about_floor(table),
        _warn_about_forgetting(rows),
    ]
    if confounded:
        cautions.append(
            "No two fields have a distance in common, so distance and field vary together: the "
            "curve by distance does not show the effect of distance alone."
        )
    cautions.append(
        "The numbers hold for this dataset and this model; on others, the order of the arms may "
        "differ. Seconds and memory depend on the machine that ran the cells."
    )
    return [caution for caution in cautions if caution]


def list_trust_cautions(table: ResultTable, cells: list[CellResult]) -> list[str]:
    """List what nobody has checked, and how settings were chosen."""
    chosen = [row.label for row in table.rows if "on TEST" in row.chosen]
    unverified = [row.label for row in table.rows if is_unverified(row)]
    cautions = []
    if chosen:
        cautions.append(
            f"The settings of {', '.join(chosen)} were chosen on the people who are asked about, "
            "which flatters these arms."
        )
    if unverified:
        cautions.append(
            "Nobody has computed the log-probabilities and forced choices of "
            f"{len(unverified)} of {len(table.rows)} arms again ({UNVERIFIED.strip()} in tables), "
            "as elusive leaderboard verify does."
        )
    if any(cell.trust and not cell.trust.gold for cell in cells):
        cautions.append(
            "Entries of an earlier version have no proof of their gold answers, which were only "
            "compared with those of the other entries."
        )
    return cautions


def _warn_about_seeds(rows: list[ArmRow]) -> str:
    if rows[0].seeds > 1:
        return ""
    return (
        "Each arm has only one seed: intervals and p-values show how much the choice of people "
        "(or articles) matters, but not how much another training would differ. So there are no "
        "ranks."
    )


def _warn_about_people(rows: list[ArmRow]) -> str:
    if rows[0].people >= FEW_PEOPLE:
        return ""
    return f"With only {rows[0].people} people or articles, intervals and tests are rough."


def _warn_about_guesses(table: ResultTable) -> str:
    rows = table.rows
    before = next((row for row in rows if row.label == UNTRAINED), None)
    if before is None:
        return (
            f"There is no arm {UNTRAINED!r}, so the page does not show what the model could answer "
            "before training."
        )
    if before.em.mean <= FLOOR or table.warning:
        return ""  # a warning above the table says it already
    return (
        f"Before any training, the model answers {_format_score(before.em, 'em')} of the "
        "questions: it guessed or already knew that many."
    )


def _select_trained(rows: list[ArmRow]) -> list[ArmRow]:
    return [row for row in rows if row.label not in list_arms("control")]


def _warn_about_floor(table: ResultTable) -> str:
    low = [row.label for row in _select_trained(table.rows) if row.em.mean < FLOOR]
    if table.metric != "em" or len(low) < 2:
        return ""
    warning = f"{len(low)} trained arms have an exact match below {FLOOR:.0%}, "
    if any(row.forced_choice for row in table.rows):
        return warning + "which hardly tells them apart: compare them by forced choice."
    return warning + "which hardly tells them apart."


def _warn_about_forgetting(rows: list[ArmRow]) -> str:
    before = next((row.known_em for row in rows if row.label == UNTRAINED), None)
    trained = [row for row in _select_trained(rows) if row.known_em is not None]
    if before is None or not trained:
        return "" if trained else "The run did not ask what the model knew before training."
    worst = min(trained, key=lambda row: row.known_em or 0)
    if before - (worst.known_em or 0) < FORGOTTEN:
        return ""
    return (
        f"Training costs earlier knowledge: of the questions about it, the model answers "
        f"{before:.0%} before training and {worst.known_em:.0%} after {worst.label}, the arm that "
        "forgets most."
    )


def explain_method(table: ResultTable, cells: list[CellResult]) -> list[str]:
    """Explain how the numbers were made, step by step."""
    metric = METRICS[table.metric].name
    shots: Any = (cells[0].parameters.get("answering") or {}).get("num_shots", "some")
    return [
        "Every arm trains the same model from the same weights and answers the same questions "
        f"closed-book: each prompt holds {shots} solved questions about others, but no text.",
        "Exact match (EM): the answer equals a gold answer after lower-casing and without "
        "punctuation and articles. F1: overlap of their words. Gold log-probability: mean per "
        "token of the first gold answer, in nats; closer to 0 is better, but it also grows where a "
        "model only learns what answers look like.",
        "Forced choice: how often the gold answer has a higher log-probability per token than "
        "another entity's answer to such a question or, if an entity has several such answers, "
        "another one of its own; a tie counts half. Each pair of answers is compared in both "
        "directions, so a model that answers alike whatever it is asked has 50%.",
        "95% intervals: bootstrap over people (or articles), each with all of their questions; "
        "with several seeds, chance in training is added. How much it moves a mean is measured on "
        "the seeds of all arms together.",
        "Difference: an arm minus the baseline on the same questions and seeds, with its interval. "
        "Its p-value is from a paired test: answers are exchanged person by person, and the same "
        "chance in training is added. It is corrected for the number of arms (Holm); the interval "
        "is not, so it can leave 0 out where p is not small.",
        f"Rank: 1 plus the number of arms that are significantly better in {metric}. All pairs are "
        "tested, with correction for their number (Holm); arms that cannot be told apart can share "
        "a rank. With one seed there are no ranks.",
        "Forgetting: exact match and perplexity on what the model knew before training.",
        "Costs: mean seconds per cell by stage; peak memory is the largest over stages and seeds. "
        "EM points per minute: EM in percent divided by the minutes of scoring, dropping and "
        "training.",
    ]
