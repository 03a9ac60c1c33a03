"""The table of a run while it grows: a line for each cell as soon as it is finished."""

from pathlib import Path

from elusive.common.intervals import RATE, estimate_mean, format_estimate
from elusive.common.process.progress import format_time, print_line
from elusive.evaluate.cells.cell_folder import load_cell
from elusive.evaluate.jobs import Job

WIDEST_NAME = 48
HEADER = ("EM", "F1", "training", "answering")


class GrowingTable:
    """Prints a line on stderr for each finished cell, below a header.

    Args:
        todo: all cells that may be printed, which decide the width of the first column.
    """

    def __init__(self, todo: list[Job]) -> None:
        names = [len(job.name) for job in todo]
        self._width = min(max(names, default=0), WIDEST_NAME)
        self._has_header = False

    def add(self, job: Job, folder: Path) -> None:
        """Print the line of a cell: accuracy in %, with its interval over people, and time."""
        if not self._has_header:
            print_line(self._render("finished cell", *HEADER))
            self._has_header = True
        cell = load_cell(folder)
        answers, seconds = cell.predictions, cell.costs["seconds"]
        em = estimate_mean([p.em for p in answers], [p.entity for p in answers], bounds=RATE)
        times = [format_time(seconds[name]) if name in seconds else "" for name in HEADER[2:]]
        f1 = f"{100 * cell.metrics['f1']:.0f}"
        print_line(self._render(job.name, format_estimate(em, 100, 0), f1, *times))

    def _render(self, name: str, em: str, f1: str, training: str, answering: str) -> str:
        return f"{name:{self._width}}  {em:15}  {f1:>3}  {training:>8}  {answering:>9}"
