"""Progress: bars on a terminal, a plain line now and then in a log, and what is being loaded."""

import sys
import time
from threading import RLock
from types import TracebackType
from typing import TypeVar

import click
from tqdm import tqdm

from elusive.common.text.counts import make_plural

FIRST_LINE_SECONDS = 15.0
"""Time until the first line about something slow, and between lines at first."""
LENGTHENING = 1.5
"""Each line comes when this many times the time until the last one has passed."""
CELL_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total_fmt} [{elapsed}<{remaining}]"
"""Of a bar whose steps are shares of what it counts."""

Self = TypeVar("Self", bound="ProgressLines")

# No bar is shared by processes: tqdm's lock for that is a semaphore, which a killed process leaves.
tqdm.set_lock(RLock())


class ProgressLines:
    """Progress as plain lines on stderr, ever more rarely; used like a bar of tqdm.

    Args:
        total: how much there is to do; None if unknown.
        desc: what is being done.
        unit: what is counted.
        initial: how much has been done already.
    """

    def __init__(self, total: float | None, desc: str, unit: str, initial: float = 0) -> None:
        self.desc, self.unit = desc, unit
        self._begin(total, initial)
        self._next = self._start + FIRST_LINE_SECONDS

    def update(self, count: float = 1) -> None:
        """Count more, and write a line if one is due."""
        self.n += count
        now = time.monotonic()
        is_due = now >= self._next
        if is_due:
            self._next = now + max(FIRST_LINE_SECONDS, (LENGTHENING - 1) * (now - self._start))
            print_line(self._render(now))
        if is_due or self._is_first:  # an interrupted command may have done what comes first
            self._is_first = False
            self._since, self._then = now, self.n

    def set_description(self, desc: str) -> None:
        """Say what is being done from now on."""
        self.desc = desc

    def reset(self, total: float | None = None) -> None:
        """Begin again with another total."""
        self._begin(total, 0)

    def write(self, message: str) -> None:
        """Write a line."""
        print_line(message)

    def close(self) -> None:
        """Do nothing, as there is nothing to clear."""

    def _begin(self, total: float | None, initial: float) -> None:
        self.total, self.n, self._then, self._is_first = total, initial, initial, True
        self._start = self._since = time.monotonic()

    def _render(self, now: float) -> str:
        """Build a line; what is left is estimated from the speed since the last one."""
        elapsed = now - self._start
        units = make_plural(self.unit)
        if not self.total:
            return f"{self.desc}: {self.n:,.0f} {units} in {format_time(elapsed)}"
        line = f"{self.desc}: {self.n / self.total:.0%} of {self.total:,.0f} {units}"
        left, done = "", self.n - self._then
        if done > 0:
            seconds = (now - self._since) / done * (self.total - self.n)
            left = f", about {format_time(seconds)} left"
        return f"{line} in {format_time(elapsed)}{left}"

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_bar(
    desc: str,
    unit: str,
    total: float | None = None,
    initial: float = 0,
    has_shares: bool = False,
    **options: object,
) -> "tqdm | ProgressLines":
    """Open a progress bar on stderr, or plain lines in its place where stderr is no terminal.

    Args:
        desc: what is being done.
        unit: what is counted, in the singular.
        total: how much there is to do; None if unknown.
        initial: how much has been done already.
        has_shares: whether it counts shares of units, such as half a cell.
        options: of tqdm, for terminals.
    """
    if not sys.stderr.isatty():
        return ProgressLines(total, desc, unit, initial)
    if has_shares:
        options["bar_format"] = CELL_FORMAT
    return tqdm(desc=desc, unit=unit, total=total, initial=initial, **options)  # type: ignore


def print_line(message: str) -> None:
    """Print a line on stderr without breaking progress bars."""
    tqdm.write(message, file=sys.stderr)


def announce_loading(what: str = "PyTorch") -> None:
    """Say on stderr that a library is loaded, which takes seconds, unless it is there already."""
    if "torch" not in sys.modules:
        click.echo(f"elusive: loading {what} ...", err=True)


def format_time(seconds: float) -> str:
    """Format a duration.

    >>> format_time(75), format_time(3 * 3600 + 120)
    ('1:15', '3:02:00')
    """
    return tqdm.format_interval(round(seconds)).removeprefix("0")
