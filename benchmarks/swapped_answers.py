"""How much of the gold log-probability is knowledge of the person, not of the kind of answer?

python benchmarks/swapped_answers.py runs/nano --baseline plain

A model that learns what answers look like gives every answer a higher log-probability, right or
wrong. So each question is scored with its own gold answer and with those of other questions of its
topic, about other people. Printed is how much more log-probability the own answer has, in nats per
token, and how often it has more. A model that knows nothing about whom it is asked has 0, and 50%.
The nats also grow if a model becomes surer of all that it says; the percentage does not. The cells
need their adapters, which `elusive run` keeps.
"""

import random
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import click

from elusive.augment.arms import OPEN_BOOK
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Question
from elusive.common.errors import build_unknown_name_error
from elusive.common.intervals import format_estimate
from elusive.common.lm.adapters import open_adapted_model
from elusive.common.lm.loading import LoadedModel, use_threads
from elusive.common.lm.references import choose_threads
from elusive.common.process.progress import open_bar
from elusive.common.text_tables import render_markdown_table
from elusive.evaluate.answering.backends import build_local_backend
from elusive.evaluate.answering.predictions import group_by_topic
from elusive.evaluate.answering.prompts import split_shots
from elusive.evaluate.cells.ask_again import load_cell_model, read_answering
from elusive.evaluate.cells.cell_folder import CellResult, find_cells
from elusive.evaluate.compare.groups import group_arms, group_benchmarks
from elusive.evaluate.compare.seed_noise import estimate_arms
from elusive.evaluate.compare.selection import select_comparable_cells
from elusive.evaluate.compare.significance import compare_with_baseline
from elusive.evaluate.plans import load_run_dataset
from elusive.evaluate.tables.columns import format_p_value


def swap_answers(questions: list[Question], seed: int) -> list[Question]:
    """Give each question the gold answers of another one of its topic, about another entity.

    Questions without such another one are left out.
    """
    generator = random.Random(seed)
    swapped = []
    for members in group_by_topic(questions).values():
        for question in members:
            own = set(question.answers)
            others = [
                other.answers
                for other in members
                if other.entity != question.entity and not own & set(other.answers)
            ]
            if others:
                swapped.append(replace(question, answers=generator.choice(others)))
    return swapped


def score_answers(
    cell: CellResult, questions: list[Question], dataset: DatasetFolder, loaded: LoadedModel
) -> dict[str, float]:
    """Compute the gold log-probability of each question under a cell's model, by question."""
    answering = read_answering(cell.parameters)
    shots, _ = split_shots(dataset.shots, answering.num_shots, cell.parameters["seed"])
    adapter = cell.folder / "adapter"
    opened = open_adapted_model(loaded, adapter) if cell.log else nullcontext(loaded.model)
    with opened as model:
        backend = build_local_backend(model, loaded, answering)
        predictions = [
            prediction
            for members in group_by_topic(questions).values()
            for prediction in backend.ask(members, shots, {})
        ]
    return {prediction.question_id: prediction.log_probability for prediction in predictions}


def compare_with_swapped(
    cell: CellResult, dataset: DatasetFolder, loaded: LoadedModel, swaps: int
) -> CellResult:
    """Replace the scores of answers, so that arms can be compared by them.

    Returns:
        The cell with, as `log_probability`, what the gold answer has more than swapped ones, and,
        as `f1`, the share of these that have less.
    """
    asked = {prediction.question_id for prediction in cell.predictions}
    questions = [question for question in dataset.questions if question.question_id in asked]
    scored = [
        score_answers(cell, swap_answers(questions, seed), dataset, loaded) for seed in range(swaps)
    ]
    predictions = []
    for prediction in cell.predictions:
        if prediction.question_id in scored[0]:
            others = [scores[prediction.question_id] for scores in scored]
            more = [prediction.log_probability - other for other in others]
            share = fmean(difference > 0 for difference in more)
            predictions.append(replace(prediction, log_probability=fmean(more), f1=share))
    return replace(cell, predictions=predictions)


def render_comparison(
    cells: list[CellResult], compared: list[CellResult], baseline: str | None
) -> str:
    """Render a row per arm: EM and gold log-probability, and how its answers compare with others'.

    Args:
        cells: as they are.
        compared: the same, from `compare_with_swapped`.
        baseline: arm to compare the others with; None for no comparison.
    """
    before, after = group_arms(cells), group_arms(compared)
    columns = [
        ("EM %", before, "em", 100, 0),
        ("gold log-prob", before, "log_probability", 1, 2),
        ("more than others', nats", after, "log_probability", 1, 2),
        ("likelier than others', %", after, "f1", 100, 0),
    ]
    header, shown = ["arm"], {arm: [arm] for arm in after}
    for name, arms, metric, scale, digits in columns:
        estimates = estimate_arms(arms, metric)
        tests = {}
        header.append(name)
        if arms is after and baseline is not None:
            tests = compare_with_baseline(arms, baseline, metric)
            header += [f"vs {baseline}", "p (Holm)"]
        for arm, row in shown.items():
            row.append(format_estimate(estimates[arm], scale, digits))
            if arm in tests:
                comparison, p_value = tests[arm]
                row.append(format_estimate(comparison.difference, scale, digits))
                row.append(format_p_value(p_value))
            elif tests:
                row += ["", ""]
    return render_markdown_table(header, list(shown.values()))


def check_cells(cells: list[CellResult], baseline: str | None) -> None:
    """Raise a usage error unless cells have adapters, and the baseline is one of their arms."""
    arms = group_arms(cells)
    if baseline is not None and baseline not in arms:
        raise click.UsageError(str(build_unknown_name_error("baseline", baseline, arms)))
    for cell in cells:
        if cell.log and not (cell.folder / "adapter").exists():
            raise click.UsageError(f"{cell.folder} has no adapter: run the plan again")


@click.command(help=__doc__)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--baseline", help="Arm to compare the others with.")
@click.option("--arm", "arms", multiple=True, help="Only this arm; can be repeated.")
@click.option("--swaps", default=3, show_default=True, help="Other answers for each question.")
def main(run: Path, baseline: str | None, arms: tuple[str, ...], swaps: int) -> None:
    """Print a table of the arms of each benchmark of a run."""
    cells = [
        cell
        for cell in find_cells(run)
        if cell.parameters.get("control") != OPEN_BOOK
        and (not arms or cell.parameters["label"] in arms)
    ]
    benchmarks = {
        name: select_comparable_cells(members)[0]
        for name, members in group_benchmarks(cells).items()
    }
    for members in benchmarks.values():
        check_cells(members, baseline)
    tables = {}
    with open_bar("cells", "cell", sum(map(len, benchmarks.values()))) as bar:
        for name, members in benchmarks.items():
            parameters = members[0].parameters
            dataset = load_run_dataset(run, parameters)
            loaded = load_cell_model(parameters, parameters["model"])
            compared = []
            with use_threads(parameters.get("threads") or choose_threads(parameters["model"])):
                for cell in members:
                    compared.append(compare_with_swapped(cell, dataset, loaded, swaps))
                    bar.update()
            tables[name] = render_comparison(members, compared, baseline)
    for name, table in tables.items():
        click.echo(f"{name}\n\n{table}")


if __name__ == "__main__":
    main()
