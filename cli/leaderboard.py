"""`elusive leaderboard`: collect entries in a folder, check them, and build tables and a page."""

import sys
from pathlib import Path

import click

from elusive.common.text.counts import format_count

FOLDER = click.Path(path_type=Path)


@click.group()
def leaderboard() -> None:
    """Collect, check and rank the cells of many runs.

    A leaderboard is a folder with one entry per finished cell. Anybody can add entries, and `check`
    scores their answers again.

    \b
    elusive leaderboard init board
    elusive leaderboard add runs/demo --to board --by "Jane Doe"
    elusive leaderboard check board
    elusive leaderboard verify board/entries/0123456789ab.json --dataset data/people
    elusive leaderboard build board --out site
    """


@leaderboard.command()
@click.argument("board", type=FOLDER)
@click.option("--title", help="Title of the leaderboard; board.yaml holds it, and can be edited.")
def init(board: Path, title: str | None) -> None:
    """Create the leaderboard BOARD: how to submit, its settings, and a check of pull requests.

    Writes README.md, board.yaml (title, what the datasets are, links), the schema of entries, and a
    GitHub workflow that checks every pull request. Existing files stay as they are.

    \b
    elusive leaderboard init board
    elusive leaderboard init board --title "Facts about invented people"
    """
    from elusive.report.leaderboard.board import init_board

    is_new = init_board(board, title)
    click.echo(f"{board}: {'created' if is_new else 'exists; its schema is now up to date'}")


@leaderboard.command()
@click.argument("folder", type=FOLDER)
@click.option("--to", "board", type=FOLDER, required=True, help="Leaderboard; created if missing.")
@click.option("--by", help="Name of the submitter; by default not recorded.")
def add(folder: Path, board: Path, by: str | None) -> None:
    """Write an entry for every finished cell of FOLDER, a run or a single cell.

    Existing entries stay as they are; a cell that differs from its entry is refused.

    \b
    elusive leaderboard add runs/demo --to board
    elusive leaderboard add runs/random --to board --by "Jane Doe"
    """
    from elusive.evaluate.cells.cell_folder import find_cells
    from elusive.report.leaderboard.board import add_cells, init_board

    cells = find_cells(folder)
    init_board(board)
    added = add_cells(cells, board, by)
    for path in added.new:
        click.echo(str(path))
    count = format_count(len(added.new), "entry")
    click.echo(f"{board}: {count} added, {added.same} already there")


DATASETS = click.option(
    "--dataset",
    "datasets",
    type=FOLDER,
    multiple=True,
    help="Dataset folder whose gold answers are compared with those of entries; can be repeated.",
)


@leaderboard.command()
@click.argument("board", type=FOLDER)
@DATASETS
def check(board: Path, datasets: tuple[Path, ...]) -> None:
    """Check BOARD for altered, broken or incomplete entries, and print a line for each problem.

    Computes all scores again from the stored answers and needs no model. Each entry proves that its
    gold answers are those of its dataset; --dataset compares them where there is no proof. Exits
    with code 1 if there is any problem.

    \b
    elusive leaderboard check board
    elusive leaderboard check board --dataset data/people
    """

    from elusive.common.process.progress import open_bar
    from elusive.report.leaderboard.board_check import check_board

    with open_bar("checking", "entry", delay=1) as bar:
        checked = check_board(board, bar.update, datasets)
        entries = int(bar.n)
    for problem in checked.problems:
        click.echo(problem)
    if checked.problems:
        count = format_count(len(checked.problems), "problem")
        click.echo(f"{board}: {count} in {format_count(entries, 'entry')}", err=True)
        sys.exit(1)
    click.echo(f"{board}: all {entries} entries are valid")


@leaderboard.command()
@click.argument("board", type=FOLDER)
@click.option("--out", type=FOLDER, help="Folder for the files; by default BOARD.")
@click.option(
    "--metric",
    default="em",
    show_default=True,
    help="Metric that ranks the arms: em, f1, log_probability or forced_choice.",
)
@DATASETS
def build(board: Path, out: Path | None, metric: str, datasets: tuple[Path, ...]) -> None:
    """Write leaderboard.parquet, leaderboard.md and index.html from the entries of BOARD.

    Writes nothing if `elusive leaderboard check` finds a problem.

    \b
    elusive leaderboard build board --out site
    """

    from elusive.common.process.progress import open_bar
    from elusive.report.leaderboard.build import build_board

    with open_bar("reading", "entry", delay=1) as bar:
        written = build_board(board, out or board, metric, bar.update, datasets)
    for path in written:
        click.echo(str(path))


@leaderboard.command()
@click.argument("entry", type=FOLDER)
@click.option("--dataset", type=FOLDER, required=True, help="Folder of the entry's dataset.")
@click.option(
    "--questions",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Number of questions to ask again.",
)
@click.option("--adapter", type=FOLDER, help="Folder of the cell's published adapter.")
@click.option(
    "--train", type=FOLDER, help="Folder of the training text, to train again without an adapter."
)
@click.option("--model", help="Where the entry's model is; by default the entry's own name of it.")
@click.option("--by", help="Name of the verifier; by default not recorded.")
@click.option("--seed", type=int, help="Seed of the choice of questions; by default drawn.")
def verify(
    entry: Path,
    dataset: Path,
    questions: int,
    adapter: Path | None,
    train: Path | None,
    model: str | None,
    by: str | None,
    seed: int | None,
) -> None:
    """Ask the questions of ENTRY again, and record beside it that the answers agree.

    A sample of the questions is asked of the entry's model, with its adapter if it was trained.
    With --train, the whole cell is made again. At most 4% of the answers (rounded up) may differ,
    and no log-probability by more than 0.01 nats per token in float32, or 0.25 in bfloat16, whose
    sums depend more on the machine. If they agree, ENTRY gets a record <id>.verified.json, which
    the tables show. Exits with code 1 if they do not.

    \b
    elusive leaderboard verify board/entries/0123456789ab.json --dataset data/people
    elusive leaderboard verify board/entries/0123456789ab.json --dataset data/people \\
        --adapter runs/demo/cells/plain-seed0-0123456789ab/adapter --questions 100
    """

    from elusive.common.process.progress import open_bar
    from elusive.report.leaderboard.verify import verify_entry

    with open_bar("verifying", "step" if train else "question") as bar:
        verified = verify_entry(
            entry, dataset, questions, adapter, train, model, by, seed, bar.update
        )
    record = verified.record
    for problem in verified.problems:
        click.echo(f"{entry}: {problem}")
    if verified.problems:
        sys.exit(1)
    click.echo(
        f"{verified.path}: {record['questions']} questions, {record['different_answers']} other "
        f"answers, largest difference {record['largest_difference']:.2g} nats per token"
    )


@leaderboard.command()
def schema() -> None:
    """Print the JSON Schema of entries.

    \b
    elusive leaderboard schema > entry.schema.json
    """
    from elusive.report.leaderboard.entry import render_schema

    click.echo(render_schema(), nl=False)
