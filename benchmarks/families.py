"""What the built-in models know, how they learn new people, and what their attention finds.

python benchmarks/families.py --family nano --out runs/quality

Finished cells stay in the folder; rerun the same command to resume.
"""

from pathlib import Path

import click

from elusive.augment.clues.benchmark import run_clues
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.intervals import format_estimate
from elusive.common.lm.loading import load_model
from elusive.common.lm.references import BUILT_IN
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.plans import Plan
from elusive.evaluate.run import run_plan
from elusive.evaluate.tables.table import build_table
from elusive.models.config import load_pretrain_plan
from elusive.models.population import build_population
from elusive.models.pretrain import measure_population_em

WORDINGS = {
    "one text": ({}, 10, 10),
    "55 texts in all wordings": (
        {"wordings": 43, "multi": 55, "permute": True, "name_position": "any"},
        1,
        1,
    ),
}
"""Settings of the texts, copies and epochs; with each, every person is read about 110 times."""


def report_known(names: list[str]) -> None:
    """Print the EM of each model on every question about its population, five-shot."""
    for name in names:
        population = build_population(load_pretrain_plan(BUILT_IN / name / "plan.json"))
        loaded, questions = load_model(name), population.questions
        em = measure_population_em(loaded.model, loaded.tokenizer, population, questions)
        click.echo(
            f"{name}: EM {em:.1%} on {len(questions)} questions about its population, five-shot"
        )


def report_clues(names: list[str], people: int) -> None:
    """Print how well each score finds the names of new people, which can stand anywhere."""
    config = BiogenConfig(people=people, start=20_000, name_position="any")
    report = run_clues(list(generate_biographies(config)), names, depth=0.5)
    for row in report.rows:
        if row.target == "name":
            auroc = format_estimate(row.auroc, digits=3)
            click.echo(f"AUROC of head mentions, name anywhere, {row.scorer}: {auroc}")


def report_learning(model: str, out: Path) -> None:
    """Print what plain training teaches about 100 new people, by the wording of their texts."""
    for name, (settings, copies, epochs) in WORDINGS.items():
        plan = Plan.model_validate(
            {
                "dataset": {"people": 100, "start": 8000, "dev_rate": 0} | settings,
                "model": model,
                "arms": [{"method": "plain", "copies": copies}],
                "training": {"epochs": epochs, "learning_rate": 5e-3, "batch_size": 16},
                "untrained": False,
            }
        )
        folders = run_plan(plan, out / name.replace(" ", "-")).folders
        (row,) = build_table([load_cell(folder) for folder in folders]).rows
        click.echo(
            f"LoRA on {row.people} new people, {name} each: EM "
            f"{format_estimate(row.em, 100, 1, '%')}, gold log-probability "
            f"{row.log_probability.mean:.2f}"
        )


@click.command()
@click.option("--family", type=click.Choice(["nano", "micro"]), default="nano", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/quality"))
@click.option("--people", default=100, help="Number of new people whose texts are scored.")
def main(family: str, out: Path, people: int) -> None:
    names = [f"{family}-large", f"{family}-small"]
    report_known(names)
    report_clues(names, people)
    report_learning(names[0], out)


if __name__ == "__main__":
    main()
