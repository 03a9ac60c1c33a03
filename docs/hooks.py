"""What the site is made of beside the pages in this folder: every command's help, every preset."""

from collections.abc import Iterator
from pathlib import Path

import click
import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from elusive.cli.main import cli

ROOT = Path(__file__).resolve().parent.parent
OWN_FORMAT = "\b"
"""Click's mark of a paragraph that is printed as it stands: here, the examples."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The settings with every command in the navigation, and without pages that are not written."""
    pages = [f"commands/{name}.md" for name in sorted(cli.commands)]
    config.nav = [_with_commands(entry, pages) for entry in config.nav or []]
    return config


def _with_commands(entry: object, pages: list[str]) -> object:
    """A navigation entry, with the commands' pages if it is theirs."""
    if isinstance(entry, dict) and "Commands" in entry:
        return {"Commands": [*entry["Commands"], *pages]}
    return entry


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files with the pages that are made."""
    for path, content in {**command_pages(), "presets.md": render_presets()}.items():
        files.append(File.generated(config, path, content=content))
    return files


def command_pages() -> dict[str, str]:
    """Page of every command and their list, by path."""
    pages = {"commands/index.md": render_index()}
    for name, command in cli.commands.items():
        pages[f"commands/{name}.md"] = "\n".join(render_command(f"elusive {name}", command))
    return pages


def render_index() -> str:
    """The list of all commands."""
    rows = [
        f"| [`elusive {name}`]({name}.md) | {_cell(command.get_short_help_str(200))} |"
        for name, command in sorted(cli.commands.items())
    ]
    head = [
        "# Commands\n",
        "Made from the program itself, so this is what `elusive COMMAND --help` prints. Wrong "
        "input ends with one line that says what is allowed, and exit code 2. Progress goes to "
        "the error output, results to the standard output or into files.\n",
        "| command | what it does |",
        "|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def render_command(path: str, command: click.Command, level: int = 1) -> Iterator[str]:
    """Lines of a command's section, those of its subcommands below it."""
    context = click.Context(command, info_name=path)
    yield f"{'#' * level} {path}\n"
    yield from _help(command.help or "")
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```\n"
    options = [each for each in command.params if isinstance(each, click.Option)]
    if options:
        yield "| option | what it is | default |\n|---|---|---|"
        yield from (_option(each, context) for each in options)
        yield ""
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            yield from render_command(f"{path} {name}", sub, level + 1)


def _help(text: str) -> Iterator[str]:
    """Paragraphs of a help text, examples as code."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip("\n").splitlines()
        if lines and lines[0].strip() == OWN_FORMAT:
            yield "\n".join(["```bash", *(line.strip() for line in lines[1:]), "```\n"])
        else:
            yield " ".join(line.strip() for line in lines) + "\n"


def _option(option: click.Option, context: click.Context) -> str:
    """A row of the table of options."""
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    kind = option.make_metavar(context) if not option.is_flag else ""
    default = option.get_default(context)
    shown = option.show_default and default not in (None, (), "") and not callable(default)
    value = "required" if option.required else f"`{default}`" if shown else ""
    many = " (may be repeated)" if option.multiple else ""
    return f"| {names} {_cell(kind)} | {_cell(option.help or '')}{many} | {_cell(value)} |"


def _cell(text: str) -> str:
    """Text that stays in its table cell, whatever signs it has."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def render_presets() -> str:
    """Every plan in `presets/`, with what its first comment says."""
    parts = [
        "# Presets\n",
        "Plans that come with the package. `elusive run nano-demo.yaml --out runs/demo` finds them "
        "by name; copy one and change it to make your own. What a plan may hold is in "
        "[evaluate](evaluate.md#a-plan). `nano-family.yaml` is for "
        "[`elusive pretrain`](commands/pretrain.md).\n",
    ]
    for path in sorted((ROOT / "presets").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        yaml.safe_load(text)
        parts.append(f"## {path.name}\n\n```yaml\n{text.strip()}\n```\n")
    return "\n".join(parts)
