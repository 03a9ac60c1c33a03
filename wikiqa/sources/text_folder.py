"""A folder of text files: a file is an article, and its name is the title."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from elusive.common.errors import InputError
from elusive.common.text.languages import compose
from elusive.common.text.text_spans import find_whole_words
from elusive.wikiqa.articles import Article, Counts, Paragraph, to_entity
from elusive.wikiqa.sources.files import open_source

SUFFIXES = (".txt", ".md")
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
ADDRESS = r"\((?:[^()]|\([^()]*\))*\)"
"""Of a link; it may have brackets itself, as those of Wikipedia do."""
MARKUP = (
    (re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.DOTALL | re.MULTILINE), ""),
    (re.compile(r"<!--.*?-->", re.DOTALL), ""),
    (re.compile(rf"!\[[^\]]*\]{ADDRESS}"), ""),
    (re.compile(rf"\[([^\]]*)\]{ADDRESS}"), r"\1"),
    (re.compile(r"(\*\*|__|`+)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<!\w)([*_])(?=\S)(.+?)(?<=\S)\1(?!\w)"), r"\2"),
    (re.compile(r"^[ \t]*([-*_])(?:[ \t]*\1){2,}[ \t]*$", re.MULTILINE), ""),
)
"""Marks of Markdown, and what stands for them."""
HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*")
MARK = re.compile(r"[-*+>]\s+")
"""What an item of a list or a line of a quotation begins with."""
NUMBER = re.compile(r"\d{1,3}[.)]\s+")
"""The same of a numbered list, which begins a paragraph: elsewhere, it is a number of the text."""


class TextFolder:
    """The articles of a folder and of those below it.

    Raises:
        InputError: there is no such folder, it has no text, or two texts have one name.
    """

    def __init__(self, folder: Path) -> None:
        self.paths: dict[str, Path] = {}
        self.titles: dict[Path, str] = {}
        for path in list_texts(folder):
            other = self.paths.setdefault(_make_key(path.stem), path)
            if other != path:
                raise InputError(f"{other} and {path} have one name: rename one, it is its title")
        self.read = lru_cache(64)(read_text)

    def find_paragraph(self, title: str, answers: list[str]) -> tuple[str, str | None]:
        """Return an article's title and its first paragraph that states an answer; empty if none.

        Titles of one file, such as `rome` and `Rome.md`, are of one article: the first one stays.
        If no file has the title, the paragraph is None.
        """
        named = next((n for n in (title, Path(title).stem) if _make_key(n) in self.paths), None)
        if named is None:
            return title, None
        path = self.paths[_make_key(named)]
        texts = [paragraph.text for paragraph in self.read(path).paragraphs]
        whole = (text for text in texts if find_whole_words(text, answers))
        return self.titles.setdefault(path, named), next(whole, "")


def list_texts(folder: Path) -> list[Path]:
    """List the text files of a folder, and of those below it, by name.

    Raises:
        InputError: there is no such folder, or it has no text.
    """
    if not folder.is_dir():
        raise InputError(f"no folder at {folder}")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InputError(f"{folder} has no file that ends in {' or '.join(SUFFIXES)}")
    return paths


def read_text_folder(folder: Path, counts: Counts) -> Iterator[Article]:
    """Read the articles of a folder in the order of their names.

    Files of one name, such as `index.md` in several folders, are told apart by their folders.

    Raises:
        InputError: there is no such folder, it has no text, or one is not UTF-8.
    """
    paths = list_texts(folder)
    names = Counter(_make_key(path.stem) for path in paths)
    for path in paths:
        title = path.stem
        if names[_make_key(title)] > 1:
            title = path.relative_to(folder).with_suffix("").as_posix()
        article = read_text(path, title)
        counts["articles read"] += 1
        counts["paragraphs read"] += len(article.paragraphs)
        yield article


def read_text(path: Path, title: str = "") -> Article:
    """Read a text: its paragraphs stand between empty lines, and headings are those of Markdown.

    Args:
        path: of the file.
        title: of the article; by default the file's name.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        with open_source(path) as file:
            text = compose(file.read().decode()).replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error.reason}): convert it first") from None
    title = compose(title or path.stem)
    if path.suffix.lower() != ".md":
        blocks = (" ".join(block.split()) for block in re.split(r"\n\s*\n", text))
        return Article(title, [Paragraph(block) for block in blocks if block])
    text = FRONT_MATTER.sub("", text)
    for pattern, replacement in MARKUP:
        text = pattern.sub(replacement, text)
    return Article(title, list(_read_markdown(text)))


def _read_markdown(text: str) -> Iterator[Paragraph]:
    headings: list[tuple[int, str]] = []
    lines: list[str] = []
    is_numbered = False
    for line in [*text.split("\n"), ""]:
        heading = HEADING.fullmatch(line.strip())
        if line.strip() and not heading:
            is_numbered = bool(NUMBER.match(line.strip())) if not lines else is_numbered
            mark = (NUMBER if is_numbered else MARK).match(line.strip())
            lines.append(line.strip()[mark.end() if mark else 0 :])
            continue
        if lines:
            section = " > ".join(name for level, name in headings if level > 1)
            yield Paragraph(" ".join(" ".join(lines).split()), section=section)
            lines = []
        if heading:
            level = len(heading[1])
            headings = [pair for pair in headings if pair[0] < level] + [(level, heading[2])]


def _make_key(title: str) -> str:
    return compose(to_entity(title).casefold())
