"""The command `elusive`, with one subcommand per stage."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click

from elusive.common.errors import InputError
from elusive.common.process.waiting import limit_spinning

COMMANDS = {
    "biogen": "Generate biographies of invented people, with questions.",
    "wikiqa": "Build a dataset of Wikipedia paragraphs with questions.",
    "check": "Verify DATASET: its schema, spans, splits and leaks.",
    "pretrain": "Train a family of small models from scratch.",
    "probe": "Find out in which ways MODEL can be scored, trained and asked.",
    "augment": "Write the training text of one arm.",
    "look": "Show on one page what each arm scores and drops.",
    "clues": "Measure how well attention finds the clues in DATASET.",
    "evaluate": "Train a model, ask it about DATASET, and score its answers.",
    "presets": "List the plans that come with the package.",
    "new": "Write a small plan to PLAN, with every setting explained.",
    "run": "Run all cells of PLAN that OUT lacks, then print a table.",
    "status": "Say what of RUN is finished, running, failed and missing.",
    "rescore": "Score stored answers again, without any model.",
    "table": "Print the results of a run, a single cell or a leaderboard.",
    "figures": "Draw figures of RUN, with their data.",
    "report": "Show the results of RUN on one page.",
    "publish": "Publish a dataset, run or leaderboard on the Hugging Face Hub.",
    "leaderboard": "Collect, check and rank the cells of many runs.",
    "export": "Write a dataset or results in the format of another tool.",
}
"""Every command, and the first line of its help; its module has the same name and is imported when
the command runs. A test compares the lines."""


class Interrupted(KeyboardInterrupt):
    """A signal has told this process to end: SIGINT of Ctrl-C, or SIGTERM of `timeout` and Slurm.

    A class of its own, as Python kills itself, whatever is caught, after a plain KeyboardInterrupt
    in code that was made from a string, such as that of dataclasses.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.number = number


class CommandsByName(Mapping[str, click.Command]):
    """The commands, each imported when it is looked up."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in COMMANDS:
            raise KeyError(name)
        return getattr(import_module(f"elusive.cli.{name}"), name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LazyGroup(click.Group):
    """A group whose help lists its commands without importing them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands into the help."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    commands=CommandsByName(),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="elusive")
def cli() -> None:
    """Find out which way of preparing text teaches a language model the most facts.

    Generate a dataset in which the position of every fact is known, drop tokens from its texts by
    one of many methods, train on the result, ask closed-book questions, and compare the methods
    with confidence intervals and significance tests. Small models come with the package, so these
    commands run on a CPU, offline:

    \b
    elusive biogen --people 100 --seed 0 --out data/people
    elusive check data/people
    elusive augment data/people --method random --out data/random
    elusive run nano-demo --out runs/demo
    elusive table runs/demo
    """


def main() -> None:
    """Run the command line; wrong input prints one line on stderr and exits with code 2."""
    limit_spinning()
    _heed_signals()
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # bars of libraries; ours become plain lines
    try:
        cli.main(standalone_mode=False)
    except BaseException as error:
        code = _explain(error)
        if code is None:
            raise
        sys.exit(code)


def _heed_signals() -> None:
    """End in the same way at Ctrl-C and at SIGTERM, unless this process was told to ignore it."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


def _explain(error: BaseException) -> int | None:
    """Print what has ended a command as one line.

    Returns:
        The exit code; None if the error is not one of those that are expected.
    """
    if interrupted := _find_interrupt(error):
        click.echo("elusive: interrupted; finished results are kept", err=True)
        return 128 + interrupted.number
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    if isinstance(error, InputError):
        click.echo(f"elusive: error: {error}", err=True)
        return 2
    if isinstance(error, click.ClickException):
        click.echo(f"elusive: error: {error.format_message()}", err=True)
        return 2
    if isinstance(error, OSError):
        path = f" ({error.filename})" if error.filename else ""
        click.echo(f"elusive: error: {error.strerror or error}{path}", err=True)
        return 1
    return None


def _find_interrupt(error: BaseException | None) -> Interrupted | None:
    """Find the interrupt that an error comes from: Python and click wrap it in their own."""
    while error is not None:
        if isinstance(error, Interrupted):
            return error
        if isinstance(error, KeyboardInterrupt | click.Abort) and error.__cause__ is None:
            return Interrupted()
        error = error.__cause__
    return None


if __name__ == "__main__":
    main()
