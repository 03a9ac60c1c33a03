"""The command `elusive`, with one subcommand per stage."""

import sys

import click

from elusive.cli.augment import augment
from elusive.cli.biogen import biogen
from elusive.cli.check import check
from elusive.cli.clues import clues
from elusive.cli.evaluate import evaluate
from elusive.cli.export import export
from elusive.cli.figures import figures
from elusive.cli.leaderboard import leaderboard
from elusive.cli.look import look
from elusive.cli.pretrain import pretrain
from elusive.cli.probe import probe
from elusive.cli.publish import publish
from elusive.cli.report import report
from elusive.cli.rescore import rescore
from elusive.cli.run import run
from elusive.cli.table import table
from elusive.cli.wikiqa import wikiqa
from elusive.common.errors import InputError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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


for command in (
    biogen,
    wikiqa,
    check,
    pretrain,
    probe,
    augment,
    look,
    clues,
    evaluate,
    run,
    rescore,
    table,
    figures,
    report,
    publish,
    leaderboard,
    export,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; wrong input prints one line on stderr and exits with code 2."""
    try:
        cli.main(standalone_mode=False)
    except InputError as error:
        click.echo(f"elusive: error: {error}", err=True)
        sys.exit(2)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        click.echo(f"elusive: error: {error.format_message()}", err=True)
        sys.exit(2)
    except OSError as error:
        path = f" ({error.filename})" if error.filename else ""
        click.echo(f"elusive: error: {error.strerror or error}{path}", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("elusive: interrupted; finished results are kept", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
