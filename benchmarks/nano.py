"""What the built-in models know, how they learn new people, and what their attention finds.

python benchmarks/nano.py --out runs/nano-quality

Resumable: the trained cells stay in the folder.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from elusive.augment.clues.targets import compute_head_aurocs
from elusive.augment.config import AugmentConfig
from elusive.augment.scores.scorers import Scorers, score_documents
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.lm.loading import load_model
from elusive.common.lm.references import BUILT_IN, BUILT_IN_NAMES
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.compare.table import build_table
from elusive.evaluate.plans import Plan
from elusive.evaluate.run import run_plan
from elusive.models.config import load_pretrain_plan
from elusive.models.population import build_population
from elusive.models.pretrain import population_em

SCORERS = {
    "small": {"method": "attention", "model": "nano-small"},
    "large": {"method": "attention", "model": "nano-large"},
    "contrast": {"method": "contrast", "large": "nano-large", "small": "nano-small"},
    "depth-contrast, large": {"method": "depth-contrast", "model": "nano-large"},
    "depth-contrast, small": {"method": "depth-contrast", "model": "nano-small"},
    "position": {"method": "position", "model": "nano-large"},
}


def known_rates() -> Iterator[tuple[str, float, int]]:
    """EM of each model on every question about its population, five-shot."""
    for name in BUILT_IN_NAMES:
        plan = load_pretrain_plan(BUILT_IN / name / "plan.json")
        population = build_population(plan)
        loaded = load_model(name)
        em = population_em(loaded.model, loaded.tokenizer, population, population.questions)
        yield name, em, len(population.questions)


def clue_aurocs(people: int) -> Iterator[tuple[str, float, float]]:
    """Mean AUROC of head mentions and its standard error, new people, the name anywhere."""
    config = BiogenConfig(people=people, start=20_000, name_position="any")
    documents = list(generate_biographies(config))
    for name, settings in SCORERS.items():
        augment = AugmentConfig.model_validate(settings)
        values = compute_head_aurocs(
            documents, score_documents(documents, Scorers(augment))
        )
        yield name, values.mean(), values.std(ddof=1) / np.sqrt(people)


def wording_plan(dataset: dict, copies: int, epochs: int) -> Plan:
    """Plain training on 100 new people, every one 110 times."""
    return Plan.model_validate(
        {
            "dataset": {"people": 100, "start": 8000, "dev_rate": 0} | dataset,
            "model": "nano-large",
            "arms": [{"method": "plain", "copies": copies}],
            "training": {"epochs": epochs, "learning_rate": 5e-3, "batch_size": 16},
            "untrained": False,
        }
    )


WORDINGS = {
    "one text": wording_plan({}, copies=10, epochs=10),
    "55 texts in all wordings": wording_plan(
        {"wordings": 43, "multi": 55, "permute": True, "name_position": "any"}, copies=1, epochs=1
    ),
}


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/nano-quality"))
@click.option("--people", default=100, help="Held-out people whose texts are scored.")
def main(out: Path, people: int) -> None:
    for name, em, count in known_rates():
        click.echo(f"{name}: EM {em:.1%} on {count} questions about its population, five-shot")
    for name, mean, error in clue_aurocs(people):
        click.echo(f"AUROC of head mentions, name anywhere, {name}: {mean:.3f} +- {error:.3f}")
    for name, plan in WORDINGS.items():
        folders = run_plan(plan, out / name.replace(" ", "-")).folders
        (row,) = build_table([load_cell(folder) for folder in folders]).rows
        em, gold = row.em, row.log_probability
        click.echo(
            f"LoRA on {row.people} new people, {name} each: EM {em.mean:.1%} "
            f"[{em.low:.1%}, {em.high:.1%}], gold log-probability {gold.mean:.2f}"
        )


if __name__ == "__main__":
    main()
