"""The page of a leaderboard: the report page of its cells, with who submitted them and how to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elusive.common.folders import write_atomically
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.groups import group_arms, group_benchmarks
from elusive.report.leaderboard.board_settings import SHORT_HASH, BoardSettings
from elusive.report.page.page import build_page_data, check_replaceable, render_report

NOBODY = "anonymous"


def write_board_page(
    cells: list[CellResult], settings: BoardSettings, out: Path, metric: str = "em"
) -> None:
    """Write the page of a leaderboard as one HTML file.

    Args:
        cells: of its entries.
        settings: its title, names and addresses.
        out: the file; an older page is replaced.
        metric: what arms are ranked by: as in `build_table`.

    Raises:
        InputError: `out` is not such a page, or no benchmark can be shown.
    """
    check_replaceable(out)
    data = build_page_data(cells, settings.title, metric=metric)
    data |= {"about": settings.about, "board": {"steps": list(list_steps(settings))}}
    groups = group_benchmarks(cells)
    for benchmark in data["benchmarks"]:
        members = groups[benchmark["name"]]
        benchmark["links"] |= _find_links(members, settings)
        arms = group_arms(members)
        benchmark["arm_links"] = {arm: settings.links[arm] for arm in arms if arm in settings.links}
        benchmark["entries"] = [
            _describe_entry(arm, cell)
            for arm, own in arms.items()
            for cell in sorted(own, key=lambda cell: cell.parameters["seed"])
        ]
        benchmark["submitted"] = {arm: describe_submission(own) for arm, own in arms.items()}
    write_atomically(out, render_report(data))


def _find_links(cells: list[CellResult], settings: BoardSettings) -> dict[str, str]:
    """Find the addresses of a benchmark's dataset and model among the settings."""
    parameters = cells[0].parameters
    names = {
        "dataset": (parameters["dataset"][:SHORT_HASH], parameters["dataset_name"]),
        "model": (parameters["model"],),
    }
    links = settings.links
    return {
        term: next(links[name] for name in choices if name in links)
        for term, choices in names.items()
        if any(name in links for name in choices)
    }


def _describe_entry(arm: str, cell: CellResult) -> dict[str, Any]:
    trust = cell.trust
    return {
        "arm": arm,
        "seed": cell.parameters["seed"],
        "by": (trust and trust.submitted_by) or NOBODY,
        "day": trust.submitted if trust else "",
        "verified": "yes" if trust and trust.verified else "no",
        "cell": cell.folder.name,
    }


def describe_submission(cells: list[CellResult]) -> str:
    """Say who submitted the cells of an arm, and when: each name with its last day."""
    days: dict[str, str] = {}
    for trust in (cell.trust for cell in cells if cell.trust):
        name = trust.submitted_by or NOBODY
        days[name] = max(days.get(name, ""), trust.submitted)
    return "; ".join(f"{name}, {day}" for name, day in days.items())


def list_steps(settings: BoardSettings) -> Iterator[str]:
    """List what a submitter does, step by step."""
    yield (
        "Run your arm on a dataset and a model of this leaderboard, with the same settings of "
        "answering and all the seeds that the other arms have: elusive run PLAN.yaml --out "
        "runs/mine. Settings that all arms share are listed below."
    )
    hub_id = (settings.submit_to or "").partition("huggingface.co/datasets/")[2]
    if hub_id:
        yield f"Get the entries: hf download {hub_id} --repo-type dataset --local-dir board."
    else:
        place = f" ({settings.submit_to})" if settings.submit_to else ""
        yield f"Fork the repository of this leaderboard{place}, and clone it as board."
    yield (
        'Add your cells and check them: elusive leaderboard add runs/mine --to board --by "Your '
        'Name", then elusive leaderboard check board. The check scores every answer again.'
    )
    if hub_id:
        yield (
            "Open a pull request: hf upload "
            f"{hub_id} board/entries entries --repo-type dataset --create-pr. In its description, "
            "link to the code of your arm."
        )
    else:
        yield (
            "Open a pull request that contains only entries/. In its description, link to the code "
            "of your arm."
        )
