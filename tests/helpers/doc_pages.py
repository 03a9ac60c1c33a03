"""Commands and code of a page, in its order."""

import re
from collections.abc import Iterator

TUTORIAL = "my-documents.md"
"""The page that has a test of its own, because its examples build on each other."""


def find_code(text: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def find_commands(text: str) -> list[str]:
    """Every `elusive` command of a page, without comments."""
    lines = "\n".join(find_code(text, "bash")).splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.startswith("elusive ")]


def find_steps(text: str) -> Iterator[tuple[str, str]]:
    """The commands and the Python code of a page, in their order."""
    for language, code in re.findall(r"^```(bash|python)\n(.*?)^```", text, re.DOTALL | re.M):
        if language == "python":
            yield "python", code
        else:
            yield from (("bash", line) for line in find_commands(f"```bash\n{code}```\n"))
