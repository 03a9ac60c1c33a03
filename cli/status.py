"""`elusive status`: say what of a run is finished."""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def status(run: Path) -> None:
    """Say what of RUN is finished, running, failed and missing.

    RUN is a folder of `elusive run`, also while the run goes on, on this machine or on others. The
    time left is that of the finished cells times the number of missing ones.

    \b
    elusive status runs/demo
    """
    from elusive.evaluate.status import read_status, render_status

    click.echo(render_status(run, read_status(run)), nl=False)
