"""`elusive leaderboard`: a folder of entries, checked and built into tables and a page."""

import sys
from pathlib import Path

import click

FOLDER = click.Path(path_type=Path)


@click.group()
def leaderboard() -> None:
    """Keep finished cells of many runs and people in one folder, and rank them.

    \b
    elusive leaderboard init board
    elusive leaderboard add runs/demo --to board --by "Jane Doe"
    elusive leaderboard check board
    elusive leaderboard build board --out site
    """


@leaderboard.command()
@click.argument("board", type=FOLDER)
def init(board: Path) -> None:
    """Make BOARD: a folder for entries, a README.md that says how to submit, and the schema.

    \b
    elusive leaderboard init board
    """
    from elusive.report.leaderboard.board import init_board

    made = init_board(board)
    click.echo(f"{board}: {'made' if made else 'was there; its schema is that of this version'}")


@leaderboard.command()
@click.argument("folder", type=FOLDER)
@click.option("--to", "board", type=FOLDER, required=True, help="Leaderboard; made if missing.")
@click.option("--by", help="Who submits; not recorded if not given.")
def add(folder: Path, board: Path, by: str | None) -> None:
    """Write an entry for every finished cell of FOLDER, a run or a single cell.

    Entries that are there stay as they are; a cell that differs from its entry is refused.

    \b
    elusive leaderboard add runs/demo --to board
    elusive leaderboard add runs/random --to board --by "Jane Doe"
    """
    from elusive.evaluate.compare.table import find_cells
    from elusive.report.leaderboard.board import add_cells, init_board

    cells = find_cells(folder)
    init_board(board)
    added = add_cells(cells, board, by)
    for path in added.new:
        click.echo(str(path))
    click.echo(f"{board}: {len(added.new)} entries added, {added.same} were there")


@leaderboard.command()
@click.argument("board", type=FOLDER)
def check(board: Path) -> None:
    """Look for altered, broken or incomplete entries in BOARD; exit code 1 and a line for each.

    Scores are computed again from the stored answers; no model is needed.

    \b
    elusive leaderboard check board
    """
    from tqdm import tqdm

    from elusive.report.leaderboard.check import check_board

    with tqdm(desc="checking", unit="entry", delay=1) as bar:
        checked = check_board(board, bar.update)
        entries = bar.n
    for problem in checked.problems:
        click.echo(problem)
    if checked.problems:
        count = len(checked.problems)
        click.echo(f"{board}: {count} problem{'s' * (count > 1)} in {entries} entries", err=True)
        sys.exit(1)
    click.echo(f"{board}: all {entries} entries are as they should be")


@leaderboard.command()
@click.argument("board", type=FOLDER)
@click.option("--out", type=FOLDER, help="Where the files go; BOARD if not given.")
@click.option(
    "--metric",
    default="em",
    show_default=True,
    help="What arms are ranked by: em, f1 or log_probability.",
)
def build(board: Path, out: Path | None, metric: str) -> None:
    """Write leaderboard.parquet, leaderboard.md and index.html from the entries of BOARD.

    Refused while `elusive leaderboard check` finds anything wrong.

    \b
    elusive leaderboard build board --out site
    """
    from tqdm import tqdm

    from elusive.report.leaderboard.build import build_board

    with tqdm(desc="reading", unit="entry", delay=1) as bar:
        written = build_board(board, out or board, metric, bar.update)
    for path in written:
        click.echo(str(path))


@leaderboard.command()
def schema() -> None:
    """Print the JSON Schema of entries.

    \b
    elusive leaderboard schema > entry.schema.json
    """
    from elusive.report.leaderboard.entry import schema_text

    click.echo(schema_text(), nl=False)
