"""Pages that mkdocs builds beside those in this folder: one per command, and all presets on one."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from elusive.cli.main import cli

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES_MARK = "\b"
"""Click's mark of a paragraph that is not rewrapped: our helps use it for examples."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the page of every command to the navigation."""
    pages = [f"commands/{name}.md" for name in sorted(cli.commands)]
    for section in config.nav or []:
        if isinstance(section, dict) and "Commands" in section:
            section["Commands"] = [*section["Commands"], *pages]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of commands and of presets to the files of the site."""
    for path, content in {**render_command_pages(), "presets.md": render_presets()}.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Link to the pages made here, where the text links to the code that they are made from."""
    markdown = markdown.replace("](../presets)", "](presets.md)").replace(
        "](../cli)", "](commands/index.md)"
    )
    return re.sub(r"\]\(\.\./cli/(\w+)\.py\)", r"](commands/\1.md)", markdown)


def render_command_pages() -> dict[str, str]:
    """Return the page of every command, and the list of all commands, by path."""
    pages = {"commands/index.md": render_command_list()}
    for name, command in cli.commands.items():
        pages[f"commands/{name}.md"] = "\n".join(render_command(f"elusive {name}", command))
    return pages


def render_command_list() -> str:
    """Return the page that lists all commands."""
    head = [
        "# Commands\n",
        "These pages show what `elusive COMMAND --help` prints. Wrong input ends the command with "
        "exit code 2 and one line that says what is allowed. Progress is written to the standard "
        "error output, results to the standard output or into files.\n",
        "| command | what it does |",
        "|---|---|",
    ]
    rows = [
        f"| [`elusive {name}`]({name}.md) | {_escape_cell(command.get_short_help_str(200))} |"
        for name, command in sorted(cli.commands.items())
    ]
    return "\n".join([*head, *rows]) + "\n"


def render_command(path: str, command: click.Command, level: int = 1) -> Iterator[str]:
    """Yield the lines of a command's section, followed by those of its subcommands."""
    context = click.Context(command, info_name=path)
    yield f"{'#' * level} {path}\n"
    yield from _render_help(command.help or "")
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```\n"
    options = [option for option in command.params if isinstance(option, click.Option)]
    if options:
        yield "| option | what it is | default |\n|---|---|---|"
        yield from (_render_option(option, context) for option in options)
        yield ""
    if isinstance(command, click.Group):
        for name, subcommand in command.commands.items():
            yield from render_command(f"{path} {name}", subcommand, level + 1)


def _render_help(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text, with examples as code."""
    for paragraph in text.split("\n\n"):
        lines = [line.strip() for line in paragraph.strip("\n").splitlines()]
        if lines and lines[0] == EXAMPLES_MARK:
            yield "\n".join(["```bash", *lines[1:], "```\n"])
        else:
            yield " ".join(lines) + "\n"


def _render_option(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    kind = "" if option.is_flag else option.make_metavar(context)
    default = option.get_default(context)
    is_shown = option.show_default and default not in (None, (), "") and not callable(default)
    value = "required" if option.required else f"`{default}`" if is_shown else ""
    repeat = " (may be repeated)" if option.multiple else ""
    description = _escape_cell(option.help or "") + repeat
    return f"| {names} {_escape_cell(kind)} | {description} | {_escape_cell(value)} |"


def _escape_cell(text: str) -> str:
    """Escape what would end a table cell or read as HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def render_presets() -> str:
    """Return the page that shows every plan in `presets/`."""
    parts = [
        "# Presets\n",
        "These plans come with the package. `elusive run nano-demo --out runs/demo` finds a plan "
        "by its name. Copy one and change it to make your own; [Cells and grids]"
        "(evaluate.md#a-plan) explains what a plan may contain. `nano-family.yaml`, "
        "`nano-fixed.yaml` and `micro-family.yaml` are for "
        "[`elusive pretrain`](commands/pretrain.md).\n",
    ]
    for path in sorted((ROOT / "presets").glob("*.yaml")):
        text = path.read_text(encoding="utf-8").strip()
        parts.append(f"## {path.name}\n\n```yaml\n{text}\n```\n")
    return "\n".join(parts)
