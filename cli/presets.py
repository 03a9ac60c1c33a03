"""`elusive presets`: list and show the plans that come with the package."""

import click


@click.group(invoke_without_command=True)
@click.pass_context
def presets(context: click.Context) -> None:
    """List the plans that come with the package.

    Each has a line, its number of cells, a rough time on one core, and its models.

    \b
    elusive presets
    elusive presets show nano-demo
    """
    if context.invoked_subcommand:
        return
    from elusive.evaluate.presets import summarize_presets

    for preset in summarize_presets():
        click.secho(preset.name, bold=True, nl=False)
        click.echo(f"  {preset.cost}, {', '.join(preset.models)}")
        click.echo(click.wrap_text(preset.line, 78, "    ", "    "))
    click.echo("\n`elusive run NAME --dry-run --out DIR` estimates the time on this machine.")


@presets.command()
@click.argument("name")
def show(name: str) -> None:
    """Print the preset NAME, to read it, or to write it to a file and change it.

    \b
    elusive presets show nano-demo
    elusive presets show nano-demo > my-plan.yaml
    """
    from elusive.evaluate.presets import read_preset

    click.echo(read_preset(name), nl=False)
