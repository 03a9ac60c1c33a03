"""The tutorial: what it shows is run in its order, with the settings of its quick try."""

import re
import shlex
from pathlib import Path

import pytest
from commands import run
from doc_pages import TUTORIAL, find_code, find_commands, find_steps

TEXT = (Path(__file__).resolve().parents[2] / "docs" / TUTORIAL).read_text("utf-8")
PLAN, REAL_PLAN = find_code(TEXT, "yaml")
DESIGN, TABLE = find_code(TEXT, "text")


def read_quick_settings() -> list[str]:
    """The options `--set` of the quick try."""
    (quick,) = (line for line in find_commands(TEXT) if "runs/quick" in line)
    words = shlex.split(quick)
    return [part for i, word in enumerate(words) if word == "--set" for part in words[i : i + 2]]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command of the page prints, run in the page's order."""
    assert len(read_quick_settings()) == 4
    outputs: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("tutorial"))
        Path("plan.yaml").write_text(PLAN)
        for language, code in find_steps(TEXT):
            if language == "python":
                exec(compile(code, TUTORIAL, "exec"), {})
                continue
            words = shlex.split(code)[1:]
            if code == "elusive run plan.yaml --out runs/notes":
                words += read_quick_settings()
            result = run(*words)
            assert result.exit_code == 0, f"{code}\n{result.output}\n{result.exception!r}"
            outputs[code] = result.output
        outputs["report.html"] = Path("report.html").read_text()
        outputs["files"] = " ".join(path.name for path in Path("notes").iterdir())
    return outputs


def test_ten_questions_lead_to_a_table_with_ranks(printed: dict[str, str]):
    dataset = next(text for code, text in printed.items() if "questions.csv" in code)
    assert "10 questions, 4 shots" in dataset
    table = printed["elusive table runs/notes --columns rank,em,forced-choice"]
    assert table.split()[:5] == TABLE.split()[:5] == ["forced", "arm", "rank", "EM", "%"]
    arms = {line.split()[0] for line in TABLE.splitlines()[3:]}
    assert arms == {"plain", "random", "contrast", "permute", "untrained"}
    assert all(re.search(rf"^ {arm} +\d", table, re.MULTILINE) for arm in arms)
    assert all(arm in printed["report.html"] for arm in arms)


def test_the_design_is_the_one_that_the_page_shows(printed: dict[str, str]):
    dry = next(text for code, text in printed.items() if "--dry-run" in code)
    assert " ".join(DESIGN.split()) in " ".join(dry.split())


def test_the_differences_by_number_of_documents_are_those_of_the_code():
    from elusive.evaluate.compare.power import compute_smallest_difference

    counts, points = (
        [entry.strip() for entry in line.strip("|").split("|")[1:]]
        for line in re.findall(r"^\| (?:documents|points).*$", TEXT, re.MULTILINE)
    )
    for count, shown in zip(counts, points, strict=True):
        difference = compute_smallest_difference([1] * int(count.replace(",", "")), 5, 3)
        assert round(100 * difference) == int(shown)
